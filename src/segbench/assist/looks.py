"""What is found in each image, once: how it looks, and how unsure a model is of it. Remembered by the image's content.

So images may be moved and renamed, another model costs no second look, and a stopped command goes on where it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from segbench import __version__
from segbench.assist.vectors import Vectors
from segbench.data.facts.store import THUMB_SIDE
from segbench.data.facts.table import Memory, batches
from segbench.data.files.bands import shown
from segbench.data.files.images import read_bytes
from segbench.data.files.resize import resize_mask
from segbench.data.files.threads import in_order, usual_workers
from segbench.errors import SegbenchError
from segbench.files import cache_folder
from segbench.predict.averaging import Ensemble
from segbench.predict.decide import normalization_of
from segbench.predict.doubt import expected_score, mask_confidence, pixel_doubt
from segbench.predict.found import Job
from segbench.predict.journal import journal_key
from segbench.predict.pages import open_page
from segbench.predict.pipeline import Pipeline
from segbench.predict.predictor import Predictor
from segbench.predict.stages import reason_of
from segbench.types import Progress, Task

_FAILURES = (SegbenchError, MemoryError, RuntimeError, ValueError)
Decoded = tuple[NDArray[np.uint8], NDArray[np.bool_] | None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """Attributes: thumb, (16, 16) uint8 grey; vector, (D,) float32, empty where none was asked for."""

    thumb: NDArray[np.uint8]
    vector: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """How unsure a model is of an image.

    Attributes:
        entropy: mean over the pixels of what `pixel_doubt` says, 0-1.
        confidence: see `mask_confidence`; where no class is found, the mean probability of what was decided.
        found: whether a scored class was found.
        expected: IoU that the mask will probably have; None where no bundle's card says.
        disagreement: mean over the pixels of the mutual information of class and network, 0-1; None of one network.
    """

    entropy: float
    confidence: float
    found: bool
    expected: float | None
    disagreement: float | None


def content_key(job: Job) -> str:
    """Returns the SHA-256 of an image file's bytes, of a stack with the page.

    Raises:
        DatasetError: the file cannot be read.
    """
    digest = hashlib.sha256(read_bytes(job.path)).hexdigest()
    return digest if not job.page else f"{digest}:{job.page}"


class Looker:
    """Goes over images with a model, and remembers what it finds.

    Args:
        predictor: reads the images, and is asked about them.
        progress: told after every image.
    """

    def __init__(self, predictor: Predictor, progress: Progress | None = None) -> None:
        self._predictor, self._progress = predictor, progress
        self._memory = Memory(cache_folder() / "suggest.sqlite")

    def looks(
        self, jobs: Mapping[str, Job], name: str, make: Callable[[], Vectors] | None
    ) -> tuple[dict[str, Look], dict[str, str]]:
        """Returns what images look like by content, and why others could not be read by content.

        Args:
            jobs: content -> image.
            name: of the vectors; make: gives what computes them, None: they are not needed.
        """
        settings = self._predictor.pipeline.settings
        reading = [settings.bands.to_dict() if settings.bands else None, settings.depth_range]
        kind = f"look {__version__} {name if make else ''} {json.dumps(reading)}"
        ready: list[Vectors] = []

        def look(decoded: Decoded) -> dict[str, Any]:
            display = settings.bands.display if settings.bands else None
            image = shown(self._predictor.pipeline.channels_of(decoded[0]), display)
            small = Image.fromarray(image).convert("L").resize((THUMB_SIDE, THUMB_SIDE), Image.Resampling.BOX)
            if make is not None and not ready:
                ready.append(make())
            vector = ready[0](image).astype("<f4").tobytes() if ready else b""
            return {"thumb": small.tobytes().hex(), "vector": base64.b64encode(vector).decode()}

        found, failed = self._gather(kind, jobs, look, "looking at images")
        return {key: _look_of(plain) for key, plain in found.items()}, failed

    def doubts(self, jobs: Mapping[str, Job]) -> tuple[dict[str, Doubt], dict[str, str]]:
        """Returns how unsure the model is of images by content, and why it could not be asked about others."""
        predictor = self._predictor
        members = member_pipelines(predictor)
        card = dict(predictor.card or {})
        kind = f"doubt {journal_key(predictor.model_id, predictor.pipeline.settings.to_dict(), card)}"

        def ask(decoded: Decoded) -> dict[str, Any]:
            return vars(doubt_of(predictor, members, *decoded))

        found, failed = self._gather(kind, jobs, ask, "asking the model about images")
        return {key: Doubt(**plain) for key, plain in found.items()}, failed

    def close(self) -> str | None:
        """Keeps what was found; returns why that was not possible, or None."""
        return self._memory.close()

    def _gather(
        self, kind: str, jobs: Mapping[str, Job], find: Callable[[Decoded], dict[str, Any]], doing: str
    ) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        found: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for keys in batches(list(jobs)):
            found |= {key: json.loads(row[2]) for key, row in self._memory.get(kind, keys).items()}
        left = [key for key in jobs if key not in found]
        workers = usual_workers()
        decoding = in_order(lambda key: self._read(jobs[key]), left, workers=workers, ahead=2 * workers, name="decode")
        for done, (key, future) in enumerate(decoding, start=len(found) + 1):
            try:
                found[key] = find(future.result())
            except _FAILURES as error:
                failed[key] = reason_of(error)
            else:
                self._memory.put(kind, key, 0, 0, json.dumps(found[key]))
            if self._progress is not None:
                self._progress(doing, done, len(jobs))
        return found, failed

    def _read(self, job: Job) -> Decoded:
        if job.page is None:
            return self._predictor.pipeline.read(job.path)
        with open_page(job.path, job.page) as image:
            return self._predictor.pipeline.read(image)


def member_pipelines(predictor: Predictor) -> list[Pipeline]:
    """Returns a pipeline for each network that a predictor averages; its own where there is one."""
    network, pipeline = predictor.network, predictor.pipeline
    if not isinstance(network, Ensemble):
        return [pipeline]
    return [
        Pipeline(member, replace(pipeline.settings, normalization=normalization_of(member)), pipeline.device)
        for member in network.networks
    ]


def doubt_of(
    predictor: Predictor,
    members: Sequence[Pipeline],
    image: NDArray[np.uint8],
    nodata: NDArray[np.bool_] | None = None,
) -> Doubt:
    """Returns how unsure a model is of an image.

    Disagreement is what the networks' mean says less what each says by itself: the mutual information of BALD (Houlsby
    et al. 2011), high where each network is sure and they contradict each other.

    Args:
        predictor, members: see `member_pipelines`.
        image, nodata: as `Predictor` takes them.
    """
    every = [pipeline.probabilities(image).cpu() for pipeline in members]
    mean = torch.stack(every).mean(dim=0) if len(every) > 1 else every[0]
    prediction = predictor.prediction(image, nodata, mean)
    probs, task = prediction.network_probs, predictor.class_map.task
    counted = np.ones(probs.shape[-2:], dtype=bool)
    if prediction.nodata is not None and not prediction.nodata.all():
        counted = resize_mask(prediction.nodata.astype(np.uint8), probs.shape[-2:]) == 0
    doubt = _entropies(probs, task)
    alone = np.mean([_entropies(each.numpy(), task) for each in every], axis=0)
    confidence = mask_confidence(prediction)
    decided = probs.max(axis=0) if task is Task.MULTICLASS else np.maximum(probs, 1.0 - probs).mean(axis=0)
    expected = expected_score(predictor.card, prediction)
    return Doubt(
        entropy=float(pixel_doubt(probs, task)[counted].mean()),
        confidence=float(decided[counted].mean()) if math.isnan(confidence) else confidence,
        found=not math.isnan(confidence),
        expected=None if expected is None else expected[0],
        disagreement=max(0.0, float((doubt - alone)[counted].mean())) if len(every) > 1 else None,
    )


def _entropies(probs: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """Returns (h, w): as `pixel_doubt`, but of a multilabel mask the mean over its planes, which add up."""
    if task is not Task.MULTILABEL:
        return pixel_doubt(probs, task)
    found: NDArray[np.float32] = np.mean([pixel_doubt(plane[None], Task.BINARY) for plane in probs], axis=0)
    return found


def _look_of(plain: Mapping[str, str]) -> Look:
    thumb = np.frombuffer(bytes.fromhex(plain["thumb"]), dtype=np.uint8).reshape(THUMB_SIDE, THUMB_SIDE)
    return Look(thumb=thumb, vector=np.frombuffer(base64.b64decode(plain["vector"]), dtype="<f4"))


def job_of(path: Path) -> Job:
    """Returns an image file as a job."""
    return Job(path=path, below=Path(path.name), name=path.stem)
