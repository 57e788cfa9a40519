"""A first model from a handful of labelled images, in seconds on a CPU: frozen features and a small head.

The features are those of an encoder that was trained on photographs (`hypercolumn`); only a logistic regression on them
is fitted, so that there is nothing to wait for, and little to learn wrongly from five images. What comes out is an
ordinary bundle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save as bytes_of
from scipy import ndimage  # type: ignore[import-untyped]

from segbench import __version__
from segbench.assist.cross_validate import LEVEL, SCORE, LabelledImage, Validated, cross_validate
from segbench.assist.features import FrozenFeatures, packaged_network
from segbench.assist.logistic import PENALTIES, USUAL_PENALTY, fit_path, sample_pixels, set_head
from segbench.bundle.data_card import data_card
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.doctor.scale import LONG_SIDE_PX, shrunk
from segbench.errors import DatasetError, shorten
from segbench.locale import Message, message, plural
from segbench.models.hypercolumn import Hypercolumn
from segbench.predict.bundle_file import ModelBundle, NetworkSpec
from segbench.predict.bundle_members import Member
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.postprocess import Postprocess
from segbench.predict.sizes import training_size
from segbench.predict.unlike import image_features, image_statistics
from segbench.types import DEFAULT_THRESHOLD, IGNORE_INDEX, ClassMap, Progress, Sample, Task

MOST_IMAGES = 300  # beyond which a training does better than a regression
FEW_IMAGES = 20  # below which no gain over untrained features could be shown on PH2: benchmarks/results/assist.md
_WIDE = 0.2  # an interval this wide leaves open whether a model is good
_SPECK, _SMALL = 0.25, 0.05  # regions below a quarter of a small labelled object (of the smallest in twenty) are none
_PIXELS_EACH, _PIXELS = 300, 6000  # of an image at most, and of all together: more moved no score in trials


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstModel:
    """A first model and what is known of it.

    Attributes:
        bundle: see `ModelBundle`; `write` puts it into a file.
        validated: choice and scores; None where no image could be left out.
        images: how many it learnt from.
        computed: for how many of them features were computed now; those of the others were kept from before.
        sentences: what a person should know, the score first.
    """

    bundle: ModelBundle
    validated: Validated | None
    images: int
    computed: int
    sentences: tuple[Message, ...]


def make_first_model(
    manifest: Manifest,
    *,
    network: Hypercolumn | None = None,
    long_side_px: int = LONG_SIDE_PX,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> FirstModel:
    """Returns a first model of labelled images.

    Args:
        manifest: of images of three channels that have labels; parts (train, val, test) count nowhere, groups are left
            out together when it is scored.
        network: whose encoder sees the images, for as many outputs as there are classes; None: `packaged_network`.
        long_side_px: of the median image as the network sees it; larger finds smaller objects and takes longer.
        folder: where features are kept, see `FrozenFeatures`.
        progress: told after every image and every fold.
    Raises:
        DatasetError: no image, images of other channels, all labels of one class, or files that cannot be read.
        WeightsError: no encoder is installed as a package (names the extra).
    """
    if manifest.bands is not None:
        told = message(
            "these images have {n} bands, and the features of a first model are those of photographs; train a network: "
            "segbench config new",
            n=manifest.channels,
        )
        raise DatasetError(told, path=manifest.folder)
    class_map = manifest.class_map
    network = network or packaged_network(class_map.out_channels)
    features = FrozenFeatures(network, folder)
    samples = _spread(manifest.samples)
    size = _size(samples, long_side_px)
    looks: list[dict[str, float]] = []
    areas: list[int] = []
    images = list(_read(manifest, samples, size, features, looks, areas, progress))
    absent = _absent_classes(manifest, images)
    validated = cross_validate(images, network, class_map, progress)
    penalties = (USUAL_PENALTY,) if validated is None else PENALTIES[: validated.penalty + 1]
    pixels = [image.pixels for image in images]
    set_head(network, fit_path(pixels, class_map.task, network.out_channels, penalties)[-1])
    learnt = replace(manifest, samples=tuple(samples)).with_splits({sample.id: "train" for sample in samples})
    sentences = (*_sentences(validated, len(images)), *_notes(manifest, samples, absent))
    settings = PipelineSettings(
        class_map=class_map,
        size=size,
        normalization=network.normalization,
        threshold=DEFAULT_THRESHOLD if validated is None else validated.threshold,
        depth_range=manifest.depth_range,
        training_px=training_size(learnt),
        postprocess=Postprocess(smallest_px=_speck_px(areas)),
    )
    card = _card(learnt, network, validated, sentences, size)
    card["data"]["image_statistics"] = image_statistics(looks)
    return FirstModel(
        bundle=_bundle(network, settings, card, manifest.folder),
        validated=validated,
        images=len(images),
        computed=features.computed,
        sentences=sentences,
    )


def _size(samples: Sequence[Sample], long_side_px: int) -> tuple[int, int]:
    """Returns (H, W) at which the network sees images: the median one's, no larger than it is, in multiples of 16."""
    height = sorted(sample.height for sample in samples)[len(samples) // 2]
    width = sorted(sample.width for sample in samples)[len(samples) // 2]
    share = min(1.0, long_side_px / max(height, width))
    return shrunk(height, share), shrunk(width, share)


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    places = np.linspace(0, len(samples) - 1, min(MOST_IMAGES, len(samples))).round().astype(int)
    return [samples[place] for place in places.tolist()]


def _read(
    manifest: Manifest,
    samples: Sequence[Sample],
    size: tuple[int, int],
    features: FrozenFeatures,
    looks: list[dict[str, float]],
    areas: list[int],
    progress: Progress | None,
) -> Iterator[LabelledImage]:
    """Yields images with labels that count; `looks` and `areas` take what each shows at its own size."""
    most = min(_PIXELS_EACH, max(1, _PIXELS // len(samples)))
    for done, sample in enumerate(samples, start=1):
        image, labels = load_sample(manifest, sample)
        looks.append(image_features(image))
        areas += object_areas(labels, manifest.class_map)
        maps, labels = features.of(resize_image(image, size)), resize_mask(labels, size)
        pixels = sample_pixels(maps, labels, most, np.random.default_rng(done))
        if pixels is not None:
            yield LabelledImage(
                id=sample.id, unit=sample.group or f"image {sample.id}", features=maps, labels=labels, pixels=pixels
            )
        if progress is not None:
            progress("looking at the labelled images", done, len(samples))


def object_areas(labels: NDArray[np.uint8], class_map: ClassMap) -> list[int]:
    """Returns the area in pixels of every connected region of a class but the background.

    Args:
        labels: (H, W) class indices, multilabel (C, H, W).
        class_map: of the task.
    """
    planes = [
        labels[index] == 1 if class_map.task is Task.MULTILABEL else labels == index
        for index in range(class_map.num_classes)
        if index != class_map.background
    ]
    regions = (ndimage.label(plane, np.ones((3, 3)))[0] for plane in planes)
    return [int(area) for region in regions for area in np.bincount(region.ravel())[1:]]


def _speck_px(areas: Sequence[int]) -> int:
    """Returns the area below which a region is a speck that a person would only have to delete."""
    return int(_SPECK * np.quantile(areas, _SMALL)) if areas else 0


def _absent_classes(manifest: Manifest, images: Sequence[LabelledImage]) -> list[str]:
    """Returns the names of classes without a pixel.

    Raises:
        DatasetError: there is nothing to tell apart.
    """
    class_map = manifest.class_map
    if not images:
        raise DatasetError(message("no pixel of these images has a label that counts"), path=manifest.folder)
    if class_map.task is Task.MULTILABEL:
        there = {
            index for image in images for index in range(class_map.num_classes) if (image.labels[index] == 1).any()
        }
        nothing = not there
    else:
        there = {int(value) for image in images for value in np.unique(image.labels)} - {IGNORE_INDEX}
        nothing = len(there) < 2
    absent = [name for index, name in enumerate(class_map.names) if index not in there]
    if nothing:
        told = message(
            "there is nothing to tell apart: no labelled image shows {names}; outline some and call this again",
            names=shorten(absent),
        )
        raise DatasetError(told, path=manifest.folder)
    return absent


def _sentences(validated: Validated | None, images: int) -> list[Message]:
    if validated is None:
        return [message("not scored: with one image (or one group of images) none can be left out; label a second one")]
    told = message(
        "IoU per image {value}, 95 % interval {low} to {high}: {n} images, each predicted without having been learnt",
        value=_number(validated.value),
        low=_number(validated.low),
        high=_number(validated.high),
        n=images,
    )
    found = [told]
    if images < FEW_IMAGES:
        found.append(
            message(
                "below {few} labelled images a gain over features that were never trained is not certain; look at the "
                "predictions before you rely on them",
                few=FEW_IMAGES,
            )
        )
    if not validated.high - validated.low < _WIDE:
        found.append(
            plural(
                "the interval is wide: {n} image tells little about the next ones",
                "the interval is wide: {n} images tell little about the next ones",
                n=images,
            )
        )
    return found


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _notes(manifest: Manifest, samples: Sequence[Sample], absent: Sequence[str]) -> Iterator[Message]:
    if absent:
        yield message("no labelled image shows {names}: the model does not know it", names=shorten(absent))
    if len(samples) < len(manifest):
        yield message(
            "{used} of {all} labelled images were used; with so many, train a network: segbench config new",
            used=len(samples),
            all=len(manifest),
        )


def _card(
    manifest: Manifest,
    network: Hypercolumn,
    validated: Validated | None,
    sentences: Sequence[Message],
    size: tuple[int, int],
) -> dict[str, Any]:
    """Returns the card of the bundle; its score comes from cross-validation, not from a test part."""
    origin = asdict(network.weights_origin)
    keys = ("source", "part", "provider", "file", "sha256", "license", "trained_on")
    card: dict[str, Any] = {
        "name": f"first model of {manifest.folder.name}",
        "monitor": SCORE,
        "test_uses": 0,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "licences": {"starting_weights": [{key: origin[key] for key in keys}]},
        "versions": {"segbench": __version__},
        "manifest_hash": manifest.content_hash,
        "data": data_card(manifest, {}, size),
        "notes": [str(each) for each in sentences],
    }
    if validated is not None:
        card["main"] = {
            "name": SCORE,
            "value": validated.value,
            "low": None if math.isnan(validated.low) else validated.low,
            "high": None if math.isnan(validated.high) else validated.high,
            "level": LEVEL,
            "n_images": len(validated.scores),
            "n_groups": validated.units if validated.units < len(validated.scores) else None,
            "split": "cross-validation",
            "sentence": str(sentences[0]),
        }
        card["image_scores"] = validated.scores
    return card


def _bundle(network: Hypercolumn, settings: PipelineSettings, card: dict[str, Any], source: Path) -> ModelBundle:
    spec = NetworkSpec(
        name="hypercolumn",
        options={"encoder": network.encoder_name},
        in_channels=network.in_channels,
        out_channels=network.out_channels,
        normalization=network.normalization,
        weights=network.weights,
    )
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    weights = Member.of_bytes("weights_0.safetensors", bytes_of(tensors))
    return ModelBundle(settings=settings, networks=(spec,), weight_files=(weights,), card=card, source=source)
