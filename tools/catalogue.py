"""Brings the catalogues of translations up to date with the sentences in the source, or begins one for a language.

`python tools/catalogue.py` adds to every catalogue the templates that are new, with an empty translation, and removes
those that are gone (`--keep` leaves them as comments). `python tools/catalogue.py de` begins the catalogue of German,
`src/segbench/locale/de/LC_MESSAGES/segbench.po`.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

SOURCE = Path(__file__).resolve().parents[1] / "src"
# Function -> how many of its arguments are templates; a `Title` of the doctor may do without the second.
_CALLS = {"message": (1,), "plural": (2,), "template": (1,), "Title": (1, 2)}


def templates(source: Path = SOURCE) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields every template with the file it stands in: (template,) or (template, plural template).

    Raises:
        ValueError: a template is not a literal, so that no catalogue can hold it.
    """
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # `watch.message(...)` prints; only the plain names are segbench.locale's.
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
                given = node.args[: max(_CALLS[node.func.id])]
                found = tuple(
                    arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                )
                if len(found) != len(given) or len(found) not in _CALLS[node.func.id]:
                    raise ValueError(f"{name}:{node.lineno}: {node.func.id}() needs literal templates")
                yield found, name


def read_catalogue(path: Path, lang: str) -> Catalog:
    """Returns the catalogue of a language."""
    with path.open("rb") as stream:
        return read_po(stream, locale=lang)


def extracted(source: Path = SOURCE) -> Catalog:
    """Returns a catalogue of all templates without translations."""
    catalogue = Catalog(project="segbench")
    for found, name in templates(source):
        catalogue.add(found if len(found) == 2 else found[0], locations=[(name, None)])  # type: ignore[list-item]  # lines would change with every edit
    return catalogue


def write_catalogue(path: Path, catalogue: Catalog) -> None:
    """Writes a catalogue without dates or line numbers, so that it changes only where sentences do."""
    stream = io.BytesIO()
    write_po(stream, catalogue, width=120, sort_output=True, include_lineno=False, omit_header=True)
    header = f'msgid ""\nmsgstr ""\n"Language: {catalogue.locale}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    header += f'"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.encode() + stream.getvalue())


def main(arguments: list[str]) -> None:
    """Updates the catalogues there are, and begins those of the languages named."""
    folder = SOURCE / "segbench" / "locale"
    there = {path.parts[-3] for path in folder.glob("*/LC_MESSAGES/segbench.po")}
    for lang in sorted(there | {each for each in arguments if not each.startswith("-")}):
        path = folder / lang / "LC_MESSAGES" / "segbench.po"
        catalogue = read_catalogue(path, lang) if path.exists() else Catalog(locale=lang)
        for entry in catalogue.obsolete.values():  # a template that comes back finds its translation
            catalogue[entry.id] = entry
        catalogue.obsolete.clear()
        catalogue.update(extracted(), no_fuzzy_matching=True)
        if "--keep" not in arguments:
            catalogue.obsolete.clear()
        write_catalogue(path, catalogue)
        empty = sum(1 for entry in catalogue if entry.id and not any(forms(entry.string)))
        sys.stdout.write(
            f"{path.relative_to(SOURCE.parent)}: {len(catalogue)} sentences, {empty} without translation\n"
        )


def forms(translation: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """Returns the forms of a translation; none or empty ones: there is none."""
    return (translation,) if isinstance(translation, str) else tuple(translation or ())


if __name__ == "__main__":
    main(sys.argv[1:])
