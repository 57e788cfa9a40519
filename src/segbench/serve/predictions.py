"""What a client is told of an image: JSON with areas and doubt, its mask, an overlay, polygons, or all as ZIP."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, Field

from segbench.data.files import raster
from segbench.data.files.map_grid import MapGrid
from segbench.predict.class_pixels import class_pixels
from segbench.predict.decide import tempered
from segbench.predict.doubt import expected_score, mask_confidence, pixel_doubt
from segbench.predict.outputs import OVERLAY_QUALITY, PixelScale, mask_png
from segbench.predict.outputs.geojson import collection_head, object_feature
from segbench.predict.outputs.objects import MaskObject, mask_objects
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Prediction
from segbench.predict.unlike import unlike_training
from segbench.serve.answers import ServeError, in_addresses
from segbench.types import Task

Kind: TypeAlias = Literal["json", "mask", "overlay", "polygons", "zip"]
Part: TypeAlias = Literal["mask", "overlay", "polygons"]
MEDIA_TYPES: Mapping[Kind, str] = {
    "json": "application/json",
    "mask": "image/png",
    "overlay": "image/jpeg",
    "polygons": "application/geo+json",
    "zip": "application/zip",
}


class Area(BaseModel):
    """What a class covers."""

    px: int = Field(description="Pixels.")
    frac: float | None = Field(description="Share of the pixels that have data, 0-1; null where none has.")
    mm2: float | None = Field(default=None, description="Square millimetres, where `mm_per_px` was given.")
    m2: float | None = Field(
        default=None, description="Square metres, of a raster whose map says how large a pixel is."
    )
    objects: int | None = Field(default=None, description="Connected regions (8 neighbours); not of the background.")


class ExpectedIou(BaseModel):
    """The IoU that an image's mask will probably have, and the ends of an interval."""

    value: float
    low: float
    high: float


class Doubt(BaseModel):
    """How far the mask may be trusted."""

    mean_entropy: float | None = Field(description="Of the pixels' probabilities, 0 where sure and 1 where all alike.")
    confidence: float | None = Field(description="Mean probability of the classes where they are predicted, 0-1.")
    expected_iou: ExpectedIou | None = Field(description="Of a bundle that was calibrated, with its own settings.")
    unlike_training: str | None = Field(description="In what the image is unlike those that the model learnt from.")


class Answer(BaseModel):
    """What one image's prediction says."""

    model: str = Field(description="Name of the model.")
    model_id: str = Field(description="SHA-256 of the network.")
    file: str = Field(description="As the client calls it.")
    height: int
    width: int
    areas: dict[str, Area] = Field(description="By the name of the class.")
    doubt: Doubt
    threshold: float | None = Field(description="Of the probability; null for exclusive classes.")
    policy: Literal["whole", "resize", "tiles"] = Field(description="How an image of its size went through.")
    network_px: tuple[int, int] = Field(description="(height, width) at which the network saw it.")
    notes: list[str] = Field(description="What should be known of the image's size.")
    mask: str | None = Field(default=None, description="With `with=mask`: PNG of class indices in base64.")
    masks: dict[str, str] | None = Field(
        default=None, description="The same of a multilabel model, a PNG (0, 1) a class."
    )
    overlay: str | None = Field(default=None, description="With `with=overlay`: JPEG in base64.")
    polygons: dict[str, Any] | None = Field(
        default=None, description="With `with=polygons`: a GeoJSON FeatureCollection."
    )


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for. Attributes: kind, of the answer; parts, that JSON holds beside; label, whose mask of a
    multilabel model; mm_per_px, side of a pixel in millimetres."""

    kind: Kind = "json"
    parts: frozenset[Part] = field(default_factory=frozenset)
    label: str | None = None
    mm_per_px: float | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known of an image beside its prediction. Attributes: model, model_id, file, see `Answer`; pipeline, that
    it went through; card, of the bundle; data, of a raster's file, None for other images."""

    model: str
    model_id: str
    file: str
    pipeline: Pipeline
    card: Mapping[str, Any] | None
    data: bytes | None = None


def written(prediction: Prediction, told: Told, wanted: Wanted) -> bytes:
    """Returns the content of an answer, of the media type that `MEDIA_TYPES` says.

    Raises:
        ServeError: one mask is wanted of a multilabel model, which has one a class.
    """
    if wanted.kind == "mask":
        return _one_mask(prediction, wanted.label)
    if wanted.kind == "overlay":
        return _overlay(prediction)
    if wanted.kind == "polygons":
        return _json(_polygons(prediction, *_place(told, wanted)))
    if wanted.kind == "zip":
        return zipped([("", files(prediction, told, wanted))])
    return _json(answer(prediction, told, wanted).model_dump(exclude_unset=True))


def answer(prediction: Prediction, told: Told, wanted: Wanted) -> Answer:
    """Returns what the JSON says."""
    class_map, settings = prediction.class_map, told.pipeline.settings
    height, width = prediction.image.shape[:2]
    grid, scale = _place(told, wanted)
    objects = list(mask_objects(prediction.mask, class_map, prediction.nodata))
    plan = told.pipeline.plan((height, width))
    found = Answer(
        model=told.model,
        model_id=told.model_id,
        file=told.file,
        height=height,
        width=width,
        areas=_areas(prediction, objects, scale),
        doubt=_doubt(prediction, told.card),
        threshold=None if class_map.task is Task.MULTICLASS else settings.threshold,
        policy=plan.policy,
        network_px=plan.size,
        notes=[] if plan.note is None else [in_addresses(str(plan.note))],
    )
    if "mask" in wanted.parts:
        masks = {name: base64.b64encode(data).decode() for name, data in _masks(prediction).items()}
        if class_map.task is Task.MULTILABEL:
            found.masks = masks
        else:
            (found.mask,) = masks.values()
    if "overlay" in wanted.parts:
        found.overlay = base64.b64encode(_overlay(prediction)).decode()
    if "polygons" in wanted.parts:
        found.polygons = _polygons(prediction, grid, scale, objects)
    return found


def files(prediction: Prediction, told: Told, wanted: Wanted) -> dict[str, bytes]:
    """Returns name -> content of what the ZIP file holds of one image."""
    masks = _masks(prediction)
    if prediction.class_map.task is Task.MULTILABEL:
        named = {f"masks/{index}_{_safe(name)}.png": data for index, (name, data) in enumerate(masks.items())}
    else:
        named = {"mask.png": masks[""]}
    plain = Wanted(mm_per_px=wanted.mm_per_px)
    return {
        **named,
        "overlay.jpg": _overlay(prediction),
        "polygons.geojson": _json(_polygons(prediction, *_place(told, wanted))),
        "answer.json": _json(answer(prediction, told, plain).model_dump(exclude_unset=True)),
    }


def zipped(images: Sequence[tuple[str, Mapping[str, bytes]]]) -> bytes:
    """Returns a ZIP file. Args: images, (folder, its files), the folder empty for one image alone."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for number, (folder, named) in enumerate(images):
            start = f"{number:03d}_{_safe(folder)}/" if folder else ""
            for name, content in named.items():
                archive.writestr(zipfile.ZipInfo(start + name, (1980, 1, 1, 0, 0, 0)), content)
    return stream.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _safe(name: str) -> str:
    """Returns a client's or a class's name as that of a file: letters, digits and `._-`."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "image"


def _masks(prediction: Prediction) -> dict[str, bytes]:
    """Returns class -> its PNG of a multilabel mask; of any other the one under an empty name."""
    class_map, mask = prediction.class_map, prediction.mask
    if class_map.task is not Task.MULTILABEL:
        return {"": mask_png(mask, class_map)}
    return {name: mask_png(plane, class_map) for name, plane in zip(class_map.names, mask, strict=True)}


def _one_mask(prediction: Prediction, label: str | None) -> bytes:
    class_map, mask = prediction.class_map, prediction.mask
    if class_map.task is not Task.MULTILABEL:
        return mask_png(mask, class_map)
    if label not in class_map.names:
        known = ", ".join(class_map.names)
        told = "this model has a mask for each class; say which with class=..., or ask for as=zip; expected one of"
        raise ServeError(422, f"{told} {known}", code="bad_parameter")
    return mask_png(mask[class_map.names.index(label)], class_map)


def _overlay(prediction: Prediction) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(prediction.overlay()).save(stream, "JPEG", quality=OVERLAY_QUALITY)
    return stream.getvalue()


def _place(told: Told, wanted: Wanted) -> tuple[MapGrid | None, PixelScale | None]:
    """Returns where the pixels lie on a map, and how large they are."""
    grid = None
    if told.data is not None:
        with raster.in_memory(told.data) as path:
            grid = MapGrid.of(path)
    return grid, PixelScale.of(grid, wanted.mm_per_px)


def _polygons(
    prediction: Prediction,
    grid: MapGrid | None,
    scale: PixelScale | None,
    objects: Sequence[MaskObject] | None = None,
) -> dict[str, Any]:
    class_map = prediction.class_map
    found = mask_objects(prediction.mask, class_map, prediction.nodata) if objects is None else objects
    return collection_head(grid) | {"features": [object_feature(each, class_map, grid, scale) for each in found]}


def _areas(prediction: Prediction, objects: Sequence[MaskObject], scale: PixelScale | None) -> dict[str, Area]:
    class_map = prediction.class_map
    pixels, counted = class_pixels(prediction.mask, class_map, prediction.nodata)
    numbers = [each.label for each in objects]
    found = {}
    for index, (name, px) in enumerate(zip(class_map.names, pixels, strict=True)):
        measured: dict[str, float] = {} if scale is None else {scale.unit: px * scale.area}
        if index != class_map.background:
            measured["objects"] = numbers.count(index)
        found[name] = Area.model_validate({"px": px, "frac": px / counted if counted else None, **measured})
    return found


def _doubt(prediction: Prediction, card: Mapping[str, Any] | None) -> Doubt:
    task = prediction.class_map.task
    probs = tempered(torch.from_numpy(prediction.network_probs), prediction.temperature, task).numpy()
    confidence = mask_confidence(prediction)
    expected = expected_score(card, prediction)
    unlike = unlike_training(card, prediction.image)
    return Doubt(
        mean_entropy=float(pixel_doubt(probs, task).mean(dtype=np.float64)),
        confidence=None if math.isnan(confidence) else confidence,
        expected_iou=None if expected is None else ExpectedIou(value=expected[0], low=expected[1], high=expected[2]),
        unlike_training=None if unlike is None else str(unlike),
    )
