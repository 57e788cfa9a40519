"""`segbench data get`: public data sets, with their licence told first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli._common import EXIT_PROBLEMS, Quiet, console, make_callback, print_table
from segbench.data.public.sets import PUBLIC_SETS, PublicSet
from segbench.errors import ConfigError, suggest
from segbench.speech import in_shell


def data_get(
    name: Annotated[str, typer.Argument(help="Of the data set; without it, they are listed.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to put it into.")] = Path(),
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="You have read it and keep to it.")] = False,
    quiet: Quiet = False,
) -> None:
    """Download and unpack a public data set; the same command goes on where it was cut off.

    Example: segbench data get oxford_pets -o data --accept-licence
    """
    if not name:
        _list()
        return
    if name not in PUBLIC_SETS:
        raise ConfigError(f"there is no public data set {name!r} here; {suggest(name, PUBLIC_SETS)}", key="NAME")
    public = PUBLIC_SETS[name]
    _describe(public)
    if not public.files:
        console.print(f"\nit cannot be downloaded by a program: {public.instructions}")
        console.print(f"then: segbench data index {public.reading('FOLDER')}")
        return
    _require_licence(accept_licence)
    from segbench.data.public.download import get_public

    watch = make_callback(quiet)
    try:
        folder, received = get_public(name, public, out, progress=watch.progress)
    finally:
        watch.close()
    for file in received:
        known = (
            "as published" if file.checked else "nobody publishes what it should be, so compare it with a colleague's"
        )
        console.print(f"{file.path.name}: SHA-256 {file.sha256} ({known})")
    if received:
        console.print(f"the archives are no longer needed: {received[0].path.parent}")
    console.print(f"{name}: {folder}")
    console.print(f"next: segbench data index {public.reading(in_shell(folder))}")


def _list() -> None:
    rows = [
        [name, f"{public.pairs}", _size_text(public), public.format, public.title]
        for name, public in sorted(PUBLIC_SETS.items())
    ]
    print_table(["name", "pairs", "download", "format", "what"], rows)
    console.print(
        "\nsegbench data get NAME -o FOLDER tells the licence first, and downloads nothing before it is accepted"
    )


def _size_text(public: PublicSet) -> str:
    if not public.files:
        return "form or login"
    return "size not published" if public.size is None else f"{public.size / 1e6:.0f} MB"


def _describe(public: PublicSet) -> None:
    console.print(f"{public.title}; {public.pairs} pairs, {_size_text(public)}")
    console.print(f"licence: {public.licence}")
    console.print(f"cite:    {public.citation}")
    console.print(f"page:    {public.page}")


def _require_licence(accepted: bool) -> None:
    """Asks, where somebody is there to answer."""
    if accepted:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "read the licence above and its page, then add this flag to accept it", key="--accept-licence"
        )
    if not typer.confirm("do you accept this licence?"):
        raise typer.Exit(EXIT_PROBLEMS)
