"""What the doctor says: findings with severity, count, files, pictures and a way to mend them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias

from segbench.types import ClassMap


class Severity(StrEnum):
    """How much a finding matters: training would be wrong; it may be worse than it could be; good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that shows a finding; whoever draws the page decides how.

    Attributes:
        kind: `image` (the file alone), `overlay` (image with its mask drawn over it), `values` (the mask alone, unknown
            values marked), `pair` (two files side by side).
        files: relative to the root: image, or image and mask, or the two of a pair.
        sample: id, for `overlay`.
        caption: what to see in it.
    """

    kind: Literal["image", "overlay", "values", "pair"]
    files: tuple[str, ...]
    sample: str = ""
    caption: str = ""


Action: TypeAlias = Literal[
    "save_upright",  # image (or mask) with EXIF orientation -> turned pixels, no tag
    "save_as_png",  # decoded pixels into a PNG of the right suffix (wrong extension, alpha, GIF)
    "snap_values",  # mask -> the nearest known value of each pixel; arguments: values
    "map_values",  # mask -> other values; arguments: mapping as [[old, new], ...]
    "map_colors",  # RGB mask -> index mask; arguments: mapping as [[[r, g, b], new], ...]
    "resize_mask",  # mask -> its image's size, nearest
    "leave_out",  # the sample is not copied
]


@dataclass(frozen=True, kw_only=True)
class Fix:
    """One change that `--fix` makes in the corrected copy.

    Attributes:
        action: what is done.
        file: relative to the root.
        arguments: of the action.
        reason: for the list of changes.
    """

    action: Action
    file: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing the doctor found.

    Attributes:
        code: short and stable (`lossy_mask_values`).
        severity: see `Severity`.
        title: one sentence with the number in it.
        count: how often.
        files: all of them, relative to the root.
        detail: numbers and the likely cause.
        advice: what to do, with the option or command.
        pictures: a few that show it.
        fixes: what `--fix` would do; empty where a person has to decide.
    """

    code: str
    severity: Severity
    title: str
    count: int
    files: tuple[str, ...] = ()
    detail: str = ""
    advice: str = ""
    pictures: tuple[Picture, ...] = ()
    fixes: tuple[Fix, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What the doctor found in a data set.

    Attributes:
        root, format, options: how it was read.
        why: by what the format was recognised.
        class_map: None where the masks' values make none.
        samples: number of usable image/mask pairs.
        parts: samples in train, val, test, and in no part (`-`).
        findings: worst first.
        statistics: numbers for the page: see `segbench.doctor.statistics`.
        suggestions: (config key, value, reason): what `segbench config new` writes.
        choices: the same, of what only the owner of the data knows: written as comments.
        seconds: it took.
        files_root: where the files of the findings lie, where that is not the root (they were unpacked into the cache).
        reviewed: number of findings, one a file, that are left out since a person decided about them.
        reviewed_file: where that stands; None where nothing is left out.
    """

    root: Path
    format: str
    options: Mapping[str, Any]
    why: str
    class_map: ClassMap | None
    samples: int
    parts: Mapping[str, int]
    findings: tuple[Finding, ...]
    statistics: Mapping[str, Any] = field(default_factory=dict)
    suggestions: tuple[tuple[str, Any, str], ...] = ()
    choices: tuple[tuple[str, Any, str], ...] = ()
    seconds: float = 0.0
    files_root: Path | None = None
    reviewed: int = 0
    reviewed_file: Path | None = None

    @property
    def exit_code(self) -> int:
        """0: nothing to do; 1: warnings; 2: errors."""
        severities = {finding.severity for finding in self.findings}
        return 2 if Severity.ERROR in severities else 1 if Severity.WARNING in severities else 0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        plain = asdict(self)
        return {
            **plain,
            "root": str(self.root),
            "files_root": None if self.files_root is None else str(self.files_root),
            "reviewed_file": None if self.reviewed_file is None else str(self.reviewed_file),
            "class_map": self.class_map.to_dict() if self.class_map else None,
            "exit_code": self.exit_code,
        }


def sort_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Returns the findings, worst first, and among equals what concerns more files first."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: (order.index(finding.severity), -finding.count, finding.code)))
