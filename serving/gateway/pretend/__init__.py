"""Pretend models: a small server with the endpoints, streams, usage and faults of real ones, and no model.

For ``serve --demo``, for tests, and as the upstream of benchmarks; ``python -m
router_model.serving.gateway.pretend --port 9000`` runs one alone.
"""

from router_model.serving.gateway.pretend.behaviour import Behaviour, Seen
from router_model.serving.gateway.pretend.model import Pretend
from router_model.serving.gateway.pretend.start import start

__all__ = ["Behaviour", "Pretend", "Seen", "start"]
