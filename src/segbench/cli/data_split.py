"""`segbench data split`: who learns, who validates, who is tested, as a table that people can read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from segbench.cli._common import Quiet, console, print_table
from segbench.cli.data import DataFormat, DataPath, ReaderOptions, read_any
from segbench.config.split import SplitConfig
from segbench.config.text import explain
from segbench.errors import ConfigError
from segbench.types import SPLITS

if TYPE_CHECKING:
    from segbench.data.manifest.manifest import Manifest

_Numbers = Annotated[str | None, typer.Option(help="Of train, val, test: 0.7,0.15,0.15 or 100,50,50.")]


def data_split(
    data: DataPath,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the parts: .csv, or .json: manifest.")] = None,
    method: Annotated[str, typer.Option(help="auto, official, ratios, kfold, blocks, file or permutation.")] = "auto",
    ratios: _Numbers = None,
    counts: _Numbers = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draw.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Pattern in the ids of what stays together: '^(patient[0-9]+)_'.")
    ] = None,
    group_file: Annotated[Path | None, typer.Option(help="CSV with the columns id and group.")] = None,
    file: Annotated[Path | None, typer.Option(help="CSV, JSON or YAML with the parts, for --method file.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="Number of folds, for --method kfold.")] = None,
    fold: Annotated[int | None, typer.Option(help="The fold to test, from 0.")] = None,
    block: Annotated[int | None, typer.Option(help="Neighbours that stay together, for --method blocks.")] = None,
    gap: Annotated[int | None, typer.Option(help="Samples left out between two parts.")] = None,
    stratify_by: Annotated[str | None, typer.Option(help="foreground or classes.")] = None,
    val_frac: Annotated[float | None, typer.Option(help="Of train, where the lists have no val.")] = None,
    quiet: Quiet = False,
) -> None:
    """Divide a data set into train, val and test; identical images and groups never part.

    Example: segbench data split scans --method kfold --fold 0 --group '^(patient[0-9]+)_' -o split.csv
    """
    if out is not None and out.suffix.lower() not in (".csv", ".json"):
        raise ConfigError(f"expected a name that ends in .csv or .json, got {out.name!r}", key="--out")
    config = _config(
        method=method,
        ratios=_numbers(ratios, "--ratios", float),
        counts=_numbers(counts, "--counts", int),
        seed=seed,
        group=group,
        group_file=str(group_file) if group_file is not None else None,
        file=str(file) if file is not None else None,
        k=k,
        fold=fold,
        block=block,
        gap=gap,
        stratify_by=stratify_by,
        val_frac=val_frac,
    )
    from segbench.data.split.divide import write_split
    from segbench.doctor.divide import divide

    divided = divide(read_any(data, data_format, options, quiet=quiet), config)
    if not quiet:
        _print_parts(divided)
    if out is None:
        return
    if out.suffix.lower() == ".csv":
        write_split(divided, out)
        console.print(f"written: {out}; a run reads it with data.split: {{method: file, file: {out}}}")
    else:
        divided.write(out)
        console.print(f"written: {out}; a run reads it with data.path: {out}")


def _config(**given: Any) -> SplitConfig:
    try:
        return SplitConfig.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        key, message = explain(error.errors()[0], SplitConfig)
        flag = f"-{key[0]}" if key == ("k",) else f"--{key[0].replace('_', '-')}" if key else ""
        raise ConfigError(message, key=flag) from error


def _numbers(text: str | None, flag: str, kind: type[int] | type[float]) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(kind(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != len(SPLITS):
        example = "100,50,50" if kind is int else "0.7,0.15,0.15"
        raise ConfigError(f"expected three numbers for train, val and test, as in {example}, got {text!r}", key=flag)
    return numbers


def _print_parts(manifest: Manifest) -> None:
    rows = []
    for split in SPLITS:
        samples = manifest.split(split)
        groups = Counter(sample.group for sample in samples if sample.group is not None)
        fracs = [sample.foreground_frac for sample in samples if sample.foreground_frac is not None]
        share = f"{100 * sum(fracs) / len(fracs):.1f} %" if fracs else "–"
        rows.append((split, str(len(samples)), str(len(groups) or "–"), share))
    print_table(("part", "samples", "groups", "foreground"), rows)
    for note in manifest.notes:
        console.print(f"note: {note}")
