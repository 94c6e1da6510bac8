"""``router-model redact``."""

from pathlib import Path

import click

from router_model.cli.options import FILE, json_option, key_file_option, skip_bad_option
from router_model.terminal import echo_json, progress


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
    from router_model.data.privacy.hashing import hash_records, read_hash_key
    from router_model.data.privacy.redaction import redact_records
    from router_model.data.readers import Reading

    if key_file and not hash_prompts:
        raise click.UsageError("--key-file is for --hash-prompts; redaction needs no key")
    reading = Reading(skip_bad=skip_bad)
    with progress("redacting", of=None) as stage_done:

        def rows_done(rows: int) -> None:
            stage_done(f"{rows} rows", 0.0)

        if hash_prompts:
            hash_records(records, out, read_hash_key(key_file, make=True), reading, rows_done)
        else:
            done, found = redact_records(records, out, refuse=reading.refuse, rows_done=rows_done)
    bad = f", {reading.bad} skipped" if reading.bad else ""
    if hash_prompts:
        if as_json:
            return echo_json({"rows": reading.rows, "bad": reading.bad})
        return click.echo(f"{reading.rows} rows hashed{bad}", err=True)
    if as_json:
        return echo_json(
            {"rows": done.rows, "changed": done.changed, "bad": done.bad, "replaced": dict(found)}
        )
    kinds = ", ".join(f"{kind} {count}" for kind, count in found.most_common()) or "nothing"
    return click.echo(f"{done.changed} of {done.rows} rows changed{bad}; replaced: {kinds}", err=True)
