"""How scores look on a terminal: one number with its interval, a table by class, and everything else when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from segbench.cli._common import console, print_table
from segbench.metrics.families import COUNT_SCORES, label_of, with_labels
from segbench.speech import in_shell
from segbench.terminal import WARNING_STYLE
from segbench.types import SPLITS, RunResult

All = Annotated[bool, typer.Option("--all", help="Print every score, not the main one alone.")]

_BY_CLASS = ("iou", "dice", "precision", "recall")


def print_run(result: RunResult, *, everything: bool) -> None:
    """Prints a finished run: what it is worth, what to know about that, by class, and where all of it lies."""
    from segbench.train.main_number import main_of

    plain = result.result
    main = main_of(plain)
    print_main(plain["name"], main, plain)
    print_alerts(plain.get("alerts", ()), collapsed=plain.get("collapsed", False))
    print_by_class(plain["per_class"][main["split"]], main, everything=everything)
    if everything:
        splits = [split for split in SPLITS if split in result.scores]
        console.print("\nall scores")
        rows = [
            [label_of(name), *(cell(result.scores[split][name]) for split in splits)]
            for name in result.scores[main["split"]]
        ]
        print_table(["score", *(f"{split} (n={plain['n'][split]})" for split in splits)], rows)
        if "footnote" in plain:  # runs of earlier versions have none
            console.print(f"{main['split']}: {with_labels(plain['footnote'])}")
    run = Path(result.run)
    console.print()
    print_places(
        {
            "curves": str(run / "curves.png"),
            "predictions": str(run / "pictures"),
            "every image": str(run / f"scores_{main['split']}.csv"),
            "everything": str(run / "result.json"),
            "other scores": f"segbench metrics show {in_shell(run)}" + " --split val" * (main["split"] == "val"),
            "next": f"segbench predict {in_shell(run)} IMAGES -o predicted",
        }
    )


def print_evaluation(title: str, written: Mapping[str, Any], *, everything: bool) -> None:
    """Prints what `evaluate` wrote, of one part at one size.

    Args:
        title: of the run.
        written: `evaluation_PART.json`.
        everything: also print every score.
    """
    main = written["main"]
    print_main(title, main, written)
    print_by_class(written["per_class"], main, everything=everything)
    if everything:
        console.print("\nall scores")
        print_table(["score", "value"], [[label_of(name), cell(value)] for name, value in written["scores"].items()])
        console.print(with_labels(written["footnote"]))


def print_main(name: str, main: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Prints the main number, what it is of, and in a line each what the choices at scoring did to it."""
    console.print(main["sentence"], style="bold")
    epoch = written.get("best_epoch", written.get("epoch"))
    of = f"{name}, epoch {epoch}" if epoch is not None else name  # an ensemble has one a run
    console.print(f"{of}; scored at {written['scored_at']}")
    tta = written.get("tta", "none")
    if isinstance(tta, str) and tta != "none":
        console.print(f"tta {tta}: several looks at an image are averaged")
    elif isinstance(tta, Mapping) and "val" in tta:
        told = f"{tta['val']['gain']:+.4f} {label_of(tta['val']['score'])} on the validation part"
        console.print(f"tta {tta['name']}: {told}")
    choice = written.get("threshold_choice")
    if choice is not None:
        told = choice.get(main["split"], {})
        gain = (
            f": {told['gain']:+.4f} {label_of(choice['score'])} on the {main['split']} part" if "gain" in told else ""
        )
        console.print(f"threshold {choice['threshold']:g}, chosen on the validation part, instead of 0.5{gain}")


def print_alerts(alerts: Sequence[Mapping[str, Any]], *, collapsed: bool) -> None:
    """Prints what went wrong while training, each with what to do."""
    if collapsed:
        console.print(
            "warning: this run collapsed: it predicts one class only; its score says nothing about the network"
        )
    for alert in alerts:
        console.print(f"epoch {alert['epoch']}: {alert['sentence']}. To do: {alert['advice']}", style=WARNING_STYLE)


def print_by_class(rows: Sequence[Mapping[str, Any]], main: Mapping[str, Any], *, everything: bool) -> None:
    """Prints a row a class: the scores of the main number's kind, or all of them."""
    pooled = COUNT_SCORES[main["name"]].level == "pooled"
    if everything:
        console.print("\nper class")
        keys = list(dict.fromkeys(key for row in rows for key in row))  # the background has no outline
        print_table([label_of(key) for key in keys], [[cell(row.get(key)) for key in keys] for row in rows])
        return
    kind = "pooled" if pooled else "per_image"
    console.print(f"\nper class, {'all pixels together' if pooled else 'mean over the images'}")
    total = sum(row["pixels"] for row in rows)
    table = [
        [
            row["class"] + " (not scored)" * (not row["scored"]),
            *(cell(row[f"{key}_{kind}"]) for key in _BY_CLASS),
            f"{row['pixels'] / total:.1%}" if total else "–",
            str(main["n_images"] - row["absent"]),
        ]
        for row in rows
    ]
    labels = [label_of(f"{key}_{kind}").split(" ")[0] for key in _BY_CLASS]
    print_table(["class", *labels, "pixels", "images"], table)


def print_places(places: Mapping[str, str]) -> None:
    """Prints where things lie, and commands: a line each, never broken, so that they can be copied."""
    width = max(map(len, places))
    for name, place in places.items():
        console.print(f"{name:<{width}}  {place}", soft_wrap=True)


def cell(value: object) -> str:
    """Returns what stands in a table; no value is a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
