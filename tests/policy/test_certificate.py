"""Certificates: what they hold, and that nothing else is taken for one."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from router_model.policy.certificate import Certificate
from router_model.policy.curve import Policy


def test_a_certificate_survives_json(certificate: Certificate) -> None:
    value = json.loads(json.dumps(certificate.to_dict()))
    assert Certificate.from_dict(value, certificate.point) == certificate


def test_its_message_says_what_is_promised(certificate: Certificate) -> None:
    assert "0.02 of mean outcome with a probability of at most 0.05" in certificate.message
    relative = replace(certificate, relative=True)
    assert "0.02 of the strongest tier's quality" in relative.message


def test_its_point_is_the_default_of_a_policy(certificate: Certificate) -> None:
    curve = [
        replace(certificate.point, dial="quality", value=0.9),
        replace(certificate.point, dial="budget", value=0.5),
    ]
    policy = Policy((0.1, 0.2, 1.0), curve, ("quality", 0.9), certificate.point)
    assert policy.point() is certificate.point
    assert policy.point(quality=0.9).dial == "quality"
    assert Policy((0.1, 0.2, 1.0), curve, ("quality", 0.9)).point() is curve[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_loss": 0.0}, {"max_loss": 1.0}, {"max_loss": float("nan")}, {"max_loss": "0.02"},
        {"max_loss": 0.03}, {"confidence": 0.5}, {"confidence": 1}, {"confidence": True},
        {"relative": 1}, {"loss": 2.0}, {"loss": None}, {"test": "trust me"}, {"test": None},
        {"data": "AB" * 32}, {"data": "ab"}, {"data": 7}, {"rows": 0}, {"rows": 1}, {"rows": 3000.0},
        {"groups": 0}, {"groups": True}, {"rows": 10**15}, {"leaks": "a\x1b[2J"}, {"leaks": "x" * 2000},
        {"leaks": None}, {"date": "yesterday"}, {"date": "2026-11-28\n"}, {"date": None},
        {"claims": None}, {"claims": [1]}, {"claims": [{}]}, {"claims_error": 0}, {"claims_error": 0.5},
        {"claims": [{"statistic": "mood", "low": 0, "high": 1, "deviation": 0.1}]},
        {"claims": [{"statistic": "length", "low": 1, "high": 0, "deviation": 0.1}]},
        {"claims": [{"statistic": "length", "low": 0, "high": 1, "deviation": float("inf")}]},
        {"claims": [{"statistic": "length", "low": "0", "high": 1, "deviation": 0.1}]},
        {"claims": [{"statistic": "length", "low": 0, "high": 1, "deviation": 0.1}] * 2},
        {"lengths": [3]}, {"lengths": [3, 3]}, {"lengths": [-1, 3]}, {"lengths": [3, 1000]},
        {"lengths": ["3", "4"]}, {"lengths": None}, {"more": 1},
    ],
)  # fmt: skip
def test_anything_else_is_refused(wrong: dict[str, Any], certificate: Certificate) -> None:
    value = json.loads(json.dumps(certificate.to_dict())) | wrong
    with pytest.raises((ValueError, TypeError, KeyError)):
        Certificate.from_dict(value, certificate.point)


@pytest.mark.parametrize("missing", sorted({field.name for field in fields(Certificate)} - {"point"}))
def test_no_field_may_be_left_out(missing: str, certificate: Certificate) -> None:
    value = certificate.to_dict()
    del value[missing]
    with pytest.raises((KeyError, TypeError)):
        Certificate.from_dict(value, certificate.point)
