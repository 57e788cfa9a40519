"""Files that have no partner, two files of one name, files nobody uses, and other folders of masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segbench.data.facts.store import MaskFact
from segbench.data.files.hints import set_option
from segbench.data.formats.shared.layout import MASK_NAME
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.data.formats.shared.pairing import file_key, find_renames
from segbench.doctor.finding import Finding, Fix, Picture, Severity
from segbench.doctor.reading import PICTURES, Case, Reading, about, number, percent
from segbench.errors import shorten
from segbench.types import MaskValue

_JUNK = frozenset({".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", "icon\r"})
_SIDE_FILES = frozenset(
    {".txt", ".json", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".md", ".html", ".pdf", ".xlsx", ".xls", ".npy", ".npz"}
)
_COMPARED = 96  # masks of two folders that are compared
_SAME_SHARE = 0.05  # of the pixels, by which two masks of the same thing may differ


def check_pairing(reading: Reading) -> list[Finding]:
    """Returns what is wrong with names and partners of the files."""
    visible = [path for path in reading.files if not _is_junk(path, reading.root)]
    pictures = [path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES]
    findings = [*_junk(reading), *_twins(reading, pictures), *_partners(reading, pictures), *_strange(reading, visible)]
    return [*findings, *_other_masks(reading, pictures)]


def _is_junk(path: Path, root: Path) -> bool:
    inner = path.parts[len(root.parts) :]
    return any(part.startswith(".") or part == "__MACOSX" for part in inner) or path.name.lower() in _JUNK


def _junk(reading: Reading) -> list[Finding]:
    paths = [path for path in reading.files if _is_junk(path, reading.root)]
    if not paths:
        return []
    return [
        about(
            reading,
            "hidden_files",
            Severity.INFO,
            f"{number(len(paths), 'hidden file')} of the operating system or an archive",
            paths,
            detail="Such files (.DS_Store, Thumbs.db, ._name, __MACOSX) are not read.",
            advice="delete them, so that no other program takes them for images",
        )
    ]


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
            about(
                reading,
                "duplicate_names",
                Severity.ERROR,
                f"{number(len(by_suffix), 'name stands', 'names stand')} for several files, such as "
                f"{' and '.join(path.name for path in by_suffix[0])}",
                (path for group in by_suffix for path in group),
                count=len(by_suffix),
                detail="Images and masks are paired by name; which of the two is meant cannot be known.",
                advice="keep one of each, or rename one",
                pictures=_pairs(reading, by_suffix),
            )
        )
    if by_case:
        findings.append(
            about(
                reading,
                "names_differ_by_case",
                Severity.WARNING,
                f"{number(len(by_case), 'name')} in several spellings that differ only in upper and lower case",
                (path for group in by_case for path in group),
                count=len(by_case),
                detail="On Windows and macOS one of the two would overwrite the other when the set is copied.",
                advice="rename one of each",
            )
        )
    return findings


def _are_pair(reading: Reading, group: Sequence[Path]) -> bool:
    """Returns whether they are an image and its mask beside each other."""
    return any(path in reading.used_masks for path in group) and any(path in reading.used_images for path in group)


def _pairs(reading: Reading, groups: Sequence[Sequence[Path]]) -> tuple[Picture, ...]:
    return tuple(
        Picture(kind="pair", files=(reading.name(group[0]), reading.name(group[1])), caption=group[0].stem)
        for group in groups[:PICTURES]
    )


def _partners(reading: Reading, pictures: Sequence[Path]) -> list[Finding]:
    """Looks beside the images and masks that are used for those that are not."""
    image_folders = {path.parent for path in reading.used_images}
    mask_folders = {path.parent for path in reading.used_masks}
    unused = [path for path in pictures if path not in reading.used_images and path not in reading.used_masks]
    bare = [path for path in unused if path.parent in image_folders and not _is_mask(path, mask_folders)]
    labelled = {(path.parent, path.stem) for path in reading.used_images}
    bare = [path for path in bare if not _belongs(path, labelled)]
    orphans = [path for path in unused if path.parent in mask_folders and path not in set(bare)]
    drawn = not reading.used_masks
    agreed = reading.given.get("unpaired") == "skip"
    optional = reading.has_option("unpaired")
    skips = f", or leave them out with {set_option('unpaired', 'skip')}" if optional and not agreed else ""
    findings = []
    if bare:
        what = "that no annotation names" if drawn else "without a mask"
        findings.append(
            about(
                reading,
                "images_without_annotation" if drawn else "images_without_mask",
                Severity.WARNING
                if skips or (drawn and not agreed)
                else Severity.INFO,  # else it reads what published lists name
                f"{number(len(bare), 'image')} {what}",
                bare,
                detail=f"{len(reading.cases)} images are labelled; these are left out.",
                advice=f"label them, or move them elsewhere{skips}",
                pictures=reading.portraits(bare),
                fixes=tuple(
                    Fix(action="leave_out", file=reading.name(path), reason="it has no labels") for path in bare
                ),
            )
        )
    if orphans:
        findings.append(
            about(
                reading,
                "masks_without_image",
                Severity.INFO if agreed else Severity.WARNING,
                f"{number(len(orphans), 'mask')} without an image",
                orphans,
                detail="Their images are missing, or are named otherwise.",
                advice=f"add the images, or rename the masks{skips}",
                pictures=reading.portraits(orphans, "values"),
                fixes=tuple(
                    Fix(action="leave_out", file=reading.name(path), reason="it has no image") for path in orphans
                ),
            )
        )
    return findings


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
    suffixes = sorted({path.suffix.lower() or "no suffix" for path in paths})
    return [
        about(
            reading,
            "other_files",
            Severity.INFO,
            f"{number(len(paths), 'file')} among images and masks that no reader takes for an image",
            paths,
            detail=f"Kinds: {shorten(suffixes)}.",
            advice="check that none of them is an image with a lost suffix; else move them elsewhere",
        )
    ]


def _other_masks(reading: Reading, pictures: Sequence[Path]) -> list[Finding]:
    """Looks for folders that hold a mask for most images too, and compares them with those that are used."""
    used = {path.parent for path in (*reading.used_images, *reading.used_masks)}
    others: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        if path.parent not in used:
            others[path.parent].append(path)
    findings: list[Finding] = []
    for folder, files in sorted(others.items()):
        pairs = _matched(reading, folder, files)
        if len(pairs) < 2 or 2 * len(pairs) < len(reading.cases):
            continue
        findings.append(
            about(
                reading,
                "other_masks",
                Severity.INFO,
                f"{reading.name(folder)}/ holds another file for {len(pairs)} of {len(reading.cases)} images",
                files,
                detail="It may be another labelling of the same images; it is not read.",
                advice=f"to read it, set {set_option('masks', folder.name)}",
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
        yield about(
            reading,
            "inverted_masks",
            Severity.WARNING,
            f"{wrong}/ is inverted: where {right}/ has background (0), it holds its high value, and the other way "
            "round",
            (path for case, other in pairs for path in ((other,) if there else case.mask_files)),
            detail=f"True of {number_opposite} of {len(both)} masks that were compared, up to "
            f"{percent(_SAME_SHARE)} of the pixels.",
            advice=f"when reading {wrong}/, name the classes by value: "
            + set_option("classes", "{background: 255, foreground: 0}"),
            pictures=tuple(
                Picture(
                    kind="pair",
                    files=(reading.name(next(iter(case.mask_files), other)), reading.name(other)),
                    caption=f"{case.id}: {used} and {reading.name(folder)}",
                )
                for case, other in pairs[:PICTURES]
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
