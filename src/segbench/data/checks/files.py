"""Files that are damaged, not what their names say, turned, transparent, or of another size than their partner."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from segbench.data._facts import ImageFact, MaskFact
from segbench.data._hints import set_option
from segbench.data._sample import size_text
from segbench.data.checks._finding import Finding, Fix, Severity
from segbench.data.checks._reading import Case, Reading, about, number
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

# Part of the reason -> code, what is wrong with how many files, what to do.
_REASONS = (
    ("more than 8 bit", "deep_images", "with more than 8 bit a value", f"set {set_option('depth_range')}"),
    ("frames or pages", "several_frames", "with several frames or pages", "save each frame as a file of its own"),
    ("too large to open", "too_large", "too large to be opened", "cut them into tiles, or shrink them first"),
    ("not an image", "not_an_image", "that hold no image", "remove them, or save them as images again"),
    ("the file is empty", "empty_files", "of 0 bytes", "copy them again"),
    ("there is no such file", "missing_files", "that are not there", "copy them again"),
    ("which is not there", "missing_files", "that are not there", "copy them again"),
    ("", "damaged_files", "damaged or cut off", "copy them again from where they came from"),
)


def check_files(reading: Reading) -> list[Finding]:
    """Returns what is wrong with the files as such."""
    return [
        *_unreadable(reading),
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
    agreeing: list[Path] = []
    unclear: list[Path] = []
    for case in reading.cases:
        image = reading.images.get(case.image)
        if image is None or image.orientation == 1 or case.source is not None:
            continue
        for _, mask in reading.facts(case):
            if mask.orientation == image.orientation:
                continue
            same = (mask.height, mask.width) == (image.height, image.width)
            told = image.orientation >= _SWAPPING and image.height != image.width
            if same:
                (agreeing if told else unclear).append(case.image)
    if agreeing:
        yield about(
            reading,
            "exif_orientation",
            Severity.INFO,
            f"{number(len(agreeing), 'image')} turned by EXIF orientation; the masks are upright and fit",
            agreeing,
            detail="They are read upright. A program that ignores EXIF would see image and mask at right angles.",
            advice="save the images upright",
            pictures=reading.portraits(agreeing),
            fixes=tuple(
                Fix(action="save_upright", file=name, reason="EXIF orientation") for name in reading.names(agreeing)
            ),
        )
    if unclear:
        yield about(
            reading,
            "exif_orientation_unclear",
            Severity.WARNING,
            f"{number(len(unclear), 'image')} mirrored or turned by EXIF orientation, the mask has none",
            unclear,
            detail="Both sizes fit, so whether the mask was drawn on the turned image cannot be told from the size.",
            advice="look at the overlays; if image and mask disagree, remove the EXIF orientation from the images",
            pictures=reading.overlays(case for case in reading.cases if case.image in set(unclear)),
        )


def _sizes(reading: Reading) -> Iterator[Finding]:
    wrong: dict[Path, tuple[Case, str, bool]] = {}
    for case in reading.cases:
        image = reading.images.get(case.image)
        for path in case.mask_files if image is not None else ():
            mask = reading.masks.get(path)
            if mask is None or image is None or (mask.height, mask.width) == (image.height, image.width):
                continue
            text = size_text(image.height, image.width, mask.height, mask.width)
            wrong[path] = (case, text, _same_shape(image, mask))
    if not wrong:
        return
    first = next(iter(wrong))
    yield about(
        reading,
        "size_mismatch",
        Severity.ERROR,
        f"{number(len(wrong), 'mask')} of another size than the image",
        wrong,
        detail=f"{reading.name(first)}: {wrong[first][1]}"
        + (f"; {sum(scaled for _, _, scaled in wrong.values())} differ in scale only" if len(wrong) > 1 else ""),
        advice="save the masks at the size of their images (nearest neighbour), or check the pairing",
        pictures=reading.overlays(case for case, _, _ in wrong.values()),
        fixes=tuple(
            Fix(action="resize_mask", file=reading.name(path), reason=text)
            for path, (_, text, scaled) in wrong.items()
            if scaled
        ),
    )


def _same_shape(image: ImageFact, mask: MaskFact) -> bool:
    """Returns whether scaling alone explains the mask's size: one factor for both sides, but for rounding."""
    factor = mask.height / image.height
    return abs(image.width * factor - mask.width) <= max(1.0, factor) and image.height != mask.height


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
