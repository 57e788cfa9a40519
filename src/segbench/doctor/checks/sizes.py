"""Images and masks that do not lie on each other: of different sizes, or one of them turned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segbench.data.facts.store import ImageFact, MaskFact
from segbench.data.manifest.sample import size_text
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.reading import Case, Reading
from segbench.locale import message, plural

_SWAPPING = 5  # EXIF orientations from here on swap height and width

_CUT = 0.1  # of a side: what lacks less was rather cut off than scaled

SIDES_SWAPPED = Code(
    "sides_swapped",
    Severity.ERROR,
    Title(
        "{n} mask with height and width of the image exchanged",
        "{n} masks with height and width of the image exchanged",
    ),
    means=message("The mask or the image was turned; resizing would squash the labels."),
    advice=message(
        "turn the masks by 90 degrees, or, where the masks were drawn on the pixels as they are stored, remove the "
        "EXIF orientation from the images"
    ),
)

MASK_CUT_OFF = Code(
    "mask_cut_off",
    Severity.ERROR,
    Title(
        "{n} mask a few rows or columns larger or smaller than the image",
        "{n} masks a few rows or columns larger or smaller than the image",
    ),
    means=message("Rows were cut off or added at one side; resizing would shift the labels."),
    advice=message("find out at which side they were cut off or added, and cut the image likewise"),
)

SIZE_MISMATCH = Code(
    "size_mismatch",
    Severity.ERROR,
    Title(
        "{n} mask of another size than the image, scaled alike",
        "{n} masks of another size than the image, scaled alike",
    ),
    means=message("A mask must have a label for every pixel of its image."),
    advice=message("save the masks at the size of their images (nearest neighbour), or check the pairing"),
)

OTHER_SHAPE = Code(
    "other_shape",
    Severity.ERROR,
    Title("{n} mask of another shape than the image", "{n} masks of another shape than the image"),
    means=message(
        "Resizing would not make them fit: one of the two was cropped, or they belong to different pictures."
    ),
    advice=message("check that image and mask belong together, and that neither was cropped"),
)

EXIF_ORIENTATION = Code(
    "exif_orientation",
    Severity.INFO,
    Title(
        "{n} file turned by EXIF orientation; its partner is upright and fits",
        "{n} files turned by EXIF orientation; their partners are upright and fit",
    ),
    means=message("They are read upright. A program that ignores EXIF would see image and mask at right angles."),
    advice=message("save the files upright"),
)

EXIF_UNCLEAR = Code(
    "exif_orientation_unclear",
    Severity.WARNING,
    Title("{turned} mirrored or turned by EXIF orientation, the {other} has none or another"),
    means=message(
        "Both sizes fit, so whether the mask was drawn on the turned image cannot be told from the size. The "
        "orientation is applied when the file is read."
    ),
    advice=message("look at the overlays; if image and mask disagree, remove the EXIF orientation from these files"),
)

_SIZES = (SIDES_SWAPPED, MASK_CUT_OFF, SIZE_MISMATCH, OTHER_SHAPE)


CODES = (*_SIZES, EXIF_ORIENTATION, EXIF_UNCLEAR)


def check(reading: Reading) -> list[Finding]:
    """Returns which masks have another size than their image, or another EXIF orientation."""
    return [*_turned(reading), *_sizes(reading)]


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
            decided = one_lies and image.height != image.width
            (agreeing if decided else unclear)[path if image.orientation == 1 else case.image] = case
    if agreeing:
        yield EXIF_ORIENTATION.about(
            reading,
            agreeing,
            pictures=reading.portraits(agreeing),
            fixes=reading.fixes("save_upright", agreeing.keys() & reading.images.keys(), "EXIF orientation"),
        )
    for of_masks in (False, True):
        turned = {path: case for path, case in unclear.items() if (path in reading.masks) == of_masks}
        n = len(turned)
        if turned:
            yield EXIF_UNCLEAR.about(
                reading,
                turned,
                turned=plural("{n:,} mask", "{n:,} masks", n=n)
                if of_masks
                else plural("{n:,} image", "{n:,} images", n=n),
                other=message("image") if of_masks else message("mask"),
                pictures=reading.overlays(turned.values()),
            )


def _sizes(reading: Reading) -> Iterator[Finding]:
    wrong: dict[str, dict[Path, tuple[Case, str]]] = {code.name: {} for code in _SIZES}
    for case in reading.cases:
        image = reading.images.get(case.image)
        for path in case.mask_files if image is not None else ():
            mask = reading.masks.get(path)
            if mask is None or image is None or (mask.height, mask.width) == (image.height, image.width):
                continue
            text = size_text(image.height, image.width, mask.height, mask.width)
            wrong[_size_kind(image, mask).name][path] = (case, text)
    for code in _SIZES:
        found = wrong[code.name]
        if not found:
            continue
        first = next(iter(found))
        yield code.about(
            reading,
            found,
            detail=message(
                "{file}: the mask is {mask}, its image {image} pixels (height x width).",
                file=reading.name(first),
                mask=_size(reading.masks[first]),
                image=_size(reading.images[found[first][0].image]),
            ),
            pictures=reading.overlays(case for case, _ in found.values()),
            fixes=tuple(
                Fix(action="resize_mask", file=reading.name(path), reason=text) for path, (_, text) in found.items()
            )
            if code is SIZE_MISMATCH
            else (),
        )


def _size(fact: ImageFact | MaskFact) -> str:
    return f"{fact.height} x {fact.width}"


def _size_kind(image: ImageFact, mask: MaskFact) -> Code:
    """Returns which of `_SIZES` explains a mask's size: turning, cutting off a little, scaling, or nothing."""
    if (mask.height, mask.width) == (image.width, image.height):
        return SIDES_SWAPPED
    rows, columns = abs(image.height - mask.height), abs(image.width - mask.width)
    if rows < _CUT * image.height and columns < _CUT * image.width:
        return MASK_CUT_OFF
    factor = mask.height / image.height
    same = image.height != mask.height and abs(image.width * factor - mask.width) <= max(1.0, factor)
    return SIZE_MISMATCH if same else OTHER_SHAPE
