"""Files that are damaged, not what their names say, turned, transparent, or of another size than their partner."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from segbench.data.facts.store import ImageFact, MaskFact
from segbench.data.files.hints import set_option
from segbench.data.manifest.sample import size_text
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.reading import Case, Reading
from segbench.locale import join, listed, message, plural, quoted

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
DEEP_IMAGES = Code(
    "deep_images",
    Severity.ERROR,
    Title("{n} file with more than 8 bit a value", "{n} files with more than 8 bit a value"),
    means=message("Which values mean black and white has to be said, the same for all images."),
    advice=message("set {option}", option=set_option("depth_range")),
)
SEVERAL_FRAMES = Code(
    "several_frames",
    Severity.ERROR,
    Title("{n} file with several frames or pages", "{n} files with several frames or pages"),
    means=message("Which of them belongs to the mask cannot be known."),
    advice=message("save each frame as a file of its own"),
)
TOO_LARGE = Code(
    "too_large",
    Severity.ERROR,
    Title("{n} file too large to be opened", "{n} files too large to be opened"),
    means=message("It would need more memory than is safe."),
    advice=message("cut them into tiles, or shrink them first"),
)
NOT_AN_IMAGE = Code(
    "not_an_image",
    Severity.ERROR,
    Title("{n} file holding no image", "{n} files holding no image"),
    means=message("The name says image, the content does not."),
    advice=message("remove them, or save them as images again"),
)
EMPTY_FILES = Code(
    "empty_files",
    Severity.ERROR,
    Title("{n} file of 0 bytes", "{n} files of 0 bytes"),
    means=message("Copying or writing it was broken off."),
    advice=message("copy them again"),
)
MISSING_FILES = Code(
    "missing_files",
    Severity.ERROR,
    Title("{n} file missing", "{n} files missing"),
    means=message("A list or a link names what is not there."),
    advice=message("copy them again"),
)
DAMAGED_FILES = Code(
    "damaged_files",
    Severity.ERROR,
    Title("{n} file damaged or cut off", "{n} files damaged or cut off"),
    means=message("The beginning is that of an image, the rest cannot be decoded."),
    advice=message("copy them again from where they came from"),
)
BROKEN_ANNOTATIONS = Code(
    "broken_annotations",
    Severity.ERROR,
    Title(
        "{n} annotation file cannot be parsed: cut off, or edited by hand",
        "{n} annotation files cannot be parsed: cut off, or edited by hand",
    ),
    means=message("As they are, no reader recognises the data set by them."),
    advice=message("copy or export them again"),
)
NAMES_NOT_UTF8 = Code(
    "names_not_utf8",
    Severity.ERROR,
    Title("{n} file name is not UTF-8", "{n} file names are not UTF-8"),
    means=message("Tables and JSON cannot hold them. Shown are the bytes; such names come from old archives."),
    advice=message("rename the files"),
)
WRONG_SUFFIX = Code(
    "wrong_suffix",
    Severity.WARNING,
    Title("{n} file is of another kind than the name says", "{n} files are of another kind than the name says"),
    means=message("They are read by content; other programs may refuse them."),
    advice=message("rename them, or save them anew"),
)
ALPHA_CHANNEL = Code(
    "alpha_channel",
    Severity.INFO,
    Title(
        "{n} file with an alpha channel, {clear} with transparent pixels",
        "{n} files with an alpha channel, {clear} with transparent pixels",
    ),
    means=message("Transparent pixels are laid over black when they are read."),
    advice=message("save them without alpha, on the ground you want"),
    otherwise=Severity.WARNING,
    when=message("where pixels are transparent"),
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
DEEP_MASKS = Code(
    "deep_masks",
    Severity.INFO,
    Title("{n} mask with more than 8 bit a value", "{n} masks with more than 8 bit a value"),
    means=message("They are read as whole numbers. Viewers show them as black."),
    advice=message("nothing has to be done; 8-bit PNG would be smaller"),
)
MIXED_MODES = Code(
    "mixed_modes",
    Severity.INFO,
    Title("{grey} grey and {colour} colour images in one data set"),
    means=message("Grey images are read with three equal channels; a network may learn the difference."),
    advice=message("check that both kinds were meant; listed is the rarer kind"),
)
CMYK_IMAGES = Code(
    "cmyk_images",
    Severity.WARNING,
    Title("{n} image in CMYK, meant for print", "{n} images in CMYK, meant for print"),
    means=message("Colours after conversion to RGB depend on the program."),
    advice=message("save them as RGB"),
)
_SIZES = (SIDES_SWAPPED, MASK_CUT_OFF, SIZE_MISMATCH, OTHER_SHAPE)
_REASONS = (  # part of the reader's reason -> what it is
    ("more than 8 bit", DEEP_IMAGES),
    ("frames or pages", SEVERAL_FRAMES),
    ("too large to open", TOO_LARGE),
    ("not an image", NOT_AN_IMAGE),
    ("the file is empty", EMPTY_FILES),
    ("there is no such file", MISSING_FILES),
    ("which is not there", MISSING_FILES),
    ("", DAMAGED_FILES),
)
CODES = (
    *_SIZES,
    *dict.fromkeys(code for _, code in _REASONS),
    BROKEN_ANNOTATIONS,
    NAMES_NOT_UTF8,
    WRONG_SUFFIX,
    ALPHA_CHANNEL,
    EXIF_ORIENTATION,
    EXIF_UNCLEAR,
    DEEP_MASKS,
    MIXED_MODES,
    CMYK_IMAGES,
)


def check(reading: Reading) -> list[Finding]:
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
        code = next(code for part, code in _REASONS if part in reason)
        kinds[code.name].append((path, reason))
    by_name = {code.name: code for _, code in _REASONS}
    for name, found in kinds.items():
        paths = [path for path, _ in found]
        yield by_name[name].about(
            reading,
            paths,
            detail=join("; ", [join("", [f"{reading.name(path)}: ", quoted(reason)]) for path, reason in found[:6]]),
            fixes=()
            if name == DEEP_IMAGES.name
            else tuple(
                Fix(action="leave_out", file=file, reason=name.replace("_", " ")) for file in reading.names(paths)
            ),
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
        yield BROKEN_ANNOTATIONS.about(
            reading,
            broken,
            detail=listed([join("", [f"{reading.name(path)}: ", quoted(why)]) for path, why in broken.items()], 6),
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
        yield NAMES_NOT_UTF8.about(reading, wrong)


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
    kinds = Counter((kind, path.suffix) for path, kind in wrong.items())
    told = [
        message("{n} {kind} named {suffix}", n=count, kind=kind, suffix=suffix)
        for (kind, suffix), count in kinds.items()
    ]
    files = [message("{file} is a {kind}", file=reading.name(path), kind=kind) for path, kind in wrong.items()]
    yield WRONG_SUFFIX.about(
        reading,
        wrong,
        detail=message("{kinds}: {files}.", kinds=listed(told), files=listed(files, 6)),
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
    seen = [path for path in clear if path in reading.images and reading.images[path].notes]
    yield ALPHA_CHANNEL.about(
        reading,
        clear,
        clear=len(seen),
        otherwise=bool(seen),
        detail=listed(reading.names(seen or clear), 4),
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
        yield EXIF_ORIENTATION.about(
            reading,
            agreeing,
            pictures=reading.portraits(agreeing),
            fixes=tuple(
                Fix(action="save_upright", file=name, reason="EXIF orientation")
                for name in reading.names(path for path in agreeing if path in reading.images)
            ),
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


def _modes(reading: Reading) -> Iterator[Finding]:
    deep = [path for path, fact in reading.masks.items() if fact.mode.startswith(("I", "F"))]
    if deep:
        yield DEEP_MASKS.about(reading, deep)
    modes: dict[str, list[Path]] = defaultdict(list)
    for path, fact in reading.images.items():
        if fact.mode:
            modes["grey" if fact.mode in ("1", "L", "LA", "I;16", "I", "F") else "colour"].append(path)
            if fact.mode == "CMYK":
                modes["CMYK"].append(path)
    if modes.get("grey") and modes.get("colour"):
        few = min(modes["grey"], modes["colour"], key=len)
        yield MIXED_MODES.about(
            reading,
            few,
            grey=len(modes["grey"]),
            colour=len(modes["colour"]),
            pictures=reading.portraits(few),
        )
    if modes.get("CMYK"):
        yield CMYK_IMAGES.about(
            reading,
            modes["CMYK"],
            fixes=tuple(Fix(action="save_as_png", file=reading.name(path), reason="CMYK") for path in modes["CMYK"]),
        )
