"""What image files look like, told from a few of them: labels or pictures, and how to say what a folder holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from segbench.data.files.hints import describe_value
from segbench.data.files.images import read_mask_values
from segbench.data.files.masks import count_values
from segbench.data.formats.shared.listing import IMAGE_SUFFIXES
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import MaskValue

_FEW_VALUES = 64
_LOOKED_AT = 3  # files of a folder
_MAIN_VALUES = 8  # that hold nearly all pixels of a mask with a few smoothed edges
_NEARLY_ALL = 0.97

# Files that hold a picture, or slices of one, and that may lie where images are expected.
_PICTURES = (
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".ppm", ".pgm", ".tga", ".psd", ".svg", ".exr", ".hdr", ".raw", ".cr2",
    ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".dcm", ".nii", ".nii.gz", ".nrrd", ".mha", ".npy", ".npz",
    ".svs", ".ndpi", ".czi", ".nd2", ".lif",
)  # fmt: skip


def looks_like_labels(files: Sequence[Path]) -> bool:
    """Returns whether the first, the middle and the last file hold few values, as labels do and photographs do not.

    Files that cannot be read decide nothing; False where none can be read, or each is a single colour.
    """
    counted = [values for path in _some(files) if (values := _values(path)) is not None]
    return any(distinct > 1 for _, distinct, _ in counted) and all(_is_few(*values) for values in counted)


def looks_like_pictures(files: Sequence[Path]) -> bool:
    """Returns whether the first, the middle and the last file hold many values; files of one colour are neither."""
    counted = [values for path in _some(files) if (values := _values(path)) is not None]
    return bool(counted) and not any(_is_few(*values) for values in counted)


def contents(files: Sequence[Path]) -> str:
    """Returns how many files there are, the values of the first one and how much of it is not 0."""
    try:
        values = read_mask_values(files[0])
    except DatasetError as error:
        return message(
            "{n} files, of which {name} cannot be read ({reason})",
            n=len(files),
            name=files[0].name,
            reason=error.reason,
        )
    counts, distinct = count_values(values)
    kind = message("colours") if any(isinstance(value, tuple) for value in counts) else message("values")
    empty = sum(pixels for value, pixels in counts.items() if value in (0, (0, 0, 0)))
    return message(
        "{n} files, {name} with {distinct} {kind} ({values}), {share} of its pixels not 0",
        n=len(files),
        name=files[0].name,
        distinct=distinct,
        kind=kind,
        values=shorten((describe_value(value) for value in sorted(counts, key=lambda value: -counts[value])), 4),
        share=f"{1 - empty / (values.shape[0] * values.shape[1]):.0%}",
    )


def values_of(files: Sequence[Path]) -> set[MaskValue]:
    """Returns the values that the first, the middle and the last file hold together."""
    return {value for path in _some(files) for value in (_values(path) or ({}, 0, 0))[0]}


def other_pictures(folder: Path, names: Collection[str] | None = None) -> str:
    """Returns "12 .heic files" for files that may be pictures but are none that is read; empty where there is none.

    Args:
        names: without suffix, that count; None counts all.
    """
    found = Counter(
        suffix
        for path in folder.rglob("*")
        if (suffix := _picture_suffix(path.name)) and (names is None or path.name[: -len(suffix)] in names)
    )
    kinds = [
        message("{n} {suffix} files", n=number, suffix=suffix)
        for suffix, number in sorted(found.items(), key=lambda item: -item[1])
    ]
    return shorten(kinds, 3) if kinds else ""


def _picture_suffix(name: str) -> str:
    lower = name.lower()
    return next((suffix for suffix in _PICTURES if lower.endswith(suffix) and suffix not in IMAGE_SUFFIXES), "")


def _some(files: Sequence[Path]) -> list[Path]:
    if len(files) <= _LOOKED_AT:
        return list(files)
    return [files[0], files[len(files) // 2], files[-1]]


def _values(path: Path) -> tuple[Mapping[MaskValue, int], int, int] | None:
    """Returns pixels a value, how many values there are, and how many pixels."""
    try:
        values = read_mask_values(path)
    except DatasetError:
        return None  # it is told when the set is read; other files decide here
    return *count_values(values), values.shape[0] * values.shape[1]


def _is_few(counts: Mapping[MaskValue, int], distinct: int, pixels: int) -> bool:
    if distinct <= min(_FEW_VALUES, pixels // 8):  # a picture of 8 x 8 pixels has few values, too
        return True
    return sum(sorted(counts.values())[-_MAIN_VALUES:]) >= _NEARLY_ALL * pixels and distinct < pixels // 8
