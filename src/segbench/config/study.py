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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from segbench.config.base import Section
from segbench.config.run import parse_config
from segbench.config.study_factors import (
    SEED,
    check_factors,
    find_file,
    id_part,
    name_of,
    named_values,
    read_bundles,
    rule_names,
)
from segbench.config.study_plan import (
    BegunKey,
    Plan,
    PlannedRun,
    begun_key,
    check_baseline,
    check_different,
    check_expected,
    check_practical,
    check_same_data,
    divide_into_folds,
    lonely,
    unequal_budgets,
)
from segbench.config.text import apply_overrides, explain, line_of, read_yaml, set_key
from segbench.errors import ConfigError, shorten, suggest
from segbench.locale import Message, OwnWords, languages, listed, message
from segbench.metrics.families import SCORES
from segbench.speech import argument, override

__all__ = [
    "AbsentRule",
    "BegunKey",
    "Name",
    "Plan",
    "PlannedRun",
    "ScaleConfig",
    "StudyConfig",
    "begun_key",
    "expand",
    "load_study",
    "parse_study",
]

_ID_LENGTH = 120

# What an image counts as whose truth holds none of the score's classes.
AbsentRule: TypeAlias = Literal["perfect", "left_out"]
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

    @field_validator("vary", mode="before")
    @classmethod
    def _bundles(cls, value: Any) -> Any:
        return read_bundles(value)


def _read_words(value: Any, read: ValidatorFunctionWrapHandler) -> str:
    """Takes a mapping of language -> text as well as a text."""
    if isinstance(value, OwnWords):
        return value
    if not isinstance(value, Mapping) or not value or not all(isinstance(text, str) for text in value.values()):
        return cast("str", read(value))
    if unknown := [lang for lang in value if lang not in languages()]:
        known = ", ".join(languages())
        raise ValueError(f"there is no report in the language {str(unknown[0])!r}; there are {known}")
    return OwnWords(value)


def _read_expected(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Takes a mapping of language -> text as words; every other one is factor -> what is expected of it."""
    is_words = isinstance(value, Mapping) and value and all(key in languages() for key in value)
    return _read_words(value, read) if is_words or isinstance(value, OwnWords) else read(value)


def _plain_words(value: Any) -> Any:
    return dict(value.texts) if isinstance(value, OwnWords) else value


def _not_empty(value: str) -> str:
    if not all((value, *value.texts.values()) if isinstance(value, OwnWords) else (value,)):
        raise ValueError("a display name must not be empty")
    return value


Words: TypeAlias = Annotated[str, WrapValidator(_read_words), PlainSerializer(_plain_words)]
"""A text for people; where it was written in several languages, `OwnWords`."""


class StudyConfig(Section):
    """What is compared, on what, and what is asked.

    Attributes:
        study: its name; part of the output folder.
        title, question: for the report: what it is called, and asks. These, `expected` and each of the `labels` are one
            text, or one a language that reports are written in: `{en: ..., ru: ...}`; a language that is not there
            reads the English one, else the first.
        expected: for the report: what its author expects, as text; or factor -> `yes` (it matters), `no`, or the value
            that should be best, which the report sets against what came out.
        base: run config that all runs share, as a mapping of its keys.
        vary: factor -> values. A factor is a dotted key of a run with a list of values or a mapping of name to value;
            or a word of your own with a mapping of name to dotted keys, or to a file of them. `seed` is the factor that
            is averaged over.
        exclude: combinations to leave out: factor -> value name or list of names; all given must fit.
        baseline: a value name for each factor, or for so many that one entry fits: what the others are measured
            against.
        score: the per-image score that decides.
        practical: the smallest difference of the score that matters in practice; None takes the score's default, 0.01
            where it lies between 0 and 1. Differences below it are told to be equivalent where that can be shown.
        looks: how often a verdict is planned: 1, or more where seeds are to be added after looking. Every look beyond
            the plan is told.
        absent: what an image counts as whose truth holds none of the score's classes: `perfect`, where nothing is
            predicted, and the worst where something is; `left_out`: nowhere, for every entry alike.
        labels: display names for people: factor, value, entry or score -> what it is called in verdicts and reports.
        folds: K for a cross-validation: every entry is trained with every seed K times, each time tested on another
            fold of the data (`data.split.method: kfold`; groups stay together), and judged by the out-of-fold scores of
            all images. An official test list stays untouched. None: one training part and one test part.
        scales: name -> smaller form, see `ScaleConfig`.
        scale: the one that was taken; empty: the full size. Never written by hand: `load_study` sets it.
        output: study folder; None means `runs/<study>`, with the scale's name behind it.
    """

    study: Name
    title: Words = ""
    question: Words = ""
    expected: Annotated[str | dict[str, bool | str], WrapValidator(_read_expected), PlainSerializer(_plain_words)] = ""
    base: dict[str, Any]
    vary: dict[str, Any]
    exclude: tuple[dict[str, Any], ...] = ()
    baseline: dict[str, str] | None = None
    score: str = "iou_per_image"
    practical: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    looks: Annotated[int, Field(ge=1)] = 1
    absent: AbsentRule = "perfect"
    labels: dict[str, Annotated[Words, AfterValidator(_not_empty)]] = Field(default_factory=dict)
    folds: Annotated[int, Field(ge=3)] | None = None
    scales: dict[Name, ScaleConfig] = Field(default_factory=dict)
    scale: str = ""
    output: str | None = None

    @field_validator("expected", mode="before")
    @classmethod
    def _yes_and_no(cls, value: Any) -> Any:
        """Takes the words as well: YAML 1.2 reads `yes` as text."""
        words = {"yes": True, "no": False}
        is_mapping = isinstance(value, Mapping)
        return {k: words.get(v, v) if isinstance(v, str) else v for k, v in value.items()} if is_mapping else value

    @field_validator("base", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        return read_yaml(Path(value))[0] if isinstance(value, str) else value

    @field_validator("vary", mode="before")
    @classmethod
    def _bundles(cls, value: Any) -> Any:
        return read_bundles(value)

    @field_validator("baseline", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Takes a value for its name, as a list of values does."""
        return (
            {str(key): name_of(str(key), item) for key, item in value.items()} if isinstance(value, Mapping) else value
        )

    @model_validator(mode="after")
    def _something_varies(self) -> StudyConfig:
        if not self.vary:
            raise ValueError("vary is empty, so there is nothing to compare; name a field and its values")
        return self

    @property
    def study_folder(self) -> Path:
        """`output`, or `runs/<study>` with the scale behind it."""
        return Path(self.output) if self.output else Path("runs") / "-".join(filter(None, (self.study, self.scale)))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `parse_study` reads them back."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain


def load_study(
    path: str | Path, *, scale: str = "", overrides: Sequence[str] = (), recorded: bool = False
) -> StudyConfig:
    """Returns the study in a YAML file; files it names (`base`, values of bundles) are read from beside it.

    Args:
        path: of the file.
        scale: one of its `scales`; empty takes the full size.
        overrides: `key=value` texts on top of everything, such as `base.epochs=5` or `vary.seed=[0]`. What comes after
            `vary.` is one factor with all its dots: `vary.network.upsampling=[nearest]`.
        recorded: the file is the one that a study folder keeps; it alone says which scale was taken.
    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong (names file and line).
    """
    path = Path(path)
    values, lines = read_yaml(path)
    if values.get("scale") and not recorded:
        when = f"when the study is run ({argument('scale')})"
        message = f"a scale is chosen {when}, and not written into its file; remove this key"
        raise ConfigError(message, key="scale", file=str(path), line=line_of(("scale",), lines))
    if isinstance(values.get("base"), str):
        values["base"] = str(find_file(values["base"], path.parent))
    values["vary"] = read_bundles(values.get("vary"), path.parent)
    for form in values["scales"].values() if isinstance(values.get("scales"), Mapping) else ():
        if isinstance(form, dict) and "vary" in form:
            form["vary"] = read_bundles(form["vary"], path.parent)
    study = _parse(values, str(path), lines)
    of_scales = _overrides_of_scales(overrides, scale)
    study = _override(study, of_scales)
    if scale:
        study = _scaled(study, scale, str(path))
    return _override(study, [item for item in overrides if item not in of_scales])


def _overrides_of_scales(overrides: Sequence[str], scale: str) -> list[str]:
    """Returns those that change the chosen scale, which have to be made before it is taken."""
    found = []
    for item in overrides:
        first, *rest = item.partition("=")[0].strip().split(".")
        if first == "scale":
            raise ConfigError(f"a scale is taken with {argument('scale')}", key=override("scale"))
        if first == "scales":
            if not scale or (rest and rest[0] != scale):
                taken = f"the scale {scale!r} is" if scale else "no scale is"
                raise ConfigError(f"changes nothing, since {taken} taken", key=override(".".join([first, *rest])))
            found.append(item)
    return found


def _override(study: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    if not overrides:
        return study
    return _parse(apply_overrides(study.to_dict(), overrides, split=_split_key), "", {})


def _split_key(key: str) -> list[str]:
    """Returns the parts of a study's key; the name of a factor, or the key of a run in a scale, keeps its dots."""
    parts = key.split(".")
    depth = 1 if parts[0] in ("vary", "baseline", "expected", "labels") else len(parts)
    if parts[0] == "scales" and len(parts) > 3 and parts[2] in ("set", "vary"):
        depth = 3
    return [*parts[:depth], *filter(None, [".".join(parts[depth:])])]


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
    if study.scale:
        raise ConfigError(f"this is the scale {study.scale!r} of a study already", key=argument("scale"), file=file)
    if name not in study.scales:
        raise ConfigError(
            f"there is no scale {name!r}; {suggest(name, study.scales)}", key=argument("scale"), file=file
        )
    scale = study.scales[name]
    plain = study.to_dict()
    unknown = sorted(set(scale.vary) - set(study.vary))
    if unknown:
        message = f"replaces {shorten(unknown)}, which do not vary; {suggest(unknown[0], study.vary)}"
        raise ConfigError(message, key=f"scales.{name}.vary", file=file)
    for key, value in scale.set.items():
        set_key(plain["base"], key, value, source=f"scales.{name}.set.{key}")
    return _parse({**plain, "vary": {**plain["vary"], **scale.vary}, "scale": name}, file, {})


def expand(study: StudyConfig, *, begun: Mapping[BegunKey, str] | None = None) -> Plan:
    """Returns every run of a study, complete and checked against the schema, before anything trains.

    Args:
        study: to expand.
        begun: `begun_key` -> run id of a study that is only read: its runs keep the ids they have, and what it
            asks is not judged again. None: it is to be run.
    Raises:
        ConfigError: a factor without values, two values of one name, factors that overwrite each other, two runs with
            one id or one config, nothing left after `exclude`, a wrong key or value in a run, a baseline that several
            entries fit, or runs that would be scored on different data.
    """
    values = {factor: named_values(factor, given) for factor, given in study.vary.items() if factor != SEED}
    seeds, folds = _seeds(study), (None,) if study.folds is None else tuple(range(study.folds))
    if begun is None:
        check_factors(values)
        check_practical(study.practical, study.score)
    excluded = [rule_names(rule, values, empty_allowed=begun is not None) for rule in study.exclude]
    runs: list[PlannedRun] = []
    left_out = 0
    for names in itertools.product(*values.values()):
        factors = dict(zip(values, names, strict=True))
        if any(all(factors[key] in allowed for key, allowed in rule.items()) for rule in excluded):
            left_out += 1
            continue
        changes = {factor: values[factor][name] for factor, name in factors.items()}
        runs += [_planned(study, factors, changes, seed, fold, begun or {}) for seed in seeds for fold in folds]
    if not runs:
        raise ConfigError("leaves no run at all; remove a rule", key="exclude")
    check_different(runs, entries_too=begun is None)
    check_same_data(runs)
    plan = Plan(
        runs=tuple(runs),
        factors={factor: tuple(named) for factor, named in values.items()},
        excluded=left_out,
        notes=(*_unknown_labels(study, values, runs), *lonely(runs), *unequal_budgets(runs)),
    )
    if not isinstance(study.expected, str) and not study.scale:  # a scale may leave values out
        check_expected(study.expected, plan)
    if study.baseline is not None:
        check_baseline(study.baseline, plan, one=begun is None)
    return plan


def _unknown_labels(
    study: StudyConfig, values: Mapping[str, Mapping[str, Any]], runs: Sequence[PlannedRun]
) -> tuple[Message, ...]:
    """Returns a sentence where a display name is given to what the study does not have, a slip of the pen."""
    if study.scale:
        return ()  # a smaller form has fewer values, and keeps the names of all
    known = {*values, SEED, *(name for named in values.values() for name in named), *(run.entry for run in runs)}
    unknown = [name for name in study.labels if name not in known and name.partition("[")[0] not in SCORES]
    if not unknown:
        return ()
    told = message(
        "labels names what is no factor, value, entry or score of this study: {names}; there are {known}",
        names=listed(unknown),
        known=listed(sorted(known)),
    )
    return (told,)


def _seeds(study: StudyConfig) -> list[int]:
    given = study.vary.get(SEED, [study.base.get(SEED, 0)])
    if not isinstance(given, list) or not given or not all(type(seed) is int for seed in given):
        raise ConfigError(f"expected a list of whole numbers, got {given!r}; for example [0, 1, 2]", key="vary.seed")
    if len(set(given)) < len(given):
        raise ConfigError(f"every seed once, got {given}", key="vary.seed")
    return given


def _planned(
    study: StudyConfig,
    factors: Mapping[str, str],
    changes: Mapping[str, Mapping[str, Any]],
    seed: int,
    fold: int | None,
    begun: Mapping[BegunKey, str],
) -> PlannedRun:
    entry = " | ".join(factors.values()) or study.study
    ending = [f"seed{seed}", *([] if fold is None else [f"fold{fold}"])]
    run_id = begun.get(begun_key(entry, seed, fold), "__".join([*map(id_part, factors.values()), *ending]))
    if len(run_id) > _ID_LENGTH:
        message = f"the run id {run_id!r} has more than {_ID_LENGTH} characters; give the values shorter names"
        raise ConfigError(message, key="vary")
    values = copy.deepcopy(study.base)
    for factor, keys in changes.items():
        for key, value in keys.items():
            set_key(values, key, copy.deepcopy(value), source=f"vary.{factor}.{factors[factor]}")
    if fold is not None:
        divide_into_folds(values, study.folds, fold)
    values |= {SEED: seed, "name": run_id, "output": str(study.study_folder / "runs" / run_id)}
    try:
        config = parse_config(values)
    except ConfigError as error:
        raise ConfigError(error.reason, key=f"{error.key} of {run_id}") from error
    return PlannedRun(id=run_id, entry=entry, factors=factors, seed=seed, fold=fold, config=config)
