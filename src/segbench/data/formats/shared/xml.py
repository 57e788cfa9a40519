"""XML files that come from elsewhere: parsed without entities, with the line of what is damaged."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from segbench.data.formats.shared.listing import read_text
from segbench.errors import DatasetError


def load_xml(path: Path) -> Element:
    """Returns the root element of an XML file.

    Raises:
        DatasetError: unreadable, damaged (with line and column), or with a DTD: entities can make a small file fill
            the memory, and no annotation tool writes them.
    """
    text = read_text(path, "the file as UTF-8")
    for word in ("<!DOCTYPE", "<!ENTITY"):
        if word in text:
            line = text.count("\n", 0, text.index(word)) + 1
            raise DatasetError(
                f"line {line}: expected plain XML, got a document type ({word}); export it again, or remove it",
                path=path,
            )
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        line, column = getattr(error, "position", (1, 0))
        raise DatasetError(
            f"damaged XML at line {line}, column {column + 1}: {error}; export it again", path=path
        ) from error
