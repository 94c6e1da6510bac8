"""The log of decisions."""

from typing import Annotated, Literal

from msgspec import Meta

from router_model.serving.gateway.config.part import Count, Part, Seconds

Words = Literal["off", "hashed", "redacted", "whole"]


class Traffic(Part, frozen=True):
    """The log of decisions, Parquet by date.

    Attributes:
        folder: where; relative to the file of the gateway.
        words: what of a prompt is kept.
        explore: share of ``auto`` requests that go to a tier drawn at random, so that the log can teach.
        queue: rows that wait to be written; beyond it rows are dropped and counted, and no request waits.
        flush_seconds: what a ``kill -9`` may lose.
        part_rows, part_seconds: a Parquet file is closed after either.
    """

    folder: str
    words: Words = "hashed"
    explore: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    queue: Count = 65_536
    flush_seconds: Seconds = 1.0
    part_rows: Count = 100_000
    part_seconds: Seconds = 300.0
