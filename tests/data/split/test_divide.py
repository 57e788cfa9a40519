"""Three parts that share nothing, the same each time, as asked for, or an error with the numbers."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import draw_pairs

from segbench.config.run import SplitConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.sources.presence import class_presence
from segbench.data.split.divide import split_manifest, write_split
from segbench.data.split.units import natural_order, too_near
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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "erraraerrrarerrrarerrraraerererrrrrrreraearrrrrrrrrrrrrarrrr"),
        ({"stratify": False, "seed": 3}, "raerrrrrererrrararrrrararrreeerrrrarrarrrrerrarareerrrrrrrrr"),
        ({"counts": (30, 10, 8)}, "rrerrrrrrrrrrrararaeareeerrrrrrraaaearererrrarar"),
    ],
)
def test_draws_of_earlier_versions_come_again(options: dict[str, object], expected: str) -> None:
    """Second letters of train, val and test, as drawn before there were folds, blocks and files."""
    data = manifest(
        60,
        group=lambda place: f"g{place // 3}" if place % 2 else None,
        foreground_frac=lambda place: place * 7 % 60 / 60,
    )
    divided = split_manifest(data, SplitConfig(method="ratios", **options))
    assert "".join(str(sample.split)[1] for sample in divided.samples) == expected


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
    assert divided.notes == ("1 sample belongs to no part and is left out: s006",)


def test_copies_in_official_parts_are_noted() -> None:
    data = manifest(6, split=lambda place: SPLITS[place % 3], image_hash=lambda place: f"i{max(place, 1)}")
    note = split_manifest(data, SplitConfig()).notes[-1]
    assert "1 identical image files are in more than one part" in note
    assert "s000 = s001 (train, val)" in note


def test_a_train_part_of_one_sample() -> None:
    with pytest.raises(DatasetError, match="the official train part has 1 sample"):
        split_manifest(manifest(3, split=["train", "test", "test"]), SplitConfig())


def homes(divided: Manifest, attribute: str) -> dict[str, set[str | None]]:
    """Returns value -> parts its samples are in."""
    found: dict[str, set[str | None]] = {}
    for sample in divided.samples:
        if getattr(sample, attribute) is not None:
            found.setdefault(getattr(sample, attribute), set()).add(sample.split)
    return found


@given(number=st.integers(12, 80), block=st.integers(2, 6), gap=st.integers(0, 5), seed=st.integers(0, 50))
def test_blocks_of_neighbours_stay_together(number: int, block: int, gap: int, seed: int) -> None:
    gap = min(gap, block - 1)
    data = manifest(number)
    config = SplitConfig(method="blocks", block=block, gap=gap, seed=seed)
    try:
        divided = split_manifest(data, config)
    except DatasetError as error:
        assert "too few for 3 parts" in str(error) or "would be empty" in str(error)  # noqa: PT017
        return
    places = {sample.id: place for place, sample in enumerate(data.samples)}
    kept = sorted((places[sample.id], sample.split) for sample in divided.samples)
    for start in range(0, number, block):
        assert len({split for place, split in kept if start <= place < start + block}) <= 1
    for (before, one), (after, other) in pairwise(kept):
        assert one == other or after - before > gap
    if not gap:
        assert len(divided) == number


def test_blocks_count_as_people_do() -> None:
    samples = [
        Sample(id=f"f{place}", image="", mask="", height=1, width=1, image_hash="", mask_hash="")
        for place in (10, 9, 1)
    ]
    assert natural_order(samples) == ["f1", "f9", "f10"]


def test_gaps_are_taken_from_train() -> None:
    order = [f"s{place}" for place in range(10)]
    parts = dict(zip(order, ["train"] * 4 + ["val"] * 3 + ["test"] * 3, strict=True))
    assert too_near(order, parts, 2) == {"s2", "s3", "s7", "s8"}
    assert too_near(order, parts, 0) == set()
    del parts["s4"]  # nobody's already
    assert too_near(order, parts, 2) == {"s3", "s7", "s8"}


def test_blocks_do_not_chain_groups_together() -> None:
    videos = manifest(140, group=lambda place: f"v{place // 7}")
    divided = split_manifest(videos, SplitConfig(method="blocks", block=10))
    assert [len(divided.split(part)) for part in SPLITS] == [98, 21, 21]


def test_a_group_is_stronger_than_a_block() -> None:
    data = manifest(60, group=lambda place: f"g{place // 5}")
    divided = split_manifest(data, SplitConfig(method="blocks", block=2))
    assert all(len(parts) == 1 for parts in homes(divided, "group").values())
    with pytest.raises(DatasetError, match="form 2 groups"):
        split_manifest(manifest(60, group=lambda place: f"g{place // 30}"), SplitConfig(method="blocks", block=6))
    forgotten = SplitConfig(method="blocks", block=6, group="")
    divided = split_manifest(manifest(60, group=lambda place: f"g{place // 30}"), forgotten)
    assert sizes(divided) == [42, 12, 6] or sizes(divided) == [42, 6, 12]
    assert homes(divided, "group") == {}


def test_groups_by_pattern() -> None:
    divided = split_manifest(manifest(100), SplitConfig(group=r"^s(\d\d)"))
    assert {sample.group for sample in divided.samples} == {f"{place:02d}" for place in range(10)}
    assert all(len(parts) == 1 for parts in homes(divided, "group").values())
    with pytest.raises(DatasetError, match="finds no group in 100 of 100 ids"):
        split_manifest(manifest(100), SplitConfig(group="^(patient)"))


def test_groups_by_table(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("id,group\n" + "".join(f"s{place:03d},p{place % 10}\n" for place in range(39)) + "s039,\n")
    divided = split_manifest(manifest(40), SplitConfig(group_file=str(table)))
    assert {sample.group for sample in divided.samples} == {None, *(f"p{place}" for place in range(10))}
    assert all(len(parts) == 1 for parts in homes(divided, "group").values())
    with pytest.raises(DatasetError, match=r"names no group for 2 of 42 samples: s040, s041"):
        split_manifest(manifest(42), SplitConfig(group_file=str(table)))
    with pytest.raises(
        DatasetError, match=r"1 of 40 ids are not in the data set: s039; ids look like s000, s001, s002"
    ):
        split_manifest(manifest(39), SplitConfig(group_file=str(table)))
    with pytest.raises(DatasetError, match=r"expected a file for split.group_file, but there is none"):
        split_manifest(manifest(40), SplitConfig(group_file=str(tmp_path / "no.csv")))


def test_a_pattern_makes_official_parts_share_groups() -> None:
    data = manifest(30, split=lambda place: SPLITS[place % 3])
    divided = split_manifest(data, SplitConfig(group=r"^s(\d\d)"))
    assert parts(divided) == parts(data)
    assert divided.notes[-1].startswith(
        "3 groups are in more than one part, so scores may flatter: 00 (train, val, test)"
    )


@pytest.mark.parametrize("suffix", [".csv", ".json", ".yaml", "lists.yml"])
def test_parts_from_a_file(tmp_path: Path, suffix: str) -> None:
    words = {"train": "training", "val": "val", "test": "Test"}
    data = manifest(12, split=lambda place: [*SPLITS, None][place % 4])
    rows = [(sample.id, words[sample.split] if sample.split else "") for sample in data.samples]
    path = tmp_path / f"split{suffix}"
    if suffix == ".csv":
        path.write_text("id,split\n" + "".join(f"{name},{word}\n" for name, word in rows))
    elif suffix == "lists.yml":
        text = {word: [name for name, other in rows if other == word] for word in words.values()}
        path.write_text("".join(f"{word}: [{', '.join(names)}]\n" for word, names in text.items()))
    else:
        path.write_text(json.dumps(dict(rows)))
    divided = split_manifest(manifest(12), SplitConfig(method="file", file=str(path)))
    assert parts(divided) == {name: part for name, part in parts(data).items() if part is not None}
    assert divided.notes == ("3 samples belong to no part and are left out: s003, s007, s011",)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    data = manifest(40, group=lambda place: f"g{place // 4}" if place < 20 else None)
    divided = split_manifest(data, SplitConfig(seed=5))
    write_split(divided, tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text().splitlines()[0] == "id,group,split"
    again = split_manifest(manifest(40), SplitConfig(method="file", file=str(tmp_path / "split.csv")))
    assert again.samples == divided.samples
    with pytest.raises(DatasetError, match=r"expected a name that ends in \.csv"):
        write_split(divided, tmp_path / "split.txt")


def test_a_file_beside_the_data_may_name_images(tmp_path: Path) -> None:
    draw_pairs(tmp_path, 6)
    lines = ["image,split", "img_000.png,train", "images/img_001.png,train", "img_002,val", "img_003,test"]
    (tmp_path / "split.csv").write_text("\n".join(lines))
    divided = split_manifest(read_dataset(tmp_path), SplitConfig(method="file", file="split.csv"))
    assert parts(divided) == {"img_000": "train", "img_001": "train", "img_002": "val", "img_003": "test"}


def test_a_file_without_val_and_with_leaks(tmp_path: Path) -> None:
    path = tmp_path / "split.yaml"
    path.write_text("train: [" + ", ".join(f"s{place:03d}" for place in range(10)) + "]\ntest: [s010, s011]\n")
    data = manifest(
        12, image_hash=lambda place: f"i{place % 11}", group=lambda place: "g" if place in (1, 10) else None
    )
    divided = split_manifest(data, SplitConfig(method="file", file=str(path), val_frac=0.2))
    assert sizes(divided) == [8, 2, 2]
    told = " ".join(divided.notes)
    assert f"{path} has no val part: 2 of 10 training samples were taken for it" in told
    assert "1 identical image files are in more than one part" in told
    assert "1 groups are in more than one part, so scores may flatter: g (" in told


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,split\ns000,train\ns000,test\n", r"1 ids are there more than once: s000 \(train, test\)"),
        ("a.yaml", "train: [s000]\ntest: [s000]\n", r"1 ids are there more than once: s000 \(train, test\)"),
        ("a.csv", "id,split\ns000,trian\n", r"s000: there is no split 'trian'; did you mean 'train'"),
        ("a.csv", "id,part\ns000,train\n", "expected a column split, got the columns id, part"),
        ("a.csv", "id,split\nx,train\n", "1 of 1 ids are not in the data set: x; ids look like s000"),
        ("a.json", "[1, 2]", "expected a mapping, id: part or part: "),
        ("a.json", '{"s000": 3}', "s000: expected a part or a list of ids, got 3"),
        ("a.json", "{", "expected a CSV, JSON or YAML file of parts, but: "),
        ("a.yaml", "a: [", "expected a CSV, JSON or YAML file of parts, but: "),
        ("a.csv", "id,split\ns000,train\n", "a.csv has no test part"),
    ],
)
def test_files_that_make_no_parts(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        split_manifest(manifest(6), SplitConfig(method="file", file=str(tmp_path / name)))


def test_known_classes_are_balanced() -> None:
    """Rare classes reach every part, which a draw by foreground alone misses."""
    data = manifest(100)
    presence = {sample.id: {0, 1 + place // 4} if place < 40 else {0} for place, sample in enumerate(data.samples)}
    missing = {}
    for stratify_by in ("classes", "foreground"):
        seen = 0
        for seed in range(5):
            config = SplitConfig(method="ratios", ratios=(0.5, 0.25, 0.25), stratify_by=stratify_by, seed=seed)
            divided = split_manifest(data, config, presence=presence)
            assert sizes(divided) == [50, 25, 25]
            seen += sum(len({c for s in divided.split(part) for c in presence[s.id]} - {0}) for part in SPLITS)
        missing[stratify_by] = 5 * 30 - seen
    assert missing["classes"] == 0
    assert missing["foreground"] > 20


def test_counts_with_classes_leave_the_others_out() -> None:
    data = manifest(50)
    presence = {sample.id: {place % 3} for place, sample in enumerate(data.samples)}
    config = SplitConfig(method="ratios", counts=(12, 6, 6), stratify_by="classes")
    divided = split_manifest(data, config, presence=presence)
    assert sizes(divided) == [12, 6, 6]
    for split in SPLITS:
        found = [len([s for s in divided.split(split) if presence[s.id] == {label}]) for label in range(3)]
        assert max(found) - min(found) <= 1


@pytest.mark.parametrize("classes", [2, 4])
def test_which_classes_are_there(tmp_path: Path, classes: int) -> None:
    draw_pairs(tmp_path, 6, classes=classes)
    data = read_dataset(tmp_path)
    expected = {}
    for sample in data.samples:
        expected[sample.id] = {int(value) for value in np.unique(load_sample(data, sample)[1])}
    assert class_presence(data) == expected


@pytest.mark.data
@pytest.mark.parametrize(("name", "format_"), [("coco_tiny", "coco"), ("cwfid", None)])
def test_real_classes_that_are_there(real_data, name: str, format_: str | None) -> None:  # type: ignore[no-untyped-def]
    options = {} if format_ else {"classes": {"soil": [0, 0, 0], "crop": [0, 255, 0], "weed": [255, 0, 0]}}
    extra = {} if format_ else {"masks": "annotations", "format": "folder"}
    data = read_dataset(real_data(name), **({"format": format_} | extra | options))  # type: ignore[arg-type]
    some = data.samples[::7]
    found = class_presence(data)
    for sample in some:
        labels = load_sample(data, sample)[1]
        planes = (
            enumerate(labels) if labels.ndim == 3 else ((int(v), labels == v) for v in np.unique(labels) if v != 255)
        )
        assert found[sample.id] == {index for index, plane in planes if (plane == 1).any()}


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
