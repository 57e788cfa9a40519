"""The runs of a study, and what is wrong or uneven between them.

Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from segbench.config.run import RunConfig
from segbench.config.text import LENGTH_KEYS
from segbench.errors import ConfigError, shorten, suggest
from segbench.locale import Message, join, listed, message
from segbench.metrics.families import SCORES

# What every run of a study shares, or its numbers could not stand in one table.
_DATA_KEYS = ("path", "format", "options", "split")
# Of a split, what also holds for the folds of a cross-validation.
_SPLIT_KEYS = ("seed", "stratify", "stratify_by", "block", "gap", "group", "group_file", "near_copies")
# What makes a comparison unequal when it differs; allowed when a factor says so, and told.
BUDGET_KEYS = (
    *(*LENGTH_KEYS, "batch_size", "early_stopping", "data.size", "data.augment"),
    *("monitor", "threshold", "tta", "scores"),
)
_MOST_KEYS = 3  # told of a mapping that differs; the configs hold the rest


def check_practical(practical: float | None, score: str) -> None:
    """Refuses a margin as wide as the range of the score (a 2 that means 2 %): all entries would be equivalent.

    Raises:
        ConfigError: it is.
    """
    known = SCORES.get(score.partition("[")[0])
    if practical is None or known is None:
        return
    low, high = known.measure.lowest, known.measure.highest
    if practical >= high - low:
        told = f"{score} lies between {low:g} and {high:g}, so no difference exceeds {practical:g}"
        raise ConfigError(f"{told}; expected a smaller one, such as 0.01", key="practical")


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One training of a study.

    Attributes:
        id: made of the value names and the seed; the same whenever the study is expanded.
        entry: name of the approach for people: its value names; runs that differ in the seed alone share it.
        factors: factor -> value name, without the seed.
        seed: of the run.
        fold: of a cross-validation: the fold that is its test part; None: the study has one test part.
        config: complete; its output lies in the study folder.
    """

    id: str
    entry: str
    factors: Mapping[str, str]
    seed: int
    config: RunConfig
    fold: int | None = None


BegunKey: TypeAlias = tuple[str, int] | tuple[str, int, int]


def begun_key(entry: str, seed: int, fold: int | None) -> BegunKey:
    """Returns what tells a run from the others of its study: entry and seed, and in a cross-validation the fold."""
    return (entry, seed) if fold is None else (entry, seed, fold)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All trainings of a study, in the order they are listed.

    Attributes:
        runs: sorted as the factors are written, seeds innermost.
        factors: factor -> value names, without the seed.
        excluded: combinations left out.
        notes: what differs between runs besides what is asked: another budget, say.
    """

    runs: tuple[PlannedRun, ...]
    factors: Mapping[str, tuple[str, ...]]
    excluded: int = 0
    notes: tuple[Message, ...] = ()

    @cached_property
    def entries(self) -> dict[str, tuple[PlannedRun, ...]]:
        """Entry name -> its runs, one a seed."""
        groups: dict[str, list[PlannedRun]] = {}
        for run in self.runs:
            groups.setdefault(run.entry, []).append(run)
        return {name: tuple(runs) for name, runs in groups.items()}

    @cached_property
    def lengths(self) -> tuple[str, ...]:
        """How long the runs are, each length once: `40 epochs`, `2000 steps`, `600 s of training`."""
        return tuple(dict.fromkeys(run.config.length_text for run in self.runs))

    def entry_of(self, choice: Mapping[str, str]) -> str | None:
        """Returns the first entry whose factors have the chosen values; None where none has."""
        wanted = choice.items()
        return next((run.entry for run in self.runs if wanted <= run.factors.items()), None)


def display_names(entries: Mapping[str, Mapping[str, str]], labels: Mapping[str, str]) -> dict[str, str]:
    """Returns entry -> what people call it: its own display name, else those of its values, else its name.

    Where two would be called the same, all keep their names.

    Args:
        entries: entry -> its factors and their values.
        labels: see `StudyConfig`.
    """
    shown = {entry: _display_name(entry, factors, labels) for entry, factors in entries.items()}
    return shown if len(set(shown.values())) == len(shown) else {entry: entry for entry in entries}


def _display_name(entry: str, factors: Mapping[str, str], labels: Mapping[str, str]) -> str:
    if entry in labels or not any(value in labels for value in factors.values()):
        return labels.get(entry, entry)
    return join(" | ", [labels.get(value, value) for value in factors.values()])


def check_different(runs: Sequence[PlannedRun], *, entries_too: bool) -> None:
    """Raises where two runs have one id (they would share a folder) or are one training, or two entries one name."""
    entries: dict[str, PlannedRun] = {}
    for run in runs if entries_too else ():
        first = entries.setdefault(run.entry, run)
        if first.factors != run.factors:
            left, right = (", ".join(f"{key}: {name}" for key, name in each.factors.items()) for each in (first, run))
            told = f"two entries are called {run.entry!r} ({left}; {right}); give one value another name"
            raise ConfigError(told, key="vary")
    ids: dict[str, PlannedRun] = {}
    prints: dict[str, PlannedRun] = {}
    for run in runs:
        for known, key, what in ((ids, run.id.lower(), "id"), (prints, run.config.fingerprint(), "config")):
            other = known.setdefault(key, run)
            if other is not run:
                told = f"two runs have one {what}: {other.entry!r} and {run.entry!r}, seed {run.seed}, both {run.id!r}"
                raise ConfigError(f"{told}; give one value another name or remove it", key="vary")


def divide_into_folds(values: dict[str, Any], folds: int | None, fold: int) -> None:
    """Makes a run's values those of one turn of a cross-validation; what its split says of groups and draws stays.

    Raises:
        ConfigError: its split is read from a file, which says who is in which part already.
    """
    data = values.setdefault("data", {})
    split = data.get("split") or {}
    if not isinstance(data, dict) or not isinstance(split, dict):
        return  # whoever reads the run tells what is wrong with it
    if split.get("method") == "file":
        told = "divides the data itself, and the parts in data.split.file would not be used; leave one of them out"
        raise ConfigError(told, key="folds")
    kept = {key: split[key] for key in _SPLIT_KEYS if key in split}
    data["split"] = {**kept, "method": "kfold", "k": folds, "fold": fold, "keep_test": True}


def check_same_data(runs: Sequence[PlannedRun]) -> None:
    """Raises where two runs name other data, or divide it otherwise."""
    first = runs[0]
    there = _data_of(first)
    for run in runs[1:]:
        here = _data_of(run)
        different = [key for key in _DATA_KEYS if here[key] != there[key]]
        if different:
            key = different[0]
            raise ConfigError(
                f"{first.id} has {there[key]!r}, {run.id} has {here[key]!r}: they would be scored on different images, "
                "and such scores cannot be compared; make two studies",
                key=f"data.{key}",
            )


def _data_of(run: PlannedRun) -> dict[str, Any]:
    """Returns where a run has its data from, and how they are divided; the turns of a cross-validation divide alike."""
    data: dict[str, Any] = run.config.to_dict()["data"]
    if run.fold is not None:
        data["split"].pop("fold")
    return data


def lonely(runs: Sequence[PlannedRun]) -> tuple[Message, ...]:
    """Returns a sentence where a study has one entry."""
    if len({run.entry for run in runs}) > 1:
        return ()
    told = message(
        "there is one entry, {name!r}: its runs can be trained, but there is nothing to compare with",
        name=runs[0].entry,
    )
    return (told,)


def unequal_budgets(runs: Sequence[PlannedRun]) -> tuple[Message, ...]:
    """Returns a sentence for every setting in which runs differ so that the comparison is not at equal terms."""
    notes = []
    for key in BUDGET_KEYS:
        every = [_look_up(run.config.to_dict(), key) for run in runs]
        found = {str(value) for value in every}
        if len(found) > 1:
            notes.append(
                message(
                    "{key} differs between runs: {values}; the comparison is not at equal terms",
                    key=key,
                    values=listed(sorted({_shown(value, every) for value in every})),
                )
            )
    return tuple(notes)


def _shown(value: Any, every: Sequence[Any]) -> str:
    """Returns a value for people; of a mapping, only what differs between all of them."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in every):
        return str(value)
    keys = [key for key in value if any(key not in each or each[key] != value[key] for each in every)]
    told = ", ".join(f"{key} {value[key]}" for key in keys[:_MOST_KEYS])
    return f"({told} and more)" if len(keys) > _MOST_KEYS else f"({told})"


def _look_up(values: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def check_expected(expected: Mapping[str, bool | str], plan: Plan) -> None:
    """Raises where an expectation speaks of a factor, or of a value, that the study does not have."""
    for factor, wanted in expected.items():
        if factor not in plan.factors:
            raise ConfigError(f"there is no factor {factor!r}; {suggest(factor, plan.factors)}", key="expected")
        if isinstance(wanted, str) and wanted not in plan.factors[factor]:
            told = f"{factor} has no value {wanted!r}; {suggest(wanted, plan.factors[factor])}; or yes, or no"
            raise ConfigError(told, key=f"expected.{factor}")


def check_baseline(baseline: Mapping[str, str], plan: Plan, *, one: bool) -> None:
    """Raises where no entry fits a baseline, or with `one` several do."""
    for factor, name in baseline.items():
        if factor not in plan.factors:
            raise ConfigError(f"there is no factor {factor!r}; {suggest(factor, plan.factors)}", key="baseline")
        if name not in plan.factors[factor]:
            told = f"{factor} has no value {name!r}; {suggest(name, plan.factors[factor])}"
            raise ConfigError(told, key=f"baseline.{factor}")
    fitting = [name for name, runs in plan.entries.items() if baseline.items() <= runs[0].factors.items()]
    if not fitting:
        raise ConfigError("names a combination that `exclude` leaves out", key="baseline")
    if one and len(fitting) > 1:
        open_factors = [factor for factor in plan.factors if factor not in baseline]
        told = f"fits {len(fitting)} entries ({shorten(fitting, 3)}); name a value of {shorten(open_factors)}, too"
        raise ConfigError(told, key="baseline")
