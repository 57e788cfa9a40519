"""One image of any size in, its mask at that size out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.data.files.bands import Bands, shown
from segbench.data.files.resize import resize_image
from segbench.errors import PredictionError
from segbench.folders.run import RunFolder
from segbench.models import build_network
from segbench.models.weights import load_weights
from segbench.plots.panels import overlay, png_bytes
from segbench.predict.decide import normalization_of, normalize, probabilities
from segbench.predict.device import pick_device
from segbench.types import ClassMap, Task


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The segmentation of one image; shows itself as an overlay in a notebook.

    Attributes:
        image: (H, W, 3) uint8, as people see it: as it was given, or its bands for display.
        mask: (H, W) uint8 class indices, multilabel (C, H, W) uint8 in {0, 1}; the image's own size.
        class_map: what the indices mean.
        network_probs: (C, h, w) float32 in [0, 1] at the size the network saw; C is 1 for binary.
        nodata: (H, W) pixels without data, which count in no area; None where all have some.
    """

    image: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)
    class_map: ClassMap
    network_probs: np.ndarray = field(repr=False)
    nodata: np.ndarray | None = field(default=None, repr=False)

    @property
    def probs(self) -> np.ndarray:
        """(C, H, W) float32 in [0, 1] at the image's size, bilinear; C is 1 for binary (the foreground)."""
        height, width = self.image.shape[:2]
        return _enlarge(torch.from_numpy(self.network_probs), (height, width)).numpy()

    @property
    def area_fracs(self) -> dict[str, float]:
        """Share of the image's pixels that each class covers, 0-1; NaN where none has data."""
        names = self.class_map.names
        labels = (
            self.mask[..., ~self.nodata] if self.nodata is not None else self.mask.reshape(*self.mask.shape[:-2], -1)
        )
        total = labels.shape[-1]
        if not total:
            return dict.fromkeys(names, math.nan)
        if labels.ndim == 2:
            return {name: float(plane.mean()) for name, plane in zip(names, labels, strict=True)}
        counts = np.bincount(labels, minlength=len(names))
        return {name: float(count) / total for name, count in zip(names, counts, strict=True)}

    def overlay(self, opacity: float = 0.45) -> np.ndarray:
        """Returns the image with the predicted classes tinted and outlined, (H, W, 3) uint8."""
        return overlay(self.image, self.mask, self.class_map, opacity)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.overlay())


class Predictor:
    """A trained network with everything it needs around it.

    Args:
        network: logits from normalised images; put into evaluation mode.
        class_map: what its outputs mean.
        size: (H, W) it was trained at; images are resized to it and the probabilities back.
        threshold: of the probability (binary, multilabel).
        device: where it runs.
        bands: which bands of a file are the channels, for a network trained on such files; None means RGB.

    Example:
        >>> predictor = Predictor.from_run("runs/ph2")  # doctest: +SKIP
        >>> predictor(image).mask.shape == image.shape[:2]  # doctest: +SKIP
        True
    """

    def __init__(
        self,
        network: nn.Module,
        class_map: ClassMap,
        size: tuple[int, int],
        *,
        threshold: float = 0.5,
        device: torch.device | str = "cpu",
        bands: Bands | None = None,
    ) -> None:
        if not 0.0 < threshold < 1.0:
            raise ValueError(f"threshold is a probability between 0 and 1, got {threshold}")
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.class_map = class_map
        self.size = size
        self.threshold = threshold
        self.bands = bands
        self.normalization = normalization_of(network)

    @classmethod
    def from_run(cls, run: str | Path, *, device: str = "auto", threshold: float | None = None) -> Predictor:
        """Returns the predictor of a run folder's best checkpoint.

        Args:
            run: folder that `segbench train` wrote; one finished epoch is enough.
            device: `auto`, `cpu`, `cuda` or `mps`.
            threshold: None takes the run's: the configured one, or what validation chose at its end.
        Raises:
            RunError: no run folder, no finished epoch, or damaged weights.
        """
        folder = RunFolder(Path(run))
        config = folder.read_config()
        class_map, bands = folder.class_map(), _bands_of(folder)
        network = build_network(
            config.network.name,
            in_channels=3 if bands is None else bands.channels,
            out_channels=class_map.out_channels,
            weights=config.weights,
            load_weights=False,
            **config.network.options,
        )
        load_weights(folder.best_file, network)
        network.normalization = folder.normalization()
        return cls(
            network,
            class_map,
            config.data.size,
            threshold=folder.threshold() if threshold is None else threshold,
            device=pick_device(device),
            bands=bands,
        )

    def __call__(self, image: np.ndarray, nodata: np.ndarray | None = None) -> Prediction:
        """Returns the segmentation of one image.

        Args:
            image: (H, W, 3) uint8 RGB, or (H, W) uint8 grey; any H and W. (H, W, C) uint8, scaled as `bands` says,
                for a network that was trained on other channels.
            nodata: (H, W) pixels without data, which count in no area.
        Raises:
            PredictionError: another shape or dtype.
        """
        image = _as_rgb(image) if self.bands is None else _with_channels(image, self.bands.channels)
        probs = self._network_probs(resize_image(image, self.size))
        return Prediction(
            image=shown(image, None if self.bands is None else self.bands.display),
            nodata=nodata if nodata is not None and nodata.any() else None,
            mask=self._decide(probs, (image.shape[0], image.shape[1])),
            class_map=self.class_map,
            network_probs=probs.cpu().numpy(),
        )

    @torch.inference_mode()
    def _network_probs(self, image: np.ndarray) -> Tensor:
        batch = torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1)[None].float() / 255.0
        logits = self.network(normalize(batch, self.normalization))
        return probabilities(logits, self.class_map.task)[0]

    @torch.inference_mode()
    def _decide(self, probs: Tensor, size: tuple[int, int]) -> np.ndarray:
        """Decides at the image's size, one class at a time, so that many classes need no more memory than one."""
        if self.class_map.task is Task.MULTICLASS:
            best = _enlarge(probs[:1], size)[0]
            mask = torch.zeros(size, dtype=torch.uint8, device=probs.device)
            for index in range(1, len(probs)):
                plane = _enlarge(probs[index : index + 1], size)[0]
                mask[plane > best] = index
                torch.maximum(best, plane, out=best)
            return mask.cpu().numpy()
        planes = [(_enlarge(plane[None], size)[0] > self.threshold).to(torch.uint8) for plane in probs]
        chosen = planes[0] if self.class_map.task is Task.BINARY else torch.stack(planes)
        return chosen.cpu().numpy()


def _enlarge(probs: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns (C, h, w) resized to (C, H, W), bilinear, pixel centres aligned."""
    if tuple(probs.shape[1:]) == tuple(size):
        return probs.clone()
    return F.interpolate(probs[None], size=size, mode="bilinear", align_corners=False, antialias=False)[0]


def _bands_of(folder: RunFolder) -> Bands | None:
    """Returns the bands a run was trained on; None for RGB."""
    plain = folder.read_facts().get("bands")
    return None if plain is None else Bands.from_dict(plain)


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    expected = f"expected an image of shape (H, W, {channels}) and dtype uint8, as the network was trained on"
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise PredictionError(f"{expected}, got {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        raise PredictionError(f"{expected}, got shape {image.shape}")
    return image


def _as_rgb(image: np.ndarray) -> np.ndarray:
    expected = "expected an image of shape (H, W, 3) or (H, W) and dtype uint8"
    if not isinstance(image, np.ndarray):
        raise PredictionError(
            f"{expected}, got {type(image).__name__}; np.asarray(image) makes one from a Pillow image"
        )
    if image.dtype != np.uint8:
        raise PredictionError(f"{expected}, got dtype {image.dtype}; scale it to 0-255 and convert")
    if image.ndim == 2 and image.size:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        hint = "; drop the alpha channel with image[..., :3]" if image.ndim == 3 and image.shape[2] == 4 else ""
        raise PredictionError(f"{expected}, got shape {image.shape}{hint}")
    return image
