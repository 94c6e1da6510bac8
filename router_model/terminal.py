"""The terminal: progress on standard error, results on standard output."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click


@contextmanager
def progress(label: str, of: int | None = 1000) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error where that is a terminal; yields what takes a stage and the share done."""
    if not sys.stderr.isatty():
        yield lambda stage, share: None
        return
    template = "%(label)s  [%(bar)s]  %(info)s" if of else "%(label)s  %(info)s"
    with click.progressbar(
        length=of or 1,
        label=label,
        file=sys.stderr,
        item_show_func=lambda stage: stage,
        bar_template=template,
        show_percent=of is not None,
        show_eta=of is not None,
    ) as bar:

        def stage_done(stage: str, share: float) -> None:
            bar.update(max(0, int(share * bar.length) - bar.pos) if bar.length else 0, stage)
            bar.render_progress()

        yield stage_done


def echo_json(value: dict[str, Any]) -> None:
    """One JSON object; figures that do not exist (no gap to recover, say) are null."""
    click.echo(json.dumps(finite(value), ensure_ascii=True, allow_nan=False))


def finite(value: Any) -> Any:
    """``value`` with numbers that JSON cannot hold as None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value
