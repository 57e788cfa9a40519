"""The page about a data set: what is wrong with it, with pictures, and its numbers; one self-contained HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segbench import __version__
from segbench.data.files.hints import options_in
from segbench.data.formats import FORMATS
from segbench.doctor import Checkup, Finding, Picture, Severity
from segbench.files import write_text
from segbench.locale import Numbers, folded, join, listed, localize, message, plural, translate
from segbench.report.doctor_page.numbers import PARTS, class_section, image_section
from segbench.report.doctor_page.pictures import LARGEST_PX, DataPictures
from segbench.report.doctor_page.settings import check_command, config_text, plain
from segbench.report.document import Block, Code, Document, Facts, Folded, Gallery, Section, Text, Tile, text
from segbench.report.html import render
from segbench.report.labels import TASK
from segbench.report.svg import Sketch
from segbench.types import SPLITS

MAX_BYTES = 5 * 2**20
_SIDES = (LARGEST_PX, 160, 112, 72)  # of pictures, pixels: lowered until the page is small enough
_SAMPLES = 24
_FILES_LISTED = 40
_NAMES_LISTED = 30
_BADGES = {
    Severity.ERROR: message("error"),
    Severity.WARNING: message("warning"),
    Severity.INFO: message("remark"),
}


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
        language: one of `segbench.locale.languages()`.
    Raises:
        ValueError: there is no such language.
    Example:
        >>> write_data_page(examine("my_images"), "check.html")  # doctest: +SKIP
    """
    pictures, sketch = DataPictures(checkup), Sketch(language)
    for side in _SIDES:
        page = _page(checkup, language, pictures, sketch, side)
        if len(page.encode()) <= MAX_BYTES:
            break
    write_text(path, page)


def _page(checkup: Checkup, lang: str, pictures: DataPictures, sketch: Sketch, side: int) -> str:
    cards = tuple(
        _card(index, finding, checkup, lang, pictures, side) for index, finding in enumerate(checkup.findings)
    )
    sections = (
        _samples_section(pictures, side),
        _settings_section(checkup, lang),
        class_section(checkup, sketch),
        image_section(checkup, sketch),
    )
    document = Document(
        lang=lang,
        title=message("Data set {name}", name=checkup.root.name),
        question=str(checkup.root),
        top=(Text(paragraphs=(_verdict(checkup),), tone="lead"), Facts(rows=tuple(_facts(checkup)))),
        sections=tuple(section for section in sections if section is not None),
        foot=message(
            "Made by segbench {version} in {seconds}. All of it as numbers: segbench data check --json FILE.",
            version=__version__,
            seconds=Numbers().duration(checkup.seconds),
        ),
        contents=message("Contents"),
    )
    texts = {
        "document": document,
        "findings": cards,
        "findings_title": message("Findings"),
        "before": _before(checkup, pictures),
        "copy": message("copy"),
        "copied": message("copied"),
    }
    worst = str(checkup.findings[0].severity) if checkup.exit_code else "none"
    return render("data.html", worst=worst, **localize(texts, lang))


def _verdict(checkup: Checkup) -> str:
    """Returns `2 errors, 3 warnings, 1 remark`; without errors and warnings that nothing has to be done."""
    number = Counter(finding.severity for finding in checkup.findings)
    counts = {
        Severity.ERROR: plural("{n:,} error", "{n:,} errors", n=number[Severity.ERROR]),
        Severity.WARNING: plural("{n:,} warning", "{n:,} warnings", n=number[Severity.WARNING]),
        Severity.INFO: plural("{n:,} remark", "{n:,} remarks", n=number[Severity.INFO]),
    }
    told = [text for kind, text in counts.items() if number[kind]]
    return listed(told if checkup.exit_code else [message("Nothing found that needs to be done"), *told])


def _facts(checkup: Checkup) -> Iterator[tuple[str, str]]:
    name = checkup.format or message("nothing that is known")
    yield message("Read as"), message("{format} ({why})", format=name, why=checkup.why) if checkup.why else name
    if checkup.options:
        yield message("Options"), ", ".join(f"{key}: {plain(value)}" for key, value in checkup.options.items())
    yield message("Holds"), plural("{n:,} labelled image", "{n:,} labelled images", n=checkup.samples)
    if checkup.reviewed_file is not None:
        left = plural("{n:,} finding: {file}", "{n:,} findings: {file}", n=checkup.reviewed, file=checkup.reviewed_file)
        yield message("Reviewed and left out"), left
    parts = [part for part in (*SPLITS, "-") if checkup.parts.get(part)]
    if set(parts) - {"-"}:
        told = [message("{part} {n}", part=PARTS[part], n=checkup.parts[part]) for part in parts]
        yield message("Published parts"), listed(told)
    class_map = checkup.class_map
    if class_map is not None:
        yield message("Task"), TASK[class_map.task]
        names = listed(class_map.names, _NAMES_LISTED)
        yield message("Classes"), message("{n}: {names}", n=class_map.num_classes, names=names)


def _before(checkup: Checkup, pictures: DataPictures) -> tuple[Block, ...]:
    """Returns what stands before the findings: how to correct them all, and what the pictures' colours mean."""
    blocks: tuple[Block, ...] = ()
    files = {fix.file for finding in checkup.findings for fix in finding.fixes}
    if files:
        target = checkup.root.with_name(f"{checkup.root.name}_fixed")
        blocks += text(
            message(
                "A corrected copy, which leaves the original as it is (changes of {files}):", files=_files(len(files))
            )
        )
        blocks += (Code(text=check_command(checkup, fix=target)),)
    legend = pictures.legend()
    return (*blocks, *text(message("The colours of the pictures:"), tone="note"), *legend) if legend else blocks


def _files(number: int) -> str:
    return plural("{n:,} file", "{n:,} files", n=number)


def _card(index: int, finding: Finding, checkup: Checkup, lang: str, pictures: DataPictures, side: int) -> Card:
    advice, _, example = translate(finding.advice, lang).partition("\n")
    blocks = [*text(finding.detail)]
    if advice:
        blocks += text(message("To do: {advice}", advice=advice))
    blocks += [Code(text=example)] if example else []
    commands = [check_command(checkup, option=given) for given in given_options(finding, checkup.format)]
    if commands:
        blocks += [
            *text(message("As a command, to see whether it helps:"), tone="note"),
            Code(text="\n".join(commands)),
        ]
    if finding.fixes:
        files = _files(len({fix.file for fix in finding.fixes}))
        blocks += text(message("The corrected copy changes {files}.", files=files), tone="note")
    blocks += _gallery(finding.pictures, pictures, side)
    if finding.files:
        shown = folded(finding.files, _FILES_LISTED)
        if len(shown) < len(finding.files):
            shown.append(message("all of them, one by one: segbench data check --json FILE"))
        blocks.append(Folded(title=_files(len(finding.files)), blocks=(Code(text=join("\n", shown)),)))
    return Card(
        key=f"{finding.code}-{index}",
        severity=str(finding.severity),
        badge=_BADGES[finding.severity],
        title=finding.title,
        blocks=tuple(blocks),
    )


def given_options(finding: Finding, format: str) -> list[tuple[str, str]]:  # noqa: A002  # the config's word
    """Returns the options (name, value as YAML) that the advice gives and the reader has."""
    known = FORMATS.options(format) if format else []
    return [(name, value) for name, value in options_in(finding.advice) if name in known]


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


def _samples_section(pictures: DataPictures, side: int) -> Section | None:
    tiles = pictures.samples(_SAMPLES, side)
    if not tiles:
        return None
    images = plural("{n:,} labelled image", "{n:,} labelled images", n=len(pictures.views.entries))
    about = text(message("{shown} of {images}, drawn at random, with their labels.", shown=len(tiles), images=images))
    gallery = Gallery(rows=(("", tiles),))
    return Section(key="samples", title=message("Samples"), blocks=(*about, *pictures.legend(), gallery))


def _settings_section(checkup: Checkup, lang: str) -> Section | None:
    if not checkup.format:
        return None
    about = message("What the numbers speak for, to be put into a config. Each has its reason beside it.")
    if not checkup.suggestions:
        about = message("The numbers speak for nothing but the defaults; this much is needed:")
    code = Code(text=config_text(checkup, lang))
    return Section(key="settings", title=message("Suggested settings"), blocks=(*text(about), code))
