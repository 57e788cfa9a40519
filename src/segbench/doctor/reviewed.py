"""What a person decided about findings: remembered beside the data set, in `FOLDER.reviewed.json`, never inside it.

A decision is about one file and one kind of finding, as that file was: where its bytes change, it is asked again.
"""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from segbench.doctor.finding import Checkup, Finding
from segbench.errors import DatasetError
from segbench.files import cache_folder, locked, write_json
from segbench.locale import Message, join, plural

Decision: TypeAlias = Literal["accepted", "not_a_problem"]
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Review:
    """What was decided about one file.

    Attributes:
        code: of the finding.
        file: as the finding names it; empty where the finding names none.
        sha256: of the file's bytes; of what the finding says, where it names no file.
        decision: `accepted`: it is a mistake that stays; `not_a_problem`: it is none.
        who, when, why: when: ISO 8601 with the zone.
    """

    code: str
    file: str
    sha256: str
    decision: Decision
    who: str
    when: str
    why: str = ""


class Reviews:
    """The decisions about one data set. Safe with several threads and processes.

    Args:
        data: its folder or archive, as a person names it; the file lies beside it.
        files_root: where the files lie that findings name.
    """

    def __init__(self, data: Path, files_root: Path) -> None:
        data = data.expanduser().absolute()
        self.file = data.with_name(f"{data.name}.reviewed.json")
        self._root = files_root

    def all(self) -> dict[tuple[str, str], Review]:
        """Returns (code, file) -> what was decided, whether or not the file has changed since.

        Raises:
            DatasetError: the file that holds them is damaged.
        """
        if not self.file.is_file():
            return {}
        try:
            plain = json.loads(self.file.read_text(encoding="utf-8"))
            if plain["format"] != FORMAT:
                raise DatasetError(f"expected reviews of format {FORMAT}, got {plain['format']!r}", path=self.file)
            reviews = [Review(**each) for each in plain["reviews"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"the list of reviewed findings is damaged ({error})", path=self.file) from error
        wrong = [review.decision for review in reviews if review.decision not in get_args(Decision)]
        if wrong:
            raise DatasetError(f"expected one of {', '.join(get_args(Decision))}, got {wrong[0]!r}", path=self.file)
        return {(review.code, review.file): review for review in reviews}

    def valid(self, findings: Sequence[Finding]) -> dict[tuple[str, str], Review]:
        """Returns the decisions about what these findings say, of files that are as they were."""
        known, valid = self.all(), {}
        for finding in findings:
            for file in finding.files or ("",):
                review = known.get((finding.code, file))
                if review is not None and review.sha256 == self._hash(finding, file):
                    valid[finding.code, file] = review
        return valid

    def add(
        self, finding: Finding, files: Sequence[str], decision: Decision, *, who: str = "", why: str = ""
    ) -> list[Review]:
        """Remembers a decision about some files of a finding (all of them: `finding.files or ("",)`).

        Args:
            who: empty: the user of this machine.
        Raises:
            DatasetError: the finding is not about such a file, it cannot be read, or nothing can be written there.
        """
        when = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        made = []
        for file in files:
            if file not in (finding.files or ("",)):
                raise DatasetError(f"{finding.code} is not about {file!r}", path=self.file)
            sha256 = self._hash(finding, file)
            if not sha256:
                raise DatasetError("the file cannot be read, so it would not be known when it changes", path=file)
            review = Review(
                code=finding.code,
                file=file,
                sha256=sha256,
                decision=decision,
                who=who or user_name(),
                when=when,
                why=why,
            )
            made.append(review)
        self._change({(review.code, review.file): review for review in made})
        return made

    def remove(self, code: str, files: Sequence[str]) -> None:
        """Forgets what was decided; what is not there is no mistake."""
        self._change({(code, file): None for file in files})

    def _change(self, changes: Mapping[tuple[str, str], Review | None]) -> None:
        locks = cache_folder() / "locks"  # beside the data a lock would only puzzle people
        locks.mkdir(parents=True, exist_ok=True)
        with locked(locks / hashlib.sha256(str(self.file).encode()).hexdigest()):
            known = {key: review for key, review in {**self.all(), **changes}.items() if review is not None}
            try:
                write_json(
                    self.file, {"format": FORMAT, "reviews": [asdict(review) for _, review in sorted(known.items())]}
                )
            except OSError as error:
                raise DatasetError(f"what was decided cannot be written ({error.strerror})", path=self.file) from error

    def _hash(self, finding: Finding, file: str) -> str:
        if not file:
            return hashlib.sha256(f"{finding.title}\n{finding.detail}".encode()).hexdigest()
        try:
            with (self._root / file).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return ""


def user_name() -> str:
    """Returns the name of whoever is logged in; empty where the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def without_reviewed(checkup: Checkup, data: Path) -> Checkup:
    """Returns a checkup without what a person has decided about; how much that was stands in it.

    Args:
        data: as for `Reviews`.
    Raises:
        DatasetError: the file that holds the decisions is damaged.
    """
    reviews = Reviews(data, checkup.files_root or checkup.root)
    valid = reviews.valid(checkup.findings)
    left = [_left(finding, {file for code, file in valid if code == finding.code}) for finding in checkup.findings]
    findings = tuple(finding for finding in left if finding is not None)
    return replace(checkup, findings=findings, reviewed=len(valid), reviewed_file=reviews.file if valid else None)


def _left(finding: Finding, decided: set[str]) -> Finding | None:
    """Returns what is left of a finding when some of its files are decided about; None: nothing."""
    files = tuple(file for file in finding.files if file not in decided)
    if not decided:
        return finding
    if not files:
        return None
    title, count = finding.title, finding.count
    told: str = ""
    if count == len(finding.files) and isinstance(title, Message) and title.n == count:
        count = len(files)
        title = Message(title.template, {**title.values, "n": count}, title.plural_template, count)
    else:  # it counts something else than files
        told = plural(
            "One of these files was reviewed and is left out of the list.",
            "{n} of these files were reviewed and are left out of the list.",
            n=len(decided),
        )
    return replace(
        finding,
        title=title,
        count=count,
        files=files,
        detail=join(" ", [part for part in (finding.detail, told) if part]),
        pictures=tuple(each for each in finding.pictures if not decided & set(each.files)),
        fixes=tuple(fix for fix in finding.fixes if fix.file not in decided),
    )
