"""What is odd about the names of classes: one class under several names, numbered objects, and pixels without a "
"label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from segbench.data.files.hints import set_option, yaml_text
from segbench.locale import Message, join, listed, message

_BACKGROUNDS = ("background", "_background_", "bg")
_NO_LABEL = {"unlabeled", "unlabelled", "void", "ignore", "ignored", "dontcare", "don'tcare", "unknown", "undefined"}
_NUMBERED = re.compile(r"(.*[^\W\d_].*?)[\s_#.-]*(\d+)")  # some letter, then a number at the end
_MOST = 0.8  # of the images, or of the labels, from which on numbers are those of objects
_FEW_IMAGES = 3  # up to which nobody can tell numbered objects from numbered classes
_LONG_LIST = 10  # numbered names in a list of classes, from which on they are rather objects
_SHOWN = 6


def is_background(name: str) -> bool:
    """Returns whether a class is called like the background."""
    return name.strip().lower() in _BACKGROUNDS


def label_question(
    labels: Sequence[str], *, written: Mapping[str, str] | None = None, images: Sequence[Collection[str]] = ()
) -> Message | None:
    """Returns what has to be asked about the names of classes, with the options that answer it; None where nothing is.

    Args:
        labels: names in use.
        written: how the option `classes` writes what means each (`3`, `[255, 0, 0]`); None: by the name itself.
        images: labels of each image's objects; () where only a list of names is known.
    """
    merges = _alike(labels, Counter(label for image in images for label in image))
    merges |= {name: group for name, group in _objects(labels, images).items() if name not in merges}
    blank = [label for label in labels if re.sub(r"[\s_-]", "", label).lower() in _NO_LABEL]
    if not merges and not blank:
        return None
    taken = {label for group in merges.values() for label in group}
    kept = [label for label in labels if label not in blank]
    merged = {**merges, **{name: [name] for name in kept if name not in taken}}
    parts: list[str] = []
    if merges:
        shown = [
            message("{labels} (as {name})", labels=listed(group, _SHOWN), name=name) for name, group in merges.items()
        ]
        parts.append(
            message(
                "names that probably mean one class: {names}; read them as one with {merge}, or keep all apart with "
                "{apart}",
                names=join("; ", shown[:_SHOWN]),
                merge=set_option("classes", _mapping(merged, written)),
                apart=set_option("classes", _apart(labels, written)),
            )
        )
    if blank:
        parts.append(
            message(
                "{names} sounds like pixels that nobody labelled: let them count nowhere with {ignore}, or take them "
                "as a "
                "class with {keep}",
                names=listed(blank, _SHOWN),
                ignore=set_option("ignore", f"[{', '.join(_written(label, written) for label in blank)}]"),
                keep=set_option("classes", _apart(labels, written)),
            )
        )
    return message("{questions}", questions=join("; ", parts))


def write_classes(values: Mapping[str, str]) -> str:
    """Returns `{background: 0, crack: 1}` of names and what an option writes for each."""
    return f"{{{', '.join(f'{yaml_text(name)}: {value}' for name, value in values.items())}}}"


def _written(label: str, written: Mapping[str, str] | None) -> str:
    return yaml_text(label) if written is None else written[label]


def _mapping(merged: Mapping[str, Sequence[str]], written: Mapping[str, str] | None) -> str:
    """Returns `{cow: [cow-1, cow-2], dog: dog}`."""
    entries = []
    for name, group in merged.items():
        values = [_written(label, written) for label in group]
        entries.append(f"{yaml_text(name)}: {values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}")
    return f"{{{', '.join(entries)}}}"


def _apart(labels: Sequence[str], written: Mapping[str, str] | None) -> str:
    if written is None:
        return f"[{', '.join(map(yaml_text, labels))}]"
    return _mapping({label: [label] for label in labels}, written)


def _alike(labels: Sequence[str], uses: Mapping[str, int]) -> dict[str, list[str]]:
    """Returns the name used most, else the first -> names that differ by capitals, blanks, `_` and `-` alone."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(re.sub(r"[\s_-]", "", label).lower() or label, []).append(label)
    alike = [group for group in groups.values() if len(group) > 1]
    return {max(group, key=lambda label: uses.get(label, 0)): group for group in alike}


def _objects(labels: Sequence[str], images: Sequence[Collection[str]]) -> dict[str, list[str]]:
    """Returns name without number -> labels, where the numbers are those of objects in an image rather than of classes.

    They are where they begin anew in each image and not all images have as many, or where nearly each is used in one
    image alone; a list of names without images has to be long.
    """
    groups: dict[str, dict[str, int]] = {}
    for label in labels:
        match = _NUMBERED.fullmatch(label)
        if match is not None:
            groups.setdefault(match[1], {})[label] = int(match[2])
    result = {}
    for name, numbers in groups.items():
        if len(numbers) > 1 and (_are_objects(numbers, images) if images else len(numbers) >= _LONG_LIST):
            result[name] = sorted(numbers, key=lambda label: numbers[label]) + ([name] if name in labels else [])
    return result


def _are_objects(numbers: Mapping[str, int], images: Sequence[Collection[str]]) -> bool:
    held = [{numbers[label] for label in image if label in numbers} for image in images]
    held = [found for found in held if found]
    uses = Counter(number for found in held for number in found)
    anew = [found for found in held if found in (set(range(1, len(found) + 1)), set(range(len(found))))]
    several = any(len(found) > 1 for found in held)
    varying = len({len(found) for found in held}) > 1 or len(held) < _FEW_IMAGES
    if several and varying and len(anew) >= _MOST * len(held):
        return True
    once = sum(count == 1 for count in uses.values())
    return len(uses) > 2 and once >= _MOST * len(uses)
