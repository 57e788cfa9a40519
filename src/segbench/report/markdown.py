"""The report as Markdown: the same text and tables; of pictures it lists which images they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from segbench.files import write_text
from segbench.report.document import Block, Document, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def write_markdown(path: str | Path, document: Document) -> None:
    """Writes the document; names that look like markup are shown as they are."""
    write_text(path, render_markdown(document))


def render_markdown(document: Document) -> str:
    """Returns the document as Markdown."""
    parts = [f"# {plain(document.title)}", plain(document.question), plain(document.expected)]
    parts += [part for block in (*document.top, *document.strip) for part in _render(block)]
    for section in document.sections:
        parts.append(f"## {plain(section.title)}")
        parts += [part for block in section.blocks for part in _render(block)]
    parts.append(plain(document.foot))
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _render(block: Block) -> Iterator[str]:
    if block.kind == "text":
        for paragraph in block.paragraphs:
            yield f"**{plain(paragraph)}**" if block.tone == "lead" else plain(paragraph)
    elif block.kind == "bullets":
        yield "\n".join(f"- {plain(item)}" for item in block.items)
    elif block.kind == "findings":
        yield "\n".join(f"- **{plain(mark)}**: {plain(sentence)}" for _, mark, sentence in block.rows)
    elif block.kind == "heading":
        yield f"### {plain(block.text)}"
    elif block.kind == "facts":
        yield "\n".join(f"- {plain(name)}: {plain(what)}" for name, what in block.rows)
    elif block.kind == "table":
        yield _table(block)
        yield plain(block.caption)
    elif block.kind == "code":
        longest = max((len(ticks) for ticks in re.findall("`+", block.text)), default=0)
        fence = "`" * max(3, longest + 1)
        yield f"{fence}\n{block.text}\n{fence}"
    elif block.kind == "folded":
        yield f"#### {plain(block.title)}"
        for inner in block.blocks:
            yield from _render(inner)
    elif block.kind == "gallery":
        named = [(title, ", ".join(tile.caption for tile in tiles)) for title, tiles in block.rows]
        yield "\n".join(f"- {plain(title)}: {plain(shown)}" if title else f"- {plain(shown)}" for title, shown in named)
        yield plain(block.caption)
    # drawings and legends are pictures


def _table(table: Table) -> str:
    ruler = ["---" if column < table.words else "---:" for column in range(len(table.head))]
    lines = [[plain(title) for title in table.head], ruler]
    lines += [[f"**{plain(c.text)}**" if c.strong and c.text else plain(c.text) for c in row] for row in table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
