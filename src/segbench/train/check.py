"""What can be wrong with a config before anything is read or built. Imports no torch, so it answers at once."""

from __future__ import annotations

from pathlib import Path

from segbench.config import RunConfig
from segbench.data._manifest import is_manifest
from segbench.data.formats import check_format
from segbench.errors import ConfigError, DatasetError
from segbench.losses import LOSSES
from segbench.models import MODELS


def check_config(config: RunConfig, *, data_must_exist: bool = True) -> None:
    """Raises for the first name or option that nothing is registered under, or for data that is not there.

    Raises:
        ConfigError: an unknown network, loss or format, or an option it does not have, with a list of what there is;
            an option of the format with a value of a wrong type.
        DatasetError: `data.path` does not exist.
    """
    MODELS.check(config.network.name, config.network.options, reserved=("in_channels", "out_channels"))
    for term in config.loss:
        LOSSES.check(term.name, term.options)
    reads_manifest = is_manifest(config.data.path)
    if reads_manifest and (config.data.format is not None or config.data.options):
        raise ConfigError("a manifest already knows its format and options; leave both out", key="data.format")
    if not reads_manifest:
        check_format(config.data.format or "folder", config.data.options)
    path = Path(config.data.path)
    if data_must_exist and not path.exists():
        raise DatasetError(f"data.path does not exist; looked at {path.absolute()}", path=path)
