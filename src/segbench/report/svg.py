"""Matplotlib figures -> SVG for a page: text stays text, colours follow the page, in the light and in the dark."""

from __future__ import annotations

import html
import io
import re
from functools import partial
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from segbench.locale import decimal_mark, localize, translate
from segbench.report.document import Drawing

# Stand-ins that no figure uses otherwise -> the page's own colour, and what it is outside the page.
INK, LINE, BLUE, ORANGE, GREEN, GREY, PAPER = (f"#01020{n}" for n in range(1, 8))
_PAGE_COLORS = {
    INK: "currentColor",
    LINE: "var(--line, #cccccc)",
    BLUE: "var(--blue, #0072b2)",
    ORANGE: "var(--orange, #d55e00)",
    GREEN: "var(--green, #009e73)",
    GREY: "var(--grey, #777777)",
    PAPER: "var(--paper, #ffffff)",
    "#222222": "currentColor",  # ink and blue of the figures in segbench.plots
    "#0072b2": "var(--blue, #0072b2)",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.alpha": 0.6,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}
WIDE_INCH, NARROW_INCH = 8.4, 3.7


class Sketch:
    """Draws the figures of one page, each with its own ids and label; each once.

    Args:
        lang: of the text in the figures.
    """

    def __init__(self, lang: str = "en") -> None:
        self._lang = lang
        self._count = 0
        self._drawn: dict[str, Drawing] = {}

    def draw(self, make: partial[Figure], label: str, caption: str = "") -> Drawing:
        """Returns the drawing of a figure.

        Args:
            make: called with `narrow=True` for a narrow screen (`NARROW_INCH`), False for a wide one (`WIDE_INCH`);
                its arguments may be messages.
            label: what it shows, for who cannot see it.
            caption: under it.
        """
        if label in self._drawn:  # the page is written again, with smaller pictures
            return self._drawn[label]
        told = partial(make.func, *localize(make.args, self._lang), **localize(make.keywords, self._lang))
        shown = translate(label, self._lang)
        with mpl.rc_context(_STYLE):
            wide, narrow = (self._svg(told(narrow=is_narrow), shown) for is_narrow in (False, True))
        self._drawn[label] = Drawing(wide=wide, narrow=narrow, label=label, caption=caption)
        return self._drawn[label]

    def _svg(self, figure: Figure, label: str) -> str:
        self._count += 1
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        svg = stream.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        prefix = f"f{self._count}-"
        svg = re.sub(r'\bid="', f'id="{prefix}', svg)
        svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{prefix}", svg)
        svg = svg.replace('xlink:href="', 'href="')
        svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)  # inside HTML they say nothing
        for stand_in, color in _PAGE_COLORS.items():
            svg = svg.replace(stand_in, color)
        svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
        svg = re.sub(
            r"((?:>|  )[+\u2212-]?\d+)\.(\d+\s*</text>)", rf"\1{decimal_mark(self._lang)}\2", svg
        )  # at axes, or behind a name
        # A text without a colour of its own would be black.
        return svg.replace("<svg ", f'<svg role="img" fill="currentColor" aria-label="{html.escape(label)}" ', 1)
