"""`segbench bundle`: a trained network, or several, in one file with everything that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli._common import Device, Quiet, console, make_callback
from segbench.cli.scores import print_places
from segbench.errors import ConfigError
from segbench.locale import plural
from segbench.predict.bundle_members import require_empty
from segbench.speech import in_shell

if TYPE_CHECKING:
    from segbench.predict.bundle_file import ModelBundle

_SUFFIX = ".segbench"


def bundle(
    model: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folder, or several that are averaged; with --best a study folder."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File that ends in .segbench, or a new folder for the same as single files; default: RUN.segbench.",
        ),
    ] = None,
    best: Annotated[
        bool,
        typer.Option(
            "--best", help="All seeds of the entry that wins the study, or of the cheapest that is not worse."
        ),
    ] = False,
    model_license: Annotated[
        str | None, typer.Option("--license", help="Of the model, as you pass it on, e.g. cc-by-4.0.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Put a run's best weights into one file with classes, normalisation, size, threshold, scores and licences.

    Opening it runs no code; segbench predict and evaluate take it where they take a run.

    Example: segbench bundle runs/ph2 -o ph2.segbench, segbench bundle runs/my_study --best
    """
    others = f"_and_{len(model) - 1}_more" if len(model) > 1 else ""  # not the name of one run's own bundle
    target = _place(out, f"{model[0].resolve().name.removesuffix(_SUFFIX)}{others}")
    from segbench.bundle.make import bundle_runs

    watch = make_callback(quiet)
    made = bundle_runs(model, best=best, license=model_license, device=device, watch=watch)
    made.write(target)
    print_bundle(made, target)


def _place(out: Path | None, name: str) -> Path:
    """Returns where a bundle is written, None being NAME.segbench; refuses a place that cannot be one at once."""
    if out is not None and out.suffix not in ("", _SUFFIX):
        raise ConfigError(f"expected a file that ends in {_SUFFIX}, or a folder's name, got {out.name!r}", key="--out")
    target = out or Path(f"{name}{_SUFFIX}")
    if target.suffix != _SUFFIX:
        require_empty(target)
    elif target.is_dir():
        raise ConfigError(f"{target} is a folder; name a file, or a folder without a suffix", key="--out")
    return target


def print_bundle(made: ModelBundle, target: Path) -> None:
    """Prints what is in a bundle that was written, and what to do next."""
    card: dict[str, Any] = dict(made.card)
    size = sum(file.size for file in made.weight_files) / 2**20
    what = plural("{n} network", "{n} networks, averaged", n=len(made.networks))
    console.print(f"{card.get('name', target.stem)}: {what}, {size:.1f} MiB of weights", style="bold")
    if "chosen" in card:
        console.print(card["chosen"]["why"])
        for note in card["chosen"]["notes"]:
            console.print(note)
    if "main" in card:
        console.print(card["main"]["sentence"])
    if "gain" in card:
        console.print(card["gain"]["sentence"])
    uses = plural("the test part was scored {n} time", "the test part was scored {n} times", n=card.get("test_uses", 0))
    console.print(f"{uses}; {_licences(card)}")
    if why := (card.get("calibration") or {}).get("sentence"):
        console.print(f"calibration: {why}")
    if card.get("unfinished"):
        console.print(f"warning: not trained to the end, and not scored: {', '.join(card['unfinished'])}")
    if card.get("collapsed"):
        console.print(f"warning: {', '.join(card['collapsed'])} collapsed: predicts one class only")
    console.print()
    print_places(
        {
            "written": str(target),
            "id": made.id,
            "next": f"segbench predict {in_shell(target)} IMAGES -o predicted",
        }
    )


def _licences(card: dict[str, Any]) -> str:
    licences = card.get("licences", {})
    told_by_weights = (each.get("license") for each in licences.get("starting_weights", []))
    started = dict.fromkeys(each for each in told_by_weights if each)
    data = (card.get("data") or {}).get("licence")
    told = [f"model: {licences.get('model', 'no licence said (--license)')}"]
    told += [f"starting weights: {', '.join(started)}"] if started else []
    told += [f"data: {data['licence'] if data else 'no licence known'}"]
    return "licences: " + "; ".join(told)


def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Bundle, or run folder.")],
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Model repository; made where there is none.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Make it so that you alone see it.")] = False,
    new_readme: Annotated[
        bool, typer.Option("--new-readme", help="Replace the README.md there, which somebody may have edited.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Put a bundle onto the Hugging Face Hub, with a model card that says what the bundle knows.

    Example: segbench push ph2.segbench me/ph2-lesions --private
    """
    from segbench.bundle.hub import push_bundle
    from segbench.bundle.make import bundle_runs

    made = bundle_runs(model, watch=make_callback(quiet))
    done = push_bundle(made, repository, private=private, new_readme=new_readme)
    console.print(f"{repository}: pushed, commit {done.commit[:12]}", style="bold")
    if done.kept_readme:
        console.print("its README.md stays as it was; --new-readme writes it anew from the bundle")
    console.print()
    print_places({"page": done.url, "next": f"segbench pull {in_shell(repository)}"})


def pull(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Model repository of the Hugging Face Hub.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File that ends in .segbench, or a new folder; default: NAME.segbench."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; default: the newest.")] = None,
) -> None:
    """Get a bundle from the Hugging Face Hub; its hashes are checked, and opening it runs no code.

    Example: segbench pull me/ph2-lesions -o ph2.segbench
    """
    target = _place(out, repository.rpartition("/")[2])
    from segbench.bundle.hub import pull_bundle

    got = pull_bundle(repository, revision=revision)
    got.write(target)
    print_bundle(got, target)
