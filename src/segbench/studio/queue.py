"""In which order masks are corrected: where models are unsure, where they and the mask differ, what is unlike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from segbench.assist.choose import choose
from segbench.assist.looks import Looker, content_key, job_of
from segbench.assist.suggest import check_strategy, doubt_value, why_different, why_doubtful
from segbench.assist.vectors import comparable, usual_vectors
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.table import source_of
from segbench.errors import DatasetError, RunError, SegbenchError
from segbench.folders.run import RunFolder
from segbench.locale import Message, message
from segbench.metrics.scores import score_masks
from segbench.predict.found import Job
from segbench.predict.predictor import Predictor
from segbench.studio.corrections import Corrections
from segbench.types import Progress, Sample, SplitName

Doubtful: TypeAlias = Literal["entropy", "confidence", "disagreement"]
Order: TypeAlias = Literal["entropy", "confidence", "score", "diversity", "disagreement"]
_MOST_DIFFERENT = 500  # images that are put in order one by one, each against all others


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
        predictor: of several networks for `disagreement`.
        order: `score`: the IoU of the model's mask and the mask as it is now, the lowest first; the others as
            `segbench suggest` takes them, where `diversity` is the distance from what is corrected or came before.
        chosen: indices of the samples.
    Raises:
        ConfigError: `disagreement` of one network.
    """
    if order == "score":
        found = list(_by_score(manifest, corrections, predictor, chosen, progress))
        return sorted(found, key=lambda each: (np.isnan(each.value), each.value))
    if order == "diversity":
        return list(_by_difference(manifest, corrections, predictor, chosen, progress))
    check_strategy(predictor, order)
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
    jobs, keys, failed = _jobs(manifest, chosen)
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


def _by_difference(
    manifest: Manifest, corrections: Corrections, predictor: Predictor, chosen: Sequence[int], progress: Progress | None
) -> Iterator[Queued]:
    jobs, keys, failed = _jobs(manifest, chosen)
    name, make = usual_vectors()
    looker = Looker(predictor, progress)
    try:
        looks, unread = looker.looks(jobs, name, make)
    finally:
        looker.close()
    there = [index for index in chosen if keys.get(index) in looks]
    vectors = comparable(np.stack([looks[keys[index]].vector for index in there]), name) if there else None
    known = corrections.all()
    corrected = [place for place, index in enumerate(there) if manifest.samples[index].id in known]
    left = [place for place in range(len(there)) if place not in set(corrected)]
    if vectors is not None and left:
        found = choose(_MOST_DIFFERENT, None, vectors[left], centres=vectors[corrected])
        for number, each in enumerate(found):
            first = not corrected and not number
            why = message("the most typical image") if first else why_different(each)
            yield Queued(index=there[left[each.index]], why=why, value=each.worth)
        first_ones = {each.index for each in found}
        for place in (place for number, place in enumerate(left) if number not in first_ones):
            yield Queued(index=there[place], why=message("like images before it"), value=0.0)
    for place in corrected:
        yield Queued(index=there[place], why=message("corrected already"), value=0.0)
    for index in chosen:
        if keys.get(index) not in looks:
            reason = failed.get(index) or unread.get(keys.get(index, ""), "")
            yield Queued(index=index, why=message("{reason}", reason=reason), value=np.nan)


def _jobs(manifest: Manifest, chosen: Sequence[int]) -> tuple[dict[str, Job], dict[int, str], dict[int, str]]:
    """Returns content -> image; index of the sample -> content, and why that of others cannot be read."""
    jobs: dict[str, Job] = {}
    keys: dict[int, str] = {}
    failed: dict[int, str] = {}
    for index in chosen:
        try:
            job = job_of(_image_file(manifest, manifest.samples[index]))
            keys[index] = content_key(job)
            jobs[keys[index]] = job
        except DatasetError as error:
            failed[index] = str(error)
    return jobs, keys, failed


def _image_file(manifest: Manifest, sample: Sample) -> Any:
    file = source_of(manifest, sample).image_file(manifest, sample)
    if file is None:
        raise DatasetError("its image is no file of its own", path=manifest.root)
    return file
