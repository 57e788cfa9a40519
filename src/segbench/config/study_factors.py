"""What varies in a study: the factors, the names of their values, and the run keys that each value sets.

Knows nothing of torch.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segbench.config.loss import parse_loss
from segbench.config.run import RunConfig
from segbench.config.text import read_yaml
from segbench.errors import ConfigError, suggest

SEED = "seed"
# What the study itself gives every run.
_OWN_KEYS = (SEED, "name", "output")


def named_values(factor: str, given: Any) -> dict[str, dict[str, Any]]:
    """Returns value name -> the dotted keys it sets, of one factor.

    Raises:
        ConfigError: no values, a value without a name, two of one name, or a word that is no key of a run.
    """
    is_key = is_run_key(factor)
    place = f"vary.{factor}"
    if isinstance(given, list) and is_key:
        named = {}
        for value in given:
            name = name_of(factor, value)
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
        raise ConfigError("has no values; give one at least, or remove it", key=place)
    if any(not name.strip() for name in named):
        raise ConfigError("a value has an empty name; write a mapping of a name of your own to each value", key=place)
    if is_key:
        return {name: {factor: value} for name, value in named.items()}
    return {name: _bundle(value, f"{place}.{name}") for name, value in named.items()}


def is_run_key(factor: str) -> bool:
    """Tells whether a factor is a dotted key of a run, and not a word of the study's author."""
    return factor.partition(".")[0] in RunConfig.model_fields


def read_bundles(vary: Any, beside: Path | None = None) -> Any:
    """Returns factors with the contents of every file that a value of a bundle names; all else stays as it is.

    Args:
        vary: factor -> values, not checked yet.
        beside: where files are looked for first; then, and where None is given, in the current folder.
    Raises:
        ConfigError: a file cannot be read, or is no YAML mapping.
    """
    if not isinstance(vary, Mapping):
        return vary
    return {
        factor: given
        if is_run_key(str(factor)) or not isinstance(given, Mapping)
        else {
            name: read_yaml(find_file(value, beside))[0] if isinstance(value, str) else value
            for name, value in given.items()
        }
        for factor, given in vary.items()
    }


def find_file(name: str, beside: Path | None) -> Path:
    """Returns the file of a name: the one in the folder `beside` where there is one, else as seen from here."""
    return beside / name if beside is not None and (beside / name).is_file() else Path(name)


def _bundle(value: Any, place: str) -> dict[str, Any]:
    """Returns the dotted keys that one value of a factor sets: written there, or in a file of its own."""
    if isinstance(value, str):
        return read_yaml(Path(value))[0]
    if isinstance(value, Mapping):
        return dict(value)
    raise ConfigError(f"expected a mapping of dotted keys to values, or the name of its file, got {value!r}", key=place)


def name_of(factor: str, value: Any) -> str:
    """Returns what a value is called that gives no name of its own.

    Raises:
        ConfigError: it is a list, or a mapping without `name`.
    """
    if factor == "loss" and not isinstance(value, str):
        return "+".join(term.name for term in parse_loss(value))
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        options = [f"{key}={option}" for key, option in value.items() if key != "name"]
        return " ".join([value["name"], *options])
    if isinstance(value, Mapping | list):
        message = f"{value!r} has no name; write a mapping of a name of your own to each value"
        raise ConfigError(message, key=f"vary.{factor}")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _chosen_name(factor: str, value: Any, names: Mapping[str, Any], place: str) -> str:
    """Returns which of a factor's value names a rule means: the name, or the value as a list would write it.

    Raises:
        ConfigError: the factor has no such value.
    """
    given = str(value) if str(value) in names else name_of(factor, value)
    if given not in names:
        raise ConfigError(f"{factor} has no value {given!r}; {suggest(given, names)}", key=place)
    return given


def rule_names(
    rule: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]], *, empty_allowed: bool
) -> dict[str, set[str]]:
    """Returns factor -> value names of a combination to leave out."""
    if not rule and not empty_allowed:
        raise ConfigError("an empty rule fits every run; name a factor in it, or remove it", key="exclude")
    result = {}
    for factor, names in rule.items():
        if factor not in values:
            raise ConfigError(f"there is no factor {factor!r}; {suggest(factor, values)}", key="exclude")
        chosen = names if isinstance(names, list) else [names]
        result[factor] = {_chosen_name(factor, name, values[factor], "exclude") for name in chosen}
    return result


def check_factors(values: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Raises where factors set what is not theirs to set, or what another factor sets, too.

    Args:
        values: factor -> value name -> the dotted keys it sets.
    Raises:
        ConfigError: a key that the study gives every run itself, or two factors of whose keys one lies within the
            other, so that one would be lost.
    """
    keys = {factor: {key for value in named.values() for key in value} for factor, named in values.items()}
    for factor, own in keys.items():
        for key in sorted(own):
            if key.partition(".")[0] in _OWN_KEYS:
                how = "give the seeds as vary.seed" if key == SEED else "the study names its runs and their folders"
                raise ConfigError(f"{key} cannot be set by a factor: {how}", key=f"vary.{factor}")
    for (first, left), (second, right) in itertools.combinations(keys.items(), 2):
        for one, other in itertools.product(sorted(left), sorted(right)):
            if f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}."):
                what = f"both set {one}" if one == other else f"set {one} and {other}"
                message = f"{what}, so one would overwrite the other; make them one factor whose values set all keys"
                raise ConfigError(f"{first} and {second} {message}", key="vary")


def id_part(name: str) -> str:
    """Returns a value's name as a part of a run id: letters, digits and `._+-` of ASCII.

    Where letters were lost, a few digits that stand for the whole name keep ids apart, whatever other values there are.

    Example:
        >>> id_part("no dropout"), id_part("dice+bce"), id_part("сеть А")
        ('no-dropout', 'dice+bce', 'x-135bd3')
    """
    kept = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")
    if re.search(r"[^\W_]", re.sub(r"[\x00-\x7f]", "", name)):
        return f"{kept or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return kept or "x"
