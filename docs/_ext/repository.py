"""Links of the guides that lead out of docs/: measured results become pages, other files are named only.

The guides are read in the repository too, where `../../benchmarks/results/tiles.md` is a link that works.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS.parent / "benchmarks" / "results"
MEASURED = DOCS / "measured"
_FILES = r"(?:benchmarks|configs|studies|src|tests|tools)[^)\s]*|Dockerfile|LICENSE|[A-Z]+\.md"
_OUTSIDE = re.compile(rf"\[([^\]]+)\]\((?:\.\./)+({_FILES})\)")


def _measured(app: Sphinx) -> None:
    """Copies the results of benchmarks to where Sphinx reads."""
    MEASURED.mkdir(exist_ok=True)
    for path in RESULTS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        if not text.startswith("# "):
            text = f"# {path.stem.replace('_', ' ').capitalize()}\n\n{text}"
        target = MEASURED / path.name
        if not target.exists() or target.read_text(encoding="utf-8") != text:  # an unchanged page is not built again
            target.write_text(text, encoding="utf-8")


def _inside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Leads links of one page to the copies, and leaves the words of those that lead to other files."""

    def there(match: re.Match[str]) -> str:
        words, target = match.groups()
        if target.startswith("benchmarks/results/") and target.partition("#")[0].endswith(".md"):
            return f"[{words}](/measured/{target.removeprefix('benchmarks/results/')})"
        return words

    source[0] = _OUTSIDE.sub(there, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers both."""
    app.connect("builder-inited", _measured)
    app.connect("source-read", _inside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
