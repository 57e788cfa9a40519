"""Three parts that share nothing, the same each time, as asked for, or an error with the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config import SplitConfig
from segbench.data.index import Manifest, read_dataset
from segbench.data.split import split_manifest
from segbench.errors import DatasetError
from segbench.types import SPLITS, ClassMap, Sample, Task

CLASSES = ClassMap(names=("background", "x"), values=((0,), (1,)), task=Task.BINARY)


def manifest(number: int, **columns: object) -> Manifest:
    """Returns `number` samples s000, s001, ...; each column (group, split, ...) a list or a function of the place."""

    def cell(name: str, place: int) -> object:
        column = columns[name]
        return column(place) if callable(column) else column[place]  # type: ignore[index]

    samples = []
    for place in range(number):
        known = {"image_hash": f"i{place}", "foreground_frac": 0.5, **{name: cell(name, place) for name in columns}}
        samples.append(
            Sample(
                id=f"s{place:03d}",
                image=f"{place}.png",
                mask=f"{place}m.png",
                height=4,
                width=4,
                mask_hash="m",
                **known,
            )
        )
    return Manifest(root=Path("/data"), format="folder", class_map=CLASSES, samples=tuple(samples))


def sizes(divided: Manifest) -> list[int]:
    return [len(divided.split(split)) for split in SPLITS]


def parts(divided: Manifest) -> dict[str, str | None]:
    return {sample.id: sample.split for sample in divided.samples}


@pytest.mark.parametrize(
    ("number", "expected"), [(100, [70, 15, 15]), (10, [7, 2, 1]), (3, [1, 1, 1]), (7, [5, 1, 1]), (200, [140, 30, 30])]
)
@pytest.mark.parametrize("stratify", [True, False])
def test_ratios_give_the_rounded_shares(number: int, expected: list[int], stratify: bool) -> None:
    divided = split_manifest(manifest(number), SplitConfig(method="ratios", stratify=stratify))
    assert sizes(divided) == expected
    assert divided.notes == ()


def test_counts_instead_of_ratios() -> None:
    divided = split_manifest(manifest(20), SplitConfig(method="ratios", counts=(5, 4, 3)))
    assert sizes(divided) == [5, 4, 3]
    assert any("8 samples belong to no part and are left out" in note for note in divided.notes)
    with pytest.raises(DatasetError, match=r"5 \+ 4 \+ 12 = 21 samples, but there are 20"):
        split_manifest(manifest(20), SplitConfig(method="ratios", counts=(5, 4, 12)))


def test_the_seed_decides() -> None:
    first = split_manifest(manifest(40), SplitConfig(seed=1))
    assert split_manifest(manifest(40), SplitConfig(seed=1)) == first
    assert parts(split_manifest(manifest(40), SplitConfig(seed=2))) != parts(first)


@pytest.mark.parametrize("stratify", [True, False])
def test_each_sample_has_its_chance(stratify: bool) -> None:
    """Over many seeds every sample lands in test about as often as its share says, first and last ones too."""
    seeds = 400
    hits = np.zeros(20)
    for seed in range(seeds):
        divided = split_manifest(
            manifest(20, foreground_frac=lambda place: place / 20), SplitConfig(seed=seed, stratify=stratify)
        )
        hits += [sample.split == "test" for sample in divided.samples]
    assert hits.sum() == seeds * 3
    assert (np.abs(hits / seeds - 0.15) < 0.09).all()


def test_stratified_parts_have_like_foreground() -> None:
    rng = np.random.default_rng(0)
    fracs = (rng.random(120) ** 4).tolist()
    spread = {}
    for stratify in (True, False):
        gaps = []
        for seed in range(10):
            divided = split_manifest(manifest(120, foreground_frac=fracs), SplitConfig(seed=seed, stratify=stratify))
            means = [np.mean([s.foreground_frac for s in divided.split(split)]) for split in SPLITS]
            gaps.append(max(means) - min(means))
        spread[stratify] = np.mean(gaps)
    assert spread[True] < 0.05
    assert spread[True] < 0.6 * spread[False]


def test_without_foreground_shares_it_is_noted() -> None:
    divided = split_manifest(manifest(10, foreground_frac=lambda place: None), SplitConfig())
    assert divided.notes == ("not stratified: the samples have no known share of foreground",)


@given(
    groups=st.lists(st.one_of(st.none(), st.integers(0, 8)), min_size=3, max_size=60),
    copies=st.integers(1, 5),
    seed=st.integers(0, 100),
    stratify=st.booleans(),
)
def test_nothing_is_ever_in_two_parts(groups: list[int | None], copies: int, seed: int, stratify: bool) -> None:
    number = len(groups)
    data = manifest(
        number,
        group=[None if group is None else f"g{group}" for group in groups],
        image_hash=lambda place: f"i{place // copies}",
        foreground_frac=lambda place: place / number,
    )
    try:
        divided = split_manifest(data, SplitConfig(method="ratios", seed=seed, stratify=stratify))
    except DatasetError as error:
        assert "groups that must stay together, too few for 3 parts" in str(error)  # noqa: PT017
        return
    assert [sample.id for sample in divided.samples] == [sample.id for sample in data.samples]  # everyone, once
    assert min(sizes(divided)) >= 1
    for attribute in ("group", "image_hash"):
        homes: dict[str, set[str | None]] = {}
        for sample in divided.samples:
            if getattr(sample, attribute) is not None:
                homes.setdefault(getattr(sample, attribute), set()).add(sample.split)
        assert all(len(found) == 1 for found in homes.values())


def test_groups_come_near_the_ratios_and_are_noted() -> None:
    divided = split_manifest(manifest(100, group=lambda place: f"g{place // 5}"), SplitConfig())
    assert sizes(divided) == [70, 15, 15]
    uneven = split_manifest(manifest(100, group=lambda place: f"g{place // 7}"), SplitConfig())
    assert all(abs(got - want) <= 7 for got, want in zip(sizes(uneven), (70, 15, 15), strict=True))
    assert any("instead of train 70, val 15, test 15" in note for note in uneven.notes)


def test_too_few_groups_or_samples() -> None:
    with pytest.raises(DatasetError, match=r"10 samples form 2 groups that must stay together, too few for 3 parts"):
        split_manifest(manifest(10, group=lambda place: f"g{place % 2}"), SplitConfig())
    with pytest.raises(DatasetError, match="need at least 3 samples, got 2"):
        split_manifest(manifest(2), SplitConfig())


def test_permutation_is_numpys_legacy_draw() -> None:
    """Numbers from `numpy.random.seed(42); numpy.random.choice(200, 200, replace=False)`."""
    before = repr(np.random.get_state())  # noqa: NPY002
    divided = split_manifest(manifest(200), SplitConfig(method="permutation", counts=(100, 50, 50)))
    assert repr(np.random.get_state()) == before  # noqa: NPY002  # the global state is untouched
    assert sizes(divided) == [100, 50, 50]
    train = {sample.id for sample in divided.split("train")}
    assert {f"s{place:03d}" for place in (95, 15, 30, 158, 128, 115, 69, 170, 174, 45)} <= train
    val = {sample.id for sample in divided.split("val")}
    assert {f"s{place:03d}" for place in (4, 32, 142, 145, 109, 144, 10, 62)} <= val
    test = {sample.id for sample in divided.split("test")}
    assert {f"s{place:03d}" for place in (176, 181, 89, 8, 13, 71, 106, 14, 92, 179, 102)} <= test


def test_permutation_limits() -> None:
    with pytest.raises(DatasetError, match=r"100 \+ 50 \+ 50 = 200 samples, but there are 199"):
        split_manifest(manifest(199), SplitConfig(method="permutation", counts=(100, 50, 50)))
    with pytest.raises(DatasetError, match="method permutation would tear 1 groups apart"):
        split_manifest(manifest(6, group=lambda place: "g"), SplitConfig(method="permutation", counts=(2, 2, 2)))
    divided = split_manifest(manifest(9), SplitConfig(method="permutation", counts=(2, 2, 2)))
    assert any("3 samples belong to no part" in note for note in divided.notes)


def test_official_parts_are_kept() -> None:
    data = manifest(9, split=lambda place: SPLITS[place % 3])
    for method in ("auto", "official"):
        assert parts(split_manifest(data, SplitConfig(method=method))) == parts(data)
    redrawn = split_manifest(data, SplitConfig(method="ratios"))
    assert sizes(redrawn) == [7, 1, 1] or sizes(redrawn) == [6, 2, 1]


def test_val_is_carved_out_of_train() -> None:
    data = manifest(
        50,
        split=lambda place: "test" if place < 10 else "train",
        group=lambda place: f"g{place // 2}" if place > 9 else None,
    )
    divided = split_manifest(data, SplitConfig(val_frac=0.2))
    assert sizes(divided) == [32, 8, 10]
    assert all(sample.split == "test" for sample in divided.samples[:10])
    homes: dict[str, set[str | None]] = {}
    for sample in divided.samples[10:]:
        homes.setdefault(str(sample.group), set()).add(sample.split)
    assert all(len(found) == 1 for found in homes.values())
    assert any("8 of 40 training samples were taken for it (val_frac 0.2, seed 42)" in note for note in divided.notes)
    assert parts(split_manifest(data, SplitConfig(val_frac=0.2, seed=7))) != parts(divided)


@pytest.mark.parametrize(("there", "missing"), [(("train", "val"), "test"), (("val", "test"), "train")])
def test_incomplete_lists(there: tuple[str, str], missing: str) -> None:
    with pytest.raises(DatasetError, match=rf"the official lists have no {missing} part .*method: ratios"):
        split_manifest(manifest(6, split=lambda place: there[place % 2]), SplitConfig())


def test_official_without_lists() -> None:
    with pytest.raises(DatasetError, match="this data set has no official lists; use method: ratios"):
        split_manifest(manifest(6), SplitConfig(method="official"))


def test_unlisted_samples_are_left_out_with_a_note() -> None:
    data = manifest(7, split=[*SPLITS, *SPLITS, None])
    divided = split_manifest(data, SplitConfig())
    assert (len(divided), sizes(divided)) == (6, [2, 2, 2])
    assert divided.notes == ("1 samples belong to no part and are left out: s006",)


def test_copies_in_official_parts_are_noted() -> None:
    data = manifest(6, split=lambda place: SPLITS[place % 3], image_hash=lambda place: f"i{max(place, 1)}")
    note = split_manifest(data, SplitConfig()).notes[-1]
    assert "1 identical image files are in more than one part" in note
    assert "s000 = s001 (train, val)" in note


def test_a_train_part_of_one_sample() -> None:
    with pytest.raises(DatasetError, match="the official train part has 1 sample"):
        split_manifest(manifest(3, split=["train", "test", "test"]), SplitConfig())


@pytest.mark.data
def test_real_ph2_homework_split(real_data) -> None:
    data = read_dataset(real_data("ph2"), "ph2")
    divided = split_manifest(data, SplitConfig(method="permutation", counts=(100, 50, 50)))
    assert sizes(divided) == [100, 50, 50]
    order = [data.samples[place].id for place in (95, 15, 30)]
    assert all(sample.split == "train" for sample in divided.samples if sample.id in order)


@pytest.mark.data
def test_real_pets_keep_the_official_test_part(real_data) -> None:
    data = read_dataset(real_data("oxford_pets"), "oxford_pets")
    divided = split_manifest(data, SplitConfig())
    assert sizes(divided) == [255, 45, 99]
    assert {s.id for s in divided.split("test")} == {s.id for s in data.split("test")}
    means = [np.mean([s.foreground_frac for s in divided.split(split)]) for split in ("train", "val")]
    assert abs(means[0] - means[1]) < 0.03
