"""The switch between the site's languages, and a line on pages that are in English only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

LANGUAGES = {"en": "English", "ru": "Русский"}
NOTES = {"ru": "Эта страница есть только на английском языке."}  # on pages without a translation
LOCALE = Path(__file__).resolve().parents[1] / "locale"


def _context(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    here = app.config.language or "en"
    up = "../" * (pagename.count("/") + 1)
    context["languages"] = [
        {"code": code, "name": name, "here": code == here, "link": f"{up}{code}/{pagename}.html"}
        for code, name in LANGUAGES.items()
    ]
    translated = (LOCALE / here / "LC_MESSAGES" / f"{pagename}.po").exists()
    context["english_only"] = NOTES.get(here, "") if doctree is not None and not translated else ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Gives every page the names and links of its languages."""
    app.connect("html-page-context", _context)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
