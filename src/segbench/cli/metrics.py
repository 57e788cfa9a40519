"""Scores of a run from its files: with their definitions, in other libraries' conventions, as a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import RunPath, console, print_table, require
from segbench.cli.scores import cell
from segbench.errors import ConfigError
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of, with_labels
from segbench.metrics.measure import DIRECTION
from segbench.speech import in_shell
from segbench.types import SPLITS

if TYPE_CHECKING:
    from segbench.metrics.definitions import Definition
    from segbench.metrics.scores import Scores

metrics_app = typer.Typer(help="Scores of a run: definitions, conventions, confusion matrix.", no_args_is_help=True)

_TABLE_UP_TO = 12  # classes; a wider confusion matrix is not read in a terminal
_FORMATS = (".png", ".svg", ".pdf", ".csv")

SplitOption = Annotated[str, typer.Option("--split", help="train, val or test.")]
ResolutionOption = Annotated[
    str, typer.Option("--resolution", help="training; original: after `segbench evaluate --resolution original`.")
]


@metrics_app.command("show")
def show(run: RunPath, split: SplitOption = "test", resolution: ResolutionOption = "training") -> None:
    """Print a run's scores with what they mean, per class, and the confusion matrix.

    Example: segbench metrics show runs/ph2 --split test
    """
    from segbench.metrics.confusion_matrix import confusion_rows, normalize_confusion
    from segbench.metrics.definitions import footnote

    scores = _read_scores(run, split, resolution)
    values, definitions = {**scores.summary()}, {**scores.definition_of}
    for more_values, more_definitions in _other_scores(run, _part(split, resolution), scores):
        values.update(more_values)
        definitions.update(more_definitions)
    console.print(f"{run} on {_scored(run, split, resolution)}: {len(scores.ids)} images", style="bold")
    console.print(_main_sentence(RunFolder(run), scores, split), style="bold")
    rows = [[label_of(name), cell(value), DIRECTION[definitions[name].better]] for name, value in values.items()]
    print_table(["score", "value", ""], rows)
    console.print(f"\nall: {with_labels(footnote(definitions.values()))}")
    console.print("\nwhat they mean")
    for name, definition in definitions.items():
        console.print(f"  {label_of(name)}: {definition.short}")
    console.print("\nper class")
    table = scores.per_class_table()
    print_table([label_of(key) for key in table[0]], [[cell(value) for value in row.values()] for row in table])
    if len(scores.class_map.names) > _TABLE_UP_TO:
        command = f"segbench metrics confusion {in_shell(run)} -o c.png"
        console.print(f"\nconfusion matrix of {len(scores.class_map.names)} classes: {command}")
        return
    for title, matrix in (("pixels", scores.confusion), ("share of true", normalize_confusion(scores.confusion))):
        console.print(f"\nconfusion matrix, {title}")
        header, *lines = confusion_rows(matrix, scores.class_map.names)
        print_table([str(cell) for cell in header], [[cell(value) for value in line] for line in lines])


@metrics_app.command("explain")
def explain(run: RunPath, split: SplitOption = "test", resolution: ResolutionOption = "training") -> None:
    """Print the same predictions' IoU as other libraries compute it, and why the numbers differ.

    Example: segbench metrics explain runs/ph2 --split test
    """
    from segbench.metrics.conventions import explain_conventions

    scores = _read_scores(run, split, resolution)
    rows = explain_conventions(scores.counts, scores.class_map)
    conditions = scores.definition_of["iou_per_image"].conditions
    title = f"{run} on {_scored(run, split, resolution)}"
    console.print(f"{title}: one prediction, {len(rows)} numbers; all: {conditions}")
    print_table(
        ["", "library", "call", "value"],
        [[str(number), row.library, row.call, cell(row.value)] for number, row in enumerate(rows, start=1)],
    )
    console.print("\nwhy they differ")
    for number, row in enumerate(rows, start=1):
        console.print(f"  {number:>2}  {row.why}")


@metrics_app.command("confusion")
def confusion(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture (.png, .svg, .pdf) or table (.csv) to write.")],
    split: SplitOption = "test",
    resolution: ResolutionOption = "training",
    normalize: Annotated[
        str, typer.Option(help="true: shares of each true class; predicted: of each predicted one; none: pixels.")
    ] = "true",
) -> None:
    """Draw a run's confusion matrix, or write it as a table of pixels.

    Example: segbench metrics confusion runs/ph2 -o confusion.png
    """
    require("--normalize", normalize, ("true", "predicted", "none"))
    if out.suffix not in _FORMATS:
        raise ConfigError(f"expected a file that ends in {', '.join(_FORMATS)}, got {out.name!r}", key="--out")
    scores = _read_scores(run, split, resolution)
    if out.suffix == ".csv":
        scores.write_confusion_csv(out)
    else:
        from segbench.files import replacing
        from segbench.plots.confusion import confusion_heatmap

        title = f"{run.name} on {_scored(run, split, resolution)}, {len(scores.ids)} images"
        figure = confusion_heatmap(
            scores.confusion,
            scores.class_map.names,
            normalize=normalize,  # type: ignore[arg-type]
            title=title,
        )
        with replacing(out) as temporary:
            figure.savefig(temporary, dpi=120)
    console.print(f"written: {out}")


def _part(split: str, resolution: str) -> str:
    """Returns the tail of the run's file names: `test` or `test_original`."""
    return split if resolution == "training" else f"{split}_original"


def _main_sentence(folder: RunFolder, scores: Scores, split: str) -> str:
    """Returns the main number of a part with its interval, in words."""
    from segbench.data.manifest.manifest import Manifest
    from segbench.train.main_number import main_number

    samples = Manifest.read(folder.manifest_file).samples if folder.manifest_file.is_file() else ()
    monitor = folder.read_config().monitor if folder.config_file.is_file() else "loss"
    sentence: str = main_number(scores, monitor, samples, split)["sentence"]  # type: ignore[arg-type]
    return sentence


def _read_scores(run: Path, split: str, resolution: str) -> Scores:
    """Returns the scores of the counts in a run folder, with the threshold and the size they were made at."""
    from segbench.compare.image_scores import read_scores

    require("--split", split, SPLITS)
    require("--resolution", resolution, ("training", "original"))
    return read_scores(RunFolder(run), _part(split, resolution))


def _scored(run: Path, split: str, resolution: str) -> str:
    """Returns what was scored, for titles: `test_original, epoch 36`; without the epoch where no file tells it."""
    from segbench.compare.image_scores import scored_epoch

    part = _part(split, resolution)
    epoch = scored_epoch(RunFolder(run), part)
    return part + (f", epoch {epoch}" if epoch is not None else "")


def _other_scores(run: Path, part: str, scores: Scores) -> Iterable[tuple[dict[str, float], dict[str, Definition]]]:
    """Yields values and definitions of what counts cannot tell, where the run has measured it."""
    from segbench.metrics.calibration import Calibration
    from segbench.metrics.surface_scores import read_surfaces

    surfaces, calibration = run / f"surfaces_{part}.csv", run / f"calibration_{part}.csv"
    if surfaces.is_file():
        measured = read_surfaces(surfaces, scores.class_map)
        yield measured.summary(), dict(measured.definition_of)
    if calibration.is_file():
        judged = Calibration.read_csv(calibration, n_images=scores.n_images, task=scores.class_map.task)
        yield judged.summary(), judged.definition_of(resolution=scores.resolution, ignore_index=scores.ignore_index)
