"""What a study said it would do before its first training, and what was changed since: `registration.json`.

A score, a margin or a set of seeds that is chosen after the results proves little. So they are written down before the
first training, with a hash over all of it, and every verdict holds the study against that. The file keeps slips and
second thoughts visible; who rewrites every file of a study can rewrite this one. Against that, the hash is printed when
it is made: noted elsewhere (a commit, a mail), it shows that nothing was changed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.config.study import Plan, StudyConfig
from segbench.errors import RunError, shorten
from segbench.locale import Message, listed, message, plural

VERSION = 1
_SETTINGS = ("score", "practical", "looks", "absent", "baseline", "folds")  # keys of the study that decide its verdict
_SINCE = ("folds",)  # of them, what earlier versions did not register


def make_registration(study: StudyConfig, plan: Plan, manifest_hash: str, *, begun: int) -> dict[str, Any]:
    """Returns what is written before the first training.

    Args:
        study: as it was asked.
        plan: its runs.
        manifest_hash: content hash of the data with their split.
        begun: runs that were begun already, by a version that registered nothing; 0 for a study that is new.
    """
    plain = study.to_dict()
    content = {
        "segbench_registration": VERSION,
        "registered": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "begun_before": begun,
        **{key: plain[key] for key in ("study", "question", "expected", *_SETTINGS)},
        "seeds": sorted({run.seed for run in plan.runs}),
        "entries": list(plan.entries),
        "manifest_hash": manifest_hash,
        "runs": {run.id: run.config.fingerprint() for run in plan.runs},
    }
    return {**content, "hash": hash_of(content)}


def hash_of(registration: Mapping[str, Any]) -> str:
    """Returns the SHA-256 over everything that a registration says, but for the hash itself."""
    content = {key: value for key, value in registration.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_registration(file: Path) -> dict[str, Any] | None:
    """Returns what was registered; None where no registration lies there.

    Raises:
        RunError: it cannot be read.
    """
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        [
            plain[key]
            for key in ("registered", "seeds", "entries", "manifest_hash", "runs", "hash", *_SETTINGS)
            if key not in _SINCE
        ]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file.name} cannot be read ({type(error).__name__}: {error}): it says what was planned before the first "
            "training; put it back from where you keep copies. Without it, delete it: the verdict then says that "
            "nothing was registered",
            run=file.parent,
        ) from error
    result: dict[str, Any] = plain
    return result


def changed_since(
    registration: Mapping[str, Any], study: StudyConfig, plan: Plan, manifest_hash: str, *, noted: str | None
) -> list[Message]:
    """Returns a sentence for everything that is not as it was registered.

    Args:
        registration: what was.
        study, plan, manifest_hash: what is.
        noted: the hash that `plan.json` keeps; None where an earlier version wrote it.
    """
    date = str(registration["registered"])[:10]
    told = []
    digest = hash_of(registration)
    if digest != registration["hash"] or noted not in (None, digest):
        expected = registration["hash"] if digest != registration["hash"] else noted
        told.append(
            message(
                "registration.json was edited: expected the SHA-256 {expected} (noted when it was written), its "
                "content gives {found}; what it says was not all said before the first training",
                expected=str(expected)[:12],
                found=digest[:12],
            )
        )
    if registration.get("begun_before"):
        told.append(
            plural(
                "the study was registered on {date}, after {n} run had been begun",
                "the study was registered on {date}, after {n} runs had been begun",
                n=int(registration["begun_before"]),
                date=date,
            )
        )
    plain = study.to_dict()
    told += [
        message(
            "{key} was changed after the registration of {date}: registered {before}, now {after}",
            key=key,
            date=date,
            before=_shown(registration[key]),
            after=_shown(plain[key]),
        )
        for key in _SETTINGS
        if key in registration and registration[key] != plain[key]
    ]
    if registration["manifest_hash"] != manifest_hash:
        told.append(
            message(
                "the data or their split were changed after the registration of {date}: registered {before}, now "
                "{after} (hash of images, masks and split)",
                date=date,
                before=str(registration["manifest_hash"])[:12],
                after=manifest_hash[:12],
            )
        )
    return told + _changed_runs(registration, plan, date)


def _changed_runs(registration: Mapping[str, Any], plan: Plan, date: str) -> list[Message]:
    """Returns which seeds and entries came, went or were changed."""
    told = []
    for what, before, after in (
        (message("seeds"), registration["seeds"], sorted({run.seed for run in plan.runs})),
        (message("entries"), registration["entries"], list(plan.entries)),
    ):
        added = [str(each) for each in after if each not in before]
        gone = [str(each) for each in before if each not in after]
        if added:
            told.append(
                message(
                    "added after the registration of {date}: {what} {names}", date=date, what=what, names=listed(added)
                )
            )
        if gone:
            told.append(
                message(
                    "registered on {date} and left out now: {what} {names}", date=date, what=what, names=listed(gone)
                )
            )
    now = {run.id: run.config.fingerprint() for run in plan.runs}
    other = [run_id for run_id, print_ in registration["runs"].items() if now.get(run_id, print_) != print_]
    if other:
        told.append(
            message(
                "trained with other settings than those registered on {date}: {runs}", date=date, runs=listed(other, 4)
            )
        )
    return told


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return shorten(f"{key}: {item}" for key, item in value.items())
    return "the default" if value is None else str(value)
