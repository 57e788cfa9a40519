"""`segbench config`: make, check and show run configs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import ConfigFile, Overrides, console
from segbench.cli.data import DataFormat, ReaderOptions, check_any, print_manifest, read_any
from segbench.config.run import DataConfig, load_config
from segbench.errors import ConfigError
from segbench.types import ORIGINAL

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
) -> None:
    """Write a commented starting config for a data set, after reading and checking it once.

    Example: segbench config new my_images -o mine.yaml
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; choose another name with -o", key="--out")
    from segbench.doctor.finding import Severity
    from segbench.files import write_text
    from segbench.train.config_template import config_template

    manifest = read_any(data, data_format, options)
    checkup = check_any(manifest)
    write_text(out, config_template(manifest, data, str(out), checkup.suggestions, checkup.choices))
    print_manifest(manifest)
    told = [finding for finding in checkup.findings if finding.severity is not Severity.INFO]
    for finding in told:
        console.print(f"{finding.severity}: {finding.title}")
    if told:
        console.print(f"more about that: segbench data check {shlex.quote(str(data))}")
    console.print(f"written: {out}; next: segbench train {out}")
