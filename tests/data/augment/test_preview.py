"""The preview shows what training sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.config.augment import AugmentConfig, parse_augment
from segbench.config.run import DataConfig, SplitConfig
from segbench.data.augment.preview import augmented_versions
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.data.samples.decoded import decode_samples
from segbench.data.samples.loader import BatchLoader
from segbench.data.samples.loaders import learning_loader
from segbench.data.split.divide import split_manifest

MIXED = AugmentConfig(vflip=0.5, rotate_deg=20, cutmix_p=0.5, brightness=0.2)


def test_versions_are_the_epochs_of_a_run(binary_pairs: Path, tmp_path: Path) -> None:
    manifest = split_manifest(read_dataset(binary_pairs), SplitConfig())
    shown = augmented_versions(manifest, MIXED, samples=4, versions=2, seed=5, size=(32, 48))
    train = manifest.split("train")
    assert [shown.ids[0], shown.ids[-1]] == [train[0].id, train[-1].id]
    assert len(shown.ids) == len(shown.images) == len(shown.masks) == 4
    cache = build_cache(manifest, (32, 48), folder=tmp_path)
    loader = BatchLoader(cache, train, batch_size=5, seed=5, shuffle=True, augment=MIXED)
    for epoch in range(2):
        for batch in loader.epoch(epoch):
            for name, image, target in zip(batch.ids, batch.images, batch.targets, strict=True):
                if name in shown.ids:
                    row = shown.ids.index(name)
                    assert np.array_equal(shown.masks[row][1 + epoch], target.numpy())
                    seen = torch.from_numpy(shown.images[row][1 + epoch]).permute(2, 0, 1) / 255
                    torch.testing.assert_close(seen, image, atol=0.5 / 255 + 1e-4, rtol=0)
    assert np.array_equal(shown.images[0][0], cache.images[cache.rows[shown.ids[0]]])


def test_few_samples_planes_and_a_window(multilabel_pairs: Path) -> None:
    manifest = read_dataset(multilabel_pairs, task="multilabel")
    crop = AugmentConfig(crop=(32, 32))
    shown = augmented_versions(manifest, crop, samples=400, versions=1, size=(40, 48))
    assert len(shown.ids) == len(manifest.samples)
    assert [image.shape for image in shown.images[0]] == [(40, 48, 3), (32, 32, 3)]
    assert [mask.shape for mask in shown.masks[0]] == [(2, 40, 48), (2, 32, 32)]
    with pytest.raises(ValueError, match=r"crop of at most \(16, 16\)"):
        augmented_versions(manifest, crop, size=(16, 16))


def test_patches_are_the_epochs_of_a_run(binary_pairs: Path, tmp_path: Path) -> None:
    manifest = split_manifest(read_dataset(binary_pairs), SplitConfig())
    config = MIXED.model_copy(update={"scale": (0.8, 2.0), "detail": "original"})
    for size in ("original", (32, 36)):
        shown = augmented_versions(manifest, config, samples=3, versions=2, seed=5, size=size, patch=(32, 32))  # type: ignore[arg-type]
        data = DataConfig(path="x", size=size, patch=(32, 32), augment=config, cache_dir=str(tmp_path))
        decoded = decode_samples(data, manifest)
        assert (decoded.larger is None) == (size == "original")
        loader = learning_loader(decoded, manifest.split("train"), batch_size=5, seed=5, shuffle=True, augment=config)
        for epoch in range(2):
            for batch in loader.epoch(epoch):
                for name, image, target in zip(batch.ids, batch.images, batch.targets, strict=True):
                    if name in shown.ids:
                        row = shown.ids.index(name)
                        assert np.array_equal(shown.masks[row][1 + epoch], target.numpy())
                        seen = torch.from_numpy(shown.images[row][1 + epoch]).permute(2, 0, 1) / 255
                        torch.testing.assert_close(seen, image, atol=0.5 / 255 + 1e-4, rtol=0)
        assert all(max(image.shape[:2]) <= 36 for row in shown.images for image in row)
    with pytest.raises(ValueError, match="expected a patch"):
        augmented_versions(manifest, config, size="original")


@pytest.mark.data
def test_street_scenes_keep_their_labels_and_ignore_what_is_missing(real_data: Callable[[str], Path]) -> None:
    manifest = read_dataset(real_data("camvid_original") / "CamVid", "camvid")
    shown = augmented_versions(manifest, parse_augment("street"), samples=3, versions=6, size=(90, 120))
    for original, *changed in shown.masks:
        known = set(np.unique(original).tolist())
        assert known <= {*range(11), 255}
        for mask in changed:
            assert set(np.unique(mask).tolist()) <= known | {255}
    missing = [float((mask == 255).mean()) for row in shown.masks for mask in row[1:]]
    assert max(missing) > 0.2  # some version is shrunk
    assert min(missing) < 0.1
