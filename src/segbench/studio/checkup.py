"""The doctor's look at the data set that is open, once, in the background; and what people decided about it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from segbench.data.manifest.manifest import Manifest
from segbench.doctor.finding import Checkup, Finding
from segbench.doctor.reviewed import Decision, Review, Reviews
from segbench.doctor.run import examine
from segbench.doctor.where import CODES, Place, places
from segbench.errors import DatasetError, SegbenchError
from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.types import Sample


class Examination:
    """What the doctor found; it begins at once.

    Args:
        manifest: the data set as it was read.
        data: folder or archive as a person names it; None: the manifest's folder.
    """

    def __init__(self, manifest: Manifest, data: Path | None = None) -> None:
        self.manifest, self._data = manifest, data or manifest.folder
        self._checkup: Checkup | None = None
        self._error = ""
        self._progress = ("", 0, 0)
        self._thread = threading.Thread(target=self._examine, name="checkup", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when it is done, or cannot be."""
        self._thread.join()

    def _examine(self) -> None:
        def progress(what: str, done: int, total: int) -> None:
            self._progress = (what, done, total)

        manifest = self.manifest
        try:
            self._checkup = examine(manifest.folder, manifest.format, options=manifest.options, progress=progress)
        except (SegbenchError, OSError) as error:
            self._error = str(error)

    @property
    def checkup(self) -> Checkup:
        """What was found; ServeError 503 while it is looked for, 409 where it could not be."""
        if self._checkup is not None:
            return self._checkup
        if self._error:
            raise ServeError(409, self._error, code="not_examined")
        raise ServeError(503, message("the doctor still looks"), code="examining", headers={"Retry-After": "1"})

    @cached_property
    def reviews(self) -> Reviews:
        """What people decided."""
        return Reviews(self._data, self.checkup.files_root or self.checkup.root)

    def state(self) -> dict[str, Any]:
        """Returns `state` (`examining`, `error` or `ready`), and what belongs to it; the findings worst first."""
        if self._error:
            return {"state": "error", "told": self._error}
        if self._checkup is None:
            what, done, total = self._progress
            return {"state": "examining", "what": what, "done": done, "total": total}
        valid = self.reviews.valid(self._checkup.findings)
        return {
            "state": "ready",
            "file": str(self.reviews.file),
            "findings": [self._told(finding, valid) for finding in self._checkup.findings],
        }

    def finding(self, code: str, title: str = "") -> Finding:
        """Returns a finding by its code (and title, where one code was found twice); ServeError 404 without such."""
        for finding in self.checkup.findings:
            if finding.code == code and title in ("", str(finding.title)):
                return finding
        raise ServeError(404, f"there is no finding {code!r}", code="unknown_finding")

    def samples(self, code: str, *, reviewed: bool = True) -> dict[int, tuple[str, ...]]:
        """Returns place of a sample -> the finding's files that are its own.

        Args:
            code: of the finding.
            reviewed: also those that a person has decided about.
        """
        found: dict[int, tuple[str, ...]] = {}
        valid = {} if reviewed else self.reviews.valid(self.checkup.findings)
        for finding in self.checkup.findings:
            if finding.code != code:
                continue
            left = [file for file in finding.files if (code, file) not in valid]
            for place, files in self._of(finding, left).items():
                found[place] = (*found.get(place, ()), *files)
        return found

    def of_sample(self, place: int) -> list[dict[str, Any]]:
        """Returns the findings about a sample: code, severity, title, advice, files, and what was decided."""
        valid = self.reviews.valid(self.checkup.findings)
        told = []
        for finding in self.checkup.findings:
            files = self._of(finding, finding.files).get(place, ())
            if files:
                reviews = [valid.get((finding.code, file)) for file in files]
                decided = reviews[0] if all(reviews) else None
                told.append({**_brief(finding), "files": files, "review": _plain(decided)})
        return told

    def decide(self, finding: Finding, files: Sequence[str], decision: Decision, who: str, why: str) -> None:
        """Remembers what a person decided; ServeError 409 where that cannot be."""
        try:
            self.reviews.add(finding, files, decision, who=who, why=why)
        except DatasetError as error:
            raise ServeError(409, str(error), code="not_remembered") from error

    def forget(self, code: str, files: Sequence[str]) -> None:
        """Takes a decision back."""
        self.reviews.remove(code, files)

    def where(self, code: str, sample: Sample) -> list[Place]:
        """Returns where in a sample the defect lies; empty where that is not known."""
        tried = self.checkup.statistics.get("sizes_tried") or []
        size = (int(tried[0][0]), int(tried[0][1])) if tried else None
        try:
            return places(code, self.manifest, sample, size)
        except DatasetError:
            return []  # its picture says why

    def _told(self, finding: Finding, valid: Mapping[tuple[str, str], Review]) -> dict[str, Any]:
        files = finding.files or ("",)
        reviewed = sum((finding.code, file) in valid for file in files)
        shown = self._of(finding, finding.files)
        with_sample = {file for files in shown.values() for file in files}
        return {
            **_brief(finding),
            "count": finding.count,
            "files": len(finding.files),
            "reviewed": reviewed,
            "open": len(files) - reviewed,
            "samples": len(shown),
            "others": [file for file in finding.files if file not in with_sample][:50],
            "mends": len(finding.fixes),
        }

    @cached_property
    def _owners(self) -> dict[str, list[int]]:
        """File, as findings name it -> places of the samples that are made of it."""
        owners: dict[str, list[int]] = {}
        for place, sample in enumerate(self.manifest.samples):
            masks = (sample.mask,) if isinstance(sample.mask, str) else sample.mask
            for name in {sample.image, *masks} - {""}:
                owners.setdefault(name, []).append(place)
        return owners

    def _of(self, finding: Finding, files: Sequence[str]) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        shown = {picture.sample for picture in finding.pictures if picture.sample}
        for file in files:
            owners = self._owners.get(file, [])
            if len(owners) > 1 and shown and self.manifest.samples[owners[0]].mask_key:
                owners = [place for place in owners if self.manifest.samples[place].id in shown]  # one file for all
            for place in owners:
                found[place] = (*found.get(place, ()), file)
        return found


def _brief(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "title": finding.title,
        "detail": finding.detail,
        "advice": finding.advice,
        "placed": finding.code in CODES,
    }


def _plain(review: Review | None) -> dict[str, str] | None:
    if review is None:
        return None
    return {"decision": review.decision, "who": review.who, "when": review.when, "why": review.why}
