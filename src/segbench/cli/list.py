"""`segbench list`: what there is, by name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from segbench.cli._common import console, require
from segbench.errors import ConfigError


def list_names(
    kind: Annotated[
        str | None, typer.Argument(help="networks, losses, scores, formats or encoders; default: all but encoders.")
    ] = None,
    word: Annotated[str | None, typer.Argument(help="Only encoders with this in their name.")] = None,
) -> None:
    """List networks, losses, scores and data formats with their options; or the encoders of `smp/...` networks.

    Example: segbench list networks, segbench list encoders resnet
    """
    from segbench.data.formats import FORMATS
    from segbench.losses import LOSSES
    from segbench.metrics.families import SCORES
    from segbench.models import MODELS, RESERVED

    registries = {"networks": MODELS, "losses": LOSSES, "formats": FORMATS}
    kinds = [*registries, "scores"]
    if kind is not None:
        require("KIND", kind, [*kinds, "encoders"])
    if kind == "encoders":
        from segbench.models.smp.encoders import encoder_names  # takes seconds: it asks the libraries

        console.print("\n".join(encoder_names(word or "")) or f"no encoder has {word!r} in its name")
        return
    if word is not None:
        raise ConfigError(f"a word goes with encoders only, got {word!r}", key="WORD")
    for name in kinds if kind is None else [kind]:
        table = Table(title=name, title_justify="left", box=None, pad_edge=False)
        table.add_column("name", no_wrap=True)
        table.add_column("what it is")
        if name == "scores":
            table.add_column("use", no_wrap=True)
            for score in SCORES.values():
                use = ["monitor"] * score.monitored + ["compare"] * score.compared
                table.add_row(score.name, score.about, ", ".join(use))
        else:
            table.add_column("options")
            registry = registries[name]
            for entry in registry.names():
                hidden = RESERVED if name == "networks" else ("ignore_index",)
                options = [option for option in registry.options(entry) if option not in hidden]
                table.add_row(entry, registry.summary(entry), ", ".join(options))
        console.print(table)
