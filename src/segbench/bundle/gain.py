"""What averaging several networks gains over one of them, on images that none of them learnt from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.bundle.card import reason_without_places
from segbench.compare.image_scores import needs_outlines, pick, read_scores
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, RunError
from segbench.folders.run import RunFolder
from segbench.locale import Numbers, message
from segbench.metrics.families import COMPARED, label_of
from segbench.metrics.scores import Scores
from segbench.statistics.correlation import mean_with_interval
from segbench.train.callback import Callback
from segbench.train.evaluate import evaluate

_LEVEL = 0.95


def ensemble_gain(folders: Sequence[RunFolder], device: str, watch: Callback) -> dict[str, Any]:
    """Returns the ensemble's score on the validation part, and its gain over the mean of its members with an interval.

    Paired: on each image the ensemble's score less the mean of its members' there; Student's t over the images, or over
    their groups. The validation part chose each member's epoch, so that members look a little too good, if anything.

    Returns:
        score, value, single, gain, low, high, level, n_images, sentence, and `ensemble`: all scores of the ensemble on
        that part, with their definitions. Where it cannot be measured, `sentence` alone, which says why.
    """
    try:
        with tempfile.TemporaryDirectory() as out:
            together = evaluate([folder.path for folder in folders], "val", out=Path(out), device=device, watch=watch)
        singles = [read_scores(folder, "val") for folder in folders]
    except (RunError, DatasetError) as error:
        reason = reason_without_places(error, Manifest.read(folders[0].manifest_file))
        return {"sentence": message("What averaging gains is not known: {reason}", reason=reason)}
    monitor = folders[0].read_config().monitor
    name = monitor if monitor in COMPARED and not needs_outlines(monitor) else "iou_per_image"
    manifest = Manifest.read(folders[0].manifest_file)
    ensemble = {
        "scores": {"val": together.summary()},
        "definitions": together.definitions,
        "footnote": together.footnote,
        "n": {"val": together.n_images},
        "scored_at": together.resolution,
    }
    return {**_paired(name, together, singles, manifest), "ensemble": ensemble}


def _paired(name: str, together: Scores, singles: Sequence[Scores], manifest: Manifest) -> dict[str, Any]:
    every = [pick(name, scores, None) for scores in (together, *singles)]
    values = np.stack([each.values[np.argsort(each.ids)] for each in every])
    ids = np.sort(np.array(together.ids))
    valued = ~np.isnan(values).any(axis=0)
    differences = values[0, valued] - values[1:, valued].mean(axis=0)
    group_of = {sample.id: sample.group or f"image {sample.id}" for sample in manifest.samples}
    groups = np.array([group_of[each] for each in ids[valued].tolist()])
    gain, low, high = mean_with_interval(differences, groups if len(set(groups)) < len(groups) else None, _LEVEL)
    single, value, n_images = float(values[1:, valued].mean()), float(values[0, valued].mean()), int(valued.sum())
    numbers = Numbers(digits=4)
    sentence = message(
        "Averaged they reach {score} {value} on {n_images} validation images, one of them {single} on average: "
        "{gain} with its 95 % interval",
        score=label_of(name),
        value=numbers.score(value),
        n_images=n_images,
        single=numbers.score(single),
        gain=numbers.between(gain, low, high, signed=True),
    )
    return {
        "score": name,
        "value": round(value, 6),
        "single": round(single, 6),
        "gain": round(gain, 6),
        "low": None if np.isnan(low) else round(low, 6),
        "high": None if np.isnan(high) else round(high, 6),
        "level": _LEVEL,
        "n_images": n_images,
        "sentence": sentence,
    }
