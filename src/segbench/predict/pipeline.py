"""From an image to a mask of its own size: read, resize, normalise, network, decide, put back. The only place for it.

`Predictor`, the prediction of files and the scores at each image's own size all go through `Pipeline`, so what a
network is told about an image is said once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.data.files.bands import Bands
from segbench.data.files.resize import resize_image
from segbench.data.manifest.manifest import Manifest
from segbench.errors import PredictionError
from segbench.folders.run import RunFolder
from segbench.locale import Message, from_plain, to_plain
from segbench.models.base import MIN_SIZE_PX
from segbench.predict.averaging import FlipAverage
from segbench.predict.decide import decide, normalize, probabilities, to_batch
from segbench.predict.inputs import as_rgb, read_input, with_channels
from segbench.predict.postprocess import Postprocess
from segbench.predict.sizes import SizePlan, plan_size, training_size
from segbench.predict.tiles import Cut, Seams, exact_cut, in_tiles, mirrored, tiled_logits
from segbench.types import DEFAULT_THRESHOLD, ORIGINAL, ClassMap, Normalization, Size, SizePolicy, Task, Tta

if TYPE_CHECKING:
    from segbench.predict.receptive_field import Reach


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Everything about a prediction that is not the network; plain values, which can be kept beside its weights.

    Attributes:
        class_map: what the network's outputs mean, and the task.
        size: (H, W) in pixels that images are resized to; `original` leaves them as they are.
        patch: (H, W) of the overlapping tiles in which the network goes over an image at `size`; None: all at once.
        normalization: of the network's input.
        threshold: of the probability, 0-1, for binary and multilabel tasks.
        bands: which bands of a file are the channels, and how their values become 0-255; None means RGB.
        depth_range: grey values (low, high) of images of more than 8 bit that become 0 and 255; None where there are
            none.
        tta: which looks at an image are averaged, see `segbench.predict.averaging`.
        policy: how an image of another size goes through the network; None: as it was trained, see
            `segbench.predict.sizes`.
        training_px: median (H, W) of the training images before they were resized; None where it is not known. With
            `size` it is the scale that the network knows.
        temperature: probabilities that are given out are those of logits divided by it; masks are decided before, so
            that it changes none. 1 leaves them.
        postprocess: of masks, see `Postprocess`.
    """

    class_map: ClassMap
    size: Size
    normalization: Normalization
    threshold: float = DEFAULT_THRESHOLD
    patch: tuple[int, int] | None = None
    bands: Bands | None = None
    depth_range: tuple[float, float] | None = None
    tta: Tta = "none"
    policy: SizePolicy | None = None
    training_px: tuple[int, int] | None = None
    temperature: float = 1.0
    postprocess: Postprocess = field(default_factory=Postprocess)

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ValueError(f"threshold is a probability between 0 and 1, got {self.threshold}")
        if not self.temperature > 0.0:
            raise ValueError(f"temperature is a number above 0, got {self.temperature}")
        if self.policy is not None and self.policy not in get_args(SizePolicy):
            raise ValueError(f"policy is one of {', '.join(get_args(SizePolicy))}, got {self.policy!r}")

    @property
    def channels(self) -> int:
        """How many channels the network sees."""
        return 3 if self.bands is None else self.bands.channels

    @classmethod
    def of_run(cls, folder: RunFolder, threshold: float | None = None, tta: Tta | None = None) -> PipelineSettings:
        """Returns the settings of a run; its threshold is the configured one, or what validation chose at its end.

        `threshold` and `tta` take the place of the run's where they are given.

        Raises:
            RunError: no run folder, or one whose files are damaged.
        """
        config = folder.read_config()  # first: it says best what a folder is not
        bands = folder.read_facts().get("bands")
        manifest = Manifest.read(folder.manifest_file) if folder.manifest_file.is_file() else None
        return cls(
            class_map=folder.class_map(),
            size=config.data.size,
            patch=config.data.patch,
            normalization=folder.normalization(),
            threshold=folder.threshold() if threshold is None else threshold,
            bands=None if bands is None else Bands.from_dict(bands),
            depth_range=None if manifest is None else manifest.depth_range,
            tta=config.tta if tta is None else tta,
            training_px=None if manifest is None else training_size(manifest),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them back."""
        return {
            "class_map": self.class_map.to_dict(),
            "size": self.size if self.size == ORIGINAL else list(self.size),
            "patch": None if self.patch is None else list(self.patch),
            "normalization": {"mean": list(self.normalization.mean), "std": list(self.normalization.std)},
            "threshold": self.threshold,
            "bands": None if self.bands is None else self.bands.to_dict(),
            "depth_range": None if self.depth_range is None else list(self.depth_range),
            "tta": self.tta,
            "policy": self.policy,
            "training_px": None if self.training_px is None else list(self.training_px),
            "temperature": self.temperature,
            "postprocess": self.postprocess.to_dict(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> PipelineSettings:
        """Returns what `to_dict` gave, also that of a version that knew fewer keys."""
        normalization, depth = plain["normalization"], plain["depth_range"]
        size, patch, trained = plain["size"], plain.get("patch"), plain.get("training_px")
        return cls(
            class_map=ClassMap.from_dict(plain["class_map"]),
            size=ORIGINAL if size == ORIGINAL else (size[0], size[1]),
            patch=None if patch is None else (patch[0], patch[1]),
            normalization=Normalization(mean=tuple(normalization["mean"]), std=tuple(normalization["std"])),
            threshold=plain["threshold"],
            bands=None if plain["bands"] is None else Bands.from_dict(plain["bands"]),
            depth_range=None if depth is None else (depth[0], depth[1]),
            tta=plain["tta"],
            policy=plain.get("policy"),
            training_px=None if trained is None else (trained[0], trained[1]),
            temperature=plain.get("temperature", 1.0),
            postprocess=Postprocess.from_dict(plain.get("postprocess", {})),
        )


def agreed_settings(every: Mapping[str, PipelineSettings]) -> PipelineSettings:
    """Returns the settings of several networks that are to be averaged; the threshold is the mean of theirs.

    A temperature was fitted to one model's probabilities: another one's, or their mean, goes without.

    The size of training images may differ a little (other parts of one data set): the first one's counts.

    Args:
        every: name (of the run) -> settings, one at least.
    Raises:
        PredictionError: they differ in more than threshold and normalisation (names two, and in what).
    """
    (first, ours), *others = every.items()
    alike = [
        each.name
        for each in fields(PipelineSettings)
        if each.name not in ("class_map", "normalization", "threshold", "temperature", "training_px")
    ]
    for name, theirs in others:
        one, other = (_classes(each) | {key: getattr(each, key) for key in alike} for each in (ours, theirs))
        for key, value in one.items():
            if value != other[key]:
                raise PredictionError(
                    f"networks that are averaged must agree in {key}: {first} has {value}, {name} has {other[key]}"
                )
    threshold = fmean(each.threshold for each in every.values())
    return replace(ours, threshold=threshold, temperature=1.0 if others else ours.temperature)


def _classes(settings: PipelineSettings) -> dict[str, Any]:
    """Returns what of the class map decides the meaning of logits; colours and the masks' values may differ."""
    classes = settings.class_map
    return {"classes": list(classes.names), "task": str(classes.task), "background": classes.background}


@dataclass(frozen=True)
class Seen:
    """Attributes: pixels, (h, w, C) uint8 at the size that the network sees; plan, how they go through it."""

    pixels: np.ndarray
    plan: SizePlan

    def together(self, other: Seen) -> bool:
        """Tells whether two images may go through the network as one batch."""
        ways = [(each.pixels.shape, each.plan.policy, each.plan.tile) for each in (self, other)]
        return ways[0] == ways[1]


class Pipeline:
    """A network with the steps around it.

    Args:
        network: normalised images (1, C, h, w) -> logits of the same size; a module is put into evaluation mode, and
            anything else that can be called so (a network in another runtime, say) is taken as it is.
        settings: see `PipelineSettings`.
        device: where the tensors are.
        original: gives the network itself where `network` runs it in another runtime; it says how far it looks.

    Attributes:
        network: normalised images -> logits, of all looks together where `settings.tta` says so, in tiles where
            `settings.patch` does.
        at_once: the same without tiles.
        notes: what a person should know of the sizes of the images so far, a sentence for each policy.
        seams: how often neighbouring tiles that were blended decided differently where they meet, in all images so far.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        settings: PipelineSettings,
        device: torch.device | str = "cpu",
        original: Callable[[], nn.Module] | None = None,
    ) -> None:
        self.device = torch.device(device)
        placed = network.to(self.device).eval() if isinstance(network, nn.Module) else network
        self.at_once = FlipAverage(placed, settings.class_map.task, settings.tta)
        self.network = in_tiles(self.at_once, settings.patch)
        self.settings = settings
        self.notes: dict[SizePolicy, Message] = {}
        self.seams = Seams(self._decide_logits)
        self._given, self._original = network, original

    def with_settings(self, settings: PipelineSettings) -> Pipeline:
        """Returns the same network with other settings, but for `tta` and `patch`, which are built around it."""
        other = copy.copy(self)
        other.settings, other.notes = settings, {}
        other.seams = Seams(other._decide_logits)
        return other

    def plan(self, size: tuple[int, int]) -> SizePlan:
        """Returns which way an image of (H, W) pixels takes; what should be said of it is kept in `notes`.

        Raises:
            PredictionError: see `plan_size`.
        """
        plan = plan_size(self.settings, size)
        if plan.note is not None:
            self.notes.setdefault(plan.policy, plan.note)
        return plan

    def hand_over(self) -> dict[str, Any]:
        """Returns notes and seams so far as plain values, for `hear` of a pipeline in another process; forgets both."""
        told = {
            "notes": {policy: to_plain(note) for policy, note in self.notes.items()},
            "seams": (self.seams.pixels, self.seams.different),
        }
        self.notes, self.seams = {}, Seams(self._decide_logits)
        return told

    def hear(self, told: Mapping[str, Any]) -> None:
        """Keeps what another process's `hand_over` told as if it had been found here."""
        for policy, note in told["notes"].items():
            self.notes.setdefault(policy, from_plain(note))
        pixels, different = told["seams"]
        self.seams.pixels += pixels
        self.seams.different += different

    def _decide_logits(self, logits: Tensor) -> Tensor:
        """Returns labels of any whole number from logits (K, h, w)."""
        return decide(logits[None], self.settings.class_map.task, self.settings.threshold)[0]

    @cached_property
    def _module(self) -> nn.Module | None:
        if self._original is not None:
            return self._original()
        return self._given if isinstance(self._given, nn.Module) else None

    @cached_property
    def reach(self) -> Reach:
        """How far the network looks; a network of another runtime does not say.

        Turned images begin at what was their end, so that tiles of them are others than the tiles turned.
        """
        from segbench.predict.receptive_field import Reach, find_reach  # slow to import, and only needed for tiles

        if self.settings.tta != "none":
            return Reach(halo_px=None, why=f"{self.settings.tta} are averaged")
        return find_reach(self._module) if self._module is not None else Reach(halo_px=None, why="in another runtime")

    def cut(self, plan: SizePlan) -> Cut | None:
        """Returns how an image is cut into tiles; None: it goes at once.

        A network that was trained on patches is scored with blended patches, so these are what it gets. Any other gets
        exact tiles where there are some; else tiles of the size that it was trained at, blended.
        """
        if plan.tile is None:
            return None
        if self.settings.patch is not None:
            return Cut(tile=plan.tile)
        members = self._module.modules() if self._module is not None else ()
        smallest = max((getattr(member, "smallest_px", 0) for member in members), default=0)
        size = max(MIN_SIZE_PX, plan.size[0]), max(MIN_SIZE_PX, plan.size[1])  # as `logits` enlarges it
        exact = exact_cut(self.reach, size, smallest_px=smallest)
        return exact or Cut(tile=plan.tile)

    def read(self, image: str | Path | Image.Image | bytes) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns an image file, its bytes, or an image of Pillow, as (H, W, C) uint8, and its (H, W) pixels without
        data.

        The latter are None where all have some. See `read_input`, also for the errors.
        """
        return read_input(image, self.settings.bands, self.settings.depth_range)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """Returns mask and probabilities of an image.

        Args:
            image: what `channels_of` takes.
        Returns:
            (H, W) uint8 class indices, multilabel (C, H, W) uint8 in {0, 1}, at the image's size; and what
            `probabilities` gave.
        """
        probs = self.probabilities(image)
        return self.decide(probs, (image.shape[0], image.shape[1])), probs

    def channels_of(self, image: np.ndarray) -> np.ndarray:
        """Returns an image as (H, W, C) uint8 with the network's channels.

        Args:
            image: what `as_rgb` takes; (H, W, C) uint8 for a network with `bands`.
        Raises:
            PredictionError: another shape or dtype.
        """
        bands = self.settings.bands
        return as_rgb(image) if bands is None else with_channels(image, bands.channels)

    @torch.inference_mode()
    def probabilities(self, image: np.ndarray) -> Tensor:
        """Returns (C, h, w) float32 in [0, 1] at the size the network saw, on the device; C is 1 for binary.

        What that size is, and whether it goes at once or in tiles, says `plan`.
        """
        return self.probabilities_of([self.seen(image)])[0]

    def seen(self, image: np.ndarray) -> Seen:
        """Returns an image as the network will see it."""
        pixels = self.channels_of(image)
        plan = self.plan((pixels.shape[0], pixels.shape[1]))
        return Seen(resize_image(pixels, plan.size), plan)

    @torch.inference_mode()
    def probabilities_of(self, seen: Sequence[Seen]) -> Tensor:
        """Returns (B, C, h, w): `probabilities` of several images, which must go `together`."""
        logits = self.logits(self.normalized(seen), seen[0].plan)
        return probabilities(logits, self.settings.class_map.task)

    def normalized(self, seen: Sequence[Seen]) -> Tensor:
        """Returns (B, C, h, w) float32 on the device: what the network is given of images that go `together`."""
        batch = torch.cat([to_batch(each.pixels, self.device) for each in seen])
        return normalize(batch, self.settings.normalization)

    def logits(self, images: Tensor, plan: SizePlan) -> Tensor:
        """Returns the logits (B, K, h, w) of normalised images at the size of their plan."""
        cut = self.cut(plan)
        height, width = images.shape[-2:]
        if plan.policy != "resize" and min(height, width) < MIN_SIZE_PX:  # as small as no network takes
            rows, columns = (mirrored(side, MIN_SIZE_PX).to(images.device) for side in (height, width))
            images = images.index_select(2, rows).index_select(3, columns)
        logits = self.at_once(images) if cut is None else tiled_logits(self.at_once, images, cut, self.seams)
        return logits[..., :height, :width]

    @torch.inference_mode()
    def decide(self, probs: Tensor, size: tuple[int, int]) -> np.ndarray:
        """Returns the mask at an image's size (H, W), put back from the probabilities at the network's, and cleaned as
        `settings.postprocess` says.

        One class at a time, so that many classes need no more memory than one.
        """
        return self.settings.postprocess.apply(self._decided(probs, size), self.settings.class_map)

    def _decided(self, probs: Tensor, size: tuple[int, int]) -> np.ndarray:
        task = self.settings.class_map.task
        if task is Task.MULTICLASS:
            best = enlarge(probs[:1], size)[0]
            mask = torch.zeros(size, dtype=torch.uint8, device=probs.device)
            for index in range(1, len(probs)):
                plane = enlarge(probs[index : index + 1], size)[0]
                mask[plane > best] = index
                torch.maximum(best, plane, out=best)
            return mask.cpu().numpy()
        planes = [(enlarge(plane[None], size)[0] > self.settings.threshold).to(torch.uint8) for plane in probs]
        chosen = planes[0] if task is Task.BINARY else torch.stack(planes)
        return chosen.cpu().numpy()


def enlarge(probs: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns (C, h, w) resized to (C, H, W), bilinear, pixel centres aligned."""
    if tuple(probs.shape[1:]) == tuple(size):
        return probs.clone()
    return F.interpolate(probs[None], size=size, mode="bilinear", align_corners=False, antialias=False)[0]
