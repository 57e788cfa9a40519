"""Files that are damaged, not what their names say, turned, transparent, or of another size than their partner."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from segbench.data.facts.store import ImageFact, MaskFact
from segbench.data.files.hints import set_option
from segbench.data.manifest.sample import size_text
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.reading import Case, Reading, about, number
from segbench.errors import shorten

_SUFFIXES = {
    "PNG": {".png"},
    "JPEG": {".jpg", ".jpeg"},
    "MPO": {".jpg", ".jpeg"},
    "BMP": {".bmp"},
    "DIB": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "GIF": {".gif"},
}
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_SWAPPING = 5  # EXIF orientations from here on swap height and width

_CUT = 0.1  # of a side: what lacks less was rather cut off than scaled

# Code -> what is wrong with how many masks, what to do.
_SIZE_ADVICE = {
    "sides_swapped": (
        "with height and width of the image exchanged",
        "turn the masks by 90 degrees, or, where the masks were drawn on the pixels as they are stored, remove the "
        "EXIF orientation from the images; resizing would squash them",
    ),
    "mask_cut_off": (
        "a few rows or columns larger or smaller than the image",
        "find out at which side they were cut off or added, and cut the image likewise; resizing would shift the "
        "labels",
    ),
    "size_mismatch": (
        "of another size than the image, scaled alike",
        "save the masks at the size of their images (nearest neighbour), or check the pairing",
    ),
    "other_shape": (
        "of another shape than the image",
        "check that image and mask belong together, and that neither was cropped; resizing would not make them fit",
    ),
}

# Part of the reason -> code, what is wrong with how many files, what to do.
_REASONS = (
    ("more than 8 bit", "deep_images", "with more than 8 bit a value", f"set {set_option('depth_range')}"),
    ("frames or pages", "several_frames", "with several frames or pages", "save each frame as a file of its own"),
    ("too large to open", "too_large", "too large to be opened", "cut them into tiles, or shrink them first"),
    ("not an image", "not_an_image", "holding no image", "remove them, or save them as images again"),
    ("the file is empty", "empty_files", "of 0 bytes", "copy them again"),
    ("there is no such file", "missing_files", "missing", "copy them again"),
    ("which is not there", "missing_files", "missing", "copy them again"),
    ("", "damaged_files", "damaged or cut off", "copy them again from where they came from"),
)


def check_files(reading: Reading) -> list[Finding]:
    """Returns what is wrong with the files as such."""
    return [
        *_unreadable(reading),
        *_broken_annotations(reading),
        *_names(reading),
        *_wrong_suffix(reading),
        *_transparent(reading),
        *_turned(reading),
        *_sizes(reading),
        *_modes(reading),
    ]


def _unreadable(reading: Reading) -> Iterator[Finding]:
    kinds: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for path, reason in reading.problems:
        kinds[next(code for part, code, _, _ in _REASONS if part in reason)].append((path, reason))
    for code, found in kinds.items():
        paths = [path for path, _ in found]
        what, advice = next((what, advice) for _, one, what, advice in _REASONS if one == code)
        yield about(
            reading,
            code,
            Severity.ERROR,
            f"{number(len(set(paths)), 'file')} {what}",
            paths,
            detail="; ".join(f"{reading.name(path)}: {reason}" for path, reason in found[:6]),
            advice=advice,
            fixes=()
            if code == "deep_images"
            else tuple(Fix(action="leave_out", file=name, reason=what) for name in reading.names(paths)),
        )


def _broken_annotations(reading: Reading) -> Iterator[Finding]:
    """Looks for JSON and XML files that cannot be parsed, where the data set could not be read."""
    if reading.listing is not None:
        return
    broken: dict[Path, str] = {}
    for path in reading.files:
        trouble = _parse_trouble(path) if path.suffix.lower() in (".json", ".xml") else ""
        if trouble:
            broken[path] = trouble
    if broken:
        yield about(
            reading,
            "broken_annotations",
            Severity.ERROR,
            f"{number(len(broken), 'annotation file')} cannot be parsed: cut off, or edited by hand",
            broken,
            detail=shorten((f"{reading.name(path)}: {why}" for path, why in broken.items()), 6),
            advice="copy or export them again; as they are, no reader recognises the data set by them",
        )


def _parse_trouble(path: Path) -> str:
    """Returns why a file is no JSON or XML, or nothing."""
    from xml.etree import ElementTree

    try:
        if not path.is_file():
            return ""
        if path.suffix.lower() == ".xml":
            ElementTree.parse(path)  # expat refuses entities that grow without bound
        else:
            json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, ElementTree.ParseError) as error:
        return str(error)
    return ""


def _names(reading: Reading) -> Iterator[Finding]:
    """Finds names whose bytes are no UTF-8: tables and JSON cannot hold them."""
    wrong = [path for path in reading.files if any("\udc80" <= letter <= "\udcff" for letter in str(path))]
    if wrong:
        yield about(
            reading,
            "names_not_utf8",
            Severity.ERROR,
            f"{number(len(wrong), 'file name is', 'file names are')} not UTF-8",
            wrong,
            detail="Shown are the bytes; such names come from old archives.",
            advice="rename the files",
        )


def _looks(reading: Reading) -> Iterator[tuple[Path, ImageFact | MaskFact]]:
    yield from reading.images.items()
    yield from reading.masks.items()


def _wrong_suffix(reading: Reading) -> Iterator[Finding]:
    wrong = {
        path: fact.kind
        for path, fact in _looks(reading)
        if fact.kind in _SUFFIXES and path.suffix.lower() not in _SUFFIXES[fact.kind] and path.suffix.lower() != ".json"
    }
    if not wrong:
        return
    kinds = Counter(f"{kind} named {path.suffix}" for path, kind in wrong.items())
    yield about(
        reading,
        "wrong_suffix",
        Severity.WARNING,
        f"{number(len(wrong), 'file')} {'is' if len(wrong) == 1 else 'are'} of another kind than the name says",
        wrong,
        detail=f"{shorten(f'{count} {kind}' for kind, count in kinds.items())}: "
        + shorten((f"{reading.name(path)} is a {kind}" for path, kind in wrong.items()), 6)
        + ". They are read by content; other programs may refuse them.",
        advice="rename them, or save them anew",
        pictures=reading.portraits(wrong),
        fixes=tuple(
            Fix(action="save_as_png", file=reading.name(path), reason=f"a {kind} named {path.suffix}")
            for path, kind in wrong.items()
            if path not in reading.masks
        ),
    )


def _transparent(reading: Reading) -> Iterator[Finding]:
    clear = [path for path, fact in _looks(reading) if fact.mode in _ALPHA]
    if not clear:
        return
    seen = [note for path in clear if path in reading.images for note in reading.images[path].notes]
    yield about(
        reading,
        "alpha_channel",
        Severity.WARNING if seen else Severity.INFO,
        f"{number(len(clear), 'file')} with an alpha channel"
        + (f", {len(seen)} of them with transparent pixels" if seen else ""),
        clear,
        detail=(f"Transparent pixels are laid over black: {shorten(seen, 4)}. " if seen else "All pixels are opaque. ")
        + shorten(reading.names(clear), 4),
        advice="save them without alpha, on the ground you want",
        pictures=reading.portraits(clear),
        fixes=tuple(
            Fix(action="save_as_png", file=reading.name(path), reason="alpha channel")
            for path in clear
            if path in reading.images
        ),
    )


def _turned(reading: Reading) -> Iterator[Finding]:
    """Looks for EXIF orientation on one of image and mask; which of them was labelled upright shows in the sizes."""
    agreeing: dict[Path, Case] = {}
    unclear: dict[Path, Case] = {}
    for case in reading.cases:
        image = reading.images.get(case.image)
        if image is None or case.source is not None:
            continue
        for path, mask in ((path, reading.masks[path]) for path in case.mask_files if path in reading.masks):
            if mask.orientation == image.orientation or (mask.height, mask.width) != (image.height, image.width):
                continue
            one_lies = (image.orientation >= _SWAPPING) != (mask.orientation >= _SWAPPING)
            told = one_lies and image.height != image.width
            (agreeing if told else unclear)[path if image.orientation == 1 else case.image] = case
    if agreeing:
        of_images = all(path in reading.images for path in agreeing)
        what, partner = ("image", "masks are") if of_images else ("file", "partners are")
        yield about(
            reading,
            "exif_orientation",
            Severity.INFO,
            f"{number(len(agreeing), what)} turned by EXIF orientation; the {partner} upright and fit",
            agreeing,
            detail="They are read upright. A program that ignores EXIF would see image and mask at right angles.",
            advice=f"save the {what}s upright",
            pictures=reading.portraits(agreeing),
            fixes=tuple(
                Fix(action="save_upright", file=name, reason="EXIF orientation")
                for name in reading.names(path for path in agreeing if path in reading.images)
            ),
        )
    for of_masks in (False, True):
        turned = {path: case for path, case in unclear.items() if (path in reading.masks) == of_masks}
        if turned:
            yield _unclear(reading, turned, *(("mask", "image") if of_masks else ("image", "mask")))


def _unclear(reading: Reading, turned: Mapping[Path, Case], one: str, other: str) -> Finding:
    return about(
        reading,
        "exif_orientation_unclear",
        Severity.WARNING,
        f"{number(len(turned), one)} mirrored or turned by EXIF orientation, the {other} has none or another",
        turned,
        detail=f"Both sizes fit, so whether the mask was drawn on the turned image cannot be told from the size. The "
        f"orientation of the {one} is applied when it is read.",
        advice=f"look at the overlays; if image and mask disagree, remove the EXIF orientation from the {one}s",
        pictures=reading.overlays(turned.values()),
    )


def _sizes(reading: Reading) -> Iterator[Finding]:
    wrong: dict[str, dict[Path, tuple[Case, str]]] = {kind: {} for kind in _SIZE_ADVICE}
    for case in reading.cases:
        image = reading.images.get(case.image)
        for path in case.mask_files if image is not None else ():
            mask = reading.masks.get(path)
            if mask is None or image is None or (mask.height, mask.width) == (image.height, image.width):
                continue
            text = size_text(image.height, image.width, mask.height, mask.width)
            wrong[_size_kind(image, mask)][path] = (case, text)
    for code, found in wrong.items():
        if not found:
            continue
        what, advice = _SIZE_ADVICE[code]
        first = next(iter(found))
        yield about(
            reading,
            code,
            Severity.ERROR,
            f"{number(len(found), 'mask')} {what}",
            found,
            detail=f"{reading.name(first)}: {found[first][1]}",
            advice=advice,
            pictures=reading.overlays(case for case, _ in found.values()),
            fixes=tuple(
                Fix(action="resize_mask", file=reading.name(path), reason=text) for path, (_, text) in found.items()
            )
            if code == "size_mismatch"
            else (),
        )


def _size_kind(image: ImageFact, mask: MaskFact) -> str:
    """Returns which of `_SIZE_ADVICE` explains a mask's size: turning, cutting off a little, scaling, or nothing."""
    if (mask.height, mask.width) == (image.width, image.height):
        return "sides_swapped"
    rows, columns = abs(image.height - mask.height), abs(image.width - mask.width)
    if rows < _CUT * image.height and columns < _CUT * image.width:
        return "mask_cut_off"
    factor = mask.height / image.height
    same = image.height != mask.height and abs(image.width * factor - mask.width) <= max(1.0, factor)
    return "size_mismatch" if same else "other_shape"


def _modes(reading: Reading) -> Iterator[Finding]:
    deep = [path for path, fact in reading.masks.items() if fact.mode.startswith(("I", "F"))]
    if deep:
        yield about(
            reading,
            "deep_masks",
            Severity.INFO,
            f"{number(len(deep), 'mask')} with more than 8 bit a value",
            deep,
            detail="They are read as whole numbers. Viewers show them as black.",
            advice="nothing has to be done; 8-bit PNG would be smaller",
        )
    modes: dict[str, list[Path]] = defaultdict(list)
    for path, fact in reading.images.items():
        if fact.mode:
            modes["grey" if fact.mode in ("1", "L", "LA", "I;16", "I", "F") else "colour"].append(path)
            if fact.mode == "CMYK":
                modes["CMYK"].append(path)
    if modes.get("grey") and modes.get("colour"):
        few = min(modes["grey"], modes["colour"], key=len)
        yield about(
            reading,
            "mixed_modes",
            Severity.INFO,
            f"{len(modes['grey'])} grey and {len(modes['colour'])} colour images in one data set",
            few,
            detail="Grey images are read with three equal channels; a network may learn the difference.",
            advice="check that both kinds were meant; listed is the rarer kind",
            pictures=reading.portraits(few),
        )
    if modes.get("CMYK"):
        yield about(
            reading,
            "cmyk_images",
            Severity.WARNING,
            f"{number(len(modes['CMYK']), 'image')} in CMYK, meant for print",
            modes["CMYK"],
            detail="Colours after conversion to RGB depend on the program.",
            advice="save them as RGB",
            fixes=tuple(Fix(action="save_as_png", file=reading.name(path), reason="CMYK") for path in modes["CMYK"]),
        )
