from __future__ import annotations

import gc
import itertools
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.config.run import AugmentConfig
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples import shard_loader
from segbench.data.samples.cache import build_cache
from segbench.data.samples.loader import Batch, BatchLoader
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.samples.shard_loader import ShardLoader, make_loader
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.shards import ShardReader, read_shards
from segbench.errors import DatasetError
from segbench.types import SplitName

SIZE = (20, 24)
AUGMENT = AugmentConfig(hflip=0.5, rotate_deg=20, crop=(16, 18), brightness=0.3)


@pytest.fixture(scope="module")
def manifest(three_class_pairs: Path) -> Manifest:
    """Returns 20 samples in train and 4 in val."""
    found = read_dataset(three_class_pairs)
    parts: list[SplitName] = [*["train"] * 20, *["val"] * 4]  # type: ignore[list-item]
    return found.with_splits(dict(zip((sample.id for sample in found.samples), parts, strict=True)))


@pytest.fixture(scope="module")
def folder(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns shards of 3 samples: 7 of train (the last has 2) and 2 of val; read only."""
    return write_shards(manifest, tmp_path_factory.mktemp("shards"), size=SIZE, samples_per_shard=3).folder


def loader_of(folder: Path, part: SplitName = "train", **options: Any) -> ShardLoader:
    shards = read_shards(folder)
    given: dict[str, Any] = {"batch_size": 4, "buffer": 6, "shuffle": True, **options}
    return ShardLoader(ShardCache.of(shards.manifest, SIZE), shards.manifest.split(part), **given)


def ids(loader: BatchLoader, epoch: int = 0) -> list[str]:
    return [name for batch in loader.epoch(epoch) for name in batch.ids]


def by_id(loader: BatchLoader, epoch: int = 0) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    found = {}
    for batch in loader.epoch(epoch):
        found |= dict(zip(batch.ids, zip(batch.images, batch.targets, strict=True), strict=True))
    return found


# ---- the same as from a cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [None, AUGMENT, AugmentConfig(hflip=0.5, cutmix_p=0.7)])
def test_samples_are_changed_as_those_of_a_cache(
    folder: Path, manifest: Manifest, augment: AugmentConfig | None
) -> None:
    options: Any = {"batch_size": 4, "seed": 3, "augment": augment, "shuffle": True}
    expected = by_id(BatchLoader(build_cache(manifest, SIZE), manifest.split("train"), **options), 2)
    found = by_id(loader_of(folder, **options), 2)
    assert set(found) == set(expected)
    for name, (image, target) in found.items():
        torch.testing.assert_close(image, expected[name][0], atol=1e-5, rtol=0)
        assert torch.equal(target, expected[name][1])


def test_a_batch_asked_for_by_itself(folder: Path) -> None:
    loader = loader_of(folder, augment=AUGMENT)
    expected = by_id(loader, 1)
    batch = loader.batch(np.array([17, 3, 3]), 1)
    assert batch.ids == tuple(loader.samples[index].id for index in (17, 3, 3))
    for name, image in zip(batch.ids, batch.images, strict=True):
        torch.testing.assert_close(image, expected[name][0], atol=1e-5, rtol=0)


def test_unshuffled_batches_are_those_of_a_cache(folder: Path, manifest: Manifest) -> None:
    for part in ("train", "val"):
        expected = BatchLoader(build_cache(manifest, SIZE), manifest.split(part), batch_size=3)  # type: ignore[arg-type]
        mine = loader_of(folder, part, batch_size=3, shuffle=False)  # type: ignore[arg-type]
        assert len(mine) == len(expected)
        for one, other in zip(mine.epoch(0), expected.epoch(0), strict=True):
            assert one.ids == other.ids
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets, other.targets)


def test_val_is_read_from_front_to_back(folder: Path) -> None:
    loader = loader_of(folder, "val", shuffle=False)
    where = loader.cache.shards.where
    places = [where[loader.samples[index].id] for index in loader.stream(0)]
    assert places == sorted(places)


def test_the_right_loader_for_a_cache(folder: Path, manifest: Manifest) -> None:
    shards = read_shards(folder).manifest
    made = make_loader(ShardCache.of(shards, SIZE), shards.split("train"), batch_size=2, shuffle=True)
    assert type(made) is ShardLoader
    assert type(make_loader(build_cache(manifest, SIZE), manifest.split("train"), batch_size=2)) is BatchLoader


# ---- order -----------------------------------------------------------------------------------------------------------


def test_the_order_depends_on_seed_and_epoch_alone(folder: Path) -> None:
    first = ids(loader_of(folder, seed=1), 0)
    assert first == ids(loader_of(folder, seed=1, batch_size=7, threads=5), 0)
    loader = loader_of(folder, seed=1)
    assert ids(loader, 4) == ids(loader_of(folder, seed=1), 4), "whatever was iterated before"
    assert len({tuple(ids(loader_of(folder, seed=seed), epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_shards_are_permuted_and_read_one_after_the_other(folder: Path) -> None:
    loader = loader_of(folder)
    where = loader.cache.shards.where
    orders = set()
    for epoch in range(5):
        read = [where[loader.samples[index].id] for index in loader.stream(epoch)]
        numbers = [number for number, _ in read]
        changes = sum(one != other for one, other in itertools.pairwise(numbers))
        assert changes == len(set(numbers)) - 1 == 6, "no shard is come back to"
        assert all(one[1] < other[1] for one, other in itertools.pairwise(read) if one[0] == other[0])
        orders.add(tuple(dict.fromkeys(numbers)))
    assert len(orders) == 5


def test_a_large_buffer_mixes_everything(folder: Path) -> None:
    """Where a sample lies in the stream says nothing about when it comes: over many epochs all places are alike."""
    loader = loader_of(folder, buffer=1000)
    places = np.zeros((20, 400))
    for epoch in range(400):
        where = {int(index): position for position, index in enumerate(loader.order(epoch))}
        places[:, epoch] = [where[int(index)] for index in loader.stream(epoch)]
    assert np.abs(places.mean(axis=1) - 9.5).max() < 1.3  # five standard errors of 400 uniform places


def test_a_small_buffer_mixes_neighbours_only(folder: Path) -> None:
    loader = loader_of(folder, buffer=1)
    assert loader.order(0).tolist() == loader.stream(0).tolist()


@settings(max_examples=60, deadline=None)
@given(
    world=st.sampled_from([1, 2, 3, 4, 7]),
    size=st.integers(1, 9),
    buffer=st.integers(1, 25),
    threads=st.integers(1, 4),
    merge=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_processes_share_every_sample_exactly_once(
    folder: Path, world: int, size: int, buffer: int, threads: int, merge: bool, epoch: int
) -> None:
    seen: Counter[str] = Counter()
    steps = []
    for rank in range(world):
        loader = loader_of(
            folder, batch_size=size, buffer=buffer, threads=threads, merge_single=merge, rank=rank, world_size=world
        )
        batches = [batch.ids for batch in loader.epoch(epoch)]
        assert len(batches) == len(loader)
        assert sum(map(len, batches)) == loader.num_samples
        seen.update(name for batch in batches for name in batch)
        steps.append(len(batches))
    assert len(set(steps)) == 1
    assert seen == Counter({sample.id: 1 for sample in read_shards(folder).manifest.split("train")})


def test_a_process_reads_its_own_stretch_only(folder: Path) -> None:
    for world in (2, 3, 7):
        shards = [
            {loader.cache.shards.where[loader.samples[index].id][0] for index in loader.stream(1)}
            for loader in (loader_of(folder, rank=rank, world_size=world) for rank in range(world))
        ]
        assert sum(map(len, shards)) <= 7 + world - 1, "only the shards at the seams are read by two"


# ---- memory and threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [1, 3, 8])
def test_no_more_samples_wait_than_the_buffer_holds(folder: Path, monkeypatch: pytest.MonkeyPatch, buffer: int) -> None:
    loader = loader_of(folder, buffer=buffer, batch_size=2)
    read: list[str] = []
    memory: list[bool] = []
    blob = ShardReader.blob

    def counted(self: ShardReader, sample_id: str, room: bytearray | None = None) -> memoryview:
        read.append(sample_id)
        memory.append(room is None)
        return blob(self, sample_id, room)

    monkeypatch.setattr(ShardReader, "blob", counted)
    sources: list[Any] = []
    enter = shard_loader._Stream.__enter__
    monkeypatch.setattr(shard_loader._Stream, "__enter__", lambda self: sources.append(self) or enter(self))
    given = 0
    for batch in loader.epoch(0):
        given += len(batch.ids)
        assert len(read) <= given + buffer + 2, "what was given away, the buffer, and the batch that is read ahead"
    assert sources[0].most_waiting <= buffer
    assert sum(memory) <= buffer + 4, "memory is taken for the buffer and for two batches, then used again"
    assert Counter(read) == Counter(sample.id for sample in read_shards(folder).manifest.split("train"))


def test_the_next_batch_is_read_while_one_is_worked_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()
    count = 0
    blob = ShardReader.blob

    def counted(self: ShardReader, sample_id: str, room: bytearray | None = None) -> memoryview:
        nonlocal count
        count += 1
        if count > 6 + 4:
            seen.set()
        return blob(self, sample_id, room)

    monkeypatch.setattr(ShardReader, "blob", counted)
    batches = loader_of(folder).epoch(0)
    next(batches)
    assert seen.wait(5), "nobody reads on"
    batches.close()  # type: ignore[attr-defined]


def test_epochs_may_be_gone_through_side_by_side(folder: Path) -> None:
    loader = loader_of(folder)
    pairs: list[tuple[Batch, Batch]] = list(zip(loader.epoch(0), loader.epoch(1), strict=True))
    assert [name for one, _ in pairs for name in one.ids] == ids(loader_of(folder), 0)
    assert [name for _, other in pairs for name in other.ids] == ids(loader_of(folder), 1)


def test_threads_end_with_the_iterator(folder: Path) -> None:
    before = threading.active_count()
    loader = loader_of(folder, threads=3)
    list(loader.epoch(0))
    left = loader.epoch(0)
    next(left)
    left.close()  # type: ignore[attr-defined]
    forgotten = loader.epoch(0)
    next(forgotten)
    del forgotten
    gc.collect()
    time.sleep(0.05)
    assert threading.active_count() == before


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "cut", "changed"])
def test_damage_in_the_middle_of_an_epoch(folder: Path, tmp_path: Path, how: str) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    loader = loader_of(copied)
    file = copied / "train-000003.tar"
    data = bytearray(file.read_bytes())
    before = threading.active_count()
    if how == "missing":
        file.unlink()
    else:
        data[loader.cache.shards.shards[3].places[1][0] + 300] ^= 1
        file.write_bytes(data if how == "changed" else data[: len(data) // 2])
    with pytest.raises(DatasetError, match="copy it again, or run `segbench data shard`") as caught:
        ids(loader)
    assert caught.value.path == str(file)
    assert threading.active_count() == before


def test_wrong_use(folder: Path) -> None:
    with pytest.raises(ValueError, match="buffer and threads of at least 1"):
        loader_of(folder, buffer=0)
    with pytest.raises(ValueError, match="batch_size of at least 1"):
        loader_of(folder, batch_size=0)
    with pytest.raises(ValueError, match="at least one sample for each of 21 processes"):
        loader_of(folder, world_size=21)
