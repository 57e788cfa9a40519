"""What a corrected copy of a data set will do to which file: decided before anything is written."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.doctor.finding import Checkup, Fix
from segbench.doctor.fix.names import Names
from segbench.doctor.fix.pixels import image_suffix, is_mask_fix, mask_suffix
from segbench.doctor.reading import Case
from segbench.doctor.run import case_of_entry, tolerant_listing
from segbench.errors import ConfigError, DatasetError, shorten

_VERSION_CONTROL = (".git", ".hg", ".svn")


@dataclass(frozen=True, kw_only=True)
class NotDone:
    """A change that could not be made: the file is in the copy as it was."""

    file: str
    action: str
    reason: str


@dataclass
class Plan:
    """What happens to which file.

    Attributes:
        root: of the data set; the paths below are absolute and lie in it.
        files: all of them.
        cases: images with their labels, as far as the reader finds them.
        depth_range: see `segbench.data.files.images.read_image`.
        left_out: file -> why.
        changed: file -> what is done to its pixels.
        renamed: file -> its new name, in the same folder.
        names: which files name others.
        users: file -> the cases it belongs to.
        not_done: what cannot be mended.
    """

    root: Path
    files: Sequence[Path]
    cases: tuple[Case, ...] = ()
    depth_range: tuple[float, float] | None = None
    left_out: dict[Path, str] = field(default_factory=dict)
    changed: dict[Path, list[Fix]] = field(default_factory=dict)
    renamed: dict[Path, str] = field(default_factory=dict)
    names: Names = field(default_factory=lambda: Names({}))
    users: dict[Path, list[Case]] = field(default_factory=lambda: defaultdict(list))
    not_done: list[NotDone] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """Returns the name of a file below the root."""
        return path.relative_to(self.root).as_posix()

    def result(self, path: Path) -> str:
        """Returns the name of a file in the copy."""
        return self.name(path.with_name(self.renamed.get(path, path.name)))

    def image_of(self, mask: Path) -> Path | None:
        """Returns the image that a mask belongs to."""
        return next((case.image for case in self.users.get(mask, ())), None)

    def edits(self) -> dict[Path, str]:
        """Returns the lists that name what is left out or renamed, with their new text."""
        stay = {path.name for path in self.files if path not in self.left_out}
        out = {case.image.stem for case in self.cases if case.image in self.left_out}
        kept = {case.image.stem for case in self.cases if case.image not in self.left_out}
        return self.names.edited(
            {path.name for path in self.left_out} - stay,
            out - kept,
            {path.name: name for path, name in self.renamed.items()},
        )

    def refuse(self, file: str, action: str, reason: str) -> None:
        """Notes a change that cannot be made."""
        self.not_done.append(NotDone(file=file, action=action, reason=reason))


def make_plan(checkup: Checkup, root: Path) -> Plan:
    """Returns what is to be done for the fixes of a checkup; those that would break the data set are refused."""
    plan = Plan(root, list(_files(root)))
    if checkup.format:
        _read_cases(checkup, plan)
    wanted = _wanted(checkup, plan)
    pictures = {path for case in plan.cases for path in (case.image, *case.mask_files)} | wanted.keys()
    sources = {case.source for case in plan.cases if case.source is not None}
    plan.names = Names.of(plan.files, pictures, sources)
    for path, fixes in wanted.items():
        out = next((fix for fix in fixes if fix.action == "leave_out"), None)
        if out is not None:
            _leave_out(plan, path, out)
    if plan.cases and all(case.image in plan.left_out for case in plan.cases):
        raise DatasetError(
            "no labelled image would be left in the corrected copy; mend the data set by hand", path=root
        )
    for path, fixes in wanted.items():
        if path not in plan.left_out and all(fix.action != "leave_out" for fix in fixes):
            _change(plan, checkup, path, fixes)
    return plan


def _files(root: Path) -> Iterator[Path]:
    """Yields every file, those behind linked folders too, each folder once."""
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            below[:] = []
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if name not in _VERSION_CONTROL)
        yield from (Path(folder) / name for name in sorted(names))


def _read_cases(checkup: Checkup, plan: Plan) -> None:
    try:
        listing = tolerant_listing(checkup.format, plan.root, checkup.options)
    except (DatasetError, ConfigError) as error:
        plan.refuse(
            ".", "pairing", f"the reader {checkup.format!r} does not find which masks belong to which images: {error}"
        )
        return
    plan.cases = tuple(case_of_entry(entry) for entry in listing.entries)
    for case in plan.cases:
        for path in _parts(case):
            plan.users[path].append(case)
    plan.depth_range = listing.depth_range


def _wanted(checkup: Checkup, plan: Plan) -> dict[Path, list[Fix]]:
    """Returns file -> its fixes, each once."""
    there = set(plan.files)
    wanted: dict[Path, list[Fix]] = defaultdict(list)
    for fix in (fix for finding in checkup.findings for fix in finding.fixes):
        path = plan.root / fix.file
        same = [known for known in wanted[path] if (known.action, known.arguments) == (fix.action, fix.arguments)]
        if not same:
            wanted[path].append(fix)
    for path in [path for path in wanted if path not in there]:
        for fix in wanted.pop(path):
            if fix.action != "leave_out":
                plan.refuse(fix.file, fix.action, "there is no such file in the data set")
            else:
                wanted[path] = [fix]
    return wanted


def _parts(case: Case) -> set[Path]:
    return {case.image, *case.mask_files, *([] if case.source is None else [case.source])}


def _common(path: Path, cases: Sequence[Case]) -> list[Path]:
    """Returns the file itself where it holds the labels of several images."""
    return [path] if sum(case.source == path for case in cases) > 1 else []


def _leave_out(plan: Plan, path: Path, fix: Fix) -> None:
    """Leaves a file out, with the image, masks and annotation file that would be alone without it."""
    cases = plan.users.get(path, [])
    images = {case.image for case in cases} | plan.left_out.keys()
    gone = {path}.union(*map(_parts, cases))
    used = {part for part in gone for case in plan.users.get(part, ()) if case.image not in images}
    shared = sorted(
        {plan.name(case.source) for case in cases if case.source in {*used, *_common(path, cases)} and case.source}
    )
    documents = {document for part in gone for document in plan.names.documents.get(part.name, ())}
    blocking = [plan.name(document) for document in sorted(documents - gone)]
    if shared:
        plan.refuse(
            fix.file, fix.action, f"{shorten(shared, 3)} holds the labels of other images too; take it out there"
        )
    elif blocking:
        plan.refuse(fix.file, fix.action, f"it is named in {shorten(blocking, 3)}; take it out there")
    else:
        for part in sorted(gone - used):
            plan.left_out.setdefault(part, fix.reason if part == path else f"belongs to {fix.file}: {fix.reason}")


def _change(plan: Plan, checkup: Checkup, path: Path, fixes: list[Fix]) -> None:
    """Plans a file's new pixels, under its old name where other files know it by that."""
    if any(fix.action == "map_colors" for fix in fixes) and "classes" in checkup.options:
        for fix in [fix for fix in fixes if fix.action == "map_colors"]:
            plan.refuse(
                fix.file, fix.action, "the option classes names the colours; the numbers would be unknown to it"
            )
            fixes.remove(fix)
    if not fixes:
        return
    mask = is_mask_fix(fixes)
    turned_only = all(fix.action == "save_upright" for fix in fixes)
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    suffix = mask_suffix(path) if mask else path.suffix if turned_only and jpeg else image_suffix(path)
    if suffix != path.suffix:
        name = path.with_suffix(suffix).name
        documents = plan.names.documents.get(path.name, ())
        taken = path.with_name(name) in plan.files or name in {plan.renamed.get(other) for other in _beside(plan, path)}
        if (taken or documents) and (mask or not jpeg):
            why = f"{name} is there already" if taken else f"{plan.name(sorted(documents)[0])} knows it as {path.name}"
            plan.refuse(plan.name(path), fixes[0].action, f"it would have to be named {name}, but {why}")
            return
        if not (taken or documents):
            plan.renamed[path] = name
    plan.changed[path] = fixes


def _beside(plan: Plan, path: Path) -> list[Path]:
    return [other for other in plan.renamed if other.parent == path.parent]
