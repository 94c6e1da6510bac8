"""Just enough of Protocol Buffers' wire format to frame, walk and vet an ONNX file before it is loaded.

https://protobuf.dev/programming-guides/encoding/ and the field numbers of onnx.proto. An ONNX graph can
name files to read its weights from; a router never needs that, and a loader must not follow it.
"""

from collections.abc import Iterator

from router_model.errors import ArtifactCorruptError

MAX_DEPTH = 16

# Message types of onnx.proto whose insides are walked: field number -> type of the submessage.
CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14
METADATA = 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(raw: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field of the message at ``raw[start:end]``.

    Raises:
        ArtifactCorruptError: the bytes are not a message.
    """
    while start < end:
        key, start = _varint(raw, start, end)
        kind = key & 7
        if kind == VARINT:
            _, stop = _varint(raw, start, end)
        elif kind == BYTES:
            length, start = _varint(raw, start, end)
            stop = start + length
        elif kind in (FIXED64, FIXED32):
            stop = start + (8 if kind == FIXED64 else 4)
        else:
            raise ArtifactCorruptError(f"byte {start}: wire type {kind} has no place in an ONNX file")
        if stop > end:
            raise ArtifactCorruptError(f"byte {start}: a field runs past the end of its message")
        yield key >> 3, kind, start, stop
        start = stop


def metadata(raw: memoryview) -> dict[str, tuple[int, int]]:
    """Key to (start, end) of the value, for each metadata entry of an ONNX model."""
    entries = {}
    for number, _, start, end in fields(raw, 0, len(raw)):
        if number == METADATA:
            parts = {field: (low, high) for field, _, low, high in fields(raw, start, end)}
            if parts.keys() == {1, 2}:
                key = bytes(raw[slice(*parts[1])]).decode("utf-8", "replace")
                if key in entries:
                    raise ArtifactCorruptError(f"metadata key {key!r} stands twice")
                entries[key] = parts[2]
    return entries


def metadata_entry(key: str, value: str) -> bytes:
    """One metadata entry as the bytes that append it to an ONNX file."""
    pair = _field(1, key.encode()) + _field(2, value.encode())
    return _field(METADATA, pair)


def refuse_external_data(raw: memoryview) -> None:
    """Raise where any tensor of the model keeps its numbers in another file."""
    pending = [("model", 0, len(raw), 0)]
    while pending:
        kind, start, end, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ArtifactCorruptError(f"the graph nests deeper than {MAX_DEPTH} messages")
        for number, wire, low, high in fields(raw, start, end):
            if kind == "tensor" and _is_external(raw, number, low, high):
                raise ArtifactCorruptError(
                    "the graph reads weights from another file; an artifact is one file"
                )
            child = CHILDREN[kind].get(number)
            if child and wire == BYTES:
                pending.append((child, low, high, depth + 1))


def _is_external(raw: memoryview, number: int, low: int, high: int) -> bool:
    return number == TENSOR_EXTERNAL_DATA or (number == TENSOR_DATA_LOCATION and any(raw[low:high]))


def _varint(raw: memoryview, start: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if start >= end:
            break
        byte = raw[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise ArtifactCorruptError(f"byte {start}: a number is cut short")


def _field(number: int, content: bytes) -> bytes:
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(content)) + content


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
