"""``router-model distill``."""

import dataclasses
from pathlib import Path

import click

from router_model.cli.options import FILE, json_option, skip_bad_option
from router_model.terminal import echo_json, progress

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@click.command()
@click.option("--model", default=MINILM, show_default=True, help="Without --teacher: name or folder.")
@click.option(
    "--dimension",
    type=int,
    default=192,
    show_default=True,
    help="Columns of the base's table: principal components that are kept.",
)
@click.option(
    "--weights",
    type=click.Choice(["zipf", "equal"]),
    default="zipf",
    show_default=True,
    help="Of tokens in the base: frequent ones less, by Zipf's law, or all alike.",
)
@click.option(
    "--vocabulary-from",
    multiple=True,
    type=FILE,
    help="Records; the base's vocabulary is cut to the tokens that they use.",
)
@click.option("--teacher", type=FILE, help="A router, to distil it to a smaller one.")
@click.option("--student", default="static", show_default=True, help="Encoder of the smaller one.")
@click.option(
    "--prompts",
    multiple=True,
    type=FILE,
    help="Records for the student; of labels that they may have it learns too.",
)
@click.option("--base", "base_path", type=FILE, help="Base encoder of the student.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the student's training.")
@click.option("--out", required=True, type=FILE, help="The base encoder, .npz, or the student to write.")
@skip_bad_option
@json_option
def distill(
    model: str,
    dimension: int,
    weights: str,
    vocabulary_from: tuple[Path, ...],
    teacher: Path | None,
    student: str,
    prompts: tuple[Path, ...],
    base_path: Path | None,
    seed: int,
    out: Path,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Distil a sentence-transformers model to a base encoder, or a router to a smaller router."""
    if (teacher is None) != (not prompts):
        raise click.UsageError(
            "--teacher and --prompts go together: the teacher's router, and what it is asked"
        )
    if teacher and vocabulary_from:
        raise click.UsageError("--vocabulary-from is for a base encoder; with --teacher, give that as --base")
    if teacher:
        return _teach(teacher, student, prompts, base_path, seed, out, skip_bad, as_json)
    from router_model.data.readers import Reading
    from router_model.training.distill import distill as run
    from router_model.training.prepare import read_all

    records = read_all(vocabulary_from, Reading(skip_bad=skip_bad))
    texts = [record.prompt.text for record in records] if vocabulary_from else None
    with progress("distilling") as stage_done:
        base = run(
            model,
            dimension,
            lambda done, of: stage_done("vocabulary", done / of),
            weights=weights,
            texts=texts,
        )
    base.write(out)
    size, shape = out.stat().st_size, list(base.table.shape)
    if as_json:
        return echo_json({"out": str(out), "bytes": size, "source": base.source, "shape": shape})
    return click.echo(f"{out}: {size / 1e6:.1f} MB, {shape[0]} tokens by {shape[1]}, from {base.source}")


def _teach(
    teacher_path: Path,
    student: str,
    prompts: tuple[Path, ...],
    base_path: Path | None,
    seed: int,
    out: Path,
    skip_bad: bool,
    as_json: bool,
) -> None:
    from router_model.base import Base
    from router_model.router import Router
    from router_model.training.config import TrainConfig
    from router_model.training.train import train

    teacher = Router.load(teacher_path)
    quality = teacher.artifact.manifest.default_quality
    config = TrainConfig(encoder=student, seed=seed, quality=quality)
    base = Base.read(base_path) if base_path else None
    with progress("distilling") as stage_done:
        done = train(
            prompts,
            teacher.ladder,
            out,
            config,
            base=base,
            teacher=teacher,
            skip_bad=skip_bad,
            stage_done=stage_done,
        )
    if as_json:
        return echo_json(dataclasses.asdict(done))
    click.echo(f"guard: {done.guard['message']}")
    return click.echo(f"{out}: {done.bytes / 1e6:.1f} MB, {done.precision}, from {done.rows} rows")
