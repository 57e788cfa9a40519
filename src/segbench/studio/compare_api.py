"""Two approaches image by image: scores, masks, and where only one of them is wrong."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from segbench.compare.evidence import Entry, Evidence
from segbench.data.files.resize import resize_mask
from segbench.errors import DatasetError, RunError
from segbench.locale import message
from segbench.serve.answers import ServeError
from segbench.studio.judging import Judgement
from segbench.studio.pictures import tint_png, tinted
from segbench.studio.place_api import answer_in
from segbench.studio.study_api import judged
from segbench.types import RGB, Task

Layer: TypeAlias = Literal["first", "second", "truth", "only_first", "only_second"]
_WRONG: RGB = (213, 94, 0)
_BINS = 20
_MOST_PX = 2048  # longest side of a layer

U8: TypeAlias = NDArray[np.uint8]


def router() -> APIRouter:
    """Returns the routes under `/api/compare`."""
    routes = APIRouter(prefix="/api/compare")

    @routes.get("")
    def entries(request: Request) -> dict[str, Any]:
        judgement = judged(request, without_collapsed=False)
        verdict, evidence = judgement.comparison.verdict, judgement.evidence
        return {
            "score": evidence.label,
            "entries": [
                {"index": each.index, "name": each.name, "masks": bool(evidence.entries[each.index].masks)}
                for each in verdict.entries
            ],
        }

    @routes.get("/{first}/{second}")
    def pair(request: Request, first: int, second: int) -> dict[str, Any]:
        found: dict[str, Any] = answer_in(request, pair_of(judged(request, without_collapsed=False), first, second))
        return found

    @routes.get("/{first}/{second}/{layer}")
    def shown(request: Request, first: int, second: int, layer: Layer, image: str = Query()) -> Response:
        evidence = judged(request, without_collapsed=False).evidence
        one, other = _entry(evidence, first), _entry(evidence, second)
        return Response(layer_png(evidence, one, other, layer, image), media_type="image/png")

    return routes


def pair_of(judgement: Judgement, first: int, second: int) -> dict[str, Any]:
    """Returns the difference of two entries: its mean with interval, and every image, the largest difference first."""
    evidence, verdict = judgement.evidence, judgement.comparison.verdict
    one, other = _entry(evidence, first), _entry(evidence, second)
    if first == second:
        raise ServeError(400, "expected two different approaches", code="one_approach")
    pair = verdict.pair(first, second)
    values = np.stack([evidence.seed_means(one), evidence.seed_means(other)])
    difference = values[0] - values[1]
    order = np.argsort(-np.abs(difference), kind="stable")
    position = {sample.id: index for index, sample in enumerate(evidence.manifest.samples)}
    reach = float(np.nanmax(np.abs(difference), initial=0.0)) or 1.0
    counts, edges = np.histogram(difference[~np.isnan(difference)], _BINS, (-reach, reach))
    told = message("shown") if pair.significant else message("not shown")
    return {
        "names": [verdict.names[first], verdict.names[second]],
        "difference": pair.difference.value,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "shown": pair.significant,
        "told": told,
        "first_better": pair.first_better_frac,
        "higher_is_better": evidence.higher_is_better,
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
        "images": [
            {
                "id": evidence.ids[each],
                "sample": position[evidence.ids[each]],
                "first": values[0, each],
                "second": values[1, each],
                "height": evidence.samples[each].height,
                "width": evidence.samples[each].width,
            }
            for each in order.tolist()
        ],
    }


def layer_png(evidence: Evidence, one: Entry, other: Entry, layer: Layer, image_id: str) -> bytes:
    """Returns a picture to be laid over an image: classes in their colours, or wrong pixels in orange."""
    if image_id not in evidence.ids:
        raise ServeError(404, f"expected an image of the test part, got {image_id!r}", code="unknown_image")
    try:
        _, truth = evidence.load(image_id)
        if layer == "truth":
            return tint_png(_fitted(truth, evidence, image_id), evidence.class_map)
        masks = [_mask(entry, image_id, truth.shape) for entry in (one, other)]
    except (DatasetError, RunError) as error:
        raise ServeError(410, str(error), code="unreadable_mask") from error
    if layer in ("first", "second"):
        chosen = masks[0] if layer == "first" else masks[1]
        return tint_png(_fitted(chosen, evidence, image_id), evidence.class_map)
    wrong = [_wrong(mask, truth, evidence) for mask in masks]
    only = wrong[0] & ~wrong[1] if layer == "only_first" else wrong[1] & ~wrong[0]
    return tinted(_fitted(only.astype(np.uint8), evidence, image_id) == 1, _WRONG)


def _entry(evidence: Evidence, place: int) -> Entry:
    if not 0 <= place < len(evidence.entries):
        raise ServeError(404, f"expected an approach from 0 to {len(evidence.entries) - 1}", code="unknown_approach")
    return evidence.entries[place]


def _mask(entry: Entry, image_id: str, shape: tuple[int, ...]) -> U8:
    """Returns the mask of an entry's first training that did not collapse."""
    usable = next((seed for seed, run in enumerate(entry.runs) if not run.is_collapsed), 0)
    if not entry.masks:
        raise ServeError(410, f"{entry.name} kept no masks (masks: none in its config)", code="no_masks")
    mask = entry.masks[min(usable, len(entry.masks) - 1)].read(image_id)
    return mask if mask.shape == shape else resize_mask(mask, (shape[-2], shape[-1]))


def _wrong(mask: U8, truth: U8, evidence: Evidence) -> NDArray[np.bool_]:
    wrong = (mask != truth) & (truth != evidence.class_map.ignore_index)
    return np.asarray(wrong.any(axis=0) if evidence.class_map.task is Task.MULTILABEL else wrong)


def _fitted(mask: U8, evidence: Evidence, image_id: str) -> U8:
    """Returns a mask at the size of its image, or at most `_MOST_PX` high and wide."""
    sample = next(each for each in evidence.samples if each.id == image_id)
    factor = min(1.0, _MOST_PX / max(sample.height, sample.width))
    return resize_mask(mask, (max(1, round(sample.height * factor)), max(1, round(sample.width * factor))))
