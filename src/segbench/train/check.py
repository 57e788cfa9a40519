"""What can be wrong with a config before anything is read or built. Imports no torch, so it answers at once."""

from __future__ import annotations

from pathlib import Path

from segbench.config.run import RunConfig
from segbench.data.formats import check_format
from segbench.data.manifest.manifest import is_manifest
from segbench.errors import ConfigError, DatasetError, WeightsError
from segbench.losses import LOSSES, check_term
from segbench.models import MODELS, RESERVED, check_weights, is_weights_file
from segbench.types import Task


def check_config(config: RunConfig, *, data_must_exist: bool = True, weights_must_exist: bool = True) -> None:
    """Raises for the first name or option that nothing is registered under, or for data that is not there.

    Raises:
        ConfigError: an unknown network, loss or format, or an option it does not have, with a list of what there is;
            an option with a value of a wrong type.
        WeightsError: `weights` names a file that does not exist.
        DatasetError: `data.path` does not exist.
    """
    _check_network(config, weights_must_exist)
    for term in config.loss:
        check_term(term)
    reads_manifest = is_manifest(config.data.path)
    if reads_manifest and (config.data.format is not None or config.data.options):
        raise ConfigError("a manifest already knows its format and options; leave both out", key="data.format")
    if not reads_manifest:
        check_format(config.data.format, config.data.options)
    path = Path(config.data.path)
    if data_must_exist and not path.exists():
        raise DatasetError(f"data.path does not exist; looked at {path.absolute()}", path=path)


def _check_network(config: RunConfig, weights_must_exist: bool) -> None:
    options = config.network.options
    for own in ("weights", "freeze"):
        if own in options and own not in set(MODELS.options(config.network.name)) - set(RESERVED):
            message = f"{own} is a key of the run, beside network; write it one level up: `{own}: {options[own]}`"
            raise ConfigError(message, key=f"network.{own}")
    MODELS.check(config.network.name, options, reserved=RESERVED)
    check_weights(config.network.name, config.weights)
    if weights_must_exist and is_weights_file(config.weights) and not Path(config.weights).is_file():
        raise WeightsError(f"weights names a file that does not exist; looked at {Path(config.weights).absolute()}")


def check_task(config: RunConfig, task: Task) -> None:
    """Raises for what the task of the data cannot take.

    Raises:
        ConfigError: a loss that is made for other tasks, or a threshold where there is none.
    """
    if config.threshold == "validation" and task is Task.MULTICLASS:
        message = "a multiclass task takes the most probable class of every pixel, so there is no threshold to choose"
        raise ConfigError(f"{message}; remove it", key="threshold")
    fitting = [name for name in LOSSES.names() if task in getattr(LOSSES.get(name), "tasks", ())]
    for term in config.loss:
        if term.name not in fitting:
            message = f"{term.name!r} cannot do the {task} task of this data; these can: {', '.join(fitting)}"
            raise ConfigError(message, key="loss")
