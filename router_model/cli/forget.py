"""``router-model forget``."""

from pathlib import Path

import click

from router_model.cli.options import FILE, json_option, key_file_option
from router_model.errors import DataError
from router_model.terminal import echo_json, progress


@click.command()
@click.argument("records", type=FILE)
@click.option("--out", required=True, type=FILE, help="Written anew in the form of RECORDS; may be RECORDS.")
@click.option("--tenant", "tenants", multiple=True, help="Whose rows go; repeatable.")
@click.option("--session", "sessions", multiple=True, help="Which conversation's rows go; repeatable.")
@click.option("--missing-ok", is_flag=True, help="End well where no row matched.")
@key_file_option
@json_option
def forget(
    records: Path,
    out: Path,
    tenants: tuple[str, ...],
    sessions: tuple[str, ...],
    missing_ok: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Write RECORDS without the rows of a tenant or a session."""
    from router_model.data.privacy.deletion import forget as run
    from router_model.data.privacy.hashing import read_hash_key

    key = read_hash_key(key_file) if key_file else None
    with progress("deleting", of=None) as stage_done:
        done = run(
            records,
            out,
            tenants=tenants,
            sessions=sessions,
            hash_key=key,
            rows_done=lambda rows: stage_done(f"{rows} rows", 0.0),
        )
    if as_json:
        echo_json({"rows": done.rows, "deleted": done.dropped})
    else:
        click.echo(f"{done.dropped} of {done.rows} rows deleted", err=True)
    if not done.dropped and not missing_ok:
        raise DataError(f"{records}: no row of this tenant or session; check the name, or give --missing-ok")
