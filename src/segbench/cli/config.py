"""`segbench config`: make, check and show run configs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli._common import ConfigFile, Overrides, console, make_callback
from segbench.cli.data import DataFormat, ReaderOptions, check_any, print_manifest, read_any
from segbench.config.run import DataConfig, RunConfig, load_config, parse_config
from segbench.errors import ConfigError
from segbench.speech import in_shell
from segbench.types import ORIGINAL

if TYPE_CHECKING:
    from segbench.data.manifest.manifest import Manifest
    from segbench.doctor import Checkup
    from segbench.doctor.recipe import Suggestion
    from segbench.tune.recipes import Budget

_BUDGET = "120s"
_OF_SIZE = ("thin_objects", "vanishing_objects")  # findings that a larger size answers

config_app = typer.Typer(help="Make, check and show run configs.", no_args_is_help=True)


@config_app.command("check")
def config_check(config: ConfigFile, overrides: Overrides = None) -> None:
    """Say whether a config is right, without reading data or building anything.

    Example: segbench config check ph2.yaml --set epochs=20
    """
    from segbench.train.check import check_config

    loaded = load_config(config, overrides or [])
    check_config(loaded)
    losses = " + ".join(f"{term.weight_text} {term.name}" for term in loaded.loss)
    console.print(
        f"{config} is right: {loaded.network.name}, {losses}, {loaded.length_text} of {loaded.data.path} "
        f"at {_size_text(loaded.data)}, into {loaded.run_folder}"
    )
    if loaded.network.options or any(term.options for term in loaded.loss):
        console.print(
            "how options of network and losses go together is checked when a training starts, before any data is read"
        )


def _size_text(data: DataConfig) -> str:
    size = "their original size" if data.size == ORIGINAL else f"{data.size[0]}x{data.size[1]}"
    return size if data.patch is None else f"{size} in patches of {data.patch[0]}x{data.patch[1]}"


@config_app.command("show")
def config_show(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print a config with every default spelled out.

    Example: segbench config show ph2.yaml
    """
    console.print(load_config(config, overrides or []).to_yaml(), end="", soft_wrap=True)


@config_app.command("new")
def config_new(
    data: Annotated[Path, typer.Argument(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it.")] = Path("config.yaml"),
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    best: Annotated[
        bool, typer.Option("--best", help="Train five recipes for a short time, and write the best by validation.")
    ] = False,
    budget: Annotated[
        str, typer.Option(help="With --best: steps of each training (200), or its seconds (90s).")
    ] = _BUDGET,
) -> None:
    """Write a config for a data set with the settings that suit it, and why, after reading and checking it once.

    Example: segbench config new my_images -o mine.yaml, segbench config new my_images --best --budget 90s
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; choose another name with -o", key="--out")
    if budget != _BUDGET and not best:
        raise ConfigError("is the length of the trainings of --best; give both or none", key="--budget")
    from segbench.doctor.finding import Severity
    from segbench.files import write_text
    from segbench.train.config_template import config_template

    length = _parse_budget(budget) if best else None
    manifest = read_any(data, data_format, options)
    checkup = check_any(manifest)
    lines, table = (checkup.suggestions, ()) if length is None else _best_recipe(manifest, data, checkup, length)
    write_text(out, config_template(manifest, data, str(out), lines, checkup.choices, table))
    print_manifest(manifest)
    answered = _OF_SIZE if _is_larger(manifest, lines) else ()
    told = [one for one in checkup.findings if one.severity is not Severity.INFO and one.code not in answered]
    for finding in told:
        console.print(f"{finding.severity}: {finding.title}")
    if told:
        console.print(f"more about that: segbench data check {in_shell(data)}")
    for line in table:
        console.print(line)
    console.print(f"written: {out}; next: segbench train {in_shell(out)}")


def _is_larger(manifest: Manifest, lines: Sequence[Suggestion]) -> bool:
    """Returns whether images are seen larger than the usual size, at which the doctor looked at their objects."""
    from segbench.doctor.scale import base_size

    usual = base_size([sample.height for sample in manifest.samples], [sample.width for sample in manifest.samples])
    return any(key == "data.size" and value != list(usual) for key, value, _ in lines)


def _parse_budget(text: str) -> Budget:
    from segbench.tune.recipes import Budget  # needs torch, which takes seconds

    return Budget.parse(text)


def _best_recipe(
    manifest: Manifest, data: Path, checkup: Checkup, budget: Budget
) -> tuple[tuple[Suggestion, ...], tuple[str, ...]]:
    """Returns the lines of the recipe that won, and the table of what was tried."""
    from segbench.config.text import parse_value
    from segbench.doctor.recipe import recipe
    from segbench.doctor.variants import variants
    from segbench.train.config_template import config_template, facts_of_manifest
    from segbench.tune.recipes import try_recipes

    facts = facts_of_manifest(manifest)

    def config_of(lines: Sequence[Suggestion]) -> RunConfig:
        return parse_config(parse_value(config_template(manifest, data, "", lines)))

    watch = make_callback(quiet=False)
    watch.quiet = not watch.console.is_terminal  # a line a recipe, and on a terminal the training within
    try:
        found = try_recipes(variants(checkup.suggestions or recipe(facts), facts), config_of, budget, watch=watch)
    finally:
        watch.close()
    return found.best.variant.lines, tuple(found.table())
