"""The training loop: epochs that can be repeated bit by bit, each ending in one checkpoint that commits it.

Whatever is random in epoch e follows from (seed, e) alone: the order of samples, the augmentation, dropout. So a run
that goes on from the checkpoint of epoch e does what the uninterrupted run would have done; no generator state is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from segbench.config.run import RunConfig
from segbench.data.samples.loader import Batch, BatchLoader
from segbench.errors import RunError, shorten
from segbench.losses.weighted_sum import WeightedSum
from segbench.metrics.families import MONITORED, lower_is_better
from segbench.metrics.scores import score_counts
from segbench.models.base import SegmentationNetwork
from segbench.predict.averaging import FlipAverage
from segbench.predict.decide import normalization_of, normalize
from segbench.train.callback import Callback
from segbench.train.environment import peak_memory_mb
from segbench.train.freeze import begin_epoch, freeze_for_good
from segbench.train.optim import Schedule, build_optimizer, moving_average
from segbench.train.score import CountsCollector, SplitPass, score_split
from segbench.types import ClassMap, Tta

# On a GPU, reading a loss waits for the device; so it is read every so many steps, and the batch found afterwards.
_STEPS_BETWEEN_LOSS_CHECKS = 25


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Batches of a run: augmented and shuffled for learning, plain and in order for scoring."""

    learn: BatchLoader
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
    ) -> None:
        self.config = config
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
        self.schedule = Schedule(optimizer, config.schedule, len(loaders.learn), config.epochs)
        compiled = cast(nn.Module, torch.compile(self.network)) if config.compile else self.network
        self.forward = fabric.setup_module(compiled)
        self.optimizer = cast(_FabricOptimizer, fabric.setup_optimizers(optimizer))
        self.average: AveragedModel | None = None
        if config.ema_decay is not None:
            average = moving_average(config.ema_decay)
            self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self._scored_forward = self.forward if self.average is None else fabric.setup_module(self.average.module)
        self.history: list[dict[str, float]] = []

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.history)

    @property
    def scored_network(self) -> nn.Module:
        """The network that is validated and saved: the averaged one where there is one."""
        return self.network if self.average is None else self.average.module

    def run_epoch(self, picture_ids: Sequence[str] = ()) -> tuple[dict[str, float], SplitPass]:
        """Trains and validates one epoch; returns its row of `metrics.csv` and the validation pass.

        Raises:
            RunError: the loss is not finite (names epoch, batch and samples), or memory ran out.
        """
        epoch = self.epochs_done
        started = time.perf_counter()
        with explain_memory(self.config):
            row = {"epoch": float(epoch + 1), **self._rates(), **self._learn(epoch)}
            learned = time.perf_counter()
            val = self.score(self.loaders.val, "validating", keep_masks_of=picture_ids)
            if not math.isfinite(val.loss):
                raise RunError(
                    self._not_finite(f"the validation loss became {val.loss} after epoch {epoch + 1}", epoch)
                )
            row |= {"val_loss": val.loss, **self._summary("val", val.counts)}
            every = self.config.train_score_every
            if every and (epoch + 1) % every == 0:
                train = self.score(self.loaders.train, "scoring the training part")
                row |= {"train_clean_loss": train.loss, **self._summary("train_clean", train.counts)}
        self.schedule.after_epoch(val.loss)
        row |= {
            "train_s": learned - started,
            "val_s": val.seconds,
            "seconds": time.perf_counter() - started,
            "train_images_per_s": self.loaders.learn.num_samples / (learned - started),
            "peak_memory_mb": peak_memory_mb(self.fabric.device),
        }
        self.history.append(row)
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
        network = self.scored_network if full_precision else self._scored_forward
        return score_split(
            FlipAverage(network, self.class_map.task, tta),
            loader,
            self.loss,
            collector or CountsCollector(self.class_map.task, self.config.training_threshold),
            self.normalization,
            keep_masks_of=keep_masks_of,
            on_batch=lambda done, total: self.watch.progress(what, done, total),
        )

    def best_epoch(self) -> int:
        """Returns the index of the epoch with the best monitored validation score; the first of equals."""
        values = [self._monitored(row) for row in self.history]
        return max(range(len(values)), key=lambda index: values[index])

    def epochs_without_gain(self) -> int:
        """Returns how many epochs have passed since the best one."""
        return self.epochs_done - 1 - self.best_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to go on, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = list(state["history"])

    def _rates(self) -> dict[str, float]:
        """Returns the learning rate an epoch begins with, and the encoder's where it has its own."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        return {"lr": rates[0]} if len(rates) == 1 else {"lr": rates[0], "encoder_lr": rates[1]}

    def _learn(self, epoch: int) -> dict[str, float]:
        seed = np.random.SeedSequence([self.config.seed, epoch]).generate_state(1)[0]
        torch.manual_seed(int(seed))
        begin_epoch(self.network, self.config, epoch)
        self.loss.set_epoch(epoch)
        collector = CountsCollector(self.class_map.task, self.config.training_threshold)
        losses: list[Tensor] = []
        batches: list[tuple[str, ...]] = []
        checked = 0
        images = 0
        started = time.perf_counter()
        every = 1 if self.fabric.device.type == "cpu" else _STEPS_BETWEEN_LOSS_CHECKS
        for step, batch in enumerate(self.loaders.learn.epoch(epoch), start=1):
            losses.append(self._step(batch, collector))
            batches.append(batch.ids)
            images += len(batch.ids)
            if step % every == 0 or step == len(self.loaders.learn):
                self._refuse_non_finite(epoch, torch.stack(losses[checked:]), batches[checked:], checked)
                checked = len(losses)
                rate = images / (time.perf_counter() - started)
                self.watch.step(epoch + 1, step, len(self.loaders.learn), float(losses[-1]), rate)
        sizes = torch.tensor([len(ids) for ids in batches], dtype=torch.float64)
        mean = float((torch.stack(losses).double().cpu() * sizes).sum() / sizes.sum())
        return {"train_loss": mean, **self._summary("train", collector.counts())}

    def _step(self, batch: Batch, collector: CountsCollector) -> Tensor:
        output = self.forward(normalize(batch.images, self.normalization))
        logits, auxiliary = (output, ()) if isinstance(output, Tensor) else (output[0], output[1:])
        loss: Tensor = self.loss(logits, batch.targets)
        for weight, coarser in zip(self.network.auxiliary_weights, auxiliary, strict=True):
            loss = loss + weight * self.loss(coarser, batch.targets)
        self.fabric.backward(loss)
        if self.config.grad_clip is not None:
            # A non-finite gradient is reported by the loss check with its batch, not by the clipping.
            self.fabric.clip_gradients(
                self.forward, self.optimizer, max_norm=self.config.grad_clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        collector.add(batch.ids, logits.detach(), batch.targets)
        return loss.detach()

    def _refuse_non_finite(self, epoch: int, losses: Tensor, batches: Sequence[tuple[str, ...]], offset: int) -> None:
        finite = losses.isfinite().cpu()
        if bool(finite.all()):
            return
        first = int((~finite).nonzero()[0])
        what = (
            f"the loss became {float(losses[first])} in epoch {epoch + 1}, batch {offset + first + 1} "
            f"(samples {shorten(batches[first])})"
        )
        raise RunError(self._not_finite(what, epoch))

    def _not_finite(self, what: str, epoch: int) -> str:
        kept = f"the checkpoint of epoch {epoch} is kept" if epoch else "no epoch was finished yet"
        return (
            f"{what}; {kept}. Look at the samples, or lower optimizer.lr or set grad_clip: 1 and begin again with "
            "--restart or another output"
        )

    def _summary(self, prefix: str, counts: Any) -> dict[str, float]:
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
        height, width = config.data.size
        reason = text.partition("\n")[0][:160] or type(error).__name__
        raise RunError(
            f"out of memory with batch_size {config.batch_size} at {height}x{width} pixels; lower batch_size "
            f"(try {max(1, config.batch_size // 2)}), data.size or the network's widths ({reason})"
        ) from error
