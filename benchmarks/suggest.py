"""Is it worth while to choose which images are labelled next? Every strategy of `segbench suggest` against chance.

    python benchmarks/suggest.py --sets ph2 pets -o benchmarks/results/suggest.md

Five images of a pool are labelled (another five with every seed, the same for every strategy); each strategy then
chooses five, ten and twenty more by the model of its own labels so far, and the model is fitted anew after each round.
Test images are the same for all. The learner is a logistic regression on a frozen encoder's features of a pixel, which
takes a second; its committee for `disagreement` are five of them, fitted to images drawn with replacement.
`--learner unet` trains small U-Nets instead (minutes each).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from _machine import machine_line
from segbench.assist.choose import choose
from segbench.assist.vectors import EncoderVectors
from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.models import build_network
from segbench.models.smp.packaged import installed
from segbench.predict.decide import normalize, to_batch
from segbench.statistics.differences import Estimate, contrast
from segbench.statistics.p_values import holm

_HEAD = """# Choosing what to label next, against chance

`python benchmarks/suggest.py`: {start} images of a pool are labelled (others with every seed, the same for every
strategy); by the model of its own labels each strategy chooses more, up to {rounds}, and after each round the model is
fitted anew and scored on the same test images. IoU is the mean over test images of the mean over scored classes.
Differences are paired by seed and test image; intervals and p hold both seeds and images
(docs/explanation/statistics.md), p after Holm within a table.

"""

START, ROUNDS = 5, (10, 20, 40)
COMMITTEE = 5
STRATEGIES = ("random", "entropy", "confidence", "disagreement", "diversity", "entropy+diversity")
ROOT = Path(os.environ.get("SEGBENCH_DATA", "/data"))
SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "ph2": ("ph2", {}),
    "pets": ("oxford_pets", {"border": "ignore"}),
    "camvid": ("camvid", {}),
}
_IGNORED = 255


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Images (N, H, W, 3) uint8 of one size, labels (N, H, W) with 255 where none counts, vectors (N, D); which of
    them are the pool and which the test part; the number of classes, and which of them are scored."""

    images: np.ndarray
    labels: np.ndarray
    vectors: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    classes: int
    scored: tuple[int, ...]


class Model(Protocol):
    """What was fitted to labelled images."""

    def __call__(self, of: Sequence[int], *, full: bool = False) -> np.ndarray:
        """Returns probabilities (len(of), C, h, w), at the images' size where `full` asks for it."""
        ...


class Learner(Protocol):
    """Something that is fitted to labelled images."""

    def committee(self, labelled: Sequence[int], size: int, seed: int) -> list[Model]:
        """Returns so many models, the first of which is fitted to all of the images."""
        ...


def read_pool(name: str, size: tuple[int, int]) -> Pool:
    """Returns a data set at one size; PH2 is divided at random, the others as their lists say."""
    folder, options = SETS[name]
    manifest = read_dataset(ROOT / folder, **options)
    samples = sorted(manifest.samples, key=lambda sample: sample.id)
    if all(sample.split is None for sample in samples):
        order = np.random.default_rng(0).permutation(len(samples))
        test, pool = order[: len(samples) // 2], order[len(samples) // 2 :]
    else:
        parts = np.array([sample.split for sample in samples])
        test, pool = np.flatnonzero(parts == "test"), np.flatnonzero((parts == "train") | (parts == "val"))
    vectors = EncoderVectors(installed()[0])
    images, labels, each = [], [], []
    for sample in samples:
        image, mask = load_sample(manifest, sample)
        images.append(resize_image(image, size))
        labels.append(resize_mask(mask, size))
        each.append(vectors(image))
    classes = manifest.class_map
    return Pool(
        images=np.array(images),
        labels=np.array(labels),
        vectors=np.array(each),
        pool=np.sort(pool),
        test=np.sort(test),
        classes=classes.num_classes,
        scored=tuple(classes.scored_classes),
    )


class FrozenLearner:
    """Logistic regression on what a frozen encoder says about each pixel, standardised and rotated to 96 numbers."""

    def __init__(self, data: Pool, cells: int = 4, numbers: int = 96) -> None:
        self._data = data
        network = build_network("smp/unet", out_channels=1, encoder=installed()[0].encoder, weights="imagenet").eval()
        (encoder,) = network.encoder_modules()
        self._grid = tuple(side // cells for side in data.images.shape[1:3])
        maps = []
        with torch.inference_mode():
            for image in data.images:
                found = encoder(normalize(to_batch(image), network.normalization))[1:]
                every = [F.interpolate(each, self._grid, mode="bilinear", align_corners=False) for each in found]
                maps.append(torch.cat(every, dim=1)[0].flatten(1).T.half())
        some = torch.cat([each[:: len(each) // 64] for each in maps]).float()
        mean, sd = some.mean(0), some.std(0).clamp(min=1e-6)
        _, strength, axes = torch.linalg.svd((some - mean) / sd, full_matrices=False)
        turn = axes[:numbers].T * (len(some) ** 0.5 / strength[0])
        self._features = torch.stack([((each.float() - mean) / sd) @ turn for each in maps])  # (N, cells, numbers)
        small = torch.from_numpy(data.labels)[:, None].float()
        self._labels = F.interpolate(small, self._grid, mode="nearest")[:, 0].long().flatten(1)

    def committee(self, labelled: Sequence[int], size: int, seed: int) -> list[Model]:
        """See `Learner`: the others are fitted to images that are drawn with replacement."""
        rng = np.random.default_rng(seed)
        every = [np.asarray(labelled), *(rng.choice(labelled, len(labelled)) for _ in range(size - 1))]
        return [self._fitted(each) for each in every]

    def _fitted(self, labelled: np.ndarray, decay: float = 1e-3) -> Model:
        features, labels = self._features[labelled].flatten(0, 1), self._labels[labelled].flatten()
        features, labels = features[labels != _IGNORED], labels[labels != _IGNORED]
        weight = torch.zeros(features.shape[1], self._data.classes, requires_grad=True)
        bias = torch.zeros(self._data.classes, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=40, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(features @ weight + bias, labels) + decay * weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)

        @torch.inference_mode()
        def probabilities(of: Sequence[int], *, full: bool = False) -> np.ndarray:
            logits = self._features[np.asarray(of)] @ weight + bias
            planes = logits.permute(0, 2, 1).unflatten(2, self._grid)
            if full:
                planes = F.interpolate(planes, self._data.images.shape[1:3], mode="bilinear", align_corners=False)
            found: np.ndarray = planes.softmax(1).numpy()
            return found

        return probabilities


class UnetLearner:
    """A small U-Net on the same encoder, trained for some steps with flips; its committee are other seeds."""

    def __init__(self, data: Pool, steps: int) -> None:
        self._data, self._steps = data, steps

    def committee(self, labelled: Sequence[int], size: int, seed: int) -> list[Model]:
        """See `Learner`."""
        return [self._trained(np.asarray(labelled), 1000 * seed + member) for member in range(size)]

    def _trained(self, labelled: np.ndarray, seed: int) -> Model:
        torch.manual_seed(seed)
        network = build_network(
            "smp/unet",
            out_channels=self._data.classes,
            encoder=installed()[0].encoder,
            weights="imagenet",
            decoder_channels=[64, 32, 32, 16, 16],
        )
        images = torch.cat([to_batch(self._data.images[index]) for index in labelled])
        images = normalize(images, network.normalization)
        labels = torch.from_numpy(self._data.labels[labelled]).long()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=self._steps)
        network.train()
        for _ in range(self._steps):
            batch = torch.randint(len(labelled), (8,))
            seen, truth = images[batch], labels[batch]
            for axis in (1, 2):
                if torch.rand(()) < 0.5:
                    seen, truth = seen.flip(axis + 1), truth.flip(axis)
            optimizer.zero_grad()
            F.cross_entropy(network(seen), truth, ignore_index=_IGNORED).backward()
            optimizer.step()
            plan.step()
        network.eval()

        @torch.inference_mode()
        def probabilities(of: Sequence[int], *, full: bool = False) -> np.ndarray:
            batch = torch.cat([to_batch(self._data.images[index]) for index in of])
            found: np.ndarray = network(normalize(batch, network.normalization)).softmax(1).numpy()
            return found

        return probabilities


def next_images(strategy: str, data: Pool, labelled: list[int], count: int, members: list[Any], seed: int) -> list[int]:
    """Returns which of the pool a strategy takes, by the same function as the command does."""
    rest = [index for index in data.pool.tolist() if index not in set(labelled)]
    if strategy == "random":
        return [rest[place] for place in np.random.default_rng(seed).permutation(len(rest))[:count]]
    worth = None
    if strategy != "diversity":
        probs = [np.concatenate([member(part) for part in _parts(rest)]) for member in members]
        worth = doubt(strategy, probs, data.scored)
    vectors = data.vectors[rest] if "diversity" in strategy else None
    found = choose(count, worth, vectors, centres=data.vectors[labelled] if vectors is not None else None)
    return [rest[each.index] for each in found]


def doubt(strategy: str, probs: Sequence[np.ndarray], scored: Sequence[int]) -> np.ndarray:
    """Returns (N,) how doubtful each image is, of the probabilities (N, C, H, W) of a committee."""
    mean = probs[0] if strategy != "disagreement" else np.mean(probs, axis=0)
    if strategy == "confidence":
        label = mean.argmax(1)
        sure = []
        for each, found in zip(mean, label, strict=True):
            there = [each[index][found == index].mean() for index in scored if (found == index).any()]
            sure.append(np.mean(there) if there else each.max(0).mean())
        return -np.array(sure, dtype=np.float32)
    entropies = _entropy(mean)
    if strategy == "disagreement":
        entropies = entropies - np.mean([_entropy(each) for each in probs], axis=0)
    return np.asarray(entropies.mean(axis=(1, 2)), dtype=np.float32)


def _entropy(probs: np.ndarray) -> np.ndarray:
    return np.asarray(-(probs * np.log(np.clip(probs, 1e-7, 1.0))).sum(axis=1))


def _parts(items: Sequence[int], at_once: int = 64) -> list[Sequence[int]]:
    return [items[start : start + at_once] for start in range(0, len(items), at_once)]


def scores(model: Model, data: Pool) -> np.ndarray:
    """Returns (test images,) IoU: the mean over the scored classes that are there or are predicted."""
    found = []
    for part in _parts(data.test.tolist()):
        for index, probs in zip(part, model(part, full=True), strict=True):
            truth, mask = data.labels[index], probs.argmax(0)
            counted, each = truth != _IGNORED, []
            for label in data.scored:
                one, other = (truth == label) & counted, (mask == label) & counted
                if (one | other).any():
                    each.append((one & other).sum() / (one | other).sum())
            found.append(np.mean(each) if each else 1.0)
    return np.array(found)


def studied(data: Pool, learner: Learner, seed: int, strategies: Sequence[str], rounds: Sequence[int]) -> Any:
    """Returns strategy -> scores (rounds, test images), and those of the start, of one seed."""
    start = np.random.default_rng(seed).choice(data.pool, START, replace=False).tolist()
    first = learner.committee(start, COMMITTEE if "disagreement" in strategies else 1, seed)
    found: dict[str, list[list[float]]] = {}
    for strategy in strategies:
        labelled, members, found[strategy] = list(start), first, []
        for number in rounds:
            size = COMMITTEE if strategy == "disagreement" and number != rounds[-1] else 1
            labelled += next_images(strategy, data, labelled, number - len(labelled), members, 7 + seed)
            members = learner.committee(labelled, size, seed)
            found[strategy].append(scores(members[0], data).tolist())
        print(seed, strategy, [round(float(np.mean(each)), 4) for each in found[strategy]], flush=True)
    return found | {"start": [scores(first[0], data).tolist()]}


def paired(table: np.ndarray, other: np.ndarray) -> Estimate:
    """Returns the difference of scores (seeds, images), with an interval over both: seeds share start and test images,
    so their differences are one sample, crossed with the images."""
    return contrast([table - other], [1.0])


def told(results: dict[str, Any], name: str, rounds: Sequence[int], strategies: Sequence[str]) -> list[str]:
    """Returns the lines of a table: IoU after each round, and the mean difference from chance over the rounds."""
    seeds = sorted(results)
    tables = {each: np.array([results[seed][each] for seed in seeds]) for each in strategies}  # (seeds, rounds, images)
    start = np.mean([results[seed]["start"] for seed in seeds])
    head = [f"{name}, {len(seeds)} seeds", *(f"IoU at {number}" for number in rounds)]
    lines = [
        f"| {' | '.join(head)} | difference from random, mean of the rounds [95 %] | p, Holm "
        f"| difference at {rounds[-1]} [95 %] |",
        f"|{' --- |' * (len(head) + 3)}",
    ]
    differences = {
        each: paired(tables[each].mean(axis=1), tables["random"].mean(axis=1))
        for each in strategies
        if each != "random"
    }
    adjusted = dict(zip(differences, holm([each.p for each in differences.values()]), strict=True))
    for each in strategies:
        means = " | ".join(f"{value:.3f}" for value in tables[each].mean(axis=(0, 2)))
        if each == "random":
            lines.append(f"| random | {means} | | | |")
            continue
        last = paired(tables[each][:, -1], tables["random"][:, -1])
        cells = [f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]" for value in (differences[each], last)]
        lines.append(f"| {each} | {means} | {cells[0]} | {adjusted[each]:.3f} | {cells[1]} |")
    return [*lines, "", f"IoU of the {START} labels that all begin with: {start:.3f}.", ""]


def main() -> None:
    """Parses, measures what is not measured yet, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["ph2", "pets"])
    parser.add_argument("--learner", choices=["frozen", "unet"], default="frozen")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 192), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, nargs="+", default=ROUNDS)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--steps", type=int, default=150, help="of a U-Net")
    parser.add_argument("--kept", type=Path, default=Path("runs/suggest"), help="folder of what is measured")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--added", action="store_true", help="write below what is there, of another learner")
    given = parser.parse_args()
    torch.set_num_threads(1)
    head = _HEAD.format(start=START, rounds=", ".join(map(str, given.rounds)))
    lines = [f"Learner: {given.learner}, images at {given.size[0]}x{given.size[1]} pixels. {machine_line()}.", ""]
    for name in given.sets:
        file = given.kept / f"{name}_{given.learner}.json"
        results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if any(str(seed) not in results for seed in range(given.seeds)):
            begun = time.perf_counter()
            data = read_pool(name, tuple(given.size))
            learner = FrozenLearner(data) if given.learner == "frozen" else UnetLearner(data, given.steps)
            print(f"{name}: {len(data.pool)} in the pool, {len(data.test)} test; {time.perf_counter() - begun:.0f} s")
            for seed in range(given.seeds):
                if str(seed) not in results:
                    results[str(seed)] = studied(data, learner, seed, given.strategies, given.rounds)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(results), encoding="utf-8")
        chosen = {key: value for key, value in results.items() if int(key) < given.seeds}
        lines += told(chosen, name, given.rounds, given.strategies)
    text = "\n".join(lines)
    print(text)
    if given.out is not None:
        known = given.out.read_text(encoding="utf-8") if given.added else head
        given.out.write_text(known + text, encoding="utf-8")


if __name__ == "__main__":
    main()
