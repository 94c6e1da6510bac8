"""``router-model redact``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from router_model.cli.options import FILE, json_option, key_file_option, skip_bad_option
from router_model.terminal import echo_json, progress

if TYPE_CHECKING:
    from router_model.data.readers import Reading


@click.command()
@click.argument("records", type=FILE)
@click.option("--out", required=True, type=FILE, help="Written anew in the form of RECORDS.")
@click.option(
    "--hash-prompts", is_flag=True, help="Keep no text: hashes, features, labels and figures, as JSON Lines."
)
@key_file_option
@skip_bad_option
@json_option
def redact(
    records: Path, out: Path, hash_prompts: bool, key_file: Path | None, skip_bad: bool, as_json: bool
) -> None:
    """Write RECORDS without the secrets in their texts, or without their texts."""
    from router_model.data.readers import Reading

    if key_file and not hash_prompts:
        raise click.UsageError("--key-file is for --hash-prompts; redaction needs no key")
    reading, run = Reading(skip_bad=skip_bad), _hash if hash_prompts else _redact
    with progress("redacting", of=None) as stage_done:
        done = run(records, out, key_file, reading, lambda rows: stage_done(f"{rows} rows", 0.0))
    if as_json:
        return echo_json(done)
    skipped = f", {reading.bad} skipped" if reading.bad else ""
    if hash_prompts:
        return click.echo(f"{done['rows']} rows hashed{skipped}", err=True)
    kinds = ", ".join(f"{kind} {count}" for kind, count in done["replaced"].items()) or "nothing"
    return click.echo(
        f"{done['changed']} of {done['rows']} rows changed{skipped}; replaced: {kinds}", err=True
    )


def _redact(
    records: Path, out: Path, _: Path | None, reading: "Reading", rows_done: Callable[[int], None]
) -> dict[str, Any]:
    from router_model.data.privacy.redaction import redact_records

    done, found = redact_records(records, out, refuse=reading.refuse, rows_done=rows_done)
    return {
        "rows": done.rows,
        "changed": done.changed,
        "bad": done.bad,
        "replaced": dict(found.most_common()),
    }


def _hash(
    records: Path, out: Path, key_file: Path | None, reading: "Reading", rows_done: Callable[[int], None]
) -> dict[str, Any]:
    from router_model.data.privacy.hashing import hash_records, read_hash_key

    hash_records(records, out, read_hash_key(key_file, make=True), reading, rows_done)
    return {"rows": reading.rows, "bad": reading.bad}
