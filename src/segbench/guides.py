"""The guides of docs/, which come with the package, by their short names: `studies`, `predict`, `troubleshooting`."""

from __future__ import annotations

from pathlib import Path

from segbench.errors import ConfigError, suggest

KINDS = ("start", "howto", "reference", "explanation")
_PACKED = Path(__file__).parent / "guides_text"  # in a wheel; a clone has them in docs/
_ROOT = _PACKED if _PACKED.is_dir() else Path(__file__).resolve().parents[2] / "docs"

# Command -> the guide that its help and its errors name.
OF_COMMAND = {
    "assist": "own_data",
    "bundle": "bundle",
    "compare": "judging",
    "config": "recipes",
    "data": "data",
    "describe": "networks",
    "evaluate": "predict",
    "export": "export",
    "list": "adding",
    "metrics": "metrics",
    "plot": "figures",
    "predict": "predict",
    "pull": "bundle",
    "push": "bundle",
    "report": "report",
    "serve": "serve",
    "studio": "studio",
    "study": "studies",
    "suggest": "suggest",
    "train": "training",
    "tune": "tuning",
}


def guides() -> dict[str, Path]:
    """Returns short name -> Markdown file, in the order of `KINDS`."""
    return {path.stem: path for kind in KINDS for path in sorted((_ROOT / kind).glob("*.md"))}


def title_of(path: Path) -> str:
    """Returns a guide's title."""
    with path.open(encoding="utf-8") as file:
        return next((line.removeprefix("# ").strip() for line in file if line.startswith("# ")), path.stem)


def guide(name: str) -> Path:
    """Returns the file of a guide.

    Raises:
        ConfigError: there is no guide of this name.
    """
    known = guides()
    if name not in known:
        raise ConfigError(f"there is no guide {name!r}; {suggest(name, known)}", key="NAME")
    return known[name]
