"""``router-model outcomes``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import FILE, json_option, skip_bad_option
from router_model.terminal import echo_json


@click.command()
@click.argument("source", metavar="RECORDS", type=FILE)
@click.option("--out", required=True, type=FILE, help="Records with outcomes, JSON Lines; .gz compresses.")
@click.option("--rules", "rules_path", type=FILE, help="Rules, YAML or JSON; the default ones else.")
@skip_bad_option
@json_option
def outcomes(source: Path, out: Path, rules_path: Path | None, skip_bad: bool, as_json: bool) -> None:
    """Make outcomes of the feedback in RECORDS: the first rule that matches gives the model's outcome."""
    from router_model.data.feedback import Decided, Rules
    from router_model.data.feedback import outcomes as run
    from router_model.data.readers import Reading, read_records
    from router_model.data.writers import write_records

    rules = Rules.read(rules_path) if rules_path else Rules.default()
    reading, decided = Reading(skip_bad=skip_bad), Decided()
    write_records(out, run(read_records(source, reading), rules, decided))
    if as_json:
        return echo_json({"out": str(out), "bad_rows": reading.bad, **dataclasses.asdict(decided)})
    for name, count in sorted(decided.by_rule.items(), key=lambda item: -item[1]):
        click.echo(f"{count:>9}  {name}")
    found = sum(decided.by_rule.values())
    return click.echo(
        f"{out}: {decided.rows} rows, {found} outcomes by rule, {decided.known} had one, "
        f"{decided.unknown} stay unknown, {decided.no_model} name no model, {reading.bad} skipped"
    )
