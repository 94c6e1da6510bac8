"""Records to an artifact: fitting, calibration, the operating curve, the guard, export, evaluation."""

from importlib.util import find_spec

from router_model.errors import MissingExtraError

PACKAGES = ("torch", "lightning", "onnx", "sklearn", "rensa", "pyarrow", "yaml", "matplotlib")

if missing := [name for name in PACKAGES if find_spec(name) is None]:
    raise MissingExtraError(
        f"training needs {', '.join(missing)}: pip install 'router-model[train]' "
        "(torch==2.13.0 keeps the CUDA build away)"
    )
