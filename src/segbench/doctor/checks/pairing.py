"""Files that have no partner, two files of one name, files nobody uses, and other folders of masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import set_option, yaml_text
from segbench.data.formats.shared.layout import MASK_NAME
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.data.formats.shared.looks import looks_like_pictures
from segbench.data.formats.shared.pairing import file_key, find_renames
from segbench.doctor.checks.meaning import INVERTED_MASKS
from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Finding, Severity
from segbench.doctor.reading import Case, Reading, percent
from segbench.locale import listed, message
from segbench.types import MaskValue

_JUNK = frozenset({".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", "icon\r"})
_SIDE_FILES = frozenset(
    {".txt", ".json", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".md", ".html", ".pdf", ".xlsx", ".xls", ".npy", ".npz"}
)
_COMPARED = 96  # masks of two folders that are compared
_SAME_SHARE = 0.05  # of the pixels, by which two masks of the same thing may differ


HIDDEN_FILES = Code(
    "hidden_files",
    Severity.INFO,
    Title(
        "{n} hidden file of the operating system or an archive",
        "{n} hidden files of the operating system or an archive",
    ),
    means=message("Such files (.DS_Store, Thumbs.db, ._name, __MACOSX) are not read."),
    advice=message("delete them, so that no other program takes them for images"),
)
DUPLICATE_NAMES = Code(
    "duplicate_names",
    Severity.ERROR,
    Title(
        "{n} name stands for several files, such as {example}", "{n} names stand for several files, such as {example}"
    ),
    means=message("Images and masks are paired by name; which of the two is meant cannot be known."),
    advice=message("keep one of each, or rename one"),
)
NAMES_DIFFER_BY_CASE = Code(
    "names_differ_by_case",
    Severity.WARNING,
    Title(
        "{n} name in several spellings that differ only in upper and lower case",
        "{n} names in several spellings that differ only in upper and lower case",
    ),
    means=message("On Windows and macOS one of the two would overwrite the other when the set is copied."),
    advice=message("rename one of each"),
)
_LEFT_OUT = message("What has no label is left out of training and scores.")
IMAGES_WITHOUT_MASK = Code(
    "images_without_mask",
    Severity.WARNING,
    Title("{n} image without a mask", "{n} images without a mask"),
    means=_LEFT_OUT,
    advice=message("label them, or move them elsewhere"),
    otherwise=Severity.INFO,
    when=message("where that was agreed to, or published lists say which images count"),
)
IMAGES_WITHOUT_ANNOTATION = Code(
    "images_without_annotation",
    Severity.WARNING,
    Title("{n} image that no annotation names", "{n} images that no annotation names"),
    means=_LEFT_OUT,
    advice=message("label them, or move them elsewhere"),
    otherwise=Severity.INFO,
    when=message("where that was agreed to"),
)
MASKS_WITHOUT_IMAGE = Code(
    "masks_without_image",
    Severity.WARNING,
    Title("{n} mask without an image", "{n} masks without an image"),
    means=message("Their images are missing, or are named otherwise."),
    advice=message("add the images, or rename the masks"),
    otherwise=Severity.INFO,
    when=message("where that was agreed to"),
)
OTHER_FILES = Code(
    "other_files",
    Severity.INFO,
    Title(
        "{n} file among images and masks that no reader takes for an image",
        "{n} files among images and masks that no reader takes for an image",
    ),
    means=message("They are not read."),
    advice=message("check that none of them is an image with a lost suffix; else move them elsewhere"),
)
OTHER_MASKS = Code(
    "other_masks",
    Severity.INFO,
    Title("{folder}/ holds another file for {n} of {total} images"),
    means=message("It may be another labelling of the same images; it is not read."),
    advice=message("to read it, set the option masks"),
)
CODES = (
    HIDDEN_FILES,
    DUPLICATE_NAMES,
    NAMES_DIFFER_BY_CASE,
    IMAGES_WITHOUT_MASK,
    IMAGES_WITHOUT_ANNOTATION,
    MASKS_WITHOUT_IMAGE,
    OTHER_FILES,
    OTHER_MASKS,
    INVERTED_MASKS,
)


def check(reading: Reading) -> list[Finding]:
    """Returns what is wrong with names and partners of the files."""
    visible = [path for path in reading.files if not _is_junk(path, reading.root)]
    pictures = [path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES]
    junk = [path for path in reading.files if _is_junk(path, reading.root)]
    findings = [HIDDEN_FILES.about(reading, junk)] if junk else []
    findings += [*_twins(reading, pictures), *_partners(reading, pictures), *_strange(reading, visible)]
    return [*findings, *_other_masks(reading, pictures)]


def _is_junk(path: Path, root: Path) -> bool:
    inner = path.parts[len(root.parts) :]
    return any(part.startswith(".") or part == "__MACOSX" for part in inner) or path.name.lower() in _JUNK


def _twins(reading: Reading, pictures: Sequence[Path]) -> list[Finding]:
    """Looks for files of one folder whose names are equal but for suffix or case."""
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in pictures:
        groups[path.parent, path.stem.lower()].append(path)
    several = [group for group in groups.values() if len(group) > 1 and not _are_pair(reading, group)]
    by_suffix = [group for group in several if len({path.stem for path in group}) == 1]
    by_case = [group for group in several if len({path.stem for path in group}) > 1]
    findings = []
    if by_suffix:
        findings.append(
            DUPLICATE_NAMES.about(
                reading,
                (path for group in by_suffix for path in group),
                count=len(by_suffix),
                example=message("{one} and {other}", one=by_suffix[0][0].name, other=by_suffix[0][1].name),
                pictures=reading.pairs((one, other, one.stem) for one, other, *_ in by_suffix),
            )
        )
    if by_case:
        paths = (path for group in by_case for path in group)
        findings.append(NAMES_DIFFER_BY_CASE.about(reading, paths, count=len(by_case)))
    return findings


def _are_pair(reading: Reading, group: Sequence[Path]) -> bool:
    """Returns whether they are an image and its mask beside each other."""
    return any(path in reading.used_masks for path in group) and any(path in reading.used_images for path in group)


def _partners(reading: Reading, pictures: Sequence[Path]) -> list[Finding]:
    """Looks beside the images and masks that are used for those that are not."""
    image_folders = {path.parent for path in reading.used_images}
    mask_folders = {path.parent for path in reading.used_masks}
    defects = reading.listing.defects if reading.listing is not None else ()
    lost = {defect.image for defect in defects if defect.fatal}  # labelled, and left out for a reason of their own
    used = reading.used_images | reading.used_masks | lost
    unused = [path for path in pictures if path not in used]
    bare = [path for path in unused if path.parent in image_folders and not _is_mask(path, mask_folders)]
    labelled = {(path.parent, path.stem) for path in reading.used_images}
    bare = [path for path in bare if not _belongs(path, labelled)]
    orphans = [path for path in unused if path.parent in mask_folders and path not in set(bare)]
    if reading.given.get("mask_suffix"):  # the user has chosen among several files of an image
        stems = {(folder, stem) for folder in mask_folders for _, stem in labelled}
        orphans = [path for path in orphans if not _belongs(path, stems)]
    agreed = reading.given.get("unpaired") == "skip"
    skip = set_option("unpaired", "skip") if reading.has_option("unpaired") and not agreed else None
    findings = []
    if bare:
        findings.append(_bare(reading, bare, skip, agreed))
    if orphans:
        findings.append(
            MASKS_WITHOUT_IMAGE.about(
                reading,
                orphans,
                otherwise=agreed,
                advice=message("add the images, or rename the masks, or leave them out with {option}", option=skip)
                if skip
                else None,
                pictures=reading.portraits(orphans, "values"),
                fixes=reading.fixes("leave_out", orphans, "it has no image"),
            )
        )
    return findings


def _bare(reading: Reading, paths: Sequence[Path], skip: str | None, agreed: bool) -> Finding:
    """Returns the finding about images without labels; `skip` is the option that leaves them out, if it is not set."""
    drawn = not reading.used_masks
    code = IMAGES_WITHOUT_ANNOTATION if drawn else IMAGES_WITHOUT_MASK
    return code.about(
        reading,
        paths,
        otherwise=agreed if drawn else skip is None,  # without the option, the reader takes what published lists name
        detail=message("{n} images are labelled.", n=len(reading.cases)),
        advice=message("label them, or move them elsewhere, or leave them out with {option}", option=skip)
        if skip
        else None,
        pictures=reading.portraits(paths),
        fixes=reading.fixes("leave_out", paths, "it has no labels"),
    )


def _belongs(path: Path, labelled: set[tuple[Path, str]]) -> bool:
    """Returns whether a file is named like a labelled image beside it, and more: `a_seg.png`, `a_parts_1.png`."""
    words = path.stem.split("_")
    return any((path.parent, "_".join(words[:end])) in labelled for end in range(1, len(words)))


def _is_mask(path: Path, mask_folders: set[Path]) -> bool:
    return path.parent in mask_folders and bool(MASK_NAME.search(path.stem))


def _strange(reading: Reading, visible: Sequence[Path]) -> list[Finding]:
    folders = {path.parent for path in (*reading.used_images, *reading.used_masks)} - {reading.root}
    sources = {case.source for case in reading.cases}
    known = IMAGE_SUFFIXES | _SIDE_FILES
    paths = [
        path for path in visible if path.parent in folders and path.suffix.lower() not in known and path not in sources
    ]
    if not paths:
        return []
    suffixes = sorted({path.suffix.lower() or message("no suffix") for path in paths})
    return [OTHER_FILES.about(reading, paths, detail=message("Kinds: {suffixes}.", suffixes=listed(suffixes)))]


def _other_masks(reading: Reading, pictures: Sequence[Path]) -> list[Finding]:
    """Looks for folders that hold a mask for most images too, and compares them with those that are used."""
    used = {path.parent for path in (*reading.used_images, *reading.used_masks)}
    others: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        if path.parent not in used and not path.parent.name.startswith("SegmentationObject"):  # VOC's objects
            others[path.parent].append(path)
    findings: list[Finding] = []
    for folder, files in sorted(others.items()):
        pairs = _matched(reading, folder, files)
        if len(pairs) < 2 or 2 * len(pairs) < len(reading.cases) or looks_like_pictures(files):
            continue  # pictures of a part without labels may have the same names
        findings.append(
            OTHER_MASKS.about(
                reading,
                files,
                n=len(pairs),
                folder=reading.name(folder),
                total=len(reading.cases),
                advice=message("to read it, set {option}", option=set_option("masks", yaml_text(folder.name))),
            )
        )
        findings += _inverted(reading, folder, pairs)
    return findings


def _matched(reading: Reading, folder: Path, files: Sequence[Path]) -> list[tuple[Case, Path]]:
    keys = {file_key(path, folder): path for path in files}
    ids = {case.image.stem: case for case in reading.cases}
    cut_image, cut_other = find_renames(list(ids), list(keys), None)
    cases = {cut_image(key): case for key, case in ids.items()}
    return [(cases[cut_other(key)], path) for key, path in keys.items() if cut_other(key) in cases]


def _inverted(reading: Reading, folder: Path, pairs: Sequence[tuple[Case, Path]]) -> Iterator[Finding]:
    """Yields a finding where one folder's foreground is the other's background."""
    some = pairs[:: max(1, len(pairs) // _COMPARED)]
    facts, _ = reading.store.masks([path for _, path in some])
    both = [
        (fact, facts[path]) for case, path in some if path in facts for _, fact in reading.facts(case) if case.masks
    ]
    found = {there: _opposites(both if there else [pair[::-1] for pair in both]) for there in (True, False)}
    if found[True] and found[False]:  # two binary masks: the wrong one has its foreground along the border
        here, other = (sum(_border_share(pair[place]) for pair in both) for place in (0, 1))
        found[here > other] = 0
    used = sorted({reading.name(path.parent) for path in reading.used_masks})[0]
    for there, number_opposite in found.items():
        if not number_opposite:
            continue
        wrong, right = (reading.name(folder), used) if there else (used, reading.name(folder))
        yield INVERTED_MASKS.about(
            reading,
            (path for case, other in pairs for path in ((other,) if there else case.mask_files)),
            what=message(
                "those of {wrong}/, since where {right}/ has background (0) they hold their high value, and the "
                "other way round",
                right=right,
                wrong=wrong,
            ),
            detail=message(
                "True of {n} of {total} masks that were compared, up to {share} of the pixels.",
                n=number_opposite,
                total=len(both),
                share=percent(_SAME_SHARE),
            ),
            advice=message(
                "when reading {folder}/, name the classes by value: classes: {classes}",
                folder=wrong,
                classes="{background: 255, foreground: 0}",
            ),
            pictures=reading.pairs(
                (
                    next(iter(case.mask_files), other),
                    other,
                    message("{case}: {one} and {other}", case=case.id, one=used, other=reading.name(folder)),
                )
                for case, other in pairs
            ),
        )


def _opposites(pairs: Sequence[tuple[MaskFact, MaskFact]]) -> int:
    """Returns in how many pairs the second mask is the first one's opposite; 0 where that is not the rule."""
    known = [found for pair in pairs if (found := _agreement(*pair)) is not None]
    same, opposite = sum(one for one, _ in known), sum(other for _, other in known)
    return opposite if len(known) >= 2 and 5 * same <= len(known) and 5 * opposite >= 4 * len(known) else 0


def _border_share(mask: MaskFact) -> float:
    """Returns how much of the border is not 0."""
    return 1 - _background(mask.border) / max(1, sum(mask.border.values()))


def _agreement(mask: MaskFact, binary: MaskFact) -> tuple[bool, bool] | None:
    """Returns whether `binary`'s high value covers as many pixels as `mask`'s foreground, and as its background."""
    total = binary.height * binary.width
    if not {*binary.counts} <= {0, 1} and not {*binary.counts} <= {0, 255}:
        return None
    low = _background(mask.counts)
    if low in (0, mask.height * mask.width) or not 0 < binary.counts.get(0, 0) < total:
        return None
    share = low / (mask.height * mask.width)
    high = 1 - binary.counts.get(0, 0) / total
    if abs(share - 0.5) < _SAME_SHARE:
        return None  # as much of one as of the other: nothing can be told
    return abs(1 - share - high) < _SAME_SHARE, abs(share - high) < _SAME_SHARE


def _background(counts: Mapping[MaskValue, int]) -> int:
    return counts.get(0, 0) + counts.get((0, 0, 0), 0)
