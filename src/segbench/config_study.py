"""A study: one run config, the fields that vary over it, and what is asked; expanded before anything trains.

::

    study: ph2_networks_x_losses
    question: Which of four networks and five losses outlines the lesion best?
    base: {data: {path: data/ph2, format: ph2}, epochs: 40}     # a run config, or the name of its file
    vary:
      network: [segnet, unet_nearest]                           # a list: every value names itself
      loss: {bce: {bce: 1}, dice+bce: {dice: 0.5, bce: 0.5}}     # a mapping: name -> value
      encoder:                                                  # not a key of a run: every name sets several keys
        frozen: {freeze: encoder}
        fine-tuned: {optimizer.encoder_lr: 2.0e-4}
      seed: [0, 1, 2]
    exclude: [{network: segnet, loss: bce}]
    scales: {small: {set: {epochs: 3, data.size: 64}, vary: {seed: [0, 1]}}}

Knows nothing of torch.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from segbench.config import RunConfig, parse_config
from segbench.config_base import Section
from segbench.config_loss import parse_loss
from segbench.config_text import apply_overrides, explain, line_of, read_yaml, set_key
from segbench.errors import ConfigError, shorten, suggest

SEED = "seed"
_ID_LENGTH = 120
# What every run of a study shares, or its numbers could not stand in one table.
_DATA_KEYS = ("path", "format", "options", "split")
# What makes a comparison unequal when it differs; allowed when a factor says so, and told.
_BUDGET_KEYS = ("epochs", "batch_size", "early_stopping", "data.size", "data.augment", "monitor", "threshold", "scores")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=80)]


class ScaleConfig(Section):
    """A smaller (or larger) form of a study.

    Attributes:
        set: dotted keys of a run and their values.
        vary: factors whose values are replaced.
        note: what this form is good for, and what it is not.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    vary: dict[str, Any] = Field(default_factory=dict)
    note: str = ""


class StudyConfig(Section):
    """What is compared, on what, and what is asked.

    Attributes:
        study: its name; part of the output folder.
        title, question, expected: for the report: what it is called, asks, and what its author expects.
        base: run config that all runs share, as a mapping of its keys.
        vary: factor -> values. A factor is a dotted key of a run with a list of values or a mapping of name to value;
            or a word of your own with a mapping of name to dotted keys. `seed` is the factor that is averaged over.
        exclude: combinations to leave out: factor -> value name or list of names; all given must fit.
        baseline: one value name for some or all factors: what the others are measured against.
        score: the per-image score that decides.
        scales: name -> smaller form, see `ScaleConfig`.
        scale: the one that was taken; empty: the full size.
        output: study folder; None means `runs/<study>`, with the scale's name behind it.
    """

    study: Name
    title: str = ""
    question: str = ""
    expected: str = ""
    base: dict[str, Any]
    vary: dict[str, Any]
    exclude: tuple[dict[str, Any], ...] = ()
    baseline: dict[str, str] | None = None
    score: str = "iou_per_image"
    scales: dict[Name, ScaleConfig] = Field(default_factory=dict)
    scale: str = ""
    output: str | None = None

    @field_validator("base", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        return read_yaml(Path(value))[0] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _something_varies(self) -> StudyConfig:
        if not self.vary:
            raise ValueError("vary is empty, so there is nothing to compare; name a field and two values at least")
        return self

    @property
    def study_folder(self) -> Path:
        """`output`, or `runs/<study>` with the scale behind it."""
        return Path(self.output) if self.output else Path("runs") / "-".join(filter(None, (self.study, self.scale)))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `parse_study` reads them back."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One training of a study.

    Attributes:
        id: made of the value names and the seed; the same whenever the study is expanded.
        entry: name of the approach for people: its value names; runs that differ in the seed alone share it.
        factors: factor -> value name, without the seed.
        seed: of the run.
        config: complete; its output lies in the study folder.
    """

    id: str
    entry: str
    factors: Mapping[str, str]
    seed: int
    config: RunConfig


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
    notes: tuple[str, ...] = ()

    @cached_property
    def entries(self) -> dict[str, tuple[PlannedRun, ...]]:
        """Entry name -> its runs, one a seed."""
        groups: dict[str, list[PlannedRun]] = {}
        for run in self.runs:
            groups.setdefault(run.entry, []).append(run)
        return {name: tuple(runs) for name, runs in groups.items()}

    def entry_of(self, choice: Mapping[str, str]) -> str | None:
        """Returns the first entry whose factors have the chosen values; None where none has."""
        wanted = choice.items()
        return next((run.entry for run in self.runs if wanted <= run.factors.items()), None)


def load_study(path: str | Path, *, scale: str = "", overrides: Sequence[str] = ()) -> StudyConfig:
    """Returns the study in a YAML file.

    Args:
        path: of the file.
        scale: one of its `scales`; empty takes the full size.
        overrides: `key=value` texts on top of everything, such as `base.epochs=5` or `vary.seed=[0]`.
    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong (names file and line).
    """
    path = Path(path)
    values, lines = read_yaml(path)
    if isinstance(values.get("base"), str):
        beside = path.parent / values["base"]
        values["base"] = str(beside if beside.is_file() else values["base"])
    study = _parse(values, str(path), lines)
    if scale:
        study = _scaled(study, scale, str(path))
    if overrides:
        study = _parse(apply_overrides(study.to_dict(), overrides), "", {})
    return study


def parse_study(values: Mapping[str, Any]) -> StudyConfig:
    """Returns the checked study.

    Raises:
        ConfigError: the first wrong key.
    """
    return _parse(values, "", {})


def _parse(values: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int]) -> StudyConfig:
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        first = min(details, key=lambda item: item["type"] != "extra_forbidden")
        key, message = explain(first, StudyConfig)
        raise ConfigError(message, key=".".join(key), file=file, line=line_of(key, lines)) from error


def _scaled(study: StudyConfig, name: str, file: str) -> StudyConfig:
    if name not in study.scales:
        raise ConfigError(f"there is no scale {name!r}; {suggest(name, study.scales)}", key="--scale", file=file)
    scale = study.scales[name]
    plain = study.to_dict()
    unknown = sorted(set(scale.vary) - set(study.vary))
    if unknown:
        message = f"replaces {shorten(unknown)}, which do not vary; {suggest(unknown[0], study.vary)}"
        raise ConfigError(message, key=f"scales.{name}.vary", file=file)
    for key, value in scale.set.items():
        set_key(plain["base"], key, value, source=f"scales.{name}.set.{key}")
    return _parse({**plain, "vary": {**plain["vary"], **scale.vary}, "scale": name}, file, {})


def expand(study: StudyConfig) -> Plan:
    """Returns every run of a study, complete and checked against the schema, before anything trains.

    Raises:
        ConfigError: a factor without values, two values of one name, two runs with one id or one config, nothing left
            after `exclude`, a wrong key or value in a run, or runs that would be scored on different data.
    """
    values = {factor: _named_values(factor, given) for factor, given in study.vary.items() if factor != SEED}
    seeds = _seeds(study)
    excluded = [_rule(rule, values) for rule in study.exclude]
    runs: list[PlannedRun] = []
    left_out = 0
    for names in itertools.product(*values.values()):
        factors = dict(zip(values, names, strict=True))
        if any(all(factors[key] in allowed for key, allowed in rule.items()) for rule in excluded):
            left_out += 1
            continue
        changes = {factor: values[factor][name] for factor, name in factors.items()}
        runs += [_planned(study, factors, changes, seed) for seed in seeds]
    if not runs:
        raise ConfigError("leaves no run at all; remove a rule", key="exclude")
    _check_different(runs)
    _check_same_data(runs)
    plan = Plan(
        runs=tuple(runs),
        factors={factor: tuple(named) for factor, named in values.items()},
        excluded=left_out,
        notes=_unequal_budgets(runs),
    )
    if study.baseline is not None:
        _check_baseline(study.baseline, plan)
    return plan


def _seeds(study: StudyConfig) -> list[int]:
    given = study.vary.get(SEED, [study.base.get(SEED, 0)])
    if not isinstance(given, list) or not given or not all(type(seed) is int for seed in given):
        raise ConfigError(f"expected a list of whole numbers, got {given!r}; for example [0, 1, 2]", key="vary.seed")
    if len(set(given)) < len(given):
        raise ConfigError(f"every seed once, got {given}", key="vary.seed")
    return given


def _named_values(factor: str, given: Any) -> dict[str, dict[str, Any]]:
    """Returns value name -> the dotted keys it sets, of one factor."""
    is_key = factor.partition(".")[0] in RunConfig.model_fields
    place = f"vary.{factor}"
    if isinstance(given, list) and is_key:
        named = {}
        for value in given:
            name = _name_of(factor, value)
            if name in named:
                message = f"two values are called {name!r}; write a mapping of a name of your own to each value"
                raise ConfigError(message, key=place)
            named[name] = value
    elif isinstance(given, Mapping):
        named = {str(name): value for name, value in given.items()}
    elif isinstance(given, list):
        close = suggest(factor, RunConfig.model_fields)
        message = f"is no key of a run ({close}); a word of your own takes a mapping: name -> the keys it sets"
        raise ConfigError(message, key=place)
    else:
        raise ConfigError(f"expected a list of values or a mapping of name to value, got {given!r}", key=place)
    if not named:
        raise ConfigError("has no values; give two at least, or remove it", key=place)
    if is_key:
        return {name: {factor: value} for name, value in named.items()}
    return {name: _bundle(value, f"{place}.{name}") for name, value in named.items()}


def _bundle(value: Any, place: str) -> dict[str, Any]:
    """Returns the dotted keys that one value of a factor sets: written there, or in a file of its own."""
    if isinstance(value, str):
        return read_yaml(Path(value))[0]
    if isinstance(value, Mapping):
        return dict(value)
    raise ConfigError(f"expected a mapping of dotted keys to values, or the name of its file, got {value!r}", key=place)


def _name_of(factor: str, value: Any) -> str:
    """Returns what a value in a list is called."""
    if factor == "loss":
        return "+".join(term.name for term in parse_loss(value))
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        options = [f"{key}={option}" for key, option in value.items() if key != "name"]
        return " ".join([value["name"], *options])
    if isinstance(value, Mapping | list):
        message = f"{value!r} has no name; write a mapping of a name of your own to each value"
        raise ConfigError(message, key=f"vary.{factor}")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _rule(rule: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    result = {}
    for factor, names in rule.items():
        if factor not in values:
            raise ConfigError(f"there is no factor {factor!r}; {suggest(factor, values)}", key="exclude")
        chosen = {str(name) for name in (names if isinstance(names, list) else [names])}
        unknown = sorted(chosen - set(values[factor]))
        if unknown:
            raise ConfigError(
                f"{factor} has no value {unknown[0]!r}; {suggest(unknown[0], values[factor])}", key="exclude"
            )
        result[factor] = chosen
    return result


def _planned(
    study: StudyConfig, factors: Mapping[str, str], changes: Mapping[str, Mapping[str, Any]], seed: int
) -> PlannedRun:
    run_id = "__".join([*(re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "x" for name in factors.values())])
    run_id = f"{run_id}__seed{seed}" if run_id else f"seed{seed}"
    if len(run_id) > _ID_LENGTH:
        message = f"the run id {run_id!r} has more than {_ID_LENGTH} characters; give the values shorter names"
        raise ConfigError(message, key="vary")
    values = copy.deepcopy(study.base)
    for factor, keys in changes.items():
        for key, value in keys.items():
            set_key(values, key, copy.deepcopy(value), source=f"vary.{factor}.{factors[factor]}")
    values |= {SEED: seed, "name": run_id, "output": str(study.study_folder / "runs" / run_id)}
    try:
        config = parse_config(values)
    except ConfigError as error:
        raise ConfigError(error.reason, key=f"{error.key} of {run_id}") from error
    return PlannedRun(
        id=run_id, entry=" | ".join(factors.values()) or study.study, factors=factors, seed=seed, config=config
    )


def _check_different(runs: Sequence[PlannedRun]) -> None:
    """Raises where two runs have one id (they would share a folder) or are one and the same training."""
    ids: dict[str, PlannedRun] = {}
    prints: dict[str, PlannedRun] = {}
    for run in runs:
        for known, key, what in ((ids, run.id.lower(), "id"), (prints, run.config.fingerprint(), "config")):
            other = known.setdefault(key, run)
            if other is not run:
                message = (
                    f"two runs have one {what}: {other.entry!r} and {run.entry!r}, seed {run.seed}, both {run.id!r}"
                )
                raise ConfigError(f"{message}; give one value another name or remove it", key="vary")


def _check_same_data(runs: Sequence[PlannedRun]) -> None:
    first = runs[0]
    there = first.config.to_dict()["data"]
    for run in runs[1:]:
        here = run.config.to_dict()["data"]
        different = [key for key in _DATA_KEYS if here[key] != there[key]]
        if different:
            key = different[0]
            raise ConfigError(
                f"{first.id} has {there[key]!r}, {run.id} has {here[key]!r}: they would be scored on different images, "
                "and such scores cannot be compared; make two studies",
                key=f"data.{key}",
            )


def _unequal_budgets(runs: Sequence[PlannedRun]) -> tuple[str, ...]:
    notes = []
    for key in _BUDGET_KEYS:
        found = {str(_look_up(run.config.to_dict(), key)) for run in runs}
        if len(found) > 1:
            notes.append(f"{key} differs between runs: {shorten(sorted(found))}; the comparison is not at equal terms")
    return tuple(notes)


def _look_up(values: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _check_baseline(baseline: Mapping[str, str], plan: Plan) -> None:
    for factor, name in baseline.items():
        if factor not in plan.factors:
            raise ConfigError(f"there is no factor {factor!r}; {suggest(factor, plan.factors)}", key="baseline")
        if name not in plan.factors[factor]:
            message = f"{factor} has no value {name!r}; {suggest(name, plan.factors[factor])}"
            raise ConfigError(message, key=f"baseline.{factor}")
    if plan.entry_of(baseline) is None:
        raise ConfigError("names a combination that `exclude` leaves out", key="baseline")
