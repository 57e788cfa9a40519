"""The loop over a search's trials: Optuna draws, remembers and prunes; `fit` trains."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from segbench.config.run import RunConfig
from segbench.config.tune import Choice, Number, Range, TuneConfig, corners, search_space
from segbench.errors import RunError, SegbenchError
from segbench.files import write_text
from segbench.folders.run import RunFolder
from segbench.metrics.families import label_of, lower_is_better
from segbench.train.alerts import Alert
from segbench.train.callback import Callback
from segbench.train.fit import fit
from segbench.tune.files import SearchFolder, SearchResult
from segbench.types import RunResult

_MOST_STARTS = 3  # of a trial that ends its process before one more epoch is through


class Search:
    """Optuna's study in a folder, and the loop over its trials."""

    def __init__(self, config: TuneConfig, folder: SearchFolder, watch: Callback) -> None:
        self.config = config
        self.folder = folder
        self.watch = watch
        self.space = search_space(config)
        some_run = config.run_config(next(corners(config)))
        self.monitor = some_run.monitor
        self.study = self._open()

    def run(self) -> SearchResult:
        """Makes the trials that are left; the one that was interrupted first, from its checkpoint."""
        result = self._write()
        while len(result.trials) < self.config.trials:
            trial = self._next_trial()
            params = self._suggest(trial)
            self._train(trial, params)
            result = self._write()
            self.watch.message(result.line(result.trials[-1], of=self.config.trials))
        self.folder.write_figure(result)
        return result

    def _open(self) -> optuna.Study:
        self.folder.mend_journal()
        file = str(self.folder.journal_file)
        try:
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(file, lock_obj=_FolderIsLocked(file))),
                study_name=self.config.tune,
                direction="minimize" if lower_is_better(self.monitor) else "maximize",
                load_if_exists=True,
                pruner=optuna.pruners.NopPruner(),  # the real one knows the epochs of its trial, see `_train`
            )
        except (ValueError, KeyError) as error:
            message = (
                f"{self.folder.journal_file.name} is damaged ({type(error).__name__}: {error}); delete it and the "
                "trials are made again, where trainings that are finished are taken over"
            )
            raise RunError(message, run=self.folder.path) from error

    def _next_trial(self) -> optuna.Trial:
        """Returns the trial that was interrupted, or a new one."""
        running = self.study.get_trials(states=(TrialState.RUNNING,))
        number = running[0].number if running else len(self.study.get_trials(deepcopy=False))
        self._seed_sampler(number)
        # Optuna has no public way to take up a running trial; the constructor is what `ask` calls itself.
        return optuna.Trial(self.study, running[0]._trial_id) if running else self.study.ask()

    def _seed_sampler(self, *position: int) -> None:
        """Gives the study a fresh sampler whose draws follow from the search's seed and the position alone."""
        seed = int(np.random.SeedSequence([self.config.seed, *position]).generate_state(1)[0])
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.config.random_trials)

    def _suggest(self, trial: optuna.Trial) -> dict[str, Number | str]:
        """Returns the trial's params: those it was begun with, else newly drawn."""
        trial.relative_params  # noqa: B018  # drawn jointly, and first, so that no later seed decides them
        params: dict[str, Number | str] = {}
        for position, (key, dimension) in enumerate(self.space.items()):
            self._seed_sampler(trial.number, position)
            params[key] = _draw(trial, key, dimension)
        return params

    def _train(self, trial: optuna.Trial, params: Mapping[str, Number | str]) -> None:
        """Trains one trial to its end, whatever that is, and tells Optuna."""
        run = self.folder.run(self.config.tune, trial.number)
        starts: list[int] = trial.user_attrs.get("starts", [])
        epochs = len(run.read_history())
        if starts[-_MOST_STARTS:] == [epochs] * _MOST_STARTS:
            reason = f"its process was ended {_MOST_STARTS} times in epoch {epochs + 1}; memory may be too small for it"
            self._fail(trial, reason)
            return
        trial.set_user_attr("starts", [*starts, epochs])
        try:
            config = self.config.run_config(params, name=run.path.name, output=str(run.path))
            result = self._fit(config, trial)
            value = float(result.result["monitor"]["value"])
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except SegbenchError as error:
            self._fail(trial, str(error).removeprefix(f"{run.path}: "))  # `trials.csv` is passed on
        except Exception as error:  # noqa: BLE001  # one bad setting must not end the search; it is recorded
            write_text(run.path / "traceback.txt", traceback.format_exc())
            self._fail(trial, f"{type(error).__name__}: {error} (see traceback.txt in {run.path.name})")
        except BaseException:
            trial.set_user_attr("starts", starts)  # somebody stopped the search; that is no sign against the trial
            raise
        else:
            if value != value:
                self._fail(trial, f"the validation {label_of(self.monitor)} is not defined (NaN) in every epoch")
            else:
                self.study.tell(trial, value)

    def _fit(self, config: RunConfig, trial: optuna.Trial) -> RunResult:
        watch = _TrialCallback(self.watch, trial, self._pruner)
        return fit(config, watch=watch, manifest=self.folder.manifest_file, score_test=False)

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def _pruner(self, epochs: int) -> optuna.pruners.BasePruner:
        pruning = self.config.pruning
        if pruning.name == "none":
            return optuna.pruners.NopPruner()
        warmup = pruning.warmup_epochs if pruning.warmup_epochs is not None else epochs // 3
        # Epochs are reported from 1, so the first that may end a trial is warmup + 1.
        return optuna.pruners.MedianPruner(n_startup_trials=pruning.startup_trials, n_warmup_steps=warmup + 1)

    def _write(self) -> SearchResult:
        """Writes the tables of all ended trials, and returns these."""
        names = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
        trials = tuple(
            self.folder.record(
                self.config,
                trial.number,
                names[trial.state],
                self.monitor,
                params={key: trial.params[key] for key in self.space if key in trial.params},
                reason=str(trial.user_attrs.get("reason", "")),
            )
            for trial in self.study.get_trials(deepcopy=False, states=tuple(names))
        )
        result = SearchResult(folder=self.folder, monitor=self.monitor, trials=trials)
        self.folder.write(self.config, result)
        return result


class _FolderIsLocked(JournalFileOpenLock):
    """No lock: the folder's own keeps others out, and Optuna's would outlive a killed process for 30 s."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


class _TrialCallback(Callback):
    """Tells Optuna every epoch's validation score, and ends the training where the pruner says so."""

    def __init__(
        self, outer: Callback, trial: optuna.Trial, pruner: Callable[[int], optuna.pruners.BasePruner]
    ) -> None:
        self._outer = outer
        self._trial = trial
        self._pruner = pruner
        self._epochs = 0
        self._reported = set(trial.study.get_trials()[trial.number].intermediate_values)
        self._config: RunConfig | None = None

    def progress(self, what: str, done: int, total: int) -> None:
        self._outer.progress(what, done, total)

    def started(self, config: RunConfig, folder: RunFolder, first_epoch: int) -> None:
        """Reports the epochs that were finished before the search was killed; a training that goes on had some."""
        self._config = config
        self._epochs = folder.planned_epochs(config)
        self._trial.study.pruner = self._pruner(self._epochs)
        for row in folder.read_history():
            self._report(row)
        self._outer.started(config, folder, first_epoch)

    def step(self, epoch: int, step: int, steps: int, loss: float, images_per_s: float) -> None:
        self._outer.step(epoch, step, steps, loss, images_per_s)

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        self._outer.epoch(row, is_best)
        self._report(row)

    def alert(self, alert: Alert) -> None:
        self._outer.alert(alert)

    def close(self) -> None:
        self._outer.close()

    def _report(self, row: Mapping[str, float]) -> None:
        assert self._config is not None
        epoch = int(row["epoch"])
        if epoch not in self._reported:
            self._trial.report(row[f"val_{self._config.monitor}"], epoch)
            self._reported.add(epoch)
        # After the last epoch there is no time to be saved. A report of before may be asked about again: it is the
        # newest one known then, and the answer to it was lost with the process or was no.
        if epoch < self._epochs and epoch == max(self._reported) and self._trial.should_prune():
            raise optuna.TrialPruned


def _draw(trial: optuna.Trial, key: str, dimension: Range | Choice) -> Number | str:
    if isinstance(dimension, Choice):
        name: str = trial.suggest_categorical(key, list(dimension.values))
        return name
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.whole:
        return trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=dimension.log)
    return trial.suggest_float(key, float(low), float(high), step=step, log=dimension.log)
