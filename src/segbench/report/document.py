"""What a report is made of, whatever it is written as: sections of text, tables, drawings and pictures.

`segbench.report.page` turns them into HTML, `segbench.report.markdown` into Markdown. All text is plain; who writes it
escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Tone: TypeAlias = Literal["plain", "lead", "note", "warning"]


@dataclass(frozen=True, kw_only=True)
class Text:
    """Paragraphs; `lead` is larger, `note` smaller, `warning` framed."""

    paragraphs: tuple[str, ...]
    tone: Tone = "plain"
    kind: Literal["text"] = "text"


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was asked, each with its answer: how it is marked, the mark, and a sentence."""

    rows: tuple[tuple[Literal["shown", "equal", "open", "bad"], str, str], ...]
    kind: Literal["findings"] = "findings"


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names and what they are, side by side."""

    rows: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: that is shown.
        sort: what the table is sorted by; NaN: by the text.
        heat: 0 to 1, how strongly it is coloured; NaN: not at all. Below 0: the other colour.
        strong: in bold letters.
        bad: in red: what must not be overlooked.
        hint: shown when it is pointed at.
        link: address in the page, `#...`, that a click goes to.
    """

    text: str
    sort: float = math.nan
    heat: float = math.nan
    strong: bool = False
    bad: bool = False
    hint: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a head.

    Attributes:
        head: column titles; hints: one for each or none, shown when a title is pointed at.
        rows: as many cells as titles each.
        words: how many columns on the left hold words; the others hold numbers.
        caption: under the table; colors: what its shading means, not for Markdown; clicks: what a click does, for a
            screen alone.
        sortable: by a click on a title.
        dense: narrow cells, for a matrix.
        marked: rows that stand out.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    caption: str = ""
    colors: str = ""
    clicks: str = ""
    sortable: bool = False
    dense: bool = False
    marked: frozenset[int] = frozenset()
    kind: Literal["table"] = "table"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, drawn once for a wide and once for a narrow screen.

    Attributes:
        wide, narrow: SVG text.
        label: what it shows, for who cannot see it.
        caption: under it.
    """

    wide: str = field(repr=False)
    narrow: str = field(repr=False)
    label: str
    caption: str = ""
    kind: Literal["drawing"] = "drawing"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A small picture, which a click shows large.

    Attributes:
        source: `data:` address.
        width, height: of the picture, pixels.
        caption: under it.
        label: what it shows, for who cannot see it.
        area, outline: `data:` addresses of what lies over it, a mask as areas or as outlines: a reader shows one of
            them; empty: nothing lies over it.
    """

    source: str = field(repr=False)
    width: int
    height: int
    caption: str
    label: str
    area: str = field(repr=False, default="")
    outline: str = field(repr=False, default="")


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Rows of tiles, each with a title."""

    rows: tuple[tuple[str, tuple[Tile, ...]], ...]
    caption: str = ""
    kind: Literal["gallery"] = "gallery"


@dataclass(frozen=True, kw_only=True)
class Legend:
    """Colours and what they mean; a colour is `#rrggbb`.

    Attributes:
        items: name and colour.
        switch: text of a button that shows outlines instead of areas, everywhere in the page; empty: no button.
    """

    items: tuple[tuple[str, str], ...]
    switch: str = ""
    kind: Literal["legend"] = "legend"


@dataclass(frozen=True, kw_only=True)
class Code:
    """Text to copy."""

    text: str
    kind: Literal["code"] = "code"


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Blocks that are opened by a click, or by a link to `key`; open on paper."""

    title: str
    blocks: tuple[Block, ...]
    key: str = ""
    kind: Literal["folded"] = "folded"


Block: TypeAlias = Text | Bullets | Findings | Heading | Facts | Table | Drawing | Gallery | Legend | Code | Folded


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section.

    Attributes:
        key: its address in the page.
        title, blocks: what is in it.
        folded: opened by a click; open on paper.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class TryIt:
    """A section in which a reader runs the best model.

    Attributes:
        title, paragraphs: what it is.
        button: text of the button that opens it.
        page: HTML of the page that runs the model, see `segbench.export.html`.
    """

    title: str
    paragraphs: tuple[str, ...]
    button: str
    page: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report.

    Attributes:
        lang: of its text.
        title, question: on top, and below them what was expected.
        top: what comes before the table of contents: the verdict.
        figure: beside it; strip: under both.
        sections: in order.
        foot: the last line.
        contents: title of the table of contents.
        try_it: the best model, to be run by a reader of the HTML page; None: it is left out.
    """

    lang: str
    title: str
    question: str
    expected: str = ""
    top: tuple[Block, ...]
    figure: Drawing | None = None
    strip: tuple[Block, ...] = ()
    sections: tuple[Section, ...]
    foot: str
    contents: str
    try_it: TryIt | None = None


def text(*paragraphs: str, tone: Tone = "plain") -> tuple[Block, ...]:
    """Returns a block of the paragraphs that are not empty; none of them: no block."""
    kept = tuple(paragraph for paragraph in paragraphs if paragraph)
    return (Text(paragraphs=kept, tone=tone),) if kept else ()


def cells(*texts: str) -> tuple[Cell, ...]:
    """Returns cells without anything but their text."""
    return tuple(Cell(text=each) for each in texts)


def bullets(items: Sequence[str]) -> tuple[Block, ...]:
    """Returns a list; no items: no block."""
    return (Bullets(items=tuple(items)),) if items else ()
