"""`segbench docs`: the guides in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown

from segbench.cli._common import console, print_table
from segbench.guides import guide, guides, title_of


def docs(
    name: Annotated[
        str | None, typer.Argument(help="Of the guide; default: a list of all.", show_default=False)
    ] = None,
    path: Annotated[bool, typer.Option("--path", help="Print where its file is instead.")] = False,
) -> None:
    """Show a guide in the terminal, or list all; nothing is fetched.

    Example: segbench docs troubleshooting, segbench docs studies | less
    """
    if name is None:
        rows = [[stem, title_of(file), file.parent.name] for stem, file in guides().items()]
        print_table(("name", "guide", "kind"), rows)
        return
    file = guide(name)
    if path:
        console.print(str(file), soft_wrap=True)
        return
    text = file.read_text(encoding="utf-8")
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        console.print(text, soft_wrap=True, markup=False)
