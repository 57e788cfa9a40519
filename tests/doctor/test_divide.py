"""What the doctor knows is used: near copies stay together, what cannot be learned is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.doctor._sets import blob, pairs, photo, save

from segbench.config.split import SplitConfig
from segbench.data.manifest.read import read_dataset
from segbench.doctor.before_training import require_learnable
from segbench.doctor.divide import divide, near_copies
from segbench.errors import DatasetError


def with_near_copies(root: Path, copies: int) -> Path:
    """Writes 12 pairs, and `copies` lighter versions of the first picture."""
    pairs(root, 12)
    for number in range(copies):
        image = np.clip(photo(0).astype(int) + 1 + number % 2, 0, 255)
        image[0, number] = 0
        save(root / "images" / f"copy{number:02d}x.png", image)
        save(root / "masks" / f"copy{number:02d}x.png", blob(0))
    return root


@pytest.mark.parametrize("method", ["ratios", "kfold"])
@pytest.mark.parametrize("seed", range(6))
def test_near_copies_stay_in_one_part(tmp_path: Path, method: str, seed: int) -> None:
    manifest = read_dataset(with_near_copies(tmp_path, 1))
    assert near_copies(manifest) == [["copy00x", "s00x"]]
    config = SplitConfig.model_validate({"method": method, "seed": seed, "ratios": (0.5, 0.25, 0.25)})
    divided = divide(manifest, config)
    parts = {sample.id: sample.split for sample in divided.samples}
    assert parts["copy00x"] == parts["s00x"]
    assert any("copy00x = s00x (data.split.near_copies)" in note for note in divided.notes)


def test_near_copies_may_be_parted_when_asked(tmp_path: Path) -> None:
    manifest = read_dataset(with_near_copies(tmp_path, 1))
    configs = [
        SplitConfig(near_copies="apart", seed=seed, method="ratios", ratios=(0.4, 0.3, 0.3)) for seed in range(9)
    ]
    parts = [{sample.id: sample.split for sample in divide(manifest, config).samples} for config in configs]
    assert any(there["copy00x"] != there["s00x"] for there in parts)


def test_a_run_of_copies_longer_than_a_part_is_told(tmp_path: Path) -> None:
    manifest = read_dataset(with_near_copies(tmp_path, 5))
    divided = divide(manifest, SplitConfig(method="ratios"))
    assert len(divided) == 17
    assert any("6 pictures in a row look nearly the same" in note for note in divided.notes)


def test_masks_without_any_object_are_refused(tmp_path: Path) -> None:
    manifest = read_dataset(pairs(tmp_path, mask=lambda _: np.zeros_like(blob(0))), classes={"sky": 0, "sun": 1})
    divided = divide(manifest, SplitConfig())
    with pytest.raises(DatasetError, match=r"no mask shows sun, .* data.allow: \[empty_masks\]"):
        require_learnable(divided)
    require_learnable(divided, ["empty_masks"])


def test_a_class_that_training_never_shows_is_refused(tmp_path: Path) -> None:
    root = pairs(tmp_path, 12)
    classes = {"background": 0, "cell": 255, "debris": 7}
    divided = divide(read_dataset(root, classes=classes), SplitConfig())
    with pytest.raises(DatasetError, match=r"never shows debris, which cannot be learned"):
        require_learnable(divided)
    require_learnable(divided, ["missing_classes"])
    require_learnable(divide(read_dataset(root), SplitConfig()))
