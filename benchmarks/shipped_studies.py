"""What the shipped studies found: one row a study folder, question and claim beside the result, as Markdown.

segbench study run studies/aspp_vs_fcn.yaml --data WHERE_PH2_IS --scale small --workers 1 --threads 1   # and so on
python benchmarks/shipped_studies.py runs/aspp_vs_fcn-small runs/upsampling-small ...
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import segbench
from _machine import machine_line
from segbench.folders.study import StudyFolder

OUT = Path(__file__).parent / "results" / "shipped_studies.md"
_HEAD = ("study, scale", "question", "expected beforehand", "what came out", "training", "minutes", "to know")


def row(path: Path) -> Sequence[str]:
    """Returns the cells of one finished study."""
    folder = StudyFolder(path)
    study = folder.read_config()
    plan = folder.read_plan()
    runs = [folder.run(run.id).read_result().result for run in plan.runs]
    verdict = segbench.compare_runs(path).verdict
    means = ", ".join(f"{entry.name} {verdict.numbers.interval(entry.mean)}" for entry in verdict.entries)
    steps = sorted(run["length"]["steps"] for run in runs)
    alerts = [alert["code"] for run in runs for alert in run["alerts"]]
    marks = {
        "collapsed": sum(run["collapsed"] for run in runs),
        **{code: alerts.count(code) for code in sorted(set(alerts))},
    }
    return (
        f"`{study.study}`, {study.scale}",
        study.question,
        study.expected.strip(),
        f"{verdict.headline()} {verdict.score}: {means}",
        f"{len(runs)} runs, {plan.lengths[0]} ({steps[0]} to {steps[-1]} steps)",
        f"{sum(run['seconds']['epochs'] for run in runs) / 60:.1f}",
        ", ".join(f"{name}: {count}" for name, count in marks.items()),
    )


def main() -> None:
    """Writes the table of the given study folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    folders = parser.parse_args().folders
    lines = [
        f"The shipped studies. {machine_line()}. Test part, mean and 95 % interval; minutes of all epochs, training "
        "and validation.",
        "",
        f"| {' | '.join(_HEAD)} |",
        "|" + " --- |" * len(_HEAD),
        *(f"| {' | '.join(row(folder))} |" for folder in folders),
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
