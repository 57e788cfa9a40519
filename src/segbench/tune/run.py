"""Searching for good settings with Optuna, on the validation part alone; killed anywhere, it goes on from there.

::

    search.yaml       the search as it was asked
    manifest.json     the data, split: the same for every trial
    search.journal    Optuna's record of all trials; `optuna-dashboard search.journal` shows it
    trials/<name>/    run folders, see `segbench.folders.run`; none has scores of the test part
    trials.csv        one row a trial
    winner.yaml       the best trial's searched keys, which a study takes as a value
    best.yaml         the best trial's complete run config
    search.png        scores over trials, and over every searched key

Trial n draws its values from generators seeded by the search's seed, n and the position of the key, and learns from
the trials before n alone. So nothing of a sampler's state has to be kept: a search that was killed and goes on makes
the same trials as one left alone, wherever the trainings themselves repeat bit by bit (on the CPU, at equal threads).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segbench.config.text import flatten, read_yaml, write_yaml
from segbench.config.tune import TuneConfig, corners
from segbench.data.manifest.manifest import Manifest
from segbench.errors import ConfigError, RunError, shorten
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.train.callback import Callback
from segbench.train.check import check_config
from segbench.train.console import default_callback
from segbench.train.prepare import read_and_split, reopen
from segbench.tune.files import SearchFolder, SearchResult, TrialRecord

__all__ = ["SearchFolder", "SearchResult", "TrialRecord", "run_search"]


def run_search(config: TuneConfig, *, watch: Callback | None = None) -> SearchResult:
    """Makes the trials that are left, and returns them all; writes the folder `config.folder`.

    Args:
        config: the search; `trials` may be raised to go on, everything else stays as it was begun.
        watch: told a line a trial, and the progress of each training; None shows it where somebody looks on.
    Raises:
        ConfigError: a wrong name or value somewhere in the space, the folder holds another search, or Optuna is not
            installed; all before anything trains.
        DatasetError: the data cannot be read, or changed since the search was begun.
        RunError: another process searches in this folder, or not one trial finished.
    """
    _require_optuna()
    for params in corners(config):
        check_config(config.run_config(params))
    from segbench.tune.search import Search  # needs Optuna, and torch, which takes seconds

    watch = watch or default_callback()
    folder = SearchFolder(config.folder)
    with RunFolder(folder.path).locked():
        _claim(config, folder)
        _prepare_data(config, folder, watch)
        _tell_what_is_odd(config, watch)
        try:
            result = Search(config, folder, watch).run()
        finally:
            watch.close()
    if result.best is None:
        reasons = {trial.reason for trial in result.trials if trial.reason}
        message = f"not one of {len(result.trials)} trials finished: {shorten(sorted(reasons), 3)}"
        raise RunError(f"{message}; change the base or the space, and choose another output", run=folder.path)
    return result


def _require_optuna() -> None:
    try:
        import optuna
    except ModuleNotFoundError as error:
        message = "a search needs the package optuna, which is not installed; pip install 'segbench[tune]'"
        raise ConfigError(message) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line a trial is said here


def _claim(config: TuneConfig, folder: SearchFolder) -> None:
    """Makes sure that the folder is this search's or nobody's, and notes the search there."""
    if folder.config_file.is_file():
        old, new = (flatten(_what_decides(values)) for values in (read_yaml(folder.config_file)[0], config.to_dict()))
        keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        if keys:
            told = [f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in keys]
            message = f"{folder.path} holds another search ({shorten(told)}); only trials can be changed"
            raise ConfigError(f"{message}. Choose another output, or undo the change", key="output")
    write_text(folder.config_file, write_yaml(config.to_dict()))


def _what_decides(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("trials", "output")}


def _prepare_data(config: TuneConfig, folder: SearchFolder, watch: Callback) -> Manifest:
    """Returns the data, read and split once; the trials that are there already had the same."""
    if folder.manifest_file.is_file():
        begun = f"The search in {folder.path} was begun with other data: undo the change, or choose another output"
        return reopen(folder.manifest_file, watch, begun)
    manifest = read_and_split(config.run_config(next(corners(config))).data, watch)
    manifest.write(folder.manifest_file)
    return manifest


def _tell_what_is_odd(config: TuneConfig, watch: Callback) -> None:
    for params in corners(config):
        if any(f"{key}.".startswith("data.size.") for key in config.settings(params)):
            watch.message(
                "note: data.size is searched, and a score is taken at the size the network sees, so scores of "
                "different sizes are not quite the same thing"
            )
            return
