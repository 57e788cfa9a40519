"""Each file is read once, so hashed and decoded once, where both the manifest and the cache want it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.data.files.kept import KeptPixels
from segbench.data.manifest.read import read_dataset
from segbench.data.samples.cache import build_cache
from segbench.errors import DatasetError

SIZE = (12, 20)
RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image or mask was read; what is not read is neither hashed nor decoded."""
    counted: Counter[str] = Counter()
    read_bytes = Path.read_bytes

    def counting(path: Path) -> bytes:
        counted[f"{path.parent.name}/{path.name}"] += path.suffix in (".png", ".jpg")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    return counted


def dataset(root: Path, masks: str) -> dict[str, Any]:
    """Writes three images and masks of a sort; returns the options that read them."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (30, 44, 3), dtype=np.uint8)).save(root / "images" / f"{name}.jpg")
        labels = rng.integers(0, 2, (30, 44), dtype=np.uint8)
        mask = Image.fromarray(np.array([RED, GREEN], dtype=np.uint8)[labels] if masks == "colours" else labels * 255)
        if masks == "palette":
            mask = Image.fromarray(labels, mode="P")
            mask.putpalette([*RED, *GREEN])
        mask.save(root / "masks" / f"{name}.png")
    if masks == "values":
        return {}
    values = {"red": list(RED), "green": list(GREEN)} if masks == "colours" else {"red": 0, "green": 1}
    return {"classes": values, "background": False, "task": "multiclass"}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("masks", ["values", "colours", "palette"])
def test_a_file_is_read_once_for_the_manifest_and_the_cache(masks: str, tmp_path: Path, reads: Counter[str]) -> None:
    options = dataset(tmp_path / "set", masks)
    with KeptPixels(SIZE) as kept:
        manifest = read_dataset(tmp_path / "set", kept=kept, **options)
        cache = build_cache(manifest, SIZE, folder=tmp_path / "kept", kept=kept)
    once = {name: 1 for stem in "abc" for name in (f"images/{stem}.jpg", f"masks/{stem}.png")}
    assert +reads == once
    reads.clear()
    plain = build_cache(manifest, SIZE, folder=tmp_path / "plain")
    assert +reads == once
    assert np.array_equal(cache.images, plain.images)
    assert np.array_equal(cache.masks, plain.masks)


def test_the_colours_of_a_palette_are_not_its_indices(tmp_path: Path) -> None:
    dataset(tmp_path / "set", "palette")
    path = (tmp_path / "set" / "masks" / "a.png").resolve()
    with KeptPixels(SIZE) as kept:
        read_dataset(tmp_path / "set", kept=kept, classes={"red": 0, "green": 1})
        assert kept.mask(path, colors=True) is None
        found = kept.mask(path, colors=False)
        assert found is not None
        assert set(np.unique(found[1]).tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["images/b.jpg", "masks/b.png"])
def test_a_file_that_changes_in_between_is_refused(name: str, tmp_path: Path) -> None:
    dataset(tmp_path / "set", "values")
    with KeptPixels(SIZE) as kept:
        manifest = read_dataset(tmp_path / "set", kept=kept)
        Image.fromarray(np.zeros((30, 44), dtype=np.uint8)).save(tmp_path / "set" / name)
        with pytest.raises(DatasetError, match=f"(?s)1 of 3 samples.*{name}: the file has changed since"):
            build_cache(manifest, SIZE, folder=tmp_path / "c", kept=kept)


def test_what_was_kept_of_another_size_is_not_taken(tmp_path: Path, reads: Counter[str]) -> None:
    dataset(tmp_path / "set", "values")
    with KeptPixels((8, 8)) as kept:
        manifest = read_dataset(tmp_path / "set", kept=kept)
        cache = build_cache(manifest, SIZE, folder=tmp_path / "c", kept=kept)
    assert cache.size == SIZE
    assert set((+reads).values()) == {2}


def test_without_room_files_are_decoded_again(tmp_path: Path, reads: Counter[str]) -> None:
    dataset(tmp_path / "set", "values")
    (tmp_path / "file").write_text("no folder")
    with KeptPixels(SIZE, tmp_path / "file" / "below") as kept:
        manifest = read_dataset(tmp_path / "set", kept=kept)
        build_cache(manifest, SIZE, folder=tmp_path / "c", kept=kept)
    assert set((+reads).values()) == {2}


def test_nothing_stays_on_the_disk(tmp_path: Path) -> None:
    dataset(tmp_path / "set", "values")
    with KeptPixels(SIZE, tmp_path / "pixels") as kept:
        read_dataset(tmp_path / "set", kept=kept)
    assert list((tmp_path / "pixels").iterdir()) == []
