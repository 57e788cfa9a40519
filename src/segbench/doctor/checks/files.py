"""Files that are damaged, not what their names say, transparent, or of another kind than the others."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from segbench.data.facts.store import ImageFact, MaskFact
from segbench.data.files.hints import set_option
from segbench.data.files.images import ALPHA_MODES, deep_option, deep_ranges, too_deep
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Fix, Severity
from segbench.doctor.reading import Reading
from segbench.locale import join, listed, message, quoted

_SUFFIXES = {
    "PNG": {".png"},
    "JPEG": {".jpg", ".jpeg"},
    "MPO": {".jpg", ".jpeg"},
    "BMP": {".bmp"},
    "DIB": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "GIF": {".gif"},
    "HEIF": {".heic", ".heif"},
}


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
    *dict.fromkeys(code for _, code in _REASONS),
    BROKEN_ANNOTATIONS,
    NAMES_NOT_UTF8,
    WRONG_SUFFIX,
    ALPHA_CHANNEL,
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
        *_modes(reading),
    ]


def _unreadable(reading: Reading) -> Iterator[Finding]:
    kinds: dict[Code, list[tuple[Path, str]]] = defaultdict(list)
    for path, reason in reading.problems:
        kinds[next(code for part, code in _REASONS if part in reason)].append((path, reason))
    for code, found in kinds.items():
        paths = [path for path, _ in found]
        ranges = deep_ranges(reason for _, reason in found)
        yield code.about(
            reading,
            paths,
            detail=too_deep(ranges, len(reading.cases))
            if ranges
            else join("; ", [join("", [f"{reading.name(path)}: ", quoted(reason)]) for path, reason in found[:6]]),
            advice=message("set {option}", option=deep_option(ranges)) if ranges else None,
            fixes=reading.fixes("leave_out", () if code is DEEP_IMAGES else paths, code.name.replace("_", " ")),
        )


def _broken_annotations(reading: Reading) -> Iterator[Finding]:
    """Looks for JSON and XML files that cannot be parsed, where the data set could not be read."""
    if reading.listing is not None:
        return
    texts = [path for path in reading.files if path.suffix.lower() in (".json", ".xml")]
    broken = {path: trouble for path in texts if (trouble := _parse_trouble(path))}
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
    counts = [
        message("{n} {kind} named {suffix}", n=count, kind=kind, suffix=suffix)
        for (kind, suffix), count in kinds.items()
    ]
    files = [message("{file} is a {kind}", file=reading.name(path), kind=kind) for path, kind in wrong.items()]
    yield WRONG_SUFFIX.about(
        reading,
        wrong,
        detail=message("{kinds}: {files}.", kinds=listed(counts), files=listed(files, 6)),
        pictures=reading.portraits(wrong),
        fixes=tuple(
            Fix(action="save_as_png", file=reading.name(path), reason=f"a {kind} named {path.suffix}")
            for path, kind in wrong.items()
            if path not in reading.masks
        ),
    )


def _transparent(reading: Reading) -> Iterator[Finding]:
    labels = {path for path, fact in reading.masks.items() if fact.alpha}  # whose transparency is what is read
    clear = [path for path, fact in _looks(reading) if fact.mode in ALPHA_MODES and path not in labels]
    if not clear:
        return
    seen = [path for path in clear if path in reading.images and reading.images[path].notes]
    seen += [path for path in clear if path in reading.masks and reading.masks[path].clear]
    yield ALPHA_CHANNEL.about(
        reading,
        clear,
        clear=len(seen),
        otherwise=bool(seen),
        detail=listed(reading.names(seen or clear), 4),
        pictures=reading.portraits(clear),
        fixes=reading.fixes("save_as_png", (path for path in clear if path in reading.images), "alpha channel"),
    )


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
            fixes=reading.fixes("save_as_png", modes["CMYK"], "CMYK"),
        )
