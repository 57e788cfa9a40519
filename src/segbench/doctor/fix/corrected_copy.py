"""A corrected copy of a data set: what can be mended without asking is mended, and every change is listed.

Example:
    >>> report = write_fixed(examine("my_images"), "my_images_fixed")
    >>> [(change.file, change.what) for change in report.changes]
    [('masks/a.png', 'each pixel set to the nearest known value')]
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from segbench.doctor.finding import Checkup
from segbench.doctor.fix.pixels import WHAT, is_mask_fix, save_image, save_mask
from segbench.doctor.fix.plan import NotDone as NotDone
from segbench.doctor.fix.plan import Plan, make_plan
from segbench.errors import DatasetError
from segbench.files import write_csv, write_text
from segbench.types import Progress

LISTING = "CHANGES.md"
TABLE = "changes.csv"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file that is not in the copy as it was in the data set.

    Attributes:
        file: in the data set.
        result: its name in the copy; empty where it was left out.
        what: was done.
        why: the reason.
        before, after: SHA-256 of the bytes; empty where there are none.
    """

    file: str
    result: str
    what: str
    why: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class FixReport:
    """What was written.

    Attributes:
        target: the copy.
        changes: one a changed file, by name.
        not_done: what could not be mended.
        listing: text with all of it, in the copy.
    """

    target: Path
    changes: tuple[Change, ...]
    not_done: tuple[NotDone, ...]
    listing: Path


def write_fixed(checkup: Checkup, target: str | Path, *, progress: Progress | None = None) -> FixReport:
    """Writes a copy of a data set in which the findings' fixes are made; the data set itself is never touched.

    All or nothing: the copy appears under its name when it is complete. Every change is listed in the copy, in
    `CHANGES.md` for people and `changes.csv` for programs; so is what could not be mended, and why.

    Args:
        checkup: see `segbench.doctor.examine`.
        target: new or empty folder outside of the data set.
        progress: called after every file.
    Raises:
        DatasetError: the target is not empty, or lies in the data set or around it; a file cannot be copied; or no
            labelled image would be left.
    """
    root = checkup.root.resolve()
    target = Path(target).expanduser().absolute()
    _check_target(root, target)
    plan = make_plan(checkup, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        changes = _write(plan, temporary, progress)
        table, listing = _free(temporary / TABLE), _free(temporary / LISTING)
        write_csv(table, [item.name for item in fields(Change)], [astuple(change) for change in changes])
        write_text(listing, _listing(changes, plan.not_done, table.name))
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise DatasetError(f"the corrected copy could not be written: {error}", path=target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return FixReport(
        target=target, changes=tuple(changes), not_done=tuple(plan.not_done), listing=target / listing.name
    )


def _check_target(root: Path, target: Path) -> None:
    place = target.resolve()
    if place.is_relative_to(root) or root.is_relative_to(place):
        raise DatasetError("the corrected copy must lie neither in the data set nor around it", path=target)
    if target.exists() and not target.is_dir():
        raise DatasetError("expected a new folder for the corrected copy, but there is a file", path=target)
    if target.is_dir() and any(target.iterdir()):
        raise DatasetError("expected an empty or a new folder for the corrected copy; choose another name", path=target)


def _write(plan: Plan, folder: Path, progress: Progress | None) -> list[Change]:
    """Copies or changes every file; returns the changes, by name."""
    changes = [
        Change(file=plan.name(path), result="", what="left out", why=why, before=_sha256(path), after="")
        for path, why in plan.left_out.items()
    ]
    edits: dict[Path, str] | None = None
    lists = plan.names.lists.keys()
    for done, path in enumerate(sorted(plan.files, key=lambda path: path in lists), 1):
        if edits is None and path in lists:
            edits = plan.edits()  # only now is it known which files could be changed, and so renamed
        change = None if path in plan.left_out else _put(plan, path, folder, edits or {})
        changes += [change] if change is not None else []
        if progress is not None:
            progress(f"copying {plan.root.name}/", done, len(plan.files))
    return sorted(changes, key=lambda change: change.file)


def _put(plan: Plan, path: Path, folder: Path, edits: Mapping[Path, str]) -> Change | None:
    """Puts one file into the copy; returns what was changed about it."""
    name = plan.result(path)
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if path in edits:
        place.write_text(edits[path], encoding="utf-8", newline="")
        return _changed(
            plan, path, name, place, "names of left out or renamed files corrected", "files it names changed"
        )
    if path in plan.changed:
        try:
            what = _save(plan, path, place)
        except DatasetError as error:
            plan.refuse(plan.name(path), ", ".join(fix.action for fix in plan.changed[path]), error.reason)
            place.unlink(missing_ok=True)
            plan.renamed.pop(path, None)
            place = folder / plan.name(path)
        else:
            why = "; ".join(dict.fromkeys(fix.reason for fix in plan.changed[path]))
            return _changed(plan, path, name, place, what, why)
    if path.is_file():
        shutil.copy2(path, place)
    else:
        plan.refuse(plan.name(path), "copy", "it is no file that can be read")
    return None


def _save(plan: Plan, path: Path, place: Path) -> str:
    fixes = plan.changed[path]
    what = "; ".join(dict.fromkeys(WHAT[fix.action] for fix in fixes))
    if is_mask_fix(fixes):
        save_mask(path, place, fixes, plan.image_of(path))
        return what
    lossy = save_image(path, place, plan.depth_range)
    return f"{what} ({lossy})" if lossy else what


def _changed(plan: Plan, path: Path, name: str, place: Path, what: str, why: str) -> Change:
    return Change(file=plan.name(path), result=name, what=what, why=why, before=_sha256(path), after=_sha256(place))


def _free(path: Path) -> Path:
    """Returns the path, with a number where the data set has such a file itself, as a copy of a copy has."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}_{number}")
    return free


def _sha256(path: Path) -> str:
    """Returns the hash of a file, or nothing for one that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _listing(changes: Sequence[Change], not_done: Sequence[NotDone], table: str) -> str:
    kinds = Counter(change.what for change in changes)
    lines = ["# Changes", "", "This folder is a copy of a data set in which mistakes were corrected."]
    lines += [f"All other files are as they were. Hashes (SHA-256) are in full in {table}.", ""]
    lines += [f"- {count} files: {what}" for what, count in kinds.most_common()] or ["Nothing was changed."]
    if changes:
        lines += ["", "| file | in the copy | what | why | before | after |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [
            _row(one.file, one.result or "-", one.what, one.why, one.before[:12], one.after[:12]) for one in changes
        ]
    if not_done:
        lines += ["", "## Not done", "", "| file | what | why not |", "| --- | --- | --- |"]
        lines += [_row(one.file, one.action, one.reason) for one in not_done]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
