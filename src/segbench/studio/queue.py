"""In which order masks are corrected: where a model is unsure, or where it and the mask differ most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from segbench.assist.looks import Looker, content_key, job_of
from segbench.assist.suggest import doubt_value, why_doubtful
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.table import source_of
from segbench.errors import DatasetError, RunError, SegbenchError
from segbench.folders.run import RunFolder
from segbench.locale import Message, message
from segbench.metrics.scores import score_masks
from segbench.predict.predictor import Predictor
from segbench.studio.corrections import Corrections
from segbench.types import Progress, Sample, SplitName

Doubtful: TypeAlias = Literal["entropy", "confidence"]
Order: TypeAlias = Literal["entropy", "confidence", "score"]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Attributes: index, of the sample in the data set; why it comes here, in words; value, by which it does."""

    index: int
    why: Message
    value: float


def parts_of(manifest: Manifest, run: RunFolder | None) -> dict[str, SplitName | None]:
    """Returns id -> part: of a model's training where it drew its own parts, else of the data set."""
    own = {sample.id: sample.split for sample in manifest.samples}
    if run is None or not run.is_run:
        return own
    try:
        drawn = {sample.id: sample.split for sample in Manifest.read(run.manifest_file).samples}
    except (DatasetError, RunError):
        return own
    return {name: drawn.get(name, part) for name, part in own.items()}


def queue_of(
    manifest: Manifest,
    corrections: Corrections,
    predictor: Predictor,
    order: Order,
    chosen: Sequence[int],
    progress: Progress | None = None,
) -> list[Queued]:
    """Returns samples, the one that is worth a look most first; those that cannot be looked at come last.

    Args:
        order: `entropy` and `confidence` as `segbench suggest` takes them; `score`: the IoU of the model's mask and the
            mask as it is now, the lowest first.
        chosen: indices of the samples.
    """
    if order == "score":
        found = list(_by_score(manifest, corrections, predictor, chosen, progress))
        return sorted(found, key=lambda each: (np.isnan(each.value), each.value))
    return sorted(
        _by_doubt(manifest, predictor, order, chosen, progress), key=lambda each: (np.isnan(each.value), -each.value)
    )


def _by_score(
    manifest: Manifest, corrections: Corrections, predictor: Predictor, chosen: Sequence[int], progress: Progress | None
) -> Iterator[Queued]:
    class_map = manifest.class_map
    for done, index in enumerate(chosen, 1):
        sample = manifest.samples[index]
        try:
            labels, _ = corrections.labels(manifest, sample)
            mask = predictor(manifest.image_path(sample)).mask
            value = float(score_masks([mask], [labels], class_map).image_means("iou")[0])
            why = message("IoU of the model's mask and this one: {value:.2f}", value=value)
            if np.isnan(value):
                why = message("neither the mask nor the model shows an object")
        except (SegbenchError, ValueError) as error:
            value, why = np.nan, message("{reason}", reason=str(error))
        yield Queued(index=index, why=why, value=value)
        if progress is not None:
            progress("asking the model about images", done, len(chosen))


def _by_doubt(
    manifest: Manifest, predictor: Predictor, order: Doubtful, chosen: Sequence[int], progress: Progress | None
) -> Iterator[Queued]:
    jobs, keys, failed = {}, {}, {}
    for index in chosen:
        try:
            job = job_of(_image_file(manifest, manifest.samples[index]))
            keys[index] = content_key(job)
            jobs[keys[index]] = job
        except DatasetError as error:
            failed[index] = str(error)
    looker = Looker(predictor, progress)
    try:
        doubts, unasked = looker.doubts(jobs)
    finally:
        looker.close()
    values = {key: doubt_value(order, doubt) for key, doubt in doubts.items()}
    median = float(np.median(list(values.values()))) if values else 0.0
    for index in chosen:
        key = keys.get(index, "")
        if key in values:
            yield Queued(index=index, why=why_doubtful(order, doubts[key], median), value=values[key])
        else:
            reason = failed.get(index) or unasked.get(key, "")
            yield Queued(index=index, why=message("{reason}", reason=reason), value=np.nan)


def _image_file(manifest: Manifest, sample: Sample) -> Any:
    file = source_of(manifest, sample).image_file(manifest, sample)
    if file is None:
        raise DatasetError("its image is no file of its own", path=manifest.root)
    return file
