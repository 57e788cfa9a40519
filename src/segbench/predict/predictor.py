"""One image of any size in, its mask at that size out."""

from __future__ import annotations

import copy
import hashlib
import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from segbench.data.files.bands import Bands, shown
from segbench.errors import PredictionError
from segbench.plots.panels import overlay
from segbench.plots.picture import Picture
from segbench.predict.averaging import Ensemble
from segbench.predict.bundle_file import ModelBundle, open_model
from segbench.predict.class_pixels import class_pixels
from segbench.predict.decide import normalization_of, tempered
from segbench.predict.device import pick_device
from segbench.predict.inputs import ImageInput
from segbench.predict.pipeline import Pipeline, PipelineSettings, agreed_settings, enlarge
from segbench.predict.postprocess import Postprocess
from segbench.types import DEFAULT_THRESHOLD, ClassMap, Normalization, Size, SizePolicy, Task, Tta


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The segmentation of one image; shows itself as an overlay in a notebook.

    Attributes:
        image: (H, W, 3) uint8, as people see it: as it was given, or its bands for display.
        mask: (H, W) uint8 class indices, multilabel (C, H, W) uint8 in {0, 1}; the image's own size.
        class_map: what the indices mean.
        network_probs: (C, h, w) float32 in [0, 1] at the size the network saw; C is 1 for binary. Before the
            temperature, as the mask was decided from them.
        nodata: (H, W) pixels without data, which count in no area; None where all have some.
        temperature: of `probs`, see `segbench.predict.decide.tempered`.
        network_disagreement: (h, w) float32 in [0, 1], of several networks that were averaged, see
            `segbench.predict.doubt.disagreement`; None where nobody asked, or there is one.

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
    temperature: float = 1.0
    network_disagreement: np.ndarray | None = field(default=None, repr=False)

    @property
    def disagreement(self) -> np.ndarray | None:
        """(H, W) float32: `network_disagreement` at the image's size, bilinear."""
        if self.network_disagreement is None:
            return None
        height, width = self.image.shape[:2]
        return enlarge(torch.from_numpy(self.network_disagreement)[None], (height, width))[0].numpy()

    @property
    def probs(self) -> np.ndarray:
        """(C, H, W) float32 in [0, 1] at the image's size, bilinear; C is 1 for binary (the foreground)."""
        height, width = self.image.shape[:2]
        probs = tempered(torch.from_numpy(self.network_probs), self.temperature, self.class_map.task)
        return enlarge(probs, (height, width)).numpy()

    @property
    def area_fracs(self) -> dict[str, float]:
        """Share of the image's pixels that each class covers, 0-1; NaN where none has data."""
        pixels, total = class_pixels(self.mask, self.class_map, self.nodata)
        return {
            name: count / total if total else math.nan for name, count in zip(self.class_map.names, pixels, strict=True)
        }

    def overlay(self, opacity: float = 0.45) -> Picture:
        """Returns the image with the predicted classes tinted and outlined, (H, W, 3) uint8; a notebook shows it."""
        return Picture(overlay(self.image, self.mask, self.class_map, opacity))

    def _repr_png_(self) -> bytes | None:
        return self.overlay()._repr_png_()


class Predictor:
    """A trained network with everything it needs around it.

    Args:
        network: logits from normalised images; put into evaluation mode.
        class_map: what its outputs mean.
        size: (H, W) it was trained at; images are resized to it and the probabilities back. `original`: as they are.
        threshold: of the probability (binary, multilabel).
        device: where it runs.
        bands: which bands of a file are the channels, for a network trained on such files; None means RGB.
        depth_range: grey values (low, high) of image files of more than 8 bit that become 0 and 255.
        tta: whose probabilities are averaged: `none`, the image alone; `hflip`, its mirror image, too; `flips`, the
            image mirrored both ways and both together; `rotations`, `flips_and_rotations`, `scales`: see `RunConfig`.
            Takes one, two, four, four, eight and three passes.
        patch: (H, W) of the tiles in which it goes over an image, for a network trained on patches; None: all at once.

    Attributes:
        card: what a bundle says about its model (scores, data, licences); None for a run, or several models.

    Example:
        >>> predictor = Predictor.load("runs/ph2")  # doctest: +SKIP
        >>> predictor("photo.jpg").area_fracs  # doctest: +SKIP
    """

    def __init__(
        self,
        network: nn.Module,
        class_map: ClassMap,
        size: Size,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        device: torch.device | str = "cpu",
        bands: Bands | None = None,
        depth_range: tuple[float, float] | None = None,
        tta: Tta = "none",
        patch: tuple[int, int] | None = None,
    ) -> None:
        settings = PipelineSettings(
            class_map=class_map,
            size=size,
            normalization=normalization_of(network),
            threshold=threshold,
            bands=bands,
            depth_range=depth_range,
            tta=tta,
            patch=patch,
        )
        self._take(network, settings, device)

    def _take(self, network: nn.Module, settings: PipelineSettings, device: torch.device | str) -> None:
        self.network = network
        self.pipeline = Pipeline(network, settings, device)
        self.card: Mapping[str, Any] | None = None
        self.runtime = "torch"
        self._bundles: tuple[ModelBundle, ...] = ()

    @cached_property
    def network(self) -> nn.Module:
        """The network in PyTorch; built now where the predictor runs it in another runtime and needed it not so far."""
        return _built(self._bundles)

    @property
    def model_id(self) -> str:
        """The SHA-256 of the network: how it is built, and its weights; 64 hexadecimal digits."""
        if self._bundles:
            return networks_id(self._bundles)
        digest = hashlib.sha256(repr(self.network).encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @classmethod
    def load(
        cls,
        model: str | Path | Sequence[str | Path],
        *,
        device: str = "auto",
        threshold: float | None = None,
        tta: Tta | None = None,
        policy: SizePolicy | None = None,
    ) -> Predictor:
        """Returns the predictor of a run folder, of a bundle, or of several of them, whose probabilities are averaged.

        Args:
            model: folder that `segbench train` wrote (its best checkpoint; one finished epoch is enough); bundle, as a
                file or a folder; or a list of these that agree in classes, size and bands, every network in them with
                the same weight.
            device: `auto`, `cpu`, `cuda` or `mps`.
            threshold: None takes the model's: the configured one, or what validation chose; of several the mean.
            tta: see `Predictor`; None takes the model's.
            policy: `whole`, `resize` or `tiles`; None takes the model's, see `SizePolicy`.
        Raises:
            RunError: no run folder, no finished epoch, or damaged weights.
            BundleError: a bundle that is damaged, or of a newer format (names file and member).
            PredictionError: nothing, one model twice, or models that do not agree (names two, and in what).

        Example:
            >>> import segbench
            >>> predictor = segbench.Predictor.load("ph2.segbench")  # doctest: +SKIP
            >>> predictor("photo.jpg").area_fracs  # doctest: +SKIP
        """
        return cls.of_bundles(open_models(model), device, threshold, tta, policy)

    @classmethod
    def of_bundles(
        cls,
        bundles: Sequence[ModelBundle],
        device: str = "auto",
        threshold: float | None = None,
        tta: Tta | None = None,
        policy: SizePolicy | None = None,
    ) -> Predictor:
        """Returns the predictor of bundles that are open; see `load`.

        A calibration was fitted to a bundle's own settings: with others there is none, and the temperature is 1.
        """
        settings, card = _settings_and_card(bundles, threshold, tta, policy)
        network = _built(bundles)
        predictor = cls.__new__(cls)
        predictor._take(network, replace(settings, normalization=normalization_of(network)), pick_device(device))
        predictor.card = card
        predictor._bundles = tuple(bundles)
        return predictor

    @classmethod
    def of_runtime(
        cls,
        network: Callable[[Tensor], Tensor],
        runtime: str,
        bundles: Sequence[ModelBundle],
        threshold: float | None = None,
        tta: Tta | None = None,
        policy: SizePolicy | None = None,
    ) -> Predictor:
        """Returns the predictor of bundles whose network is there already, in another runtime.

        Nothing of PyTorch's is built, which takes most of the time that a prediction of one image needs.
        """
        settings, card = _settings_and_card(bundles, threshold, tta, policy)
        specs = [each for bundle in bundles for each in bundle.networks]
        single = specs[0].normalization if len(specs) == 1 else Normalization.identity(settings.channels)
        predictor = cls.__new__(cls)
        predictor.pipeline = Pipeline(
            network, replace(settings, normalization=single), original=lambda: predictor.network
        )
        predictor.runtime = runtime
        predictor.card = card
        predictor._bundles = tuple(bundles)
        return predictor

    @classmethod
    def from_run(
        cls, run: str | Path, *, device: str = "auto", threshold: float | None = None, tta: Tta | None = None
    ) -> Predictor:
        """Returns the predictor of a run folder's best checkpoint; `load` takes bundles, too.

        Raises:
            RunError: no run folder, no finished epoch, or damaged weights.
        """
        return cls.from_runs([run], device=device, threshold=threshold, tta=tta)

    @classmethod
    def from_runs(
        cls,
        runs: Sequence[str | Path],
        *,
        device: str = "auto",
        threshold: float | None = None,
        tta: Tta | None = None,
    ) -> Predictor:
        """Returns an ensemble: a predictor that averages the probabilities of several runs' best checkpoints.

        The runs (seeds of one config, say) agree in classes, size and bands; networks may differ. See `load`.

        Raises:
            RunError: no run folder, no finished epoch, or damaged weights.
            PredictionError: no run, one run twice, or runs that do not agree (names two, and in what).
        """
        return cls.load(runs, device=device, threshold=threshold, tta=tta)

    def with_postprocess(self, postprocess: Postprocess) -> Predictor:
        """Returns the same predictor, whose masks are cleaned so before they are given out."""
        other = copy.copy(self)
        other.pipeline = self.pipeline.with_settings(replace(self.pipeline.settings, postprocess=postprocess))
        return other

    def with_settings(self, *, threshold: float | None = None, policy: SizePolicy | None = None) -> Predictor:
        """Returns a predictor with the same network and other settings; None keeps the model's.

        As for `load`, there is no calibration where they differ from the model's own.

        Raises:
            ValueError: the threshold is none.
        """
        settings = self.pipeline.settings
        given = {"threshold": threshold, "policy": policy}
        changes = {key: value for key, value in given.items() if value not in (None, getattr(settings, key))}
        if not changes:
            return self
        other = copy.copy(self)
        other.pipeline = self.pipeline.with_settings(replace(settings, **changes, temperature=1.0))  # type: ignore[arg-type]
        other.card = self.card and {key: value for key, value in self.card.items() if key != "calibration"}
        return other

    @property
    def class_map(self) -> ClassMap:
        """What the outputs mean."""
        return self.pipeline.settings.class_map

    @property
    def size(self) -> Size:
        """(H, W) that images are resized to, or `original`."""
        return self.pipeline.settings.size

    @property
    def threshold(self) -> float:
        """Of the probability (binary, multilabel)."""
        return self.pipeline.settings.threshold

    @property
    def tta(self) -> Tta:
        """Which looks at an image are averaged."""
        return self.pipeline.settings.tta

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

    def __call__(self, image: ImageInput, nodata: np.ndarray | None = None) -> Prediction:
        """Returns the segmentation of one image of any size.

        Args:
            image: path of an image file; an image of Pillow of any mode; or an array of uint8: (H, W, 3) RGB, (H, W) or
                (H, W, 1) grey, (H, W, 4) RGBA, or, for a network that was trained on other channels, (H, W, C) scaled
                as `bands` says. Files and images of Pillow are turned as their EXIF orientation says; what is
                transparent is laid over black.
            nodata: (H, W) pixels without data, which count in no area; a file of bands tells its own.
        Raises:
            PredictionError: another type, shape or dtype.
            DatasetError: a file or an image of Pillow that cannot be read.
        """
        if isinstance(image, str | Path | Image.Image):
            image, found = self.pipeline.read(image)
            nodata = found if nodata is None else nodata
        return self.prediction(image, nodata, self.pipeline.probabilities(image))

    @property
    def averages_several(self) -> bool:
        """Whether the probabilities are the mean of several networks'."""
        if self._bundles:
            return sum(len(bundle.networks) for bundle in self._bundles) > 1
        return isinstance(self.network, Ensemble)

    @cached_property
    def members(self) -> tuple[Pipeline, ...]:
        """Each of several networks by itself, in PyTorch, with the same steps around it; none where there is one."""
        networks = self.network.networks if isinstance(self.network, Ensemble) else ()
        settings = self.pipeline.settings
        return tuple(
            Pipeline(each, replace(settings, normalization=normalization_of(each)), self.device) for each in networks
        )

    def prediction(
        self,
        image: np.ndarray,
        nodata: np.ndarray | None,
        probs: torch.Tensor,
        network_disagreement: np.ndarray | None = None,
    ) -> Prediction:
        """Returns what the probabilities that the network gave of an image say about it.

        Args:
            image: as for the predictor itself, but an array.
            nodata: (H, W) pixels without data; None where all have some.
            probs: (C, h, w) of `Pipeline.probabilities`.
            network_disagreement: see `Prediction`.
        """
        bands = self.bands
        return Prediction(
            image=shown(self.pipeline.channels_of(image), None if bands is None else bands.display),
            nodata=nodata if nodata is not None and nodata.any() else None,
            mask=self.pipeline.decide(probs, (image.shape[0], image.shape[1])),
            class_map=self.class_map,
            network_probs=probs.cpu().numpy(),
            temperature=self.pipeline.settings.temperature,
            network_disagreement=network_disagreement,
        )

    def _repr_html_(self) -> str:
        members = list(self.network.networks) if isinstance(self.network, Ensemble) else [self.network]
        kinds = ", ".join(dict.fromkeys(type(member).__name__ for member in members))
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        has_threshold = self.class_map.task is not Task.MULTICLASS
        rows = [
            ("task", str(self.class_map.task)),
            (
                "network",
                f"{kinds if len(members) == 1 else f'{len(members)} averaged: {kinds}'}, {parameters:,} parameters",
            ),
            ("size", f"{self.size[0]} x {self.size[1]} pixels (height x width); images of any size are resized to it"),
            *([("threshold", f"{self.threshold:g}")] if has_threshold else []),
            *([("tta", self.tta)] if self.tta != "none" else []),
            *([("bands", ", ".join(map(str, self.bands.numbers)))] if self.bands is not None else []),
            ("device", str(self.device)),
        ]
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
        return f"<table><tr><th>classes</th><td>{self.class_map._repr_html_()}</td></tr>{cells}</table>"


def open_models(model: str | Path | Sequence[str | Path]) -> list[ModelBundle]:
    """Returns a run, a bundle, or several, each as a bundle; see `Predictor.load`, also for the errors."""
    paths = [Path(each) for each in ([model] if isinstance(model, str | Path) else model)]
    if not paths or len({path.resolve() for path in paths}) < len(paths):
        raise PredictionError(f"expected runs or bundles, each one once, got {', '.join(map(str, paths)) or 'none'}")
    bundles = [open_model(path) for path in paths]
    if len(paths) > 1:
        _require_different(paths, bundles)
    return bundles


def _require_different(paths: Sequence[Path], bundles: Sequence[ModelBundle]) -> None:
    """Raises PredictionError where two models hold the very same weights: a run and its bundle, say, or a copy."""
    seen: dict[str, Path] = {}
    for path, bundle in zip(paths, bundles, strict=True):
        for weights in bundle.weight_files:
            other = seen.setdefault(weights.sha256, path)
            if other is not path:
                raise PredictionError(f"{other} and {path} hold the same network, which would count twice; give one")


def networks_id(bundles: Sequence[ModelBundle]) -> str:
    """Returns the SHA-256 of how the networks are built and of their weights; 64 hexadecimal digits."""
    parts = [
        [spec.to_dict(), file.sha256]
        for bundle in bundles
        for spec, file in zip(bundle.networks, bundle.weight_files, strict=True)
    ]
    task = str(bundles[0].settings.class_map.task)  # by which several are averaged
    return hashlib.sha256(json.dumps([task, *parts], sort_keys=True, default=list).encode()).hexdigest()


def _settings_and_card(
    bundles: Sequence[ModelBundle], threshold: float | None, tta: Tta | None, policy: SizePolicy | None
) -> tuple[PipelineSettings, Mapping[str, Any] | None]:
    given = {"threshold": threshold, "tta": tta, "policy": policy}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    settings = agreed_settings({str(each.source): replace(each.settings, **changes) for each in bundles})
    card = bundles[0].card if len(bundles) == 1 and bundles[0].card else None
    if card and any(getattr(bundles[0].settings, key) != value for key, value in changes.items()):
        card = {key: value for key, value in card.items() if key != "calibration"}
        settings = replace(settings, temperature=1.0)
    return settings, card


def _built(bundles: Sequence[ModelBundle]) -> nn.Module:
    networks = [each.build(index) for each in bundles for index in range(len(each.networks))]
    return networks[0] if len(networks) == 1 else Ensemble(networks, bundles[0].settings.class_map.task)
