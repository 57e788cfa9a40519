"""Whether the files of runs belong together: hashes, scores that follow from counts, masks that give the counts.

A comparison reads numbers that anybody can edit. So what a run recorded is held against what lies there now, and what
was computed from something else is computed again.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segbench.compare.image_scores import ImageScores, PartScores, check_score, evaluate_command
from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError, RunError, shorten
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.folders.seal import changed_files, hash_file, read_seals
from segbench.locale import Message, message, plural, quoted
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.families import COUNT_SCORES
from segbench.types import Progress

SAMPLED = 10
"""Images whose masks are counted again, drawn anew at every comparison; runs without hashes: all."""
_TELLING_IMAGES, _TELLING_PIXELS = 3, 10
_CLOSE = 1e-9  # the same sum, added up in another order


@dataclass(frozen=True, kw_only=True)
class ScoredRun:
    """A run of a comparison, and what was read of it.

    Attributes:
        run: its folder.
        part: what its scores are called: `test`, or `test_original`.
        every: all its scores.
        scores: the one that is compared, of every image.
    """

    run: RunFolder
    part: str
    every: PartScores
    scores: ImageScores


def check_runs(
    scored: Sequence[ScoredRun],
    manifest: Manifest,
    size: tuple[int, int] | None,
    *,
    verify: bool = False,
    progress: Progress | None = None,
) -> list[Message]:
    """Makes sure that what runs say belongs together, and returns what a reader must know about it.

    Args:
        scored: the runs.
        manifest: of the data.
        size: (H, W) at which predictions were compared; None: each image's own.
        verify: count the masks of all images again, instead of `SAMPLED` of a run with hashes.
        progress: called while masks are counted.
    Raises:
        RunError: a file is not the one that was scored, scores do not follow from the counts, or masks do not give the
            counts (says which file or image, what was expected, what came, and what to do).
    """
    unsealed = []
    for item in scored:
        if not _check_seal(item):
            unsealed.append(item)
        _check_scores_follow(item)
    notes = []
    if unsealed:
        notes.append(
            plural(
                "{n} run keeps no hashes of its files, since an earlier version made it: its masks were counted again "
                "instead, all of them",
                "{n} runs keep no hashes of their files, since an earlier version made them: their masks were counted "
                "again instead, all of them",
                n=len(unsealed),
            )
        )
    every = [sample.id for sample in manifest.split("test")]
    drawn = every if verify else random.sample(every, min(SAMPLED, len(every)))  # not to be foreseen
    notes += _check_masks(scored, unsealed, manifest, size, drawn, progress)
    return notes


def _check_seal(item: ScoredRun) -> bool:
    """Returns whether the run has hashes at all; raises where a file has another one."""
    changed = changed_files(item.run, item.part)
    if changed:
        raise RunError(
            f"{len(changed)} of its files are not those that were scored: {shorten(changed, 3)} (expected: what "
            f"result.json, or the last evaluation, recorded). They were changed, swapped or damaged afterwards; put "
            f"the files of this training back, or score its weights again: "
            f"`{evaluate_command(item.run, item.part)}`",
            run=item.run.path,
        )
    return changed is not None


def _check_scores_follow(item: ScoredRun) -> None:
    """Raises where the table of scores, or the mean in `result.json`, is not what the counts give."""
    name = item.scores.definition.name
    score, label = check_score(name)[0], name.partition("[")[2].removesuffix("]")
    if score not in COUNT_SCORES:
        return
    key = COUNT_SCORES[score].measure.key
    written = _read_column(item.run.table_file("scores", item.part), f"{key}[{label}]" if label else key)
    for image_id, value in zip(item.scores.ids, item.scores.values, strict=True):
        found = value if written is None else written.get(image_id, float("nan"))
        if not np.isclose(found, value, rtol=0.0, atol=_CLOSE, equal_nan=True):
            raise _does_not_follow(item, f"{name} of image {image_id}", value, found, f"scores_{item.part}.csv")
    if item.part == "test" and not label and not (item.run.path / "evaluation_test.json").is_file():
        found = item.run.read_result().scores.get("test", {}).get(name)
        mean = float(np.nanmean(item.scores.values)) if not np.isnan(item.scores.values).all() else float("nan")
        if found is not None and not np.isclose(found, mean, rtol=0.0, atol=_CLOSE, equal_nan=True):
            raise _does_not_follow(item, f"the mean of {name}", mean, found, "result.json")


def _does_not_follow(item: ScoredRun, what: str, expected: float, found: float, file: str) -> RunError:
    return RunError(
        f"{what} is {found:.6g} in {file}, and the counts of counts_{item.part}.csv give {expected:.6g}: one of them "
        f"was changed afterwards; score the run again with `{evaluate_command(item.run, item.part)}`",
        run=item.run.path,
    )


def _read_column(file: Path, column: str) -> dict[str, float] | None:
    """Returns image id -> value of one column of a table of scores; None where there is no such table or column."""
    if not file.is_file():
        return None
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            if column not in header:
                return None
            place = header.index(column)
            return {row[0]: float(row[place]) if row[place] else float("nan") for row in reader}
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise RunError(f"{file.name} is damaged ({error}); evaluate the run again", run=file.parent) from error


def _check_masks(
    scored: Sequence[ScoredRun],
    unsealed: Sequence[ScoredRun],
    manifest: Manifest,
    size: tuple[int, int] | None,
    drawn: Sequence[str],
    progress: Progress | None,
) -> list[Message]:
    """Counts the masks of some images again: an image at a time, so that its truth is read once for all runs."""
    archives = [(item, MaskArchive(file)) for item in scored if (file := item.run.predicted_file(item.part)).is_file()]
    places = [{image_id: place for place, image_id in enumerate(item.scores.ids)} for item, _ in archives]
    in_full, asked = set(map(id, unsealed)), set(drawn)
    samples = [sample for sample in manifest.split("test") if unsealed or sample.id in asked]
    for done, sample in enumerate(samples):
        wanted = [n for n, (item, _) in enumerate(archives) if sample.id in asked or id(item) in in_full]
        if progress is not None:
            progress("counting masks again", done, len(samples))
        try:
            _, target = load_sample(manifest, sample)
        except DatasetError as error:
            return [
                message(
                    "whether the masks of the runs give their counts could not be checked, since the data cannot be "
                    "read: {why}",
                    why=quoted(str(error)),
                )
            ]
        target = target if size is None else resize_mask(target, size)
        for n in wanted:
            item, archive = archives[n]
            _check_mask(item, archive, places[n][sample.id], sample.id, target, manifest)
    return []


def _check_mask(
    item: ScoredRun,
    archive: MaskArchive,
    place: int,
    image_id: str,
    target: npt.NDArray[np.uint8],
    manifest: Manifest,
) -> None:
    class_map, counts = manifest.class_map, item.scores.counts
    mask = archive.read(image_id)
    told = f"{archive.path.name} of image {image_id}"
    again = f"score the run again with `{evaluate_command(item.run, item.part)}`"
    if mask.shape != target.shape:
        raise RunError(f"{told} has the shape {mask.shape}, its true mask {target.shape}; {again}", run=item.run.path)
    try:
        table, ignored = count_masks(
            mask, target, class_map.num_classes, ignore_index=class_map.ignore_index, task=class_map.task
        )
    except ValueError as error:
        raise RunError(f"{told}: {error}; {again}", run=item.run.path) from error
    expected = counts.confusion[place]
    if np.array_equal(table, expected) and ignored == counts.ignored[place]:
        return
    where = tuple(int(each) for each in np.argwhere(table != expected)[0]) if (table != expected).any() else None
    differ = "the number of ignored pixels differs"
    if where is not None:
        differ = f"{int(expected[where])} pixels in cell {list(where)} by the counts, {int(table[where])} by the mask"
    raise RunError(
        f"{told} does not give what counts_{item.part}.csv says ({differ}): masks or counts were changed or swapped "
        f"afterwards; {again}",
        run=item.run.path,
    )


def refuse_copies(name: str, scored: Sequence[ScoredRun]) -> None:
    """Raises where two seeds of one entry are one training: a copied run is no second seed.

    Told by equal weights, or by equal counts on every image where that cannot be chance: at least 3 images with 10
    wrong pixels or more, in which more than one class is predicted. Two runs that predict one class everywhere, or are
    right everywhere, count alike without being copies.

    Raises:
        RunError: names both runs.
    """
    by_weights: dict[str, ScoredRun] = {}
    by_counts: dict[bytes, ScoredRun] = {}
    for item in scored:
        other = by_counts.setdefault(item.scores.counts.confusion.tobytes(), item)
        if other is not item and (_is_telling(item.scores.counts) or _weights(item) == _weights(other) is not None):
            raise _copied(name, item, other, "the same counts on every test image")
        recorded = {
            seal[item.run.best_file.name] for seal in read_seals(item.run, item.part) if item.run.best_file.name in seal
        }
        for digest in recorded:
            other = by_weights.setdefault(digest, item)
            if other is not item:
                raise _copied(name, item, other, "the same weights (SHA-256 of best.safetensors)")


def _is_telling(counts: Counts) -> bool:
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    several = ((tp + fp) > 0).sum(axis=1) > (1 if counts.confusion.ndim == 3 else 0)
    wrong = (fp + fn).sum(axis=1) >= _TELLING_PIXELS
    return int((several & wrong).sum()) >= _TELLING_IMAGES


def _weights(item: ScoredRun) -> str | None:
    return hash_file(item.run.best_file) if item.run.best_file.is_file() else None


def _copied(name: str, item: ScoredRun, other: ScoredRun, what: str) -> RunError:
    return RunError(
        f"has {what} as {other.run.path}: two seeds of {name} that are one training, a copy under another seed or one "
        "that the seed does not touch, are no two trainings. Train this seed, or leave this folder out",
        run=item.run.path,
    )
