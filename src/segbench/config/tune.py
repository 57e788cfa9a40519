"""A search for good settings: one run config, ranges and choices for some of its keys, and how many trials.

::

    tune: ph2_mobilenet
    base: {data: {path: data/ph2, format: ph2}, network: mobilenet_v2_unet}     # a run config, or the name of its file
    search:
      optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
      batch_size: {low: 4, high: 16, step: 4}                   # whole numbers, since low and high are
      loss: {bce: {bce: 1}, dice: {dice: 1}}                    # name -> value, or a list, as in a study
      network.dropout: [0.0, 0.2, 0.5]
    trials: 30
    pruning: median

Knows nothing of torch and of what searches.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError, field_validator, model_validator

from segbench.config.base import Positive, Section
from segbench.config.run import RunConfig, parse_config
from segbench.config.study import Name
from segbench.config.study_factors import named_values
from segbench.config.text import apply_overrides, explain, line_of, read_yaml, set_key
from segbench.errors import ConfigError, suggest
from segbench.speech import argument, override

Number: TypeAlias = int | float
# One value a key: a number of a range, or the name of a choice.
Params: TypeAlias = Mapping[str, Number | str]

_RANGE_KEYS = ("low", "high", "log", "step")
_MOST_COMBINATIONS = 256  # so many are checked one by one; where there are more, one key at a time
_NOT_SEARCHED = {
    "seed": "the best of many seeds is luck, not a setting; give several seeds to a study instead",
    "name": "it decides nothing",
    "output": "it decides nothing",
    "monitor": "it is what trials are compared by, so it is the same for all; set it in base",
    **{
        f"data.{key}": "trials on different images cannot be compared" for key in ("path", "format", "options", "split")
    },
}


class Range(Section):
    """Numbers from `low` to `high`, both included.

    Attributes:
        low, high: whole numbers are searched where both are whole; otherwise real ones.
        log: search orders of magnitude alike; right for a learning rate.
        step: only `low`, `low + step`, and so on.
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0, got {self.low}")
        if self.log and self.step is not None:
            raise ValueError(f"log and step do not go together; leave step {self.step} out")
        if self.step is None:
            return self
        if self.step <= 0:
            raise ValueError(f"step must be above 0, got {self.step}")
        if self.whole and not isinstance(self.step, int):
            raise ValueError(f"low and high are whole numbers, so step must be one, got {self.step}")
        low, high, step = (Decimal(str(number)) for number in (self.low, self.high, self.step))
        if (high - low) % step:
            fitting = low + (high - low) // step * step
            raise ValueError(f"steps of {self.step} from {self.low} never reach {self.high}; try high: {fitting}")
        return self

    @property
    def whole(self) -> bool:
        """True where only whole numbers are searched."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def samples(self) -> tuple[Number, ...]:
        """Both ends, and a number between them where there is one: what is checked before anything trains."""
        between = self.low + (self.high - self.low) / math.e
        if self.step is not None:
            between = self.low + self.step * math.floor((between - self.low) / self.step)
        if self.whole:
            between = math.floor(between)
        return tuple(dict.fromkeys((self.low, self.high, between)))


@dataclass(frozen=True)
class Choice:
    """Named values; every name sets one or more dotted keys of the run."""

    values: Mapping[str, Mapping[str, Any]]

    @property
    def samples(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self.values)


Space: TypeAlias = Mapping[str, Range | Choice]


class PruningConfig(Section):
    """When a trial is given up before its last epoch. YAML may write just the name.

    Attributes:
        name: `median` gives a trial up when its best validation score so far is worse than the median of what the
            finished trials had at the same epoch; `none` trains every trial to its end.
        startup_trials: so many trials must have finished before any is given up.
        warmup_epochs: no trial is given up before so many epochs; None means a third of the run, since a learning rate
            that falls late makes good settings look bad at first.
    """

    name: Literal["median", "none"] = "median"
    startup_trials: Positive = 5
    warmup_epochs: int | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value or "none"} if value is None or isinstance(value, str) else value


class TuneConfig(Section):
    """What is searched, over which run, for how long.

    Attributes:
        tune: its name; part of the output folder.
        base: run config that all trials share, as a mapping of its keys.
        search: dotted key of a run -> a range (`low`, `high`, see `Range`), a list of values, or a mapping of name to
            value; or a word of your own with a mapping of name to dotted keys.
        trials: how many are made in all; may be raised later to go on.
        random_trials: so many trials are drawn at random before the sampler learns from them.
        seed: of the sampler; the seed of the trainings is `base.seed`.
        pruning: see `PruningConfig`.
        output: folder of the search; None means `runs/tune/<tune>`.
    """

    tune: Name
    base: dict[str, Any]
    search: dict[str, Any]
    trials: Positive = 30
    random_trials: Positive = 10
    seed: int = Field(default=0, ge=0, lt=2**31)
    pruning: PruningConfig = PruningConfig()
    output: str | None = None

    @field_validator("base", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        return read_yaml(Path(value))[0] if isinstance(value, str) else value

    @property
    def folder(self) -> Path:
        """`output`, or `runs/tune/<tune>`."""
        return Path(self.output) if self.output else Path("runs") / "tune" / self.tune

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `parse_tune` reads them back."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def settings(self, params: Params) -> dict[str, Any]:
        """Returns dotted key -> value of a trial: what a study takes as a value.

        Args:
            params: a number or a name for every key of `search`.
        """
        space = search_space(self)
        result: dict[str, Any] = {}
        for key in _parents_first(space):
            dimension, param = space[key], params[key]
            result |= {key: param} if isinstance(dimension, Range) else dimension.values[str(param)]
        return copy.deepcopy(result)

    def run_config(self, params: Params, *, name: str | None = None, output: str | None = None) -> RunConfig:
        """Returns the complete config of a trial.

        Raises:
            ConfigError: a wrong key or value.
        """
        values = copy.deepcopy(self.base)
        for key, value in self.settings(params).items():
            set_key(values, key, value, source=f"search.{key}")
        return parse_config({**values, "name": name, "output": output})


def load_tune(path: str | Path, *, overrides: Sequence[str] = (), data: str | None = None) -> TuneConfig:
    """Returns the search in a YAML file, checked with values from all over its space.

    Args:
        path: of the file.
        overrides: `key=value` texts on top, of the search (`trials=5`, `pruning.warmup_epochs=2`, `seed=1`), or of the
            run (`epochs=3`, `data.size=64`), which may say so (`base.seed=3`) and must where both have the key.
        data: sets `base.data.path`; None leaves it.
    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong (names file and line).
    """
    path = Path(path)
    values, lines = read_yaml(path)
    if isinstance(values.get("base"), str):
        beside = path.parent / values["base"]
        values["base"] = str(beside if beside.is_file() else values["base"])
    config = _parse(values, str(path), lines)
    spelled = [item if _is_own(item) else f"base.{item}" for item in overrides]
    if overrides or data is not None:
        plain = apply_overrides(config.to_dict(), spelled)
        if data is not None:
            set_key(plain["base"], "data.path", data, source=argument("data"))
        config = _parse(plain, "", {})
    try:
        _check(config, str(path), lines)
    except ConfigError as error:
        overridden = [item.partition("=")[0].strip() for item in spelled]
        if any(f"{error.key}.".startswith(f"{key}.") for key in overridden):
            raise ConfigError(error.reason, key=override(error.key)) from error
        raise
    return config


def parse_tune(values: Mapping[str, Any]) -> TuneConfig:
    """Returns the checked search.

    Raises:
        ConfigError: the first wrong key, or a value of the space that a run refuses.
    """
    config = _parse(values, "", {})
    _check(config, "", {})
    return config


def search_space(config: TuneConfig) -> Space:
    """Returns key -> range or choice, in the order they are written.

    Raises:
        ConfigError: nothing to search, an unknown key, an empty range, or a key that makes trials incomparable.
    """
    return {key: _dimension(key, given) for key, given in config.search.items()}


def corners(config: TuneConfig) -> Iterator[dict[str, Number | str]]:
    """Yields params from all over the space: ends and a middle of ranges, every choice.

    All combinations where there are few, else each key's with the others at their first.
    """
    samples = {key: dimension.samples for key, dimension in search_space(config).items()}
    if math.prod(len(values) for values in samples.values()) <= _MOST_COMBINATIONS:
        for combination in itertools.product(*samples.values()):
            yield dict(zip(samples, combination, strict=True))
        return
    first = {key: values[0] for key, values in samples.items()}
    yield dict(first)
    for key, values in samples.items():
        for value in values[1:]:
            yield {**first, key: value}


def tell_params(params: Params) -> str:
    """Returns params for people: `optimizer.lr=0.0012, loss=bce`."""
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()
    )


def _is_own(override: str) -> bool:
    return override.partition("=")[0].strip().partition(".")[0] in TuneConfig.model_fields


def _parents_first(keys: Mapping[str, Any]) -> list[str]:
    """Returns the keys so that `network` is set before `network.dropout`, or it would wipe it out."""
    return sorted(keys, key=lambda key: key.count("."))


def _parse(values: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int]) -> TuneConfig:
    try:
        return TuneConfig.model_validate(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        key, message = explain(first, TuneConfig)
        raise ConfigError(message, key=".".join(key), file=file, line=line_of(key, lines)) from error


def _check(config: TuneConfig, file: str, lines: Mapping[tuple[str, ...], int]) -> None:
    """Raises for the first key of the space, or combination of its values, that no run takes."""
    if not config.search:
        message = "is empty, so there is nothing to search; name a key of the run and a range or values"
        raise ConfigError(message, key="search", file=file, line=line_of(("search",), lines))
    for key, given in config.search.items():
        try:
            _dimension(key, given)
        except ConfigError as error:
            line = line_of(("search", key, error.key.rpartition(".")[2]), lines)
            raise ConfigError(error.reason, key=error.key, file=file, line=line) from error
    for params in corners(config):
        try:
            run = config.run_config(params)
        except ConfigError as error:
            searched = next((key for key in config.search if f"{error.key}.".startswith(f"{key}.")), None)
            place = ("search", searched) if searched else ("base", *error.key.split("."))
            message = f"{error.reason} (tried {tell_params(params)})"
            raise ConfigError(message, key=".".join(place), file=file, line=line_of(place, lines)) from error
        if run.monitor == "loss" and any(key.partition(".")[0] == "loss" for key in config.settings(params)):
            message = "compares trials by their validation loss, but the loss is searched, so they would be different"
            raise ConfigError(f"{message} sums; monitor a score, such as iou_per_image", key="base.monitor", file=file)


def _dimension(key: str, given: Any) -> Range | Choice:
    place = f"search.{key}"
    if isinstance(given, Mapping) and given.keys() & {"low", "high"}:
        _require_run_key(key, place)
        _refuse(key, place)
        return _range(given, place)
    try:
        values = named_values(key, given)
    except ConfigError as error:
        raise ConfigError(error.reason, key=error.key.replace("vary.", "search.", 1)) from error
    for name, keys in values.items():
        for inner in keys:
            _refuse(inner, place if inner == key else f"{place}.{name}")
    if len(values) < 2:
        raise ConfigError("has one value, so there is nothing to search; move it to base", key=place)
    return Choice(values)


def _range(given: Mapping[str, Any], place: str) -> Range:
    try:
        return Range.model_validate(dict(given))
    except ValidationError as error:
        key, message = explain(error.errors()[0], Range)
        inner = key[0] if key and key[0] in (*_RANGE_KEYS, *given) else ""
        raise ConfigError(message, key=f"{place}.{inner}" if inner else place) from error


def _require_run_key(key: str, place: str) -> None:
    if key.partition(".")[0] not in RunConfig.model_fields:
        raise ConfigError(f"is no key of a run; {suggest(key, RunConfig.model_fields)}", key=place)


def _refuse(key: str, place: str) -> None:
    if key == "data":
        raise ConfigError("is a whole section; search one key of it, such as data.size", key=place)
    for refused, reason in _NOT_SEARCHED.items():
        if f"{key}.".startswith(f"{refused}."):
            raise ConfigError(f"{key} cannot be searched: {reason}", key=place)
