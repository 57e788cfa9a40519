"""A run config: one flat YAML file, checked before anything trains, saved resolved with every run.

Unknown keys are refused with a suggestion, every value has a range, every default stands here and nowhere else. Which
networks and losses exist is checked by `segbench.train.check`, which knows the tables; this module knows none of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from segbench.config.augment import AugmentConfig as AugmentConfig
from segbench.config.base import LARGEST_PX, SMALLEST_PX, Positive, Section, SizePx
from segbench.config.loss import LossTerm, WeightSchedule, parse_loss
from segbench.config.split import SplitConfig as SplitConfig
from segbench.config.text import LENGTH_KEYS, apply_overrides, explain, line_of, read_yaml, write_yaml
from segbench.errors import ConfigError
from segbench.metrics.families import MONITORED
from segbench.speech import override
from segbench.types import ORIGINAL, Size, Tta


class DataConfig(Section):
    """Which labelled images, at which size, divided how.

    Attributes:
        path: the data set's folder, or a manifest written before; relative to the current folder.
        format: reader name (`segbench list formats`); None recognises it.
        options: keyword options of the reader, for example `{border: ignore}`.
        size: (H, W) in pixels that every image is resized to for training and scoring; one number means a square.
            `original` leaves every image as large as it is, and needs `patch`.
        patch: (H, W) of a random window of the image at `size`, in pixels: the network trains on one an image and
            epoch, with rare classes often enough in it, and validation, test and prediction go over whole images in
            overlapping tiles of this size. None: whole images. See docs/howto/patches.md.
        split, augment: see `SplitConfig` and `AugmentConfig`.
        allow: what a training does not refuse: `missing_classes`, classes that no mask of the training part shows;
            `empty_masks`, a data set in which no mask shows any class but the background.
        cache_dir: where decoded samples are kept; None means `$SEGBENCH_CACHE` or the user's cache folder.
    """

    path: str
    format: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    size: Size = (256, 256)
    patch: tuple[SizePx, SizePx] | None = None
    split: SplitConfig = SplitConfig()
    augment: AugmentConfig = AugmentConfig()
    allow: tuple[Literal["missing_classes", "empty_masks"], ...] = ()
    cache_dir: str | None = None

    @field_validator("size", "patch", mode="before")
    @classmethod
    def _sides(cls, value: Any, info: ValidationInfo) -> Any:
        word = ORIGINAL if info.field_name == "size" else None
        if value == word:
            return value
        sides = value if isinstance(value, list | tuple) else (value, value)
        if len(sides) != 2 or not all(isinstance(side, int) and SMALLEST_PX <= side <= LARGEST_PX for side in sides):
            raise ValueError(
                f"should be [height, width] or one number for a square, of {SMALLEST_PX} to {LARGEST_PX} pixels, or "
                f"`{word or 'null'}`, got {value!r}"
            )
        return tuple(sides)

    @model_validator(mode="after")
    def _windows_fit(self) -> DataConfig:
        crop, patch = self.augment.crop, self.patch
        if crop is not None and patch is not None:
            raise ValueError(
                "augment.crop and patch both cut windows out of the image; leave augment.crop out: validation and "
                "prediction go by patch, too"
            )
        if self.size == ORIGINAL:
            if patch is None:
                raise ValueError(
                    f"size {ORIGINAL} leaves images of different sizes, which only fit into a batch as patches; set "
                    "patch, for example [256, 256], or size to [height, width]"
                )
            return self
        height, width = self.size
        for key, window in (("augment.crop", crop), ("patch", patch)):
            if window is not None and (window[0] > height or window[1] > width):
                word = key.rpartition(".")[2]
                raise ValueError(f"{key} {window} is larger than size {self.size}; lower {word} or raise size")
        if crop is not None and min(crop) < SMALLEST_PX:
            raise ValueError(f"augment.crop must be at least {SMALLEST_PX} x {SMALLEST_PX} pixels, got {crop}")
        return self

    @property
    def network_size(self) -> tuple[int, int]:
        """(H, W) in pixels of what the network sees at once in a prediction: the patch, or the whole image."""
        if self.patch is not None:
            return self.patch
        assert self.size != ORIGINAL, "checked above: original needs a patch"
        return self.size


class NetworkConfig(Section):
    """A registered network and its options. YAML may write just the name, or the name with options beside it."""

    name: str = "unet_nearest"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            return value
        options = value.get("options", {})
        if not isinstance(options, Mapping):
            raise ValueError(f"options should be a mapping of option to value, got {options!r}")
        beside = {key: item for key, item in value.items() if key not in ("name", "options")}
        named = {"name": value["name"]} if "name" in value else {}
        return {**named, "options": {**options, **beside}}


class OptimizerConfig(Section):
    """How weights are updated. YAML may write just the name.

    Attributes:
        name: adamw, adam or sgd.
        lr: the learning rate (one-cycle: its maximum).
        encoder_lr: that of the encoder's parameters; None means `lr`. Usual for a pretrained encoder: a tenth.
        weight_decay: of every parameter.
        momentum: sgd only.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    encoder_lr: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9


class ScheduleConfig(Section):
    """How the learning rate moves. YAML may write just the name.

    Attributes:
        name: `constant`; `plateau` multiplies by `factor` after `patience` epochs without a lower validation loss and
            then waits `cooldown` epochs; `cosine` falls to 0 over the run; `one_cycle` rises for `warmup_frac` of the
            run and then falls (Smith 2018).
        factor, patience, cooldown: plateau only.
        warmup_frac: share of the run that the rate rises from near 0, for cosine and one_cycle.
    """

    name: Literal["constant", "plateau", "cosine", "one_cycle"] = "one_cycle"
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    patience: Positive = 10
    cooldown: Annotated[int, Field(ge=0)] = 5
    warmup_frac: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3


class FreezeConfig(Section):
    """What does not learn. YAML may write `encoder`, `none`, or `{until_epoch: 5}`.

    Frozen means: no gradients, and evaluation mode, so that the running statistics of its normalisations do not move
    and its dropout is off.

    Attributes:
        part: `encoder` or `none`.
        until_epoch: the encoder is frozen for this many epochs and learns from then on; None: for the whole run.
    """

    part: Literal["none", "encoder"] = "none"
    until_epoch: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return {"part": value or "none"}
        if isinstance(value, Mapping) and value.get("until_epoch") is not None and "part" not in value:
            return {"part": "encoder", **value}
        return value

    @model_validator(mode="after")
    def _something(self) -> FreezeConfig:
        if self.part == "none" and self.until_epoch is not None:
            raise ValueError(
                f"part none freezes nothing, so until_epoch {self.until_epoch} has no meaning; leave one out"
            )
        return self

    def frozen_in(self, epoch: int) -> bool:
        """Tells whether the encoder is frozen in an epoch, counted from 0."""
        return self.part == "encoder" and (self.until_epoch is None or epoch < self.until_epoch)


class ScoresConfig(Section):
    """What is measured at the end of a run, besides scores from pixel counts and calibration.

    Attributes:
        surface: measure outlines: boundary IoU, HD95, ASSD, NSD; some milliseconds an image and class.
        boundary_width_frac: width of the band of boundary IoU, as a share of the image diagonal.
        tolerance_px: outlines up to so far apart agree in NSD, in pixels of the size that is scored.
    """

    surface: bool = True
    boundary_width_frac: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    tolerance_px: Annotated[float, Field(ge=0.0)] = 2.0


# Keys that came after runs had been begun; their defaults do not count, so that those runs go on.
_LATER_KEYS = ("steps", "seconds", "accumulate", "norm_statistics", "swa_start", "tta", "data.patch")

if TYPE_CHECKING:
    Monitor: TypeAlias = str
else:
    Monitor = Literal[*MONITORED, "loss"]


class RunConfig(Section):
    """Everything that decides what a run does.

    Attributes:
        data, network, loss, optimizer, schedule, freeze: see their sections; `loss` takes every form of `parse_loss`.
        weights: what the network starts from: `none` (random), the name of published weights (`imagenet`, `coco_voc`,
            what the network has), or the path of a file of the same network or of its encoder.
        name: of the run; None makes one from network, loss and seed.
        output: run folder; None means `runs/<name>`.
        epochs: passes over the training part; 40 where neither `steps` nor `seconds` is given.
        steps: optimiser steps of the whole run instead, so that a small and a large set get the same amount of
            training. An epoch is then as many whole passes as it takes to have about 40 epochs at most.
        seconds: training time instead, without validation: a step is timed at the start and the time turned into
            steps, which `run.json` keeps.
        batch_size: samples of a batch. The last, smaller batch is kept; a single sample that would be left over joins
            the batch before.
        accumulate: batches whose gradients make one step, as one batch of so many times `batch_size` would, for
            memory's sake. BatchNorm still sees single batches.
        norm_statistics: BatchNorm's means and variances in evaluation. `running`: the moving average of training,
            which lags behind where an epoch has few steps; `recomputed`: before every validation they are estimated
            anew from un-augmented training images (one forward pass, at most 32 batches); `auto`: recomputed where an
            epoch has at most 100 steps, or weights are averaged by `swa_start`.
        seed: decides initial weights, order of samples, augmentation and dropout.
        deterministic: refuse operations that give other results each time. Matters on a GPU, where several common
            layers (reflect padding, unpooling) have no such form; on the CPU every run repeats exactly anyway.
        device: `auto` takes CUDA, then MPS, then the CPU.
        precision: `auto` is bfloat16 mixed precision where the device is faster with it, else 32 bit: a GPU by its
            generation, a CPU with instructions for it by a short measurement that is remembered. A begun run goes on
            with what was decided (`environment` of run.json).
        threads: CPU threads of this run; None means what the machine offers.
        grad_clip: largest allowed gradient norm; None means no limit.
        ema_decay: keep an exponential moving average of the weights, and use it for validation and prediction. It
            warms up: at step t the decay is at most (1 + t) / (10 + t), so that short runs have an average, too.
        swa_start: from this share of the run on, average the weights at the ends of epochs (stochastic weight
            averaging, Izmailov et al. 2018), and use the average; not together with `ema_decay`.
        early_stopping: stop after this many epochs without a better `monitor`, or an equal one with a lower validation
            loss; None never stops.
        monitor: the validation score that chooses the best checkpoint; of equals the one with the lower validation
            loss.
        threshold: of the foreground probability (binary, multilabel). `validation` chooses it at the end, on the
            validation part alone, as the one with the best `monitor` (`iou_per_image` where that is the loss); until
            then 0.5 is used.
        tta: test-time augmentation: `hflip` averages the probabilities of an image and its mirror image, `flips` those
            of the image turned both ways and both together (four), `rotations` those of its four turns by 90 degrees,
            `flips_and_rotations` of all eight, `scales` those at 0.75, 1 and 1.25 times its size. Used for the scores
            at the end, the choice of the threshold, `evaluate` and prediction, which take as many times as long;
            validation while training goes without. `result.json` says what it gained on the validation part. Mirror
            images and turns have no place where left and right, or up and down, are classes of their own.
        scores: what is measured at the end, see `ScoresConfig`.
        train_score_every: score the un-augmented training part every N epochs besides the end; 0: only at the end.
        pictures: after which epochs sheets of predictions are drawn (`pictures/`): `auto` means the first, about every
            tenth of the run, new bests some epochs apart, and the last; a number N every N-th epoch; 0 never.
        channels_last: keep tensors in NHWC order, which is faster on CPUs and newer GPUs.
        compile: run the network through `torch.compile` (needs a C++ compiler; minutes of start-up).

    Example:
        >>> import segbench
        >>> config = segbench.RunConfig(data={"path": "my_images"}, epochs=5)
        >>> config.epochs, config.batch_size
        (5, 8)
    """

    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    loss: tuple[LossTerm, ...] = (LossTerm(name="dice", weight=0.5), LossTerm(name="bce", weight=0.5))
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    weights: Annotated[str, Field(min_length=1)] = "none"
    freeze: FreezeConfig = FreezeConfig()
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=120)] | None = None
    output: str | None = None
    epochs: Positive | None = 40
    steps: Positive | None = None
    seconds: Annotated[float, Field(gt=0.0)] | None = None
    batch_size: Positive = 8
    accumulate: Positive = 1
    norm_statistics: Literal["auto", "running", "recomputed"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"
    threads: Positive | None = None
    grad_clip: Annotated[float, Field(gt=0.0)] | None = None
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    swa_start: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    early_stopping: Positive | None = None
    monitor: Monitor = "iou_per_image"
    threshold: float | Literal["validation"] = 0.5
    tta: Tta = "none"
    scores: ScoresConfig = ScoresConfig()
    train_score_every: Annotated[int, Field(ge=0)] = 0
    pictures: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    channels_last: bool = True
    compile: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = [key for key in LENGTH_KEYS if value.get(key) is not None]
        if len(given) > 1:
            told = " and ".join(f"{key}: {value[key]}" for key in given)
            raise ValueError(f"{told} say twice how long the run is; keep one of {', '.join(LENGTH_KEYS)}")
        if "epochs" in value and not given:
            raise ValueError(f"nothing says how long the run is; give one of {', '.join(LENGTH_KEYS)}")
        return {**value, "epochs": None} if given and given != ["epochs"] else value

    @model_validator(mode="after")
    def _one_average(self) -> RunConfig:
        if self.ema_decay is not None and self.swa_start is not None:
            raise ValueError("ema_decay and swa_start are two averages of the same weights; leave one out")
        return self

    @field_validator("weights", "tta", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "none" if value is None else value

    @field_validator("pictures", mode="before")
    @classmethod
    def _auto_or_number(cls, value: Any) -> Any:
        if value != "auto" and not (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            raise ValueError(f"should be `auto`, or a number of epochs from 0, got {value!r}")
        return value

    @field_validator("threshold", mode="before")
    @classmethod
    def _probability(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value != "validation" and not (number and 0.0 < value < 1.0):
            raise ValueError(f"should be above 0 and below 1, or `validation`, got {value!r}")
        return value

    @field_validator("optimizer", "schedule", mode="before")
    @classmethod
    def _just_the_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("data", mode="before")
    @classmethod
    def _just_the_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_terms(cls, value: Any) -> Any:
        try:
            return parse_loss(value)
        except ConfigError as error:
            place = error.key.removeprefix("loss").removeprefix(".")
            raise ValueError(f"{place}: {error.reason}" if place else error.reason) from error

    @field_serializer("loss")
    def _loss_mapping(self, terms: tuple[LossTerm, ...]) -> dict[str, Any]:
        return {
            term.name: {
                "weight": term.weight.model_dump() if isinstance(term.weight, WeightSchedule) else term.weight,
                **term.options,
            }
            for term in terms
        }

    @property
    def training_threshold(self) -> float:
        """The threshold while training: the given one, 0.5 where validation will choose."""
        return 0.5 if self.threshold == "validation" else self.threshold

    @property
    def length_text(self) -> str:
        """How long the run is, for people: `40 epochs`, `2000 steps`, `600 s of training`."""
        if self.epochs is not None:
            return f"{self.epochs} epochs"
        return f"{self.steps} steps" if self.steps is not None else f"{self.seconds:g} s of training"

    @property
    def run_name(self) -> str:
        """`name`, or network, loss and seed joined."""
        losses = "+".join(term.name for term in self.loss)
        return self.name or f"{self.network.name.replace('/', '-')}_{losses}_seed{self.seed}"

    @property
    def run_folder(self) -> Path:
        """`output`, or `runs/<run_name>`."""
        return Path(self.output) if self.output else Path("runs") / self.run_name

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved config as plain values; `parse_config` reads them back."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def to_yaml(self) -> str:
        """Returns the resolved config as YAML, every default spelled out."""
        return write_yaml(self.to_dict())

    def fingerprint(self) -> str:
        """Returns 16 hex digits over all that decides the weights and scores of a run (no names, places, pictures).

        A key of `_LATER_KEYS` with its default value is left out.
        """
        plain = self.to_dict()
        for key in _LATER_KEYS:
            *above, name = key.split(".")
            section: Section = self
            values = plain
            for part in above:
                section, values = getattr(section, part), values[part]
            if getattr(section, name) == type(section).model_fields[name].default:
                values.pop(name)
        for free in ("name", "output", "pictures"):
            plain.pop(free)
        for permission in ("allow", "cache_dir"):
            plain["data"].pop(permission)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def parse_config(
    values: Mapping[str, Any], *, file: str = "", lines: Mapping[tuple[str, ...], int] | None = None
) -> RunConfig:
    """Returns the checked config.

    Args:
        values: nested mapping as YAML gives it.
        file, lines: where the values came from, for the messages: dotted key as a tuple -> line, from 1.
    Raises:
        ConfigError: the first wrong key, with what was expected, what came and close names.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        first = min(details, key=lambda item: item["type"] != "extra_forbidden")  # a typo explains a "missing" key
        key, message = explain(first, RunConfig)
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        line = line_of(key, lines or {})
        raise ConfigError(message + more, key=".".join(key), file=file, line=line) from error


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Returns the config in a YAML file, with `key.sub=value` overrides applied on top.

    Raises:
        ConfigError: the file cannot be read, is no YAML mapping, or holds a wrong key or value (names file and line).

    Example:
        >>> import segbench
        >>> config = segbench.load_config("mine.yaml", ["epochs=5", "optimizer.lr=1e-3"])  # doctest: +SKIP
    """
    path = Path(path)
    values, lines = read_yaml(path)
    plain = apply_overrides(values, overrides)
    try:
        return parse_config(plain, file=str(path), lines=lines)
    except ConfigError as error:
        overridden = [item.partition("=")[0].strip() for item in overrides]
        related = (f"{key}.".startswith(f"{error.key}.") or f"{error.key}.".startswith(f"{key}.") for key in overridden)
        if error.key and any(related):
            raise ConfigError(error.reason, key=override(error.key)) from error
        raise
