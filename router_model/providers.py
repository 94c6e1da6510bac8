"""Where a graph runs: the execution providers of ONNX Runtime, and the rule by which one is picked."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from router_model.errors import ArtifactError, ConfigError

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
GPU_CURE = (
    "on a machine with a GPU, pip uninstall onnxruntime onnxruntime-gpu and then pip install onnxruntime-gpu"
)


def choose_providers(
    meant_for: Sequence[str], asked: str | Sequence[str] = "auto", name: str = "artifact"
) -> list[str]:
    """The providers of ONNX Runtime that an artifact runs on, in the order in which they are tried.

    Args:
        meant_for: what the artifact's manifest says.
        asked: "auto", those of them that this ONNX Runtime has; or names, to be used as they stand.

    Raises:
        ArtifactError: the artifact is meant for none that there is.
        ConfigError: ``asked`` names none, or one that this ONNX Runtime has not.
    """
    there = runtime().get_available_providers()
    if asked == "auto":
        chosen = [provider for provider in meant_for if provider in there]
    elif isinstance(asked, str) or not asked:
        raise ConfigError(f'providers={asked!r:.60}: give "auto" or a list of names, such as ["{CPU}"]')
    else:
        chosen = list(asked)
        for provider in chosen:
            if provider not in there:
                cure = GPU_CURE if provider == CUDA else f"it has {', '.join(there)}"
                raise ConfigError(f"providers: this ONNX Runtime has no {provider!r:.60}; {cure}")
    if not chosen or (CPU not in meant_for and set(chosen) == {CPU}):
        raise ArtifactError(
            f"{name}: is meant for {', '.join(meant_for)}, and none is here; {GPU_CURE}, "
            "or train with --precision float32 or int8 for a CPU"
        )
    return chosen


def started(running: Sequence[str], chosen: Sequence[str], name: str) -> str:
    """The provider that a session started with; said aloud where there was a choice.

    Raises:
        ArtifactError: it is another than ``chosen`` allows.
    """
    provider = running[0]
    if provider not in chosen:
        raise ArtifactError(
            f"{name}: {chosen[0]} does not start here, see ONNX Runtime's own message; {GPU_CURE}"
        )
    if provider != chosen[0]:
        logger.warning("%s: %s does not start here, so it runs on %s", name, chosen[0], provider)
    elif provider != CPU:
        logger.info("%s: runs on %s", name, provider)
    return provider


def runtime() -> Any:
    """ONNX Runtime, imported when it is needed."""
    # From 1.29 on it reports to its maker, and keeps an id under ~/.cache, unless told before it starts.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
