"""Forged certificates in artifacts whose seal is valid, and forged states of a monitor in Redis."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from router_model.artifact import Artifact, seal
from router_model.errors import ArtifactError
from router_model.manifest import Manifest
from router_model.policy.certificate import Certificate
from router_model.router import Router
from router_model.serving.gateway.config.guarantee import GuaranteeConfig
from router_model.serving.gateway.guarantee import Guarantee
from tests.attacks.test_artifact import replaced

FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a certificate that is a list": lambda m: m.__setitem__("certificate", [1]),
    "a certificate that is a word": lambda m: m.__setitem__("certificate", "trust me"),
    "a certificate of nothing": lambda m: m.__setitem__("certificate", {}),
    "no point": lambda m: m["certificate"].pop("point"),
    "a point of another dial": lambda m: m["certificate"]["point"].__setitem__("dial", "quality"),
    "a point of another bound": lambda m: m["certificate"]["point"].__setitem__("value", 0.5),
    "a penalty below nothing": lambda m: m["certificate"]["point"].__setitem__("penalty", -1),
    "shares of two tiers": lambda m: m["certificate"]["point"].__setitem__("shares", [0.5, 0.5]),
    "a bound beyond floating point": lambda m: m["certificate"].__setitem__("max_loss", 10**400),
    "a confidence that is no number": lambda m: m["certificate"].__setitem__("confidence", "all of it"),
    "an escape in a note": lambda m: m["certificate"].__setitem__("leaks", "none\x1b[2J"),
    "a claim of everything": lambda m: m["certificate"]["claims"].append({"statistic": "all"}),
    "a claim beyond floating point": lambda m: m["certificate"]["claims"][0].__setitem__("high", 10**400),
    "a certified point on the curve": lambda m: m["curve"][0].__setitem__("dial", "certified"),
}


@pytest.fixture(scope="module")
def certified(certificate: Certificate) -> Artifact:
    """The router that ships, with a certificate."""
    shipped = Artifact.parse(files("router_model").joinpath("default.onnx").read_bytes())
    return Artifact.parse(seal(shipped.graph, replace(shipped.manifest, certificate=certificate)))


def forged(artifact: Artifact, text: str) -> bytes:
    class Forged(Manifest):
        def to_json(self) -> str:
            return text

    return seal(b"", Forged(**vars(artifact.manifest)))


def test_a_certificate_goes_into_an_artifact_and_out_again(
    certified: Artifact, certificate: Certificate
) -> None:
    router = Router(certified)
    assert certified.manifest.certificate == certificate
    assert router.policy.default == certificate.point
    taken_off = Artifact.parse(seal(certified.graph, replace(certified.manifest, certificate=None)))
    assert taken_off.manifest == Router.default().artifact.manifest
    assert taken_off.graph == Router.default().artifact.graph


def test_an_artifact_from_before_certificates_loads(certified: Artifact) -> None:
    value = json.loads(certified.manifest.to_json())
    del value["certificate"]
    assert Manifest.from_json(json.dumps(value)).certificate is None


@pytest.mark.parametrize("name", list(FORGERIES))
def test_a_forged_certificate_under_a_valid_seal_is_refused(name: str, certified: Artifact) -> None:
    value = json.loads(certified.manifest.to_json())
    FORGERIES[name](value)
    with pytest.raises(ArtifactError, match=r"^forged\.onnx: "):
        Artifact.parse(forged(certified, json.dumps(value)), "forged.onnx")


def test_any_value_replaced_in_a_certificate_is_harmless_or_refused(certified: Artifact) -> None:
    value, chance, refused = json.loads(certified.manifest.to_json()), random.Random(0), 0
    for _ in range(60):
        changed = value | {"certificate": replaced(value["certificate"], chance)}
        try:
            Manifest.from_json(json.dumps(changed))
        except ArtifactError:
            refused += 1
    assert 30 < refused <= 60


@pytest.mark.parametrize(
    "told",
    [b"", b"{}", b"\xff", b'{"items":1,"idle":1e999,"stakes":[]}', b'{"items":-1,"idle":1,"stakes":[1]}',
     b'{"items":9,"idle":-1,"stakes":[0.1]}', b'{"items":9,"idle":1,"stakes":[0.1]}', b"[" * 100_000],
)  # fmt: skip
def test_a_state_in_redis_that_is_none_is_not_taken(told: bytes, certificate: Certificate) -> None:
    guarantee = Guarantee(certificate, GuaranteeConfig(), ("small", "medium", "large"))
    assert guarantee._newest(told) is guarantee.monitor


@pytest.mark.parametrize("told", [b"", b"{", b"\xff", b"[" * 100_000, b'{"certificate":1,"reason":2}'])
def test_a_revocation_that_cannot_be_read_counts_as_one(
    told: bytes, certificate: Certificate, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.revoked"
    path.write_bytes(told)
    guarantee = Guarantee(certificate, GuaranteeConfig(), ("small", "medium", "large"), path=path)

    async def opened() -> None:
        await guarantee.open()
        await guarantee.close()

    asyncio.run(opened())
    assert guarantee.reason.startswith("gateway.revoked cannot be read")
    assert guarantee.rule is not None
