"""Folds: disjoint, complete, groups whole, and alike in classes and foreground."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config.run import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.presence import class_presence
from segbench.data.split.divide import split_manifest
from segbench.data.split.folds import assign_folds, deal, strata
from segbench.data.split.units import Unit
from segbench.errors import DatasetError
from segbench.types import ClassMap, Sample, Task


def manifest(fracs: list[float | None], groups: list[str | None] | None = None, copies: int = 1) -> Manifest:
    """Returns samples s000, s001, ... with these shares of foreground and groups; `copies` in a row are one image."""
    samples = tuple(
        Sample(
            id=f"s{place:03d}",
            image=f"{place}.png",
            mask=f"{place}m.png",
            height=4,
            width=4,
            image_hash=f"i{place // copies}",
            mask_hash="m",
            group=groups[place] if groups else None,
            foreground_frac=frac,
        )
        for place, frac in enumerate(fracs)
    )
    class_map = ClassMap(names=("background", "x"), values=((0,), (1,)), task=Task.BINARY)
    return Manifest(root=Path("/data"), format="folder", class_map=class_map, samples=samples)


def sizes(folds: dict[str, int]) -> list[int]:
    return [number for _, number in sorted(Counter(folds.values()).items())]


@given(
    groups=st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=5, max_size=60),
    k=st.integers(3, 6),
    copies=st.integers(1, 3),
    seed=st.integers(0, 100),
    stratify=st.booleans(),
)
def test_every_sample_is_tested_and_validated_once(
    groups: list[int | None], k: int, copies: int, seed: int, stratify: bool
) -> None:
    number = len(groups)
    data = manifest(
        [place / number for place in range(number)],
        [None if group is None else f"g{group}" for group in groups],
        copies,
    )
    tested: list[str] = []
    validated: list[str] = []
    for fold in range(k):
        config = SplitConfig(method="kfold", k=k, fold=fold, seed=seed, stratify=stratify)
        try:
            divided = split_manifest(data, config)
        except DatasetError as error:
            assert f"too few for {k} folds" in str(error)  # noqa: PT017
            return
        assert [sample.id for sample in divided.samples] == [sample.id for sample in data.samples]
        tested += [sample.id for sample in divided.split("test")]
        validated += [sample.id for sample in divided.split("val")]
        for attribute in ("group", "image_hash"):
            homes: dict[str, set[str | None]] = {}
            for sample in divided.samples:
                if getattr(sample, attribute) is not None:
                    homes.setdefault(getattr(sample, attribute), set()).add(sample.split)
            assert all(len(found) == 1 for found in homes.values())
    assert sorted(tested) == sorted(validated) == [sample.id for sample in data.samples]


@pytest.mark.parametrize(("number", "k", "expected"), [(20, 5, [4] * 5), (23, 5, [5, 5, 5, 4, 4]), (3, 3, [1, 1, 1])])
@pytest.mark.parametrize("stratify", [True, False])
def test_folds_are_of_one_size(number: int, k: int, expected: list[int], stratify: bool) -> None:
    folds = assign_folds(manifest([place / number for place in range(number)]), k, seed=0, stratify=stratify)
    assert sizes(folds) == expected


def test_folds_of_groups_are_of_nearly_one_size() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{group}" for group in rng.integers(0, 40, 200)]
    folds = assign_folds(manifest([0.5] * 200, list(groups)), 5, seed=0)
    assert max(sizes(folds)) - min(sizes(folds)) <= 3


def test_the_seed_decides_and_folds_agree() -> None:
    data = manifest([place / 40 for place in range(40)])
    assert assign_folds(data, 5, seed=1) == assign_folds(data, 5, seed=1)
    assert assign_folds(data, 5, seed=1) != assign_folds(data, 5, seed=2)
    folds = assign_folds(data, 5, seed=42, presence=class_presence(data))
    divided = split_manifest(data, SplitConfig(method="kfold", fold=4))
    assert {sample.id for sample in divided.split("test")} == {name for name, fold in folds.items() if fold == 4}
    assert {sample.id for sample in divided.split("val")} == {name for name, fold in folds.items() if fold == 0}
    assert divided.notes == ("fold 4 of 5 is test, fold 0 is val (folds of 8, 8, 8, 8, 8 samples)",)


def test_official_lists_are_not_used() -> None:
    data = manifest([0.5] * 12)
    data = data.with_splits({sample.id: "test" for sample in data.samples})
    divided = split_manifest(data, SplitConfig(method="kfold", k=3))
    assert [len(divided.split(split)) for split in ("train", "val", "test")] == [4, 4, 4]
    assert "the official lists are not used: method kfold divides all samples anew" in divided.notes


def test_too_few_groups() -> None:
    with pytest.raises(DatasetError, match="9 samples form 3 groups that must stay together, too few for 5 folds"):
        assign_folds(manifest([0.5] * 9, [f"g{place // 3}" for place in range(9)]), 5, seed=0)


@given(seed=st.integers(0, 200))
def test_classes_are_within_two_images_of_their_share(seed: int) -> None:
    """Each class is in each fold within two images of its fair number, and the rarest in as many folds as can be."""
    rng = np.random.default_rng(seed)
    data = manifest([0.0 if draw < 0.3 else float(draw) for draw in rng.random(100)])
    often = np.array([0.5, 0.2, 0.1, 0.05])
    held = rng.random((100, 4)) < often
    presence = {sample.id: set(np.flatnonzero(row)) for sample, row in zip(data.samples, held, strict=True)}
    folds = assign_folds(data, 5, seed=seed, presence=presence)
    table = np.zeros((5, 4))
    for name, fold in folds.items():
        table[fold, list(presence[name])] += 1
    assert np.abs(table - table.mean(axis=0)).max() <= 2
    rarest = int(np.argmin(np.where(held.any(axis=0), held.sum(axis=0), 1000)))
    assert np.ptp(table[:, rarest]) <= 1
    empty = Counter(folds[sample.id] for sample in data.samples if sample.foreground_frac == 0.0)
    counts = [empty[fold] for fold in range(5)]
    assert max(counts) - min(counts) <= 4


def test_foreground_is_alike_in_stratified_folds() -> None:
    fracs = (np.random.default_rng(0).random(100) ** 4).tolist()
    spread = {}
    for stratify in (True, False):
        gaps = []
        for seed in range(10):
            folds = assign_folds(manifest(fracs), 5, seed=seed, stratify=stratify)
            means = [np.mean([fracs[int(name[1:])] for name, there in folds.items() if there == f]) for f in range(5)]
            gaps.append(max(means) - min(means))
        spread[stratify] = np.mean(gaps)
    assert spread[True] < 0.6 * spread[False]


def test_strata() -> None:
    data = manifest([0.0, None, 0.1, 0.9, 0.5])
    units = [Unit(("s000", "s001"), 0.0), Unit(("s002",), 0.1), Unit(("s003", "s004"), 0.7)]
    presence = {"s000": {0}, "s001": {0, 1}, "s002": {0, 1}, "s003": {0}, "s004": {0, 2}}
    table = strata(units, data.samples, presence)
    assert table.sum(axis=1).tolist() == [2 + 1, 1 + 1, 2 + 1]  # a range of foreground each, and classes 1 and 2
    assert table[:, -2:].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert strata(units, data.samples, None).sum(axis=1).tolist() == [2, 1, 2]


def test_one_large_group_leaves_no_part_empty() -> None:
    units = [Unit(tuple(f"a{place}" for place in range(50)), 0.5), Unit(("b",), 0.5), Unit(("c",), 0.5)]
    parts = deal(units, np.zeros((3, 0), dtype=np.int64), [18, 17, 17], seed=0)
    assert sorted(parts.tolist()) == [0, 1, 2]


@pytest.mark.data
def test_real_camvid_folds_hold_every_class(real_data) -> None:  # type: ignore[no-untyped-def]
    data = read_dataset(real_data("camvid_original"), "camvid")
    divided = split_manifest(data, SplitConfig(method="kfold", k=3, group=""))
    presence = class_presence(data)
    frequent = {index for index in range(11) if sum(index in held for held in presence.values()) >= 6}
    for split in ("train", "val", "test"):
        assert frequent <= set().union(*(presence[sample.id] for sample in divided.split(split)))
    assert [len(divided.split(split)) for split in ("train", "val", "test")] == [4, 4, 4]


@pytest.mark.data
def test_real_ph2_folds(real_data) -> None:  # type: ignore[no-untyped-def]
    data = read_dataset(real_data("ph2"), "ph2")
    divided = split_manifest(data, SplitConfig(method="kfold"))
    means = [np.mean([sample.foreground_frac for sample in divided.split(split)]) for split in ("train", "val", "test")]
    assert [len(divided.split(split)) for split in ("train", "val", "test")] == [120, 40, 40]
    assert max(means) - min(means) < 0.03


def test_the_official_test_list_may_stay_untouched() -> None:
    data = manifest([place / 20 for place in range(20)])
    listed = data.with_splits({f"s{place:03d}": "test" if place < 5 else "train" for place in range(20)})
    for fold in range(3):
        divided = split_manifest(listed, SplitConfig(method="kfold", k=3, fold=fold, keep_test=True))
        assert len(divided) == 15
        assert not {f"s{place:03d}" for place in range(5)} & {sample.id for sample in divided.samples}
        assert any("5 samples of the official test list are in no fold" in note for note in divided.notes)
    anew = SplitConfig(method="kfold", k=3, keep_test=True)
    assert split_manifest(data, anew).samples == split_manifest(data, SplitConfig(method="kfold", k=3)).samples
