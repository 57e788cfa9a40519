"""One image of any size in, its mask at that size out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segbench.data.files.bands import Bands, shown
from segbench.folders.run import RunFolder
from segbench.models.configured import network_of
from segbench.models.weights import load_weights
from segbench.plots.panels import overlay, png_bytes
from segbench.predict.decide import normalization_of
from segbench.predict.device import pick_device
from segbench.predict.pipeline import Pipeline, PipelineSettings, enlarge
from segbench.types import DEFAULT_THRESHOLD, ClassMap, Normalization


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The segmentation of one image; shows itself as an overlay in a notebook.

    Attributes:
        image: (H, W, 3) uint8, as people see it: as it was given, or its bands for display.
        mask: (H, W) uint8 class indices, multilabel (C, H, W) uint8 in {0, 1}; the image's own size.
        class_map: what the indices mean.
        network_probs: (C, h, w) float32 in [0, 1] at the size the network saw; C is 1 for binary.
        nodata: (H, W) pixels without data, which count in no area; None where all have some.

    Example:
        >>> import segbench
        >>> prediction = segbench.Predictor.from_run("runs/ph2")(image)  # doctest: +SKIP
        >>> prediction.mask.shape, prediction.area_fracs  # doctest: +SKIP
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
        return enlarge(torch.from_numpy(self.network_probs), (height, width)).numpy()

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
        depth_range: grey values (low, high) of image files of more than 8 bit that become 0 and 255.

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
        threshold: float = DEFAULT_THRESHOLD,
        device: torch.device | str = "cpu",
        bands: Bands | None = None,
        depth_range: tuple[float, float] | None = None,
    ) -> None:
        settings = PipelineSettings(
            class_map=class_map,
            size=size,
            normalization=normalization_of(network),
            threshold=threshold,
            bands=bands,
            depth_range=depth_range,
        )
        self.network = network
        self.pipeline = Pipeline(network, settings, device)

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
        settings = PipelineSettings.of_run(folder, threshold)
        channels, outputs = settings.channels, settings.class_map.out_channels
        network = network_of(folder.read_config(), channels, outputs, load_weights=False)
        load_weights(folder.best_file, network)
        network.normalization = settings.normalization
        return cls(
            network,
            settings.class_map,
            settings.size,
            threshold=settings.threshold,
            device=pick_device(device),
            bands=settings.bands,
            depth_range=settings.depth_range,
        )

    @property
    def class_map(self) -> ClassMap:
        """What the outputs mean."""
        return self.pipeline.settings.class_map

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that images are resized to."""
        return self.pipeline.settings.size

    @property
    def threshold(self) -> float:
        """Of the probability (binary, multilabel)."""
        return self.pipeline.settings.threshold

    @property
    def bands(self) -> Bands | None:
        """Which bands of a file are the channels; None means RGB."""
        return self.pipeline.settings.bands

    @property
    def normalization(self) -> Normalization:
        """Of the network's input."""
        return self.pipeline.settings.normalization

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.pipeline.device

    def __call__(self, image: np.ndarray, nodata: np.ndarray | None = None) -> Prediction:
        """Returns the segmentation of one image.

        Args:
            image: (H, W, 3) uint8 RGB, or (H, W) uint8 grey; any H and W. (H, W, C) uint8, scaled as `bands` says,
                for a network that was trained on other channels.
            nodata: (H, W) pixels without data, which count in no area.
        Raises:
            PredictionError: another shape or dtype.
        """
        mask, probs = self.pipeline(image)
        bands = self.bands
        return Prediction(
            image=shown(self.pipeline.channels_of(image), None if bands is None else bands.display),
            nodata=nodata if nodata is not None and nodata.any() else None,
            mask=mask,
            class_map=self.class_map,
            network_probs=probs.cpu().numpy(),
        )
