"""Logs."""

import logging


def set_up_logs(as_json: bool) -> None:
    """Set up."""
    logging.basicConfig(level=logging.INFO)
