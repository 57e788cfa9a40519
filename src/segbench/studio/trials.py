"""Images that somebody dropped onto the page, segmented, and kept in memory while the threshold is moved."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segbench.data.files.resize import resize_image
from segbench.locale import Message
from segbench.plots.doubt import doubt_picture
from segbench.predict.class_pixels import class_pixels
from segbench.predict.doubt import expected_score, pixel_doubt
from segbench.predict.pipeline import enlarge
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.unlike import unlike_training
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings
from segbench.serve.uploads import judge_upload, read_upload
from segbench.studio.pictures import jpeg, label_png, tint_png
from segbench.types import Task

_KEPT = 6  # images; 50 megapixels each take 0.2 GB and more
_SHOWN_PX = 1600  # longest side of what is shown; areas and saved masks are those of the image itself


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Attributes: key; model, its key; predictor; prediction, by the model's own threshold."""

    key: str
    model: str
    predictor: Predictor
    prediction: Prediction


class Trials:
    """Segments images; the last few are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Trial] = OrderedDict()
        self._predictors: dict[Path, Predictor] = {}
        self._lock = threading.Lock()

    def add(self, model: str, path: Path, data: bytes, settings: ServeSettings) -> Trial:
        """Segments an image file.

        Args:
            model: key, and path, of the model.
            data: of the file.
            settings: what may be sent.
        Raises:
            ServeError: see `segbench.serve.uploads`.
            SegbenchError: the model cannot be loaded.
        """
        with self._lock:  # one image at a time: there is one person, and one processor
            predictor = self.predictor(path)
            image, nodata = read_upload(judge_upload(data, predictor, settings), predictor)
            probs = predictor.pipeline.probabilities(image)
            prediction = predictor.prediction(image, nodata, probs)
            trial = Trial(key=secrets.token_urlsafe(9), model=model, predictor=predictor, prediction=prediction)
            self._kept[trial.key] = trial
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return trial

    def predictor(self, path: Path) -> Predictor:
        """Returns the predictor of a run or a bundle; loaded once."""
        found = self._predictors.get(path)
        if found is None:
            found = self._predictors[path] = Predictor.load(path)
        return found

    def find(self, key: str) -> Trial:
        """Returns an image that is still kept; ServeError 410 where it is not."""
        trial = self._kept.get(key)
        if trial is None:
            raise ServeError(410, "this image is no longer kept; drop it again", code="gone")
        return trial


def decided(trial: Trial, threshold: float | None, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Returns the mask by a threshold, at the image's size or another."""
    height, width = trial.prediction.image.shape[:2]
    if threshold is None and size is None:
        return trial.prediction.mask
    pipeline = trial.predictor.with_settings(threshold=threshold).pipeline
    return pipeline.decide(torch.from_numpy(trial.prediction.network_probs), size or (height, width))


def said_of(trial: Trial, threshold: float | None) -> dict[str, Any]:
    """Returns areas, doubt, the IoU to be expected, and in what the image is unlike those of training."""
    prediction, predictor = trial.prediction, trial.predictor
    mask = decided(trial, threshold)
    pixels, total = class_pixels(mask, prediction.class_map, prediction.nodata)
    height, width = prediction.image.shape[:2]
    doubt = pixel_doubt(prediction.network_probs, prediction.class_map.task)
    chosen = prediction if threshold is None else replace(prediction, mask=mask)
    expected = expected_score(predictor.with_settings(threshold=threshold).card, chosen)
    unlike: Message | None = unlike_training(predictor.card, prediction.image)
    has_threshold = prediction.class_map.task is not Task.MULTICLASS
    return {
        "key": trial.key,
        "model": trial.model,
        "height": height,
        "width": width,
        "threshold": (threshold or predictor.threshold) if has_threshold else None,
        "chosen": predictor.threshold if has_threshold else None,
        "areas": [
            {"name": name, "px": int(count), "share": count / total if total else None}
            for name, count in zip(prediction.class_map.names, pixels, strict=True)
        ],
        "colors": [list(color) for color in prediction.class_map.colors],
        "background": prediction.class_map.background,
        "doubt": float(doubt.mean()),
        "expected": None if expected is None else list(expected),
        "unlike": unlike,
        "notes": [note for note in predictor.pipeline.notes.values() if note is not None],
    }


def shown_of(trial: Trial, look: str, threshold: float | None) -> tuple[bytes, str]:
    """Returns a picture and its media type: `image`, `tint`, `doubt` at most `_SHOWN_PX` large, `mask` to be saved."""
    prediction = trial.prediction
    if look == "mask":
        return label_png(decided(trial, threshold), prediction.class_map), "image/png"
    factor = min(1.0, _SHOWN_PX / max(prediction.image.shape[:2]))
    size = (max(1, round(prediction.image.shape[0] * factor)), max(1, round(prediction.image.shape[1] * factor)))
    if look == "tint":
        return tint_png(decided(trial, threshold, size), prediction.class_map), "image/png"
    image = resize_image(prediction.image, size)
    if look == "image":
        return jpeg(image), "image/jpeg"
    probs = enlarge(torch.from_numpy(prediction.network_probs), size).numpy()
    return jpeg(doubt_picture(image, pixel_doubt(probs, prediction.class_map.task))), "image/jpeg"
