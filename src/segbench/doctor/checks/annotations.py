"""What is wrong in annotation files: defects that the reader found, and shapes of several classes that overlap."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from segbench.data.files.hints import set_option
from segbench.data.formats.shared.listing import DEFECTS, Defect
from segbench.doctor.checks.lists import OVERLAPPING_LISTS
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Reading, percent
from segbench.locale import Message, join, listed, message, plural, quoted

_SHARED = 0.01  # of the pixels covered by shapes of several classes, from which on it is worth a warning
_SKIP = set_option("defects", "skip")


def _defect(
    name: str, severity: Severity, means: Message, advice: Message, otherwise: Severity | None = Severity.ERROR
) -> Code:
    """Returns the code of a defect of the readers; where nothing can be drawn it is an error."""
    return Code(
        name,
        severity,
        Title("{what}: {n}", known={"what": DEFECTS[name]}),
        means=means,
        advice=advice,
        otherwise=otherwise,
        when=None if otherwise is None else message("where nothing sensible can be drawn"),
    )


_ERRORS = (
    _defect(
        "few_points",
        Severity.ERROR,
        message("Two points or one enclose nothing."),
        message("outline the objects again, or leave the shapes' images out with {option}", option=_SKIP),
        None,
    ),
    _defect(
        "bad_numbers",
        Severity.ERROR,
        message("Such a shape cannot be drawn where it was meant."),
        message("outline the objects again, or leave the shapes' images out with {option}", option=_SKIP),
        None,
    ),
    _defect(
        "bad_shape",
        Severity.ERROR,
        message("Such a shape cannot be drawn where it was meant."),
        message("export the annotations again, or leave the shapes' images out with {option}", option=_SKIP),
        None,
    ),
    _defect(
        "bad_rle",
        Severity.ERROR,
        message("The mask is cut off, or was made for an image of another size."),
        message("export the annotations again, or leave the shapes' images out with {option}", option=_SKIP),
        None,
    ),
    _defect(
        "wrong_size",
        Severity.ERROR,
        message("The shapes would lie in the wrong place."),
        message("export the annotations again for these images"),
        None,
    ),
)
_WARNINGS = (
    _defect(
        "outside",
        Severity.WARNING,
        message("What lies outside is cut off. Often the annotations were made for other images."),
        message("check that the annotations belong to these images"),
    ),
    _defect(
        "no_class",
        Severity.WARNING,
        message("Nobody said what these regions show."),
        message("say which class they are with {option}", option=set_option("default_class")),
    ),
    _defect(
        "unknown_class",
        Severity.WARNING,
        message("The list is too short, or the class was misspelt."),
        message("add the class to the list, or name the classes to keep with {option}", option=set_option("classes")),
    ),
    _defect(
        "no_image",
        Severity.WARNING,
        message("An annotation without its image is not used."),
        message("copy the missing images, or export the annotations again"),
    ),
    _defect(
        "wrong_path",
        Severity.WARNING,
        message("Files were renamed or moved after they were labelled, or the labels belong to another image."),
        message("check that image and annotation belong together; save the annotation again beside its image"),
    ),
    _defect(
        "unused_shape",
        Severity.WARNING,
        message("Points, lines and boxes outline nothing, so they are left out."),
        message("give lines a width, or outline them as polygons"),
    ),
    _defect(
        "unknown_shape",
        Severity.WARNING,
        message("Somebody marked something there, and it is not drawn: its pixels would count as background."),
        message("export these regions as polygons or masks, or leave their images out with {option}", option=_SKIP),
    ),
    _defect(
        "only_box",
        Severity.WARNING,
        message("A box holds an object and what is around it, so that its pixels count nowhere."),
        message("outline these objects, or draw their boxes with {option}", option=set_option("boxes", "fill")),
    ),
)
_NO_ANNOTATION = _defect(
    "no_annotation",
    Severity.INFO,
    message("Everything in these images counts as background."),
    message(
        "if nothing was looked for in them, leave them out with {option}", option=set_option("unannotated", "skip")
    ),
)
OVERLAPPING_CLASSES = Code(
    "overlapping_classes",
    Severity.INFO,
    Title(
        "{share} of the pixels are covered by shapes of several classes, in {n} image",
        "{share} of the pixels are covered by shapes of several classes, in {n} images",
    ),
    means=message("A pixel has one class; which of the shapes counts is decided by their order or size."),
    advice=message(
        "choose which shape counts with {overlap}, or keep all with {task}",
        overlap=set_option("overlap"),
        task=set_option("task", "multilabel"),
    ),
    otherwise=Severity.WARNING,
    when=message("where it is more than 1 % of the pixels"),
)
_DEFECTS = {code.name: code for code in (*_ERRORS, *_WARNINGS, _NO_ANNOTATION, OVERLAPPING_LISTS)}
CODES = (*_DEFECTS.values(), OVERLAPPING_CLASSES)


def check(reading: Reading) -> list[Finding]:
    """Returns what the reader found wrong with the annotations, and where shapes of several classes overlap."""
    return [*_defects(reading), *_overlap(reading)] if reading.listing is not None else []


def _defects(reading: Reading) -> Iterator[Finding]:
    assert reading.listing is not None, "the caller has looked"
    kinds: dict[str, list[Defect]] = defaultdict(list)
    for defect in reading.listing.defects:
        kinds[defect.code].append(defect)
    for name, found in kinds.items():
        code = _DEFECTS[name]
        named = {name for defect in found for name in _names_in(defect.where)}
        cases = [case for case in reading.cases if case.id in named or case.image.name in named]
        yield code.about(
            reading,
            (defect.path for defect in found),
            count=len(found),
            otherwise=code.otherwise is not None and any(defect.fatal for defect in found),
            detail=listed(
                [join("", [f"{reading.name(defect.path)}, {defect.where}: ", quoted(defect.text)]) for defect in found],
                6,
            ),
            pictures=reading.overlays(cases),
        )


def _names_in(where: str) -> set[str]:
    """Returns the words of a place in an annotation file that may name an image (`1.jpg71410` is VIA's `1.jpg`)."""
    words = set(re.split(r"[\s(),]+", where))
    return words | {match[1] for word in words if (match := re.fullmatch(r"(.+\.[A-Za-z]+)\d+", word))}


def _overlap(reading: Reading) -> Iterator[Finding]:
    shared = {name: fact.shared for name, fact in reading.drawn.items() if fact.shared}
    pixels = sum(fact.height * fact.width for fact in reading.drawn.values())
    if not shared:
        return
    total = sum(shared.values())
    cases = sorted((case for case in reading.cases if case.id in shared), key=lambda case: -shared[case.id])
    yield OVERLAPPING_CLASSES.about(
        reading,
        (case.source for case in cases if case.source is not None),
        count=len(shared),
        share=percent(total / pixels),
        otherwise=total > _SHARED * pixels,
        detail=listed(
            [plural("{name} {n} pixel", "{name} {n} pixels", name=case.id, n=shared[case.id]) for case in cases], 6
        ),
        pictures=reading.overlays(cases),
    )
