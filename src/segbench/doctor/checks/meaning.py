"""What the values probably mean instead of what they are taken for: inverted, ignored, a trimap, numbers with gaps."""

from __future__ import annotations

from collections.abc import Iterator

from segbench.data.files.hints import describe_value, set_option
from segbench.data.files.masks import has_colors
from segbench.doctor.checks.values import FEW, MOST_LABELS, mask_files
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, percent
from segbench.errors import shorten
from segbench.locale import listed, message
from segbench.types import Task

_MOSTLY = 0.6  # of the masks, from which on a peculiarity is one of the data set

_TRIMAP = {1, 2, 3}

SOME_INVERTED_MASKS = Code(
    "some_inverted_masks",
    Severity.WARNING,
    Title(
        "{n} mask looks inverted, the other {others} do not: {name!r} is most of the border and of the area",
        "{n} masks look inverted, the other {others} do not: {name!r} is most of the border and of the area",
    ),
    means=message("What is looked for usually lies inside of the image."),
    advice=message("look at the overlays; where an object does not fill the image, swap the two values of these masks"),
    before_training=True,
)

INVERTED_MASKS = Code(
    "inverted_masks",
    Severity.WARNING,
    Title("the masks look inverted: {what}"),
    means=message(
        "What is looked for usually lies inside of the image, and programs differ in which value they give it."
    ),
    advice=message("look at the overlays; if so, swap the two values in `classes`"),
    before_training=True,
)

IGNORE_AS_CLASS = Code(
    "ignore_as_class",
    Severity.WARNING,
    Title("value 255 is taken as the class {name!r}; beside class numbers it usually means ignore"),
    means=message("As a class it would be learned and scored."),
    advice=message("leave it out of `classes` and set {option}", option=set_option("ignore", "[255]")),
)

GAPS_IN_VALUES = Code(
    "gaps_in_values",
    Severity.INFO,
    Title(
        "the classes' numbers have {n} gap: {values} means nothing",
        "the classes' numbers have {n} gaps: {values} mean nothing",
    ),
    means=message("In memory the classes are numbered without gaps."),
    advice=message("check that no class was forgotten in `classes`"),
)

TRIMAP = Code(
    "trimap",
    Severity.INFO,
    Title("the masks are trimaps: 1 object, 2 background, 3 a border that was not decided"),
    means=message("Whoever drew them left the border undecided."),
    advice=message("nothing has to be done where 3 is ignored; else ignore it, so that it does not blur the score"),
)

MUCH_IGNORED = Code(
    "much_ignored",
    Severity.WARNING,
    Title("{share} of all pixels count nowhere"),
    means=message("Nothing is learned from ignored pixels, and no score looks at them."),
    advice=message("look at what counts nowhere, and say in `classes` which class was meant"),
)


CODES = (SOME_INVERTED_MASKS, INVERTED_MASKS, IGNORE_AS_CLASS, GAPS_IN_VALUES, TRIMAP, MUCH_IGNORED)


def check(reading: Reading) -> list[Finding]:
    """Returns which values probably mean something else."""
    return [*_inverted(reading), *_maybe_ignored(reading), *_gaps(reading), *_trimap(reading), *_much_ignored(reading)]


def _inverted(reading: Reading) -> Iterator[Finding]:
    """Finds binary masks whose foreground is what surrounds: most of the border and of the pixels of most images."""
    class_map = reading.class_map
    if class_map is None or class_map.task is not Task.BINARY:
        return
    present = set(class_map.values[1])
    seen = 0
    wrong: list[Case] = []
    around: list[Case] = []  # nothing but foreground along the border, which none of the others has
    free = 0
    for case in reading.cases:
        for _, fact in reading.facts(case):
            border = sum(fact.border.values())
            inside = sum(pixels for value, pixels in fact.counts.items() if value in present)
            if not border or not inside:
                continue
            seen += 1
            edge = sum(pixels for value, pixels in fact.border.items() if value in present)
            free += 20 * edge < border
            if 2 * edge > border and 2 * inside > fact.height * fact.width:
                wrong.append(case)
                around += [case] if edge == border and inside < fact.height * fact.width else []
    names = class_map.names
    if around and len(around) < _MOSTLY * seen and free >= (1 - FEW) * (seen - len(around)):
        yield SOME_INVERTED_MASKS.about_cases(
            reading,
            around,
            others=seen - len(around),
            name=names[1],
            detail=listed([case.id for case in around], 12),
        )
    if not seen or len(wrong) < max(2, _MOSTLY * seen):
        return
    values = [shorten(describe_value(value) for value in values) for values in class_map.values]
    yield INVERTED_MASKS.about_cases(
        reading,
        wrong,
        what=message(
            "{name!r} is most of the border and of the area in {n} of {total} masks",
            name=names[1],
            n=len(wrong),
            total=seen,
        ),
        detail=message(
            "Value {one} means {name!r}, value {zero} {other!r}.",
            one=values[1],
            name=names[1],
            zero=values[0],
            other=names[0],
        ),
        advice=message(
            "look at the overlays; if so, swap the values: {option}",
            option=set_option("classes", f"{{{names[0]}: {values[1]}, {names[1]}: {values[0]}}}"),
        ),
    )


def _maybe_ignored(reading: Reading) -> Iterator[Finding]:
    class_map = reading.class_map
    if class_map is None or class_map.task is not Task.MULTICLASS or has_colors(class_map):
        return
    others = [value for values in class_map.values for value in values if isinstance(value, int) and value != 255]
    if (255,) not in class_map.values or len(others) < 2 or max(others) > MOST_LABELS or any(reading.drawn):
        return
    place = class_map.values.index((255,))
    paths = [path for path, _, fact in mask_files(reading) if fact.counts.get(255)]
    yield IGNORE_AS_CLASS.about(
        reading,
        paths,
        name=class_map.names[place],
        detail=message("The other classes are {low} to {high}.", low=min(others), high=max(others)),
        pictures=reading.portraits(paths, "values"),
    )


def _gaps(reading: Reading) -> Iterator[Finding]:
    class_map = reading.class_map
    if class_map is None or class_map.task is not Task.MULTICLASS or has_colors(class_map) or reading.paintings:
        return
    values = sorted({value for known in class_map.values for value in known if isinstance(value, int)})
    missing = sorted(set(range(values[-1] + 1)) - set(values)) if values else []
    missing = [value for value in missing if value not in class_map.ignore_values]
    if not missing or values[-1] > MOST_LABELS or missing == [0]:
        return
    yield GAPS_IN_VALUES.finding(
        count=len(missing),
        values=listed([str(value) for value in missing]),
        detail=message("Known are {values}.", values=listed([str(value) for value in values], 16)),
    )


def is_trimap(reading: Reading) -> bool:
    """Returns whether the mask files hold 1, 2 and 3 and nothing else."""
    return {value for _, _, fact in mask_files(reading) for value in fact.counts} == _TRIMAP


def _trimap(reading: Reading) -> Iterator[Finding]:
    if not is_trimap(reading):
        return
    class_map = reading.class_map
    ignored = class_map is not None and 3 in class_map.ignore_values
    option = set_option("border", "ignore") if reading.has_option("border") else set_option("ignore", "[3]")
    yield TRIMAP.about(
        reading,
        (path for path, _, _ in mask_files(reading)),
        detail=message("Value 3 is ignored.") if ignored else message("Value 3 is read as a class of its own."),
        advice=message("nothing has to be done")
        if ignored
        else message("to leave the undecided border out of loss and scores, set {option}", option=option),
    )


def _much_ignored(reading: Reading) -> Iterator[Finding]:
    class_map = reading.class_map
    if class_map is None or class_map.task is Task.MULTILABEL or not len(reading.cases):
        return
    known = reading.counts[reading.decoded]
    share = known[:, -1].sum() / max(1, known.sum())
    if share < 0.3:
        return
    values = listed([describe_value(value) for value in class_map.ignore_values], 6)
    yield MUCH_IGNORED.finding(
        count=int((known[:, -1] > 0).sum()),
        share=percent(float(share)),
        advice=message("check the option ignore, and which class was meant by these values")
        if "ignore" in reading.given
        else message("say in `classes` which class {values} is, where it was meant as one", values=values)
        if values and not reading.paintings
        else None,
    )
