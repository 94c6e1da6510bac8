"""A learned router for language models: text to tier in microseconds, from one ONNX file."""

from router_model.decision import Decision, Decisions
from router_model.errors import RouterModelError
from router_model.ladder import Ladder, Tier
from router_model.router import Router

__all__ = ["Decision", "Decisions", "Ladder", "Router", "RouterModelError", "Tier"]
