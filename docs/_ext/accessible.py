"""What the theme leaves undone for people who read by keyboard or by ear (found by axe-core)."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def _context(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Lets code that is wider than the page be scrolled by keyboard, and gives the menu's captions a level."""
    if "body" in context:
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')
    if "furo_navigation_tree" in context:
        tree = context["furo_navigation_tree"]
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers it behind the theme, which makes the menu."""
    app.connect("html-page-context", _context, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
