"""The labelling setup of a Label Studio project: which of its labels mean classes of a model, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from segbench.serve.answers import ServeError

_MOST_CHARACTERS = 1 << 18
_OTHERS = ("video", "text", "audio", "hypertext", "paragraphs", "timeseries", "table", "list", "pdf", "chat")
# Tags of controls, in small letters as the types of their regions have them.
BRUSH, BITMASK, POLYGON = "brushlabels", "bitmasklabels", "polygonlabels"
_CONTROLS = "BrushLabels, BitmaskLabels or PolygonLabels"


@dataclass(frozen=True, kw_only=True)
class LabelTarget:
    """Where the classes of a model go in a labelling setup.

    Attributes:
        kind: `BRUSH`, `BITMASK` or `POLYGON`.
        control, image: names of the two tags, for `from_name` and `to_name`.
        key: of a task's data under which its image stands.
        labels: class index -> label, as annotations have it.
    """

    kind: str
    control: str
    image: str
    key: str
    labels: Mapping[int, str]


def read_label_config(text: object, classes: Mapping[int, str]) -> LabelTarget:
    """Returns where the classes go: to the control of brush, bitmask or polygons that has most, of equals the first.

    A class is found by its name, in any case, as a label's `value`, `alias`, or one of its `predicted_values`.

    Args:
        text: XML, as a request brings it.
        classes: class index -> name, of those that are drawn.
    Raises:
        ServeError: no such XML, no image, no control, labels without any class, or classes on several images.
    """
    root = _parsed(text)
    tags = [(each.tag.lower(), each) for each in root.iter() if isinstance(each.tag, str)]
    images = {each.get("name", ""): each for tag, each in tags if tag == "image" and each.get("name")}
    if not images:
        others = ", ".join(dict.fromkeys(each.tag for tag, each in tags if tag in _OTHERS)) or "none"
        needs = 'it needs <Image name="image" value="$image"/>'
        raise _refused(f"this model segments images, and the labeling setup shows none (other data: {others}); {needs}")
    controls = [
        (tag, each, image)
        for tag, each in tags
        if tag in (BRUSH, BITMASK, POLYGON)
        for image in _shown(each)
        if image in images
    ]
    matched = [(kind, each, image, _matched(each, classes)) for kind, each, image in controls]
    best = max((len(labels) for *_, labels in matched), default=0)
    if not best:
        raise _no_label(classes, [each for _, each, _ in controls])
    shown = list(dict.fromkeys(image for _, _, image, labels in matched if labels))
    if len(shown) > 1:
        raise _refused(f"expected labels of the model's classes on one image, got them on {', '.join(shown)}")
    kind, each, image, labels = next(found for found in matched if len(found[3]) == best)
    return LabelTarget(kind=kind, control=each.get("name", ""), image=image, key=_key(images[image]), labels=labels)


def _parsed(text: object) -> Element:
    if not isinstance(text, str) or not text.strip():
        raise _refused("expected the labeling setup as XML, got none; set up the labels of the project first")
    if len(text) > _MOST_CHARACTERS:
        raise _refused(f"expected a labeling setup of at most {_MOST_CHARACTERS:,} characters, got {len(text):,}")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can make a small text fill the memory
        raise _refused("expected a labeling setup without a document type")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise _refused(f"the labeling setup is no XML: {error}") from error


def _shown(control: Element) -> list[str]:
    """Returns the names of what a control is for."""
    return control.get("toName", control.get("toname", "")).replace(",", " ").split()


def _key(image: Element) -> str:
    """Returns the key of a task's data that an Image tag shows."""
    value = image.get("value", "")
    if image.get("valueList") or image.get("valuelist"):
        raise _refused("expected one image a task, got a list of them (valueList)")
    if not value.startswith("$") or len(value) < 2:
        raise _refused(f'expected <Image value="$key"/> with a key of the task\'s data, got {value!r}')
    return value[1:]


def _matched(control: Element, classes: Mapping[int, str]) -> dict[int, str]:
    """Returns class index -> label of a control, where several could be meant the first."""
    known: dict[str, str] = {}
    for label in _labels(control):
        for name in _names(label):
            known.setdefault(name.strip().casefold(), _written(label))
    folded = {index: name.strip().casefold() for index, name in classes.items()}
    return {index: known[name] for index, name in folded.items() if name in known}


def _labels(control: Element) -> Iterator[Element]:
    for each in control.iter():
        if isinstance(each.tag, str) and each.tag.lower() == "label" and each.get("value"):
            yield each


def _written(label: Element) -> str:
    """Returns how annotations write a label: its alias, where it has one."""
    return label.get("alias", "") or label.get("value", "")


def _names(label: Element) -> list[str]:
    return [label.get("value", ""), label.get("alias", ""), *label.get("predicted_values", "").split(",")]


def _no_label(classes: Mapping[int, str], controls: Sequence[Element]) -> ServeError:
    names = ", ".join(classes.values())
    if not controls:
        return _refused(f"the labeling setup has no {_CONTROLS} for its image; add one with {names}")
    labels = dict.fromkeys(label.get("value", "") for each in controls for label in _labels(each))
    example = f'<Label value="..." predicted_values="{next(iter(classes.values()))}"/>'
    return _refused(
        f"no label of the project is a class of the model: the labels are {', '.join(labels) or 'none'}, the classes "
        f"{names}; rename one, or say which is meant: {example}"
    )


def _refused(sentence: str) -> ServeError:
    return ServeError(422, sentence, code="label_config")
