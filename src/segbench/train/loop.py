"""The training loop: epochs that can be repeated bit by bit, each ending in one checkpoint that commits it.

Whatever is random in epoch e follows from (seed, e) alone: the order of samples, the augmentation, dropout. So a run
that goes on from the checkpoint of epoch e does what the uninterrupted run would have done; no generator state is kept.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from segbench.config.length import RunPlan
from segbench.config.run import RunConfig
from segbench.data.samples.loader import Batch, BatchLoader
from segbench.errors import RunError, shorten
from segbench.locale import Message, message
from segbench.losses.weighted_sum import WeightedSum
from segbench.metrics.counts import Counts
from segbench.metrics.families import MONITORED, lower_is_better
from segbench.metrics.scores import score_counts
from segbench.models.base import SegmentationNetwork
from segbench.predict.averaging import FlipAverage
from segbench.predict.decide import normalization_of, normalize
from segbench.predict.tiles import in_tiles
from segbench.speech import argument
from segbench.train.alerts import Alert, Course, find_alerts, predicted_classes
from segbench.train.callback import Callback
from segbench.train.environment import peak_memory_mb
from segbench.train.fabric import Fabric, FabricOptimizer
from segbench.train.freeze import begin_epoch, freeze_for_good
from segbench.train.norm_statistics import MOST_BATCHES, is_recomputed, learning_norms, recompute
from segbench.train.optim import Schedule, build_average, build_optimizer
from segbench.train.score import CountsCollector, SplitPass, score_split
from segbench.types import ClassMap, Tta

# On a GPU, reading a loss waits for the device; so it is read every so many steps, and the batch found afterwards.
_STEPS_BETWEEN_LOSS_CHECKS = 25


class NotFiniteError(RunError):
    """The loss became infinite or no number. `epoch`, from 1, and `what` happened there."""

    def __init__(self, what: Message, advice: str, *, epoch: int) -> None:
        self.what, self.epoch = what, epoch
        super().__init__(f"{what}; {advice}")


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Batches of a run: augmented and shuffled for learning, plain and in order for scoring.

    `statistics` are plain batches of the training part in one random order, for BatchNorm.
    """

    learn: BatchLoader
    statistics: BatchLoader
    train: BatchLoader
    val: BatchLoader
    test: BatchLoader


class Training:
    """Network, optimiser, schedule and history of one run, and what moves them on by an epoch.

    Args:
        config: of the run.
        network: freshly built; moved to the device in place.
        loss: what `build_loss` gives.
        loaders: see `Loaders`.
        class_map: of the data.
        fabric: device and precision.
        watch: told about every step.
        plan: how long the run is.
        recomputed: whether BatchNorm's statistics are estimated anew; None: as the config says for this plan.
    """

    def __init__(
        self,
        config: RunConfig,
        network: SegmentationNetwork,
        loss: WeightedSum,
        loaders: Loaders,
        class_map: ClassMap,
        fabric: Fabric,
        watch: Callback,
        plan: RunPlan,
        recomputed: bool | None = None,
    ) -> None:
        self.config = config
        self.plan = plan
        self.recomputed = is_recomputed(config, plan) if recomputed is None else recomputed
        self.loss = loss.to(fabric.device)
        self.loaders = loaders
        self.class_map = class_map
        self.fabric = fabric
        self.watch = watch
        self.normalization = normalization_of(network)
        if config.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network = network.to(fabric.device)
        freeze_for_good(self.network, config)
        optimizer = build_optimizer(self.network, config.optimizer, self.network.encoder_modules())
        self.schedule = Schedule(optimizer, config.schedule, plan.steps)
        compiled = cast(nn.Module, torch.compile(self.network)) if config.compile else self.network
        self.forward = fabric.setup_module(compiled)
        self.optimizer = cast(FabricOptimizer, fabric.setup_optimizers(optimizer))
        self.steps_done = 0
        self.average = build_average(self.network, config, lambda: self.steps_done)
        self._average_forward = None if self.average is None else fabric.setup_module(self.average.module)
        self.history: list[dict[str, float]] = []
        self.alerts: list[Alert] = []

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.history)

    @property
    def scored_network(self) -> nn.Module:
        """The network that is validated and saved: the averaged one once there is one."""
        average = self._begun_average()
        return self.network if average is None else average.module

    def run_epoch(self, picture_ids: Sequence[str] = ()) -> tuple[dict[str, float], SplitPass]:
        """Trains and validates one epoch; returns its row of `metrics.csv` and the validation pass.

        Raises:
            RunError: the loss is not finite (names epoch, batch and samples), or memory ran out.
        """
        epoch = self.epochs_done
        started = time.perf_counter()
        with explain_memory(self.config):
            rates = self._rates()
            learned, times = self.learn(epoch)
            times |= self._after_learning(epoch)
            row = {"epoch": float(epoch + 1), **rates, **learned}
            val = self.score(self.loaders.val, "validating", keep_masks_of=picture_ids)
            if not math.isfinite(val.loss):
                told = message(
                    "the validation loss became {value} after epoch {epoch}", value=val.loss, epoch=epoch + 1
                )
                raise self._not_finite(told, epoch)
            row |= {"val_loss": val.loss, **self._summary("val", val.counts)}
            row["val_classes_predicted"] = float(predicted_classes(val.counts).sum())
            every = self.config.train_score_every
            if every and (epoch + 1) % every == 0:
                train = self.score(self.loaders.train, "scoring the training part")
                row |= {"train_clean_loss": train.loss, **self._summary("train_clean", train.counts)}
        self.schedule.after_epoch(val.loss)
        row |= {
            **times,
            "val_s": val.seconds,
            "seconds": time.perf_counter() - started,
            "peak_memory_mb": peak_memory_mb(self.fabric.device),
        }
        self.history.append(row)
        self.alerts += find_alerts(self._course(val.counts), self.alerts)
        return row, val

    def score(
        self,
        loader: BatchLoader,
        what: str,
        keep_masks_of: Sequence[str] = (),
        *,
        full_precision: bool = False,
        tta: Tta = "none",
        collector: CountsCollector | None = None,
    ) -> SplitPass:
        """Returns counts and loss of a split with the current (averaged) weights, un-augmented, without gradients.

        With `full_precision` it computes in float32, as prediction does, whatever precision the training has;
        `tta` is that of `RunConfig`. A `collector` of more than counts can be brought along.
        """
        network = self.scored_network if full_precision else self._scored_forward()
        return score_split(
            in_tiles(FlipAverage(network, self.class_map.task, tta), self.config.data.patch),
            loader,
            self.loss,
            collector or CountsCollector(self.class_map.task, self.config.training_threshold),
            self.normalization,
            keep_masks_of=keep_masks_of,
            on_batch=lambda done, total: self.watch.progress(what, done, total),
        )

    def best_epoch(self) -> int:
        """Returns the index of the epoch with the best monitored validation score.

        Of equals the one with the lowest validation loss, which tells networks apart whose scores are all 0; of these
        the first.
        """
        values = [(self._monitored(row), -row["val_loss"]) for row in self.history]
        return max(range(len(values)), key=lambda index: values[index])

    def has_stalled(self) -> bool:
        """Tells whether `early_stopping` epochs have passed since the best one."""
        patience = self.config.early_stopping
        return patience is not None and self.epochs_done > 0 and self.epochs_done - 1 - self.best_epoch() >= patience

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to go on, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "alerts": [alert.to_dict() for alert in self.alerts],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = list(state["history"])
        self.alerts = [Alert.from_dict(plain) for plain in state.get("alerts", ())]
        self.steps_done = self.plan.steps_before(self.epochs_done)

    def _rates(self) -> dict[str, float]:
        """Returns the learning rate an epoch begins with, and the encoder's where it has its own."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return {"lr": rates[0]} if len(rates) == 1 else {"lr": rates[0], "encoder_lr": rates[1]}

    def learn(self, epoch: int) -> tuple[dict[str, float], dict[str, float]]:
        """Trains one epoch, counted from 0; returns its loss and scores, and its seconds and speed."""
        seed = np.random.SeedSequence([self.config.seed, epoch]).generate_state(1)[0]
        torch.manual_seed(int(seed))
        begin_epoch(self.network, self.config, epoch)
        self.loss.set_epoch(epoch)
        collector = CountsCollector(self.class_map.task, self.config.training_threshold)
        losses: list[Tensor] = []
        batches: list[tuple[str, ...]] = []
        checked = step = images = waiting = 0
        started = time.perf_counter()
        every = 1 if self.fabric.device.type == "cpu" else _STEPS_BETWEEN_LOSS_CHECKS
        steps = self.plan.steps_in(epoch)
        for batch, ends_step in self._batches(epoch):
            logits, loss = self._backward(batch)
            # An image that several passes show counts as often.
            collector.add([f"{len(losses)} {name}" for name in batch.ids], logits, batch.targets)
            losses.append(loss)
            batches.append(batch.ids)
            images += len(batch.ids)
            waiting += len(batch.ids)
            if not ends_step:
                continue
            self._step(waiting)
            waiting = 0
            step += 1
            if step % every == 0 or step == steps:
                self._refuse_non_finite(epoch, torch.stack(losses[checked:]), batches[checked:], checked)
                checked = len(losses)
                rate = images / (time.perf_counter() - started)
                self.watch.step(epoch + 1, step, steps, float(losses[-1]), rate)
        sizes = torch.tensor([len(ids) for ids in batches], dtype=torch.float64)
        mean = float((torch.stack(losses).double().cpu() * sizes).sum() / sizes.sum())
        summary = {"train_loss": mean, **self._summary("train", collector.counts())}
        seconds = time.perf_counter() - started
        return summary, {"train_s": seconds, "train_images_per_s": images / seconds}

    def _batches(self, epoch: int) -> Iterator[tuple[Batch, bool]]:
        """Yields the batches of an epoch, and whether a step of the optimiser follows each."""
        learn = self.loaders.learn
        left = self.plan.steps_in(epoch)
        for number in itertools.count(epoch * self.plan.passes_per_epoch):
            for position, batch in enumerate(learn.epoch(number), start=1):
                ends_step = position % self.config.accumulate == 0 or position == len(learn)
                left -= ends_step
                yield batch, ends_step
                if not left:
                    return

    def _backward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Adds a batch's gradients, weighted by its samples where several make a step; returns logits and loss."""
        output = self.forward(normalize(batch.images, self.normalization))
        logits, auxiliary = (output, ()) if isinstance(output, Tensor) else (output[0], output[1:])
        loss: Tensor = self.loss(logits, batch.targets)
        for weight, coarser in zip(self.network.auxiliary_weights, auxiliary, strict=True):
            loss = loss + weight * self.loss(coarser, batch.targets)
        share = 1.0 if self.config.accumulate == 1 else len(batch.ids) / self._samples_per_step
        self.fabric.backward(loss if share == 1.0 else loss * share)
        return logits.detach(), loss.detach()

    @property
    def _samples_per_step(self) -> int:
        return self.config.batch_size * self.config.accumulate

    def _step(self, samples: int) -> None:
        """Moves the weights by the gradients of so many samples."""
        if self.config.accumulate > 1 and samples != self._samples_per_step:  # at the end of a pass
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self._samples_per_step / samples)
        if self.config.grad_clip is not None:
            # A non-finite gradient is reported by the loss check with its batch, not by the clipping.
            self.fabric.clip_gradients(
                self.forward, self.optimizer, max_norm=self.config.grad_clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        if self.average is not None and self.config.ema_decay is not None:
            self.average.update_parameters(self.network)
        self.steps_done += 1

    def _after_learning(self, epoch: int) -> dict[str, float]:
        """Averages weights and estimates BatchNorm's statistics, as configured; returns the seconds of the latter."""
        swa_start = self.config.swa_start
        if self.average is not None and swa_start is not None and epoch + 1 > swa_start * self.plan.epochs:
            self.average.update_parameters(self.network)
        names = learning_norms(self.network) if self.recomputed else ()
        if not names:
            return {}
        started = time.perf_counter()
        batches = itertools.islice(self.loaders.statistics.epoch(0), MOST_BATCHES)
        images = (normalize(batch.images, self.normalization) for batch in batches)
        recompute(self.scored_network, self._scored_forward(), names, images)
        return {"norm_s": time.perf_counter() - started}

    def _begun_average(self) -> AveragedModel | None:
        return None if self.average is None or not self.average.n_averaged else self.average

    def _scored_forward(self) -> nn.Module:
        """Returns what runs the scored network in the run's precision."""
        return self.forward if self._begun_average() is None else cast(nn.Module, self._average_forward)

    def _refuse_non_finite(self, epoch: int, losses: Tensor, batches: Sequence[tuple[str, ...]], offset: int) -> None:
        finite = losses.isfinite().cpu()
        if bool(finite.all()):
            return
        first = int((~finite).nonzero()[0])
        what = message(
            "the loss became {value} in epoch {epoch}, batch {batch} (samples {samples})",
            value=float(losses[first]),
            epoch=epoch + 1,
            batch=offset + first + 1,
            samples=shorten(batches[first]),
        )
        raise self._not_finite(what, epoch)

    def _not_finite(self, what: Message, epoch: int) -> NotFiniteError:
        kept = f"the checkpoint of epoch {epoch} is kept" if epoch else "no epoch was finished yet"
        advice = (
            f"{kept}. Look at the samples, or lower optimizer.lr or set grad_clip: 1 and begin again with "
            f"{argument('restart', True)} or another output"
        )
        return NotFiniteError(what, advice, epoch=epoch + 1)

    def _course(self, counts: Counts) -> Course:
        has_norms = any(isinstance(module, _BatchNorm) for module in self.network.modules())
        return Course(
            config=self.config,
            plan=self.plan,
            class_map=self.class_map,
            history=self.history,
            counts=counts,
            recomputed=not has_norms or self.recomputed,
            ended=self.epochs_done == self.plan.epochs or self.has_stalled(),
        )

    def _summary(self, prefix: str, counts: Counts) -> dict[str, float]:
        summary = score_counts(counts, self.class_map).summary()
        return {f"{prefix}_{name}": summary[name] for name in MONITORED}

    def _monitored(self, row: Mapping[str, float]) -> float:
        """Returns the monitored score, larger is better; a score that is not defined is worse than any other."""
        value = row[f"val_{self.config.monitor}"]
        if math.isnan(value):
            return -math.inf
        return -value if lower_is_better(self.config.monitor) else value


@contextmanager
def explain_memory(config: RunConfig) -> Iterator[None]:
    """Turns the several ways to run out of memory into one RunError that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        short = isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in text
        if not short:
            raise
        height, width = config.data.network_size
        smaller = "data.size" if config.data.patch is None else "data.patch"
        reason = text.partition("\n")[0][:160] or type(error).__name__
        raise RunError(
            f"out of memory with batch_size {config.batch_size} at {height}x{width} pixels; lower batch_size "
            f"(try {max(1, config.batch_size // 2)}, and accumulate {2 * config.accumulate} for the same steps), "
            f"{smaller} or the network's widths ({reason})"
        ) from error
