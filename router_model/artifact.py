"""The artifact: one ONNX file with a manifest in its metadata, sealed by a digest of every byte.

The bytes, in order: an ONNX model without metadata; a metadata entry ``router_model.manifest``, one JSON
object; a metadata entry ``router_model.sha256``, the SHA-256 in lower-case hexadecimal of all bytes before
it. Any ONNX Runtime loads the file; this module refuses it unless every byte is as it was written.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from router_model.errors import ArtifactCorruptError, ArtifactError, RouterModelError
from router_model.files import read_file, replace_file
from router_model.manifest import CURE, Manifest
from router_model.wire import metadata, metadata_entry, refuse_external_data

MAX_ARTIFACT_BYTES = 2 << 30  # what one Protocol Buffers message may hold
MAX_MANIFEST_BYTES = 64 << 20
MANIFEST_KEY, DIGEST_KEY = "router_model.manifest", "router_model.sha256"
SEAL_BYTES = len(metadata_entry(DIGEST_KEY, "0" * 64))


@dataclass(frozen=True)
class Artifact:
    """A checked artifact.

    Attributes:
        name: where it came from, for messages.
        content: the file's bytes, an ONNX model.
        manifest: what its metadata holds.
        fingerprint: the digest that seals it, in hexadecimal.
    """

    name: str
    content: bytes
    manifest: Manifest
    fingerprint: str

    @property
    def graph(self) -> bytes:
        """The ONNX model without metadata, as ``seal`` takes it."""
        start, end = metadata(memoryview(self.content))[MANIFEST_KEY]
        entry = metadata_entry(MANIFEST_KEY, str(memoryview(self.content)[start:end], "utf-8"))
        return self.content[: -SEAL_BYTES - len(entry)]

    @classmethod
    def read(cls, path: str | Path) -> "Artifact":
        """Read and check a file; raises FileError, or as ``parse`` does."""
        return cls.parse(read_file(path, MAX_ARTIFACT_BYTES), str(path))

    @classmethod
    def parse(cls, content: bytes, name: str = "artifact") -> "Artifact":
        """Check an artifact's bytes.

        Raises:
            ArtifactCorruptError: cut short or altered.
            ArtifactVersionError: of another version.
            ArtifactError: not an artifact at all.
        """
        try:
            fingerprint = _check_seal(content)
            raw = memoryview(content)
            refuse_external_data(raw)
            start, end = metadata(raw).get(MANIFEST_KEY, (0, 0))
            if not 0 < end - start <= MAX_MANIFEST_BYTES:
                raise ArtifactCorruptError(f"the manifest is missing or too large; {CURE}")
            manifest = Manifest.from_json(bytes(raw[start:end]).decode("utf-8", "replace"))
        except RouterModelError as error:
            kind = type(error) if isinstance(error, ArtifactError) else ArtifactCorruptError
            raise kind(f"{name}: {error}") from None
        return cls(name, content, manifest, fingerprint)


def seal(graph: bytes, manifest: Manifest) -> bytes:
    """The artifact's bytes for an ONNX model that has no metadata of its own."""
    body = graph + metadata_entry(MANIFEST_KEY, manifest.to_json())
    return body + metadata_entry(DIGEST_KEY, hashlib.sha256(body).hexdigest())


def write(path: str | Path, content: bytes) -> None:
    """Write an artifact whole or not at all, after reading it back from its bytes."""
    Artifact.parse(content, str(path))
    replace_file(path, content)


def _check_seal(content: bytes) -> str:
    body, tail = content[:-SEAL_BYTES], content[-SEAL_BYTES:]
    frame, digest = tail[:-64], tail[-64:]
    if len(tail) < SEAL_BYTES or frame != metadata_entry(DIGEST_KEY, "0" * 64)[:-64]:
        whole = MANIFEST_KEY.encode() in content
        raise (
            ArtifactCorruptError("cut short or altered; copy the file again")
            if whole
            else ArtifactError("not a router artifact; make one with router-model train")
        )
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ArtifactCorruptError(
            "altered after it was written (its digest does not match); copy the file again"
        )
    return digest.decode()
