"""Windows of images of any size: the same whatever the batch, read from around the window, with rare classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.config.augment import PRESETS, AugmentConfig
from segbench.data.augment.parameters import draw_augmentation
from segbench.data.augment.views import SMOOTH_FROM, apply_views, plan_view
from segbench.data.augment.windows import RARE_P, draw_windows, rare_pixels
from segbench.data.samples.loader import Batch, BatchLoader
from segbench.data.samples.sample_cache import RaggedCache, RaggedColumn, SampleCache
from segbench.data.samples.window_loader import WindowLoader
from segbench.types import ClassMap, Sample, Task

CLASSES = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)))
PATCH = (32, 40)
SIZES = [(60, 90), (32, 40), (24, 100), (20, 20), (200, 41)]
MIXED = AugmentConfig(**PRESETS["strong"], cutmix_p=0.5, copy_paste_p=0.5)


def samples_of(sizes: list[tuple[int, int]]) -> list[Sample]:
    fields: dict[str, Any] = {"image": "i", "mask": "m", "image_hash": "i", "mask_hash": "m"}
    return [Sample(id=f"s{n}", height=height, width=width, **fields) for n, (height, width) in enumerate(sizes)]


def ragged(images: list[np.ndarray], masks: list[np.ndarray], class_map: ClassMap = CLASSES) -> RaggedCache:
    """Images (H, W, C) and masks of different sizes as a cache."""
    places, before = [], 0
    for image in images:
        places.append((before, *image.shape[:2]))
        before += image.shape[0] * image.shape[1]
    planes = masks[0].shape[:-2]
    columns: Any = [
        RaggedColumn(np.concatenate([each.ravel() for each in arrays]), np.array(places), channels=depth, planes=planes)
        for arrays, depth in ((images, images[0].shape[2]), (masks, None))
    ]
    rows = {f"s{row}": row for row in range(len(images))}
    return RaggedCache(images=columns[0], masks=columns[1], rows=rows, class_map=class_map)


def noise(sizes: list[tuple[int, int]] = SIZES) -> RaggedCache:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    masks = [rng.choice(np.array([0, 0, 0, 1, 2, 255], dtype=np.uint8), size) for size in sizes]
    return ragged(images, masks)


def places(sizes: list[tuple[int, int]] = SIZES) -> RaggedCache:
    """Images that say where each pixel lies: row, column, and which image, in their three channels."""
    images, masks = [], []
    for number, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width].astype(np.uint8)
        images.append(np.stack([rows, columns, np.full_like(rows, number)], axis=2))
        masks.append((rows // 8 + columns // 8).astype(np.uint8) % 3)
    return ragged(images, masks)


def loader_of(cache: SampleCache, **options: Any) -> WindowLoader:
    samples = samples_of([cache.size_of(row) for row in range(len(cache.rows))])
    return WindowLoader(cache, samples, **{"batch_size": 3, "patch": PATCH, **options})


def by_id(loader: BatchLoader, epoch: int = 2) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    found = {}
    for batch in loader.epoch(epoch):
        found |= dict(zip(batch.ids, zip(batch.images, batch.targets, strict=True), strict=True))
    return found


def test_every_change_follows_the_sample_whatever_its_batch_and_process() -> None:
    one = by_id(loader_of(noise(), augment=MIXED, seed=3, batch_size=5))
    assert {image.shape for image, _ in one.values()} == {(3, *PATCH)}
    assert {target.shape for _, target in one.values()} == {PATCH}
    for options in ({"batch_size": 2, "shuffle": True}, {"rank": 1, "world_size": 2}, {"batch_size": 1}):
        for name, (image, target) in by_id(loader_of(noise(), augment=MIXED, seed=3, **options)).items():
            torch.testing.assert_close(image, one[name][0], atol=1e-5, rtol=0)
            assert torch.equal(target, one[name][1])
    loader = loader_of(noise(), augment=MIXED, seed=3)
    list(loader.epoch(0))  # what was iterated before does not matter
    again = loader.batch(np.array([4]), 2)
    assert torch.equal(again.targets[0], one["s4"][1])
    assert not torch.equal(by_id(loader, 3)["s0"][0], one["s0"][0])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_patch_of_the_whole_image_is_the_image(preset: str) -> None:
    """Where nothing lies around the window, the samples are those of whole images."""
    size = (32, 40)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (6, *size, 3), dtype=np.uint8)
    masks = rng.integers(0, 3, (6, *size), dtype=np.uint8)
    cache = SampleCache(images=images, masks=masks, rows={f"s{n}": n for n in range(6)}, class_map=CLASSES)
    # Enlarged ones are not compared: a window of an enlarged image lies anywhere in it.
    config = AugmentConfig(**{**PRESETS[preset], "scale": (0.7, 1.0), "place": "center", "cutmix_p": 0.5})
    samples = samples_of([size] * 6)
    whole = next(BatchLoader(cache, samples, batch_size=6, seed=1, augment=config).epoch(3))
    patch = next(WindowLoader(cache, samples, batch_size=6, seed=1, augment=config, patch=size).epoch(3))
    torch.testing.assert_close(whole.images, patch.images, atol=1e-4, rtol=0)
    assert float((whole.targets == patch.targets).float().mean()) > 0.999  # a label exactly between two pixels


def test_windows_without_changes_are_cut_out_exactly() -> None:
    cache = places()
    for epoch in range(20):
        for name, (image, target) in by_id(loader_of(cache), epoch).items():
            rows, columns, number = (image * 255).round().long()
            row = int(name[1:])
            assert (number == row).all()
            assert torch.equal(target, (rows // 8 + columns // 8) % 3)
            height, width = cache.size_of(row)
            if height >= PATCH[0]:
                assert (rows.diff(dim=0) == 1).all()
            if width >= PATCH[1]:
                assert (columns.diff(dim=1) == 1).all()
    small = by_id(loader_of(cache))["s3"][0][0] * 255  # 20 rows in 32: its mirror image above and below
    assert small[:, 0].round().tolist() == [*range(5, -1, -1), *range(20), *range(19, 13, -1)]


def test_a_small_image_may_be_surrounded_by_what_counts_nowhere() -> None:
    config = AugmentConfig(hflip=0.0, outside="ignore")
    target = by_id(loader_of(places(), augment=config))["s3"][1]
    inside = torch.zeros(PATCH, dtype=torch.bool)
    inside[6:26, 10:30] = True
    assert torch.equal(target == 255, ~inside)


def test_turned_and_shrunk_windows_are_read_from_around_them() -> None:
    """In the middle of a large image every change shows true pixels, of the place that geometry says."""
    config = AugmentConfig(
        hflip=0.5, rotate_deg=180, scale=(0.7, 1.5), shear_deg=10, elastic_frac=0.05, outside="ignore"
    )
    cache = places([(200, 200)] * 8)
    seen = 0
    for epoch in range(6):
        for image, target in by_id(loader_of(cache, augment=config), epoch).values():
            rows, columns = image[0] * 255, image[1] * 255
            inner = (rows > 2) & (rows < 197) & (columns > 2) & (columns < 197)
            assert (target == 255).float().mean() < 0.5
            if inner.all():  # no edge in sight: nothing is mirrored, nothing ignored
                seen += 1
                assert (target < 3).all()
                labels = ((rows.round() // 8) + (columns.round() // 8)) % 3
                near = (rows % 8 - 4).abs().lt(3) & (columns % 8 - 4).abs().lt(3)
                assert torch.equal(labels.long()[near], target[near])
                steps = torch.stack([rows.diff(dim=1), columns.diff(dim=1)]).pow(2).sum(0).sqrt()
                assert 0.4 < float(steps.median()) < 2.0
    assert seen > 20


def test_the_edge_of_the_image_is_mirrored_and_ignored_alone() -> None:
    config = AugmentConfig(hflip=0.0, rotate_deg=45, outside="ignore")
    cache = places([(60, 60)] * 4)
    for epoch in range(8):
        for image, target in by_id(loader_of(cache, augment=config), epoch).values():
            rows, columns = image[0] * 255, image[1] * 255
            beyond = target == 255
            if beyond.any():  # what was filled in lies within a patch of the edge
                edge = torch.minimum(torch.minimum(rows, 59 - rows), torch.minimum(columns, 59 - columns))
                assert float(edge[beyond].max()) < 30
                assert float(edge[~beyond].min()) < 2


def test_strong_shrinking_does_not_alias() -> None:
    """A chequerboard of single pixels becomes grey when ten of them fall on one, and only then."""
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    cache = ragged([np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)], [np.zeros((400, 400), np.uint8)])
    for scale, spread in ((0.1, 0.02), (0.3, 0.1)):
        config = AugmentConfig(hflip=0.0, rotate_deg=20, scale=(scale, scale))
        image = by_id(loader_of(cache, augment=config), 0)["s0"][0]
        assert float((image - 0.5).abs().mean()) < spread
    assert SMOOTH_FROM < 2


# ---- where windows lie -----------------------------------------------------------------------------------------------


def drawn(size: tuple[int, int], pixels: Any, count: int = 4000, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    config = AugmentConfig(hflip=0.0, **changes)
    parameters = draw_augmentation(config, 0, 0, range(count), PATCH)
    corners = draw_windows(config, 0, 0, range(count), [size] * count, lambda row: pixels, parameters)
    return corners, parameters.scale


def test_windows_lie_anywhere_in_the_image() -> None:
    corners, _ = drawn((50, 100), ())
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [18, 60]
    _, counts = np.unique(corners[:, 0], return_counts=True)
    assert counts.min() > 140  # of 210 each: the first and the last as often as any
    assert drawn((20, 10), (), 1)[0].tolist() == [[-6, -15]]
    loose = drawn((20, 10), (), 500, place="random")[0]
    assert loose.min(axis=0).tolist() == [-12, -30]
    assert loose.max(axis=0).tolist() == [0, 0]


def test_what_is_seen_of_the_image_fits_into_it_at_any_scale() -> None:
    corners, scale = drawn((80, 90), (), scale=(0.5, 2.0))
    middle = corners + np.array(PATCH) / 2
    half = np.array(PATCH) / 2 / scale[:, None]
    fits = (2 * half <= (80, 90)).all(axis=1)
    assert 0.5 < fits.mean() <= 1.0
    assert ((middle - half)[fits] >= -0.51).all()
    assert ((middle + half)[fits] <= np.array([80, 90]) + 0.51).all()
    enlarged = scale > 1.8
    assert (middle - half)[enlarged].min() < 2  # an enlarged image is seen up to its edge


def test_a_share_of_the_windows_holds_a_rare_class() -> None:
    mask = np.zeros((300, 400), dtype=np.uint8)
    mask[100:103, 200:204] = 1
    mask[290:, 395:] = 2
    pixels = rare_pixels(mask, CLASSES)
    assert [len(each) for each in pixels] == [12, 50]
    assert {tuple(each) for each in pixels[0]} == {
        (row, column) for row in range(100, 103) for column in range(200, 204)
    }
    corners, _ = drawn(mask.shape, pixels)
    held = [
        [bool((mask[top : top + PATCH[0], left : left + PATCH[1]] == label).any()) for label in (1, 2)]
        for top, left in corners
    ]
    by_chance = (PATCH[0] * PATCH[1]) / (300 * 400)
    for share in np.mean(held, axis=0):
        assert share == pytest.approx(RARE_P / 2 + (1 - RARE_P) * by_chance, abs=0.02)
    assert corners.min() >= 0
    assert (corners + PATCH <= mask.shape).all()
    near = corners[[held_one for held_one, _ in held]] + np.array(PATCH) / 2
    assert near.std(axis=0).min() > 3  # not always in the middle


def test_the_most_frequent_class_is_the_background_of_its_image() -> None:
    full = np.ones((40, 40), dtype=np.uint8)
    full[:2] = 0
    full[-1] = 255
    [pixels] = rare_pixels(full, CLASSES)
    assert pixels[:, 0].max() == 1
    assert rare_pixels(np.zeros((9, 9), np.uint8), CLASSES) == ()
    planes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    both = np.zeros((2, 40, 40), dtype=np.uint8)
    both[0, :30] = 1
    both[1, 5, 7] = 1
    [pixels] = rare_pixels(both, planes)
    assert pixels.tolist() == [[5, 7]]
    many = np.zeros((100, 100), dtype=np.uint8)
    many[:, :40] = 1
    [pixels] = rare_pixels(many, CLASSES)
    assert len(pixels) == 256
    assert (pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()) == ([0, 0], [99, 39])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    corner=st.tuples(st.integers(-60, 90), st.integers(-60, 90)),
    preset=st.sampled_from(sorted(PRESETS)),
    seed=st.integers(0, 50),
)
def test_the_part_that_is_read_suffices(size: tuple[int, int], corner: tuple[int, int], preset: str, seed: int) -> None:
    """A view of a part gives bit by bit what the view of the whole image gives: nothing outside was needed."""
    config = AugmentConfig(**{**PRESETS[preset], "elastic_frac": 0.06, "elastic_p": 0.5, "scale": (0.7, 1.5)})
    parameters = draw_augmentation(config, seed, 0, [0], (24, 32))
    view = plan_view(parameters, (24, 32), np.array(corner), size)
    rng = np.random.default_rng(0)
    image, mask = (
        torch.from_numpy(rng.random((*size, 3))),
        torch.from_numpy(rng.integers(0, 3, (1, *size)).astype(np.uint8)),
    )
    (top, left), (height, width) = view.corner, view.part
    window = (slice(top, top + height), slice(left, left + width))
    part = apply_views([(image[window], mask[:, window[0], window[1]])], [view], parameters)
    whole = apply_views([(image, mask)], [replace(view, corner=(0, 0), part=size)], parameters)
    torch.testing.assert_close(part[0], whole[0], atol=1e-5, rtol=0)
    assert (part[1] == whole[1]).float().mean() > 0.999  # but for a label exactly between two pixels


# ---- larger versions -------------------------------------------------------------------------------------------------


def detailed() -> tuple[SampleCache, RaggedCache]:
    """Noise at 24 x 32 and three and two times as large, halved and thirded by repeating; one has no larger version."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)
    masks = rng.integers(0, 3, (4, 24, 32), dtype=np.uint8)
    cache = SampleCache(images=small, masks=masks, rows={f"s{n}": n for n in range(4)}, class_map=CLASSES)
    times = [(2, 3), (2, 3), (2, 3), (1, 1)]
    images = [image.repeat(down, 0).repeat(across, 1) for image, (down, across) in zip(small, times, strict=True)]
    labels = [mask.repeat(down, 0).repeat(across, 1) for mask, (down, across) in zip(masks, times, strict=True)]
    return cache, ragged(images, labels)


@pytest.mark.parametrize("patch", [None, (16, 16)])
def test_enlarged_samples_are_read_from_the_larger_version(patch: tuple[int, int] | None) -> None:
    cache, larger = detailed()
    samples = samples_of([(24, 32)] * 4)
    config = AugmentConfig(hflip=0.5, rotate_deg=20, scale=(0.8, 2.0), detail="original")
    options: dict[str, Any] = {"batch_size": 4, "augment": config, "seed": 5, "patch": patch}
    plain = by_id(WindowLoader(cache, samples, **options))
    more = by_id(WindowLoader(cache, samples, larger=larger, **options))
    black = replace(larger, images=_black(larger.images))  # type: ignore[arg-type]
    told = by_id(WindowLoader(cache, samples, larger=black, **options))
    parameters = draw_augmentation(config, 5, 2, range(4), patch or (24, 32))
    for row, (name, (image, target)) in enumerate(sorted(more.items())):
        if parameters.scale[row] > 1 and row < 3:
            assert float(told[name][0].max()) == 0.0  # this is where it was read
            assert not torch.equal(image, plain[name][0])
            assert float((target == plain[name][1]).float().mean()) > 0.9  # the same place
        else:
            assert torch.equal(image, plain[name][0])
            assert torch.equal(target, plain[name][1])
    assert (parameters.scale[:3] > 1).any()
    assert (parameters.scale[:3] < 1).any()


def _black(column: RaggedColumn) -> RaggedColumn:
    return RaggedColumn(np.zeros_like(column.pixels), column.places, channels=column.channels, planes=column.planes)


def test_without_patches_all_that_is_not_enlarged_is_as_it_was() -> None:
    cache, larger = detailed()
    samples = samples_of([(24, 32)] * 4)
    config = AugmentConfig(**{**PRESETS["strong"], "scale": (0.7, 1.0), "crop": (16, 20), "cutmix_p": 0.5})
    before: Batch = next(BatchLoader(cache, samples, batch_size=4, augment=config).epoch(0))
    after: Batch = next(WindowLoader(cache, samples, batch_size=4, augment=config, larger=larger).epoch(0))
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.targets, after.targets)


def test_multilabel_planes_and_other_channels() -> None:
    rng = np.random.default_rng(0)
    sizes = [(50, 60), (20, 70)]
    images = [rng.integers(0, 256, (*size, 5), dtype=np.uint8) for size in sizes]
    masks = [rng.integers(0, 2, (2, *size), dtype=np.uint8) for size in sizes]
    planes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    augment = MIXED.model_copy(update={"copy_paste_classes": ("a",)})
    batch = next(loader_of(ragged(images, masks, planes), augment=augment).epoch(0))
    assert batch.images.shape == (2, 5, *PATCH)
    assert batch.targets.shape == (2, 2, *PATCH)
    assert set(batch.targets.unique().tolist()) <= {0, 1}
