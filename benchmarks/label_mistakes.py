"""Planted label mistakes found among the first 10 and 20 images shown: before, now, and by cleanlab's ranking.

python benchmarks/label_mistakes.py NAME=FOLDER [NAME=FOLDER ...] [--rounds 5] [--write]

Every FOLDER is a finished study (or a run folder); its test images get mistakes in memory, and the masks and weights
that its runs keep are held against them. Six kinds in turn: an object removed, added, given another class (binary: mask
turned inside out), the mask shifted by 15 to 25 % of the side, an object shrunk or grown by 15 to 25 % of its size; 20
images a round, 10 of fewer than 80. Compared:

- before: what the report did up to November 2026: every run of every entry says the same, and the mask another class,
  on 5 % of the object;
- now: `segbench.explain.label_mistakes.find_label_candidates`;
- cleanlab: its image ranking for segmentation (softmin of the probabilities of the labels; Lad and Mueller 2023) with
  the mean probabilities of the runs that `now` asks; ignored pixels get the label the runs say, since it knows none.

A list that ends before its 10th or 20th image has fewer; cleanlab ranks every image. Studies used, about 10 minutes of
one core each: studies/upsampling.yaml and studies/pets_frozen_vs_finetuned.yaml with `--scale small`, and
benchmarks/configs/label_mistakes.yaml on CamVid and on 400 images of `segbench data make lesions`. Needs
`uv run --group bench`. `--write` puts the table into benchmarks/results/label_mistakes.md.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage  # type: ignore[import-untyped]

from _machine import machine_line
from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import load_evidence
from segbench.explain.error_types import split_errors
from segbench.explain.label_mistakes import choose_runs, find_label_candidates
from segbench.metrics.scores import score_masks
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap

Mask = npt.NDArray[np.uint8]
KINDS = ("removed", "added", "class", "shifted", "shrunk", "grown")
EIGHT = np.ones((3, 3), dtype=bool)
SHOWN = 20


class Kept(dict[str, Mask]):
    """Masks of one run in memory."""

    def read(self, image_id: str) -> Mask:
        return self[image_id]


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted(Evidence):
    """Evidence whose true masks are held in memory, some of them wrong."""

    targets: Mapping[str, Mask] = field(default_factory=dict)

    def load(self, image_id: str) -> tuple[Mask, Mask]:
        return np.zeros((*self.targets[image_id].shape, 3), np.uint8), self.targets[image_id]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    rows, kinds = [], defaultdict(list)
    for name, folder in (text.split("=", 1) for text in wanted.sets):
        rows.append(measure(name, Path(folder), wanted.rounds, kinds))
        print(rows[-1], flush=True)
    text = table(rows, kinds, wanted.rounds)
    print(text)
    if wanted.write:
        (Path(__file__).parent / "results" / "label_mistakes.md").write_text(text, encoding="utf-8")


def measure(name: str, folder: Path, rounds: int, kinds: dict[str, list[bool]]) -> str:
    """Returns the row of one data set."""
    evidence = in_memory(load_evidence([folder]))
    probs = probabilities(evidence)
    clean = [len(before(evidence)), len(now(evidence))]
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    shown = []
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        wrong, kind_of = plant(evidence, 20 if len(evidence.ids) >= 80 else 10, rng)
        lists = {"before": before(wrong), "now": now(wrong), "cleanlab": by_cleanlab(wrong, probs)}
        for method, ids in lists.items():
            hits = [image_id in kind_of for image_id in ids]
            found[method].append((sum(hits[:10]), sum(hits[:20])))
        shown.append((len(lists["now"]), sum(image_id in kind_of for image_id in lists["now"])))
        for image_id, kind in kind_of.items():
            kinds[kind].append(image_id in lists["now"])
    cells = [
        f"{name} ({len(evidence.ids)})",
        str(len(kind_of)),
        f"{len(choose_runs(evidence))} of {sum(len(entry.masks) for entry in evidence.entries)}",
        *(f"{np.mean([hits[k] for hits in found[method]]):.1f}" for k in (0, 1) for method in found),
        "{1:.1f} of {0:.1f}".format(*np.mean(shown, axis=0)),
        *map(str, clean),
    ]
    return "| " + " | ".join(cells) + " |"


def in_memory(evidence: Evidence) -> Planted:
    """Returns the same evidence with true and predicted masks read once."""
    fields = {name: getattr(evidence, name) for name in evidence.__dataclass_fields__}
    kept = [
        replace(entry, masks=tuple(Kept({i: masks.read(i) for i in evidence.ids}) for masks in entry.masks))
        for entry in evidence.entries
    ]
    targets = {image_id: evidence.load(image_id)[1] for image_id in evidence.ids}
    return Planted(**fields | {"entries": tuple(kept)}, targets=targets)


def probabilities(evidence: Planted) -> npt.NDArray[np.float32]:
    """Returns (N, K, H, W) mean probabilities of the runs that are asked."""
    runs = [evidence.entries[place].runs[seed].path for place, seed in choose_runs(evidence)]
    predictor = Predictor.from_runs(runs, device="cpu")
    found = []
    for image_id in evidence.ids:
        probs = predictor(Evidence.load(evidence, image_id)[0]).network_probs
        found.append(np.concatenate([1.0 - probs, probs]) if len(probs) == 1 else probs)
    return np.stack(found).astype(np.float32)


def now(evidence: Evidence) -> list[str]:
    return [case.image_id for case in find_label_candidates(evidence, count=SHOWN).cases]


def before(evidence: Planted) -> list[str]:
    """Returns what was shown before: all runs agree on 5 % of the object and 20 px, and not with the mask."""
    class_map, found = evidence.class_map, {}
    for image_id, target in evidence.targets.items():
        masks = np.stack([masks.read(image_id) for entry in evidence.entries for masks in entry.masks])
        common = np.where((masks == masks[0]).all(axis=0), masks[0], target)
        split = split_errors(target, common, class_map)
        counted = target != class_map.ignore_index
        background = class_map.background
        objects = counted if background is None else counted & ((target != background) | (common != background))
        pixels = split.wrong - split.pixels["boundary"]
        if pixels >= 20 and pixels >= 0.05 * objects.sum():
            found[image_id] = pixels / objects.sum()
    return sorted(found, key=lambda image_id: -found[image_id])[:SHOWN]


def by_cleanlab(evidence: Planted, probs: npt.NDArray[np.float32]) -> list[str]:
    from cleanlab.segmentation.rank import get_label_quality_scores  # type: ignore[import-not-found]

    labels = np.stack([evidence.targets[image_id] for image_id in evidence.ids]).astype(np.int64)
    labels = np.where(labels == evidence.class_map.ignore_index, probs.argmax(axis=1), labels)
    quality, _ = get_label_quality_scores(labels, probs, verbose=False)
    return [evidence.ids[place] for place in np.argsort(quality, kind="stable")[:SHOWN]]


def plant(evidence: Planted, count: int, rng: np.random.Generator) -> tuple[Planted, dict[str, str]]:
    """Returns the evidence with `count` wrong masks, scores included, and which kind each image got."""
    targets, kind_of = dict(evidence.targets), {}
    for image_id in rng.permutation(evidence.ids).tolist():
        kind = KINDS[len(kind_of) % len(KINDS)]
        donor = evidence.targets[evidence.ids[rng.integers(len(evidence.ids))]]
        wrong = spoil(evidence.targets[image_id], donor, kind, evidence.class_map, rng)
        if wrong is not None and (wrong != evidence.targets[image_id]).mean() >= 0.02:
            targets[image_id], kind_of[image_id] = wrong, kind
        if len(kind_of) == count:
            break
    entries = tuple(rescored(evidence, entry, targets, kind_of) for entry in evidence.entries)
    return replace(evidence, targets=targets, entries=entries), kind_of


def rescored(evidence: Planted, entry: Entry, targets: Mapping[str, Mask], changed: Mapping[str, str]) -> Entry:
    values = entry.values.copy()
    places = [evidence.ids.index(image_id) for image_id in changed]
    for seed, masks in enumerate(entry.masks):
        predicted, true = ({i: source[i] for i in changed} for source in (masks, targets))  # type: ignore[index]
        values[seed, places] = score_masks(predicted, true, evidence.class_map).image_means("iou")
    return replace(entry, values=np.nan_to_num(values))


def spoil(target: Mask, donor: Mask, kind: str, class_map: ClassMap, rng: np.random.Generator) -> Mask | None:
    """Returns a wrong mask, or None where there is no object to spoil."""
    objects = objects_of(donor if kind == "added" else target, class_map)
    if not objects:
        return None
    label, where = max(objects, key=lambda each: each[1].sum())
    if kind in ("removed", "added"):
        label, where = objects[rng.integers(len(objects))]
    change: dict[str, Callable[[], Mask]] = {
        "removed": lambda: filled(target, where),
        "added": lambda: np.where(placed(target, where, label, rng), label, target),
        "class": lambda: other_class(target, where, label, class_map, rng),
        "shifted": lambda: shifted(target, rng),
        "shrunk": lambda: filled(target, where & ~ndimage.binary_erosion(where, disk(where, rng), border_value=1)),
        "grown": lambda: np.where(ndimage.binary_dilation(where, disk(where, rng)), label, target),
    }
    return np.where(target == class_map.ignore_index, target, change[kind]()).astype(np.uint8)


def objects_of(mask: Mask, class_map: ClassMap) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Returns class and place of every component that covers 1 to 60 % of the image."""
    found = []
    for label in set(np.unique(mask).tolist()) - {class_map.background, class_map.ignore_index}:
        components, count = ndimage.label(mask == label, structure=EIGHT)
        planes = [components == number for number in range(1, count + 1)]
        found += [(label, plane) for plane in planes if 0.01 <= plane.mean() <= 0.6]
    return found


def filled(target: Mask, hole: npt.NDArray[np.bool_]) -> Mask:
    """Returns the mask with a hole filled by what lies nearest."""
    nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return np.where(hole, target[tuple(nearest)], target)


def placed(target: Mask, where: npt.NDArray[np.bool_], label: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Returns the object moved to where it covers least of its own class, of 20 places."""
    moved = [np.roll(where, rng.integers(target.shape), axis=(0, 1)) for _ in range(20)]
    return max(moved, key=lambda plane: (plane & (target != label)).sum())


def other_class(
    target: Mask, where: npt.NDArray[np.bool_], label: int, class_map: ClassMap, rng: np.random.Generator
) -> Mask:
    if class_map.num_classes == 2:
        return 1 - np.minimum(target, 1)
    others = [index for index in range(class_map.num_classes) if index not in (label, class_map.background)]
    return np.where(where, rng.choice(others), target)


def shifted(target: Mask, rng: np.random.Generator) -> Mask:
    distance, angle = rng.uniform(0.15, 0.25) * len(target), rng.uniform(0.0, 2.0 * np.pi)
    return ndimage.shift(target, (distance * np.sin(angle), distance * np.cos(angle)), order=0, mode="nearest")


def disk(where: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    radius = max(2, round(rng.uniform(0.15, 0.25) * float(np.sqrt(where.sum()))))
    return np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius


def table(rows: list[str], kinds: Mapping[str, list[bool]], rounds: int) -> str:
    methods = ("before", "now", "cleanlab")
    head = ["test part (images)", "planted", "runs asked"]
    head += [f"in the first {k}: {method}" for k in (10, 20) for method in methods]
    head += ["shown now: planted of all", "shown on the set as it is: before", "now"]
    recall = ", ".join(f"{kind} {np.mean(kinds[kind]):.0%}" for kind in KINDS if kinds[kind])
    lines = [
        f"Planted label mistakes among the first 10 and 20 images shown, mean of {rounds} rounds. {machine_line()}.",
        "Written by benchmarks/label_mistakes.py, which says what was planted and compared.",
        "",
        "| " + " | ".join(head) + " |",
        "| --- |" + " --- |" * (len(head) - 1),
        *rows,
        "",
        f"Shown now, by kind, all sets together: {recall}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
