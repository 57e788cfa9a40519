"""The page about a data set: what is wrong with it, with pictures, and its numbers; one self-contained HTML file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segbench import __version__
from segbench.data.formats import FORMATS
from segbench.doctor import Checkup, Finding, Picture, Severity
from segbench.files import write_text
from segbench.locale.texts_data import DataWords
from segbench.locale.words import Language
from segbench.report.doctor_page.numbers import class_section, image_section
from segbench.report.doctor_page.pictures import LARGEST_PX, DataPictures
from segbench.report.doctor_page.settings import check_command, config_text, plain
from segbench.report.document import Block, Code, Document, Facts, Folded, Gallery, Section, Text, Tile, text
from segbench.report.html import render
from segbench.report.svg import Sketch
from segbench.types import SPLITS

MAX_BYTES = 5 * 2**20
_SIDES = (LARGEST_PX, 160, 112, 72)  # of pictures, pixels: lowered until the page is small enough
_SAMPLES = 24
_FILES_LISTED = 400
_NAMES_LISTED = 30
_GIVEN_OPTION = re.compile(r"the option (\w+): (.+?) \(--option ")  # as segbench.data.files.hints.set_option writes it
_OTHER_READING = "when reading "  # the advice is about files that this reading leaves aside


@dataclass(frozen=True, kw_only=True)
class Card:
    """A finding on the page.

    Attributes:
        key: its address in the page.
        severity, badge: how bad it is, and the word for that.
        title: one sentence.
        blocks: what is said and shown about it.
    """

    key: str
    severity: str
    badge: str
    title: str
    blocks: tuple[Block, ...]


def write_data_page(checkup: Checkup, path: str | Path, *, language: str = "en") -> None:
    """Writes the page, all or nothing; it opens offline and asks nothing of the network.

    Args:
        checkup: as `segbench.doctor.examine` returns it.
        path: of the HTML file.
        language: `en` or `ru`; the findings themselves are English in both.
    Example:
        >>> write_data_page(examine("my_images"), "check.html")  # doctest: +SKIP
    """
    words: Language = "ru" if language == "ru" else "en"
    say = DataWords(words)
    pictures, sketch = DataPictures(checkup, say), Sketch()
    for side in _SIDES:
        page = _page(checkup, say, pictures, sketch, side)
        if len(page.encode()) <= MAX_BYTES:
            break
    write_text(path, page)


def _page(checkup: Checkup, say: DataWords, pictures: DataPictures, sketch: Sketch, side: int) -> str:
    cards = tuple(_card(place, finding, checkup, say, pictures, side) for place, finding in enumerate(checkup.findings))
    samples = _samples_section(say, pictures, side)
    sections = (
        samples,
        _settings_section(checkup, say),
        class_section(checkup, say, sketch),
        image_section(checkup, say, sketch),
    )
    document = Document(
        lang=say.lang,
        title=say("head.title", name=checkup.root.name),
        question=str(checkup.root),
        top=(Text(paragraphs=(_verdict(checkup, say),), tone="lead"), Facts(rows=tuple(_facts(checkup, say)))),
        sections=tuple(section for section in sections if section is not None),
        foot=say("head.foot", version=__version__, seconds=say.duration(checkup.seconds)),
        contents=say("page.contents"),
    )
    return render(
        "data.html",
        document=document,
        findings=cards,
        findings_title=say("findings"),
        before=_before(checkup, say, pictures),
        worst=str(checkup.findings[0].severity) if checkup.exit_code else "none",
        copy=say("page.copy"),
        copied=say("page.copied"),
    )


def _verdict(checkup: Checkup, say: DataWords) -> str:
    """Returns `2 errors, 3 warnings, 1 remark`; without errors and warnings that nothing has to be done."""
    number = Counter(finding.severity for finding in checkup.findings)
    told = [say.count(str(kind), number[kind]) for kind in Severity if number[kind]]
    return ", ".join(told if checkup.exit_code else [say("head.clean"), *told])


def _facts(checkup: Checkup, say: DataWords) -> Iterator[tuple[str, str]]:
    name = checkup.format or say("head.unknown")
    yield say("head.format"), f"{name} ({checkup.why})" if checkup.why else name
    if checkup.options:
        yield say("head.options"), ", ".join(f"{key}: {plain(value)}" for key, value in checkup.options.items())
    yield say("head.samples"), say.count("image", checkup.samples)
    parts = [part for part in (*SPLITS, "-") if checkup.parts.get(part)]
    if set(parts) - {"-"}:
        yield say("head.parts"), ", ".join(f"{say(f'part.{part}')} {checkup.parts[part]}" for part in parts)
    class_map = checkup.class_map
    if class_map is not None:
        yield say("head.task"), str(class_map.task)
        yield say("head.classes"), f"{class_map.num_classes}: {say.join(class_map.names, _NAMES_LISTED)}"


def _before(checkup: Checkup, say: DataWords, pictures: DataPictures) -> tuple[Block, ...]:
    """Returns what stands before the findings: how to correct them all, and what the pictures' colours mean."""
    blocks = text(say("findings.language"), tone="note")
    files = {fix.file for finding in checkup.findings for fix in finding.fixes}
    if files:
        target = checkup.root.with_name(f"{checkup.root.name}_fixed")
        blocks += text(say("findings.fix", files=say.count("file", len(files))))
        blocks += (Code(text=check_command(checkup, fix=target)),)
    legend = pictures.legend()
    return (*blocks, *text(say("findings.colors"), tone="note"), *legend) if legend else blocks


def _card(place: int, finding: Finding, checkup: Checkup, say: DataWords, pictures: DataPictures, side: int) -> Card:
    advice, _, example = finding.advice.partition("\n")
    blocks = [*text(finding.detail)]
    if advice:
        blocks += text(say("finding.todo", advice=advice))
    blocks += [Code(text=example)] if example else []
    commands = [check_command(checkup, option=given) for given in _given_options(finding, checkup.format)]
    if commands:
        blocks += [*text(say("finding.command"), tone="note"), Code(text="\n".join(commands))]
    if finding.fixes:
        files = len({fix.file for fix in finding.fixes})
        blocks += text(say("finding.fixes", files=say.count("file", files)), tone="note")
    blocks += _gallery(finding.pictures, pictures, side)
    if finding.files:
        shown = list(finding.files[:_FILES_LISTED])
        more = len(finding.files) - len(shown)
        shown += [say("finding.more", n=more)] if more else []
        title = say("finding.files", files=say.count("file", len(finding.files)))
        blocks.append(Folded(title=title, blocks=(Code(text="\n".join(shown)),)))
    return Card(
        key=f"{finding.code}-{place}",
        severity=str(finding.severity),
        badge=say(f"badge.{finding.severity}"),
        title=finding.title,
        blocks=tuple(blocks),
    )


def _given_options(finding: Finding, format: str) -> list[tuple[str, str]]:  # noqa: A002  # the config's word
    """Returns the options (name, value as YAML) that the advice gives and the reader has."""
    if finding.advice.startswith(_OTHER_READING):
        return []
    known = FORMATS.options(format) if format else []
    return [(name, value) for name, value in _GIVEN_OPTION.findall(finding.advice) if name in known]


def _gallery(shown: tuple[Picture, ...], pictures: DataPictures, side: int) -> tuple[Block, ...]:
    """Returns the pictures of a finding: pairs in a row of their own each, the others side by side."""
    single: list[Tile] = []
    rows: list[tuple[str, tuple[Tile, ...]]] = []
    for picture in shown:
        if picture.kind == "pair":
            rows.append((picture.caption, pictures.tiles(picture, side)))
        else:
            single += pictures.tiles(picture, side)
    rows += [("", tuple(single))] if single else []
    return (Gallery(rows=tuple(rows)),) if rows else ()


def _samples_section(say: DataWords, pictures: DataPictures, side: int) -> Section | None:
    tiles = pictures.samples(_SAMPLES, side)
    if not tiles:
        return None
    images = say.count("image", len(pictures.views.entries))
    about = text(say("samples.about", shown=len(tiles), images=images))
    return Section(
        key="samples", title=say("samples"), blocks=(*about, *pictures.legend(), Gallery(rows=(("", tiles),)))
    )


def _settings_section(checkup: Checkup, say: DataWords) -> Section | None:
    if not checkup.format:
        return None
    about = say("settings.about" if checkup.suggestions else "settings.none")
    return Section(key="settings", title=say("settings"), blocks=(*text(about), Code(text=config_text(checkup))))
