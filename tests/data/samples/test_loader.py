from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.config.augment import PRESETS, AugmentConfig
from segbench.data.augment.mixing import draw_mix
from segbench.data.samples.loader import Batch, BatchLoader
from segbench.data.samples.sample_cache import SampleCache
from segbench.errors import ConfigError, DatasetError
from segbench.types import ClassMap, Sample, Task

CLASSES = ClassMap(names=("a", "b"), values=((0,), (1,)))
AUGMENT = AugmentConfig(hflip=0.5, rotate_deg=20, crop=(16, 18), brightness=0.3)


def samples_of(count: int) -> list[Sample]:
    fields: dict[str, Any] = {"mask": "m", "height": 9, "width": 9, "image_hash": "i", "mask_hash": "m"}
    return [Sample(id=f"s{number:03d}", image="i", **fields) for number in range(count)]


def cache_of(count: int, size: tuple[int, int] = (20, 24)) -> SampleCache:
    """Rows lie in the reverse order of the samples; pixel (0, 0) of a sample's image is its number."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    images[::-1, 0, 0, 0] = np.arange(count) % 256
    masks = rng.choice(np.array([0, 1, 255], dtype=np.uint8), (count, *size))
    rows = {sample.id: count - 1 - number for number, sample in enumerate(samples_of(count))}
    return SampleCache(images=images, masks=masks, rows=rows, class_map=CLASSES)


def loader_of(count: int, **options: Any) -> BatchLoader:
    return BatchLoader(cache_of(count), samples_of(count), **{"batch_size": 4, **options})


def ids(loader: BatchLoader, epoch: int = 0) -> list[str]:
    return [name for batch in loader.epoch(epoch) for name in batch.ids]


def equal(one: Batch, other: Batch) -> bool:
    return one.ids == other.ids and torch.equal(one.images, other.images) and torch.equal(one.targets, other.targets)


def test_batches_hold_the_cached_samples_in_order() -> None:
    loader = loader_of(10)
    batches = list(loader.epoch(0))
    assert [len(batch.ids) for batch in batches] == [4, 4, 2]
    assert len(loader) == 3
    assert loader.num_samples == 10
    assert [name for batch in batches for name in batch.ids] == [sample.id for sample in samples_of(10)]
    for batch in batches:
        assert batch.images.dtype == torch.float32
        assert batch.targets.dtype == torch.int64
        assert batch.images.shape == (len(batch.ids), 3, 20, 24)
        for name, image, target in zip(batch.ids, batch.images, batch.targets, strict=True):
            row = loader.cache.rows[name]
            wanted = torch.from_numpy(loader.cache.images[row]).permute(2, 0, 1) / 255
            torch.testing.assert_close(image, wanted, atol=1e-7, rtol=0)
            assert torch.equal(target, torch.from_numpy(loader.cache.masks[row]).long())


def test_planes_of_multilabel_tasks() -> None:
    cache = cache_of(3)
    planes = np.stack([cache.masks, cache.masks // 255], axis=1)
    classes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    cache = replace(cache, masks=planes, class_map=classes)
    for augment, size in ((None, (20, 24)), (AUGMENT, (16, 18))):
        batch = next(BatchLoader(cache, samples_of(3), batch_size=3, augment=augment).epoch(0))
        assert batch.targets.shape == (3, 2, *size)


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_memory_order_changes_no_value(augment: AugmentConfig | None) -> None:
    rows = zip(
        loader_of(5, augment=augment, channels_last=True).epoch(0), loader_of(5, augment=augment).epoch(0), strict=True
    )
    for last, first in rows:
        assert last.images.is_contiguous(memory_format=torch.channels_last)
        assert first.images.is_contiguous()
        assert equal(last, first)


# ---- order -----------------------------------------------------------------------------------------------------------


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    loader = loader_of(30, shuffle=True, seed=1)
    first, second = ids(loader, 0), ids(loader, 1)
    assert first != second
    assert sorted(first) == sorted(second) == [sample.id for sample in samples_of(30)]
    assert ids(loader_of(30, shuffle=True, seed=1, batch_size=7), 1) == second
    assert ids(loader_of(30, shuffle=True, seed=2), 0) != first
    assert ids(loader_of(30), 5) == sorted(first)


def test_augmentation_follows_the_sample_through_any_batch() -> None:
    def by_id(**options: Any) -> dict[str, Any]:
        found = {}
        for batch in loader_of(9, augment=AUGMENT, seed=3, **options).epoch(2):
            found |= dict(zip(batch.ids, zip(batch.images, batch.targets, strict=True), strict=True))
        return found

    one, other = by_id(batch_size=9), by_id(batch_size=2, shuffle=True)
    half = by_id(batch_size=2, shuffle=True, rank=1, world_size=2)
    assert set(one) == set(other) > set(half)
    for name, (image, target) in [*other.items(), *half.items()]:
        torch.testing.assert_close(image, one[name][0], atol=1e-5, rtol=0)
        assert torch.equal(target, one[name][1])


MIXED = AugmentConfig(**PRESETS["strong"], cutmix_p=0.5, copy_paste_p=0.5)


def test_every_change_follows_the_sample_whatever_its_batch_and_process() -> None:
    """Also the image that is mixed in, which may be another process's."""

    def by_id(**options: Any) -> dict[str, Any]:
        found = {}
        for batch in loader_of(9, augment=MIXED, seed=3, **options).epoch(2):
            found |= dict(zip(batch.ids, zip(batch.images, batch.targets, strict=True), strict=True))
        return found

    one = by_id(batch_size=9)
    for options in ({"batch_size": 2, "shuffle": True}, {"batch_size": 4, "rank": 1, "world_size": 2}):
        for name, (image, target) in by_id(**options).items():
            torch.testing.assert_close(image, one[name][0], atol=1e-5, rtol=0)
            assert torch.equal(target, one[name][1])
    loader = loader_of(9, augment=MIXED, seed=3)
    list(loader.epoch(1))  # what was iterated before does not matter
    again = loader.batch(np.array([5]), 2)
    assert torch.equal(again.targets[0], one[again.ids[0]][1])


def test_mixed_pixels_come_with_their_labels_from_one_image() -> None:
    """Every image has one colour, and one label that says which; so any pixel tells where it is from."""
    cache = cache_of(8)
    images = np.empty_like(cache.images)
    masks = np.empty_like(cache.masks)
    for row in range(8):
        images[row], masks[row] = 20 * row, row
        images[row, :, 12:], masks[row, :, 12:] = 20 * row + 10, 100 + row
    classes = ClassMap(names=tuple(map(str, range(108))), values=tuple((value,) for value in range(108)))
    cache = replace(cache, images=images, masks=masks, class_map=classes)
    names = tuple(str(value) for value in range(100, 108))
    for options, shares in (
        ({"cutmix_p": 1.0}, (0.05, 0.95)),
        ({"copy_paste_p": 1.0, "copy_paste_classes": names}, (0.5, 0.5)),
    ):
        config = AugmentConfig(hflip=0.5, **options)
        batch = next(BatchLoader(cache, samples_of(8), batch_size=8, augment=config).epoch(0))
        colors = (batch.images[:, 0] * 255).round().long()
        assert torch.equal(batch.targets % 100 * 20 + batch.targets // 100 * 10, colors)
        own = torch.tensor([cache.rows[name] for name in batch.ids])[:, None, None]
        foreign = (batch.targets % 100 != own).flatten(1).float().mean(1)
        assert len(batch.targets.unique()) > 8
        assert shares[0] <= float(foreign.mean()) <= shares[1]
        assert all(len((targets % 100).unique()) <= 2 for targets in batch.targets)


def test_pasting_planes_takes_all_labels_of_the_pasted_pixels() -> None:
    cache = cache_of(4)
    left = np.zeros((4, 2, 20, 24), np.uint8)
    for row in range(4):
        left[row, 0, :, : 6 * row], left[row, 1] = 1, row % 2
    classes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    config = AugmentConfig(hflip=0.0, copy_paste_p=1.0, copy_paste_classes=("a",))
    loader = BatchLoader(
        replace(cache, masks=left, class_map=classes), samples_of(4), batch_size=4, augment=config, seed=2
    )
    plain = next(BatchLoader(loader.cache, samples_of(4), batch_size=4).epoch(0))
    batch = next(loader.epoch(0))
    changed = (batch.images != plain.images).any(1)
    assert changed.any()
    for image, target in zip(batch.images, batch.targets, strict=True):
        for column in range(24):  # each column is wholly one image's, with that image's planes
            fits = [
                torch.equal(image[:, :, column], other[:, :, column])
                and torch.equal(target[:, :, column], planes[:, :, column])
                for other, planes in zip(plain.images, plain.targets, strict=True)
            ]
            assert any(fits)


def test_classes_to_paste_are_checked_against_the_data() -> None:
    with pytest.raises(ConfigError, match=r"data.augment.copy_paste_classes: there is no class 'bb'; did you mean 'b'"):
        loader_of(3, augment=AugmentConfig(copy_paste_p=0.5, copy_paste_classes=("bb",)))
    cache = replace(cache_of(3), class_map=replace(CLASSES, background=None))
    with pytest.raises(ConfigError, match=r"no background, so name the classes to paste, of a, b"):
        BatchLoader(cache, samples_of(3), batch_size=1, augment=AugmentConfig(copy_paste_p=0.5))
    assert len(BatchLoader(cache, samples_of(3), batch_size=1, augment=AugmentConfig(cutmix_p=0.5))) == 3
    alone = next(loader_of(1, augment=AugmentConfig(hflip=0.0, cutmix_p=1.0)).epoch(0))
    assert equal(alone, next(loader_of(1).epoch(0)))  # there is nothing to mix with


def test_partners_are_any_image_but_the_sample_itself() -> None:
    config = AugmentConfig(cutmix_p=0.5, copy_paste_p=0.25)
    mix = draw_mix(config, 0, 0, range(4000), 4000, (50, 80))
    assert (mix.partners != mix.rows).all()
    assert len(mix.rows) / 4000 == pytest.approx(1 - 0.5 * 0.75, abs=0.03)
    assert mix.paste.sum() / 4000 == pytest.approx(0.25, abs=0.03)
    boxes = mix.box_px[mix.box_px[:, 2] > 0]
    assert len(boxes) / 4000 == pytest.approx(0.5, abs=0.03)
    assert (boxes[:, :2] >= 0).all()
    assert ((boxes[:, :2] + boxes[:, 2:]) <= (50, 80)).all()
    few = draw_mix(config, 0, 1, [2] * 1, 3, (50, 80))
    assert set(few.partners) <= {0, 1}
    assert draw_mix(AugmentConfig(), 0, 0, range(50), 50, (50, 80)).rows.size == 0


def test_without_augmentation_training_pictures_are_whole() -> None:
    assert next(loader_of(4, augment=AUGMENT).epoch(0)).images.shape[2:] == (16, 18)
    assert next(loader_of(4).epoch(0)).images.shape[2:] == (20, 24)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    world=st.integers(1, 5),
    size=st.integers(1, 9),
    shuffle=st.booleans(),
    drop=st.booleans(),
)
def test_processes_share_every_sample_exactly_once(
    count: int, world: int, size: int, shuffle: bool, drop: bool
) -> None:
    if count < world:
        return
    cache, samples = cache_of(count, (2, 2)), samples_of(count)
    seen: Counter[str] = Counter()
    steps = []
    for rank in range(world):
        loader = BatchLoader(
            cache, samples, batch_size=size, shuffle=shuffle, merge_single=drop, rank=rank, world_size=world
        )
        batches = list(loader.epoch(3))
        sizes = [len(batch.ids) for batch in batches]
        assert len(batches) == len(loader)
        assert sum(sizes) == loader.num_samples
        assert max(sizes) <= size + 1 or world > 1
        if drop and size > 1 and sum(sizes) > 1:
            assert min(sizes) > 1
        seen.update(name for batch in batches for name in batch.ids)
        steps.append(len(batches))
    assert seen == Counter(sample.id for sample in samples)
    if shuffle:
        assert len(set(steps)) == 1


def test_a_last_single_sample_joins_the_batch_before() -> None:
    assert [len(batch.ids) for batch in loader_of(9).epoch(0)] == [4, 4, 1]
    loader = loader_of(9, merge_single=True)
    assert [len(batch.ids) for batch in loader.epoch(0)] == [4, 5]
    assert len(loader) == 2
    assert len(loader_of(3, batch_size=1, merge_single=True)) == 3
    assert len(loader_of(1, merge_single=True)) == 1


# ---- the thread ------------------------------------------------------------------------------------------------------


def readers() -> int:
    return sum(thread.name.startswith("batch-reader") for thread in threading.enumerate())


@pytest.mark.parametrize("ending", ["exhausted", "closed", "dropped", "never started"])
def test_the_thread_ends_with_the_iterator(ending: str) -> None:
    batches = loader_of(20).epoch(0)
    if ending != "never started":
        next(batches)
        assert readers() == 1
    if ending == "exhausted":
        assert len(list(batches)) == 4
    elif ending == "closed":
        batches.close()  # type: ignore[attr-defined]
    del batches
    gc.collect()
    assert readers() == 0


class Pixels:
    """An array that counts what is read of it, and fails at one row."""

    def __init__(self, array: np.ndarray, broken: int = -1) -> None:
        self.array, self.shape, self.broken = array, array.shape, broken
        self.read: list[tuple[int, str]] = []

    def __getitem__(self, row: int) -> np.ndarray:
        if row == self.broken:
            raise OSError("the disk is gone")
        self.read.append((int(row), threading.current_thread().name))
        return self.array[row]


def test_errors_of_the_thread_reach_the_caller() -> None:
    cache = cache_of(12)
    broken: Any = Pixels(cache.images, broken=cache.rows["s005"])
    batches = BatchLoader(replace(cache, images=broken), samples_of(12), batch_size=4).epoch(0)
    assert next(batches).ids[0] == "s000"
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert readers() == 0


def test_one_batch_is_read_ahead_in_another_thread_in_the_order_of_the_rows() -> None:
    cache = cache_of(12)
    pixels: Any = Pixels(cache.images)
    batches = BatchLoader(replace(cache, images=pixels), samples_of(12), batch_size=4).epoch(0)
    next(batches)
    deadline = time.monotonic() + 10
    while len(pixels.read) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert [row for row, _ in pixels.read] == [8, 9, 10, 11, 4, 5, 6, 7]
    assert all(name.startswith("batch-reader") for _, name in pixels.read)
    batches.close()  # type: ignore[attr-defined]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="batch_size of at least 1, got 0"):
        loader_of(3, batch_size=0)
    with pytest.raises(ValueError, match="rank from 0 to world_size - 1 = 1, got 2"):
        loader_of(3, rank=2, world_size=2)
    with pytest.raises(ValueError, match="at least one sample for each of 4 processes, got 3"):
        loader_of(3, rank=0, world_size=4)
    with pytest.raises(ValueError, match="at least one sample for each of 1 processes, got 0"):
        BatchLoader(cache_of(1), [], batch_size=1)
    with pytest.raises(DatasetError, match="2 samples are not in this cache: s003, s004"):
        BatchLoader(cache_of(3), samples_of(5), batch_size=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augment", [None, AUGMENT, AugmentConfig(**PRESETS["strong"], cutmix_p=0.5)])
def test_a_gpu_gives_the_same_batches(augment: AugmentConfig | None) -> None:
    there = loader_of(10, augment=augment, device="cuda", channels_last=True).epoch(0)
    for one, other in zip(there, loader_of(10, augment=augment).epoch(0), strict=True):
        assert one.images.device.type == "cuda"
        torch.testing.assert_close(one.images.cpu(), other.images, atol=1e-4, rtol=0)
        assert (one.targets.cpu() == other.targets).float().mean() > 0.999
