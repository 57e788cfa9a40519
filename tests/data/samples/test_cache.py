from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.samples import cache as cache_module
from segbench.data.samples.cache import build_cache, class_pixel_counts
from segbench.data.samples.sample_cache import SampleCache
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.files import locked
from segbench.types import ClassMap, Sample, Task

CLASSES = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)), ignore_values=(255,))
SIZE = (20, 30)


def write_sample(root: Path, name: str, seed: int, shape: tuple[int, int] = (24, 36)) -> Sample:
    rng = np.random.default_rng(seed)
    paths = root / f"{name}.png", root / f"{name}_mask.png"
    Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(paths[0])
    Image.fromarray(rng.choice(np.array([0, 1, 2, 255], dtype=np.uint8), shape)).save(paths[1])
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return Sample(
        id=name, image=paths[0].name, mask=paths[1].name, height=shape[0], width=shape[1],
        image_hash=hashes[0], mask_hash=hashes[1],
    )  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    root = tmp_path / "set"
    root.mkdir()
    samples = tuple(write_sample(root, f"s{number}", number) for number in range(5))
    return Manifest(root=root, format="folder", class_map=CLASSES, samples=samples)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the samples that were decoded, in alphabetical order within one build."""
    names: list[str] = []
    load = cache_module.load_resized

    def counting(manifest: Manifest, sample: Sample, *rest: Any) -> Any:
        names.append(sample.id)
        return load(manifest, sample, *rest)

    monkeypatch.setattr(cache_module, "load_resized", counting)
    return names


def check(cache: SampleCache, manifest: Manifest, size: tuple[int, int] = SIZE) -> None:
    for sample, row in zip(manifest.samples, cache.rows_of(manifest.samples), strict=True):
        image, mask = load_sample(manifest, sample)
        assert np.array_equal(cache.images[row], resize_image(image, size)), sample.id
        assert np.array_equal(cache.masks[row], resize_mask(mask, size)), sample.id


def test_the_cache_holds_every_sample_resized(manifest: Manifest, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    before = set(threading.enumerate())  # libraries that other tests used may have left some
    cache = build_cache(manifest, SIZE, folder=tmp_path / "c", progress=lambda *step: steps.append(step))
    assert cache.images.shape == (5, 20, 30, 3)
    assert cache.masks.shape == (5, 20, 30)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    assert cache.size == SIZE
    assert set(np.unique(cache.masks)) == {0, 1, 2, 255}
    assert steps == [("decoding samples", done, 5) for done in range(1, 6)]
    check(cache, manifest)
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0] = 0
    assert set(threading.enumerate()) <= before


def test_the_second_time_nothing_is_decoded(manifest: Manifest, tmp_path: Path, decoded: list[str]) -> None:
    build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert sorted(decoded) == ["s0", "s1", "s2", "s3", "s4"]
    decoded.clear()
    cache = build_cache(manifest, SIZE, folder=tmp_path / "c")
    for _ in range(2):
        cache.images[cache.rows_of(manifest.samples)].sum()
    assert decoded == []
    check(cache, manifest)


def test_a_changed_or_new_sample_is_the_only_one_decoded(
    manifest: Manifest, tmp_path: Path, decoded: list[str]
) -> None:
    before = build_cache(manifest, SIZE, folder=tmp_path / "c")
    old_row = before.images[before.rows["s2"]].copy()
    decoded.clear()
    changed = write_sample(manifest.root, "s2", 99)
    added = write_sample(manifest.root, "s9", 9)
    samples = (*(sample for sample in manifest.samples if sample.id != "s2"), changed, added)
    after = build_cache(replace(manifest, samples=samples), SIZE, folder=tmp_path / "c")
    assert sorted(decoded) == ["s2", "s9"]
    decoded.clear()
    check(after, replace(manifest, samples=samples))
    assert np.array_equal(before.images[before.rows["s2"]], old_row)  # who reads the old cache is not disturbed
    assert {name: after.rows[name] for name in ("s0", "s4")} == {name: before.rows[name] for name in ("s0", "s4")}


def test_another_size_or_decoding_has_its_own_cache(manifest: Manifest, tmp_path: Path, decoded: list[str]) -> None:
    build_cache(manifest, SIZE, folder=tmp_path / "c")
    decoded.clear()
    check(build_cache(manifest, (30, 20), folder=tmp_path / "c"), manifest, (30, 20))
    swapped = replace(manifest, class_map=replace(CLASSES, values=((1,), (0,), (2,))))
    check(build_cache(swapped, SIZE, folder=tmp_path / "c"), swapped)
    merged = replace(CLASSES, names=("a", "b"), values=((0,), (1, 2)), colors=())
    check(
        build_cache(replace(manifest, class_map=merged), SIZE, folder=tmp_path / "c"),
        replace(manifest, class_map=merged),
    )
    decoded.clear()
    renamed = replace(CLASSES, names=("x", "y", "z"), colors=((9, 9, 9), (1, 2, 3), (4, 5, 6)))
    cache = build_cache(replace(manifest, class_map=renamed), SIZE, folder=tmp_path / "c")
    assert decoded == []
    assert cache.class_map == renamed


def test_multilabel_planes(tmp_path: Path) -> None:
    classes = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
    planes = np.zeros((2, 6, 8), dtype=np.uint8)
    planes[0, :3], planes[1, :, :2] = 1, 1
    for name, plane in zip("ab", planes, strict=True):
        Image.fromarray(plane).save(tmp_path / f"{name}.png")
    Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(tmp_path / "i.png")
    hashes = [hashlib.sha256((tmp_path / f"{name}.png").read_bytes()).hexdigest() for name in "iab"]
    joined = hashlib.sha256(" ".join(hashes[1:]).encode()).hexdigest()
    sample = Sample(
        id="i", image="i.png", mask=("a.png", "b.png"), height=6, width=8, image_hash=hashes[0], mask_hash=joined
    )
    manifest = Manifest(root=tmp_path, format="folder", class_map=classes, samples=(sample,))
    cache = build_cache(manifest, (12, 16), folder=tmp_path / "c")
    assert cache.masks.shape == (1, 2, 12, 16)
    assert class_pixel_counts(cache, np.array([0])).tolist() == [6 * 16, 12 * 4]


# ---- interrupted, damaged, contended ---------------------------------------------------------------------------------


def test_a_build_that_was_stopped_goes_on(
    manifest: Manifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(manifest, SIZE, folder=tmp_path / "c", workers=1, progress=stop)
    decoded.clear()
    cache = build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert len(decoded) == 2
    check(cache, manifest)


KILLED = """
import os, sys
from pathlib import Path
from segbench.data.samples import cache
from segbench.data.manifest.manifest import Manifest
cache._RECORD_EVERY_S = 0.0
def die(what, done, total):
    if done == 3:
        os._exit(9)  # no clean-up of any kind
cache.build_cache(Manifest.read(sys.argv[1]), (20, 30), folder=Path(sys.argv[2]), workers=1, progress=die)
"""


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_half_written_to_trust(
    manifest: Manifest, tmp_path: Path, decoded: list[str]
) -> None:
    manifest.write(tmp_path / "m.json")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "m.json"), str(tmp_path / "c")]
    assert subprocess.run(command, check=False, timeout=60).returncode == 9
    table = next((tmp_path / "c").rglob("rows.jsonl"))
    assert len(table.read_text().splitlines()) == 3
    table.write_bytes(table.read_bytes()[:-10])  # and its last line was cut short
    check(build_cache(manifest, SIZE, folder=tmp_path / "c"), manifest)
    assert len(decoded) == 3
    decoded.clear()
    check(build_cache(manifest, SIZE, folder=tmp_path / "c"), manifest)
    assert decoded == []


@pytest.mark.parametrize("damage", ["cut", "shape", "gone"])
def test_damaged_arrays_are_made_again(manifest: Manifest, tmp_path: Path, damage: str, decoded: list[str]) -> None:
    build_cache(manifest, SIZE, folder=tmp_path / "c")
    decoded.clear()
    path = next((tmp_path / "c").rglob("masks.npy"))
    if damage == "cut":
        os.truncate(path, path.stat().st_size - 700)
    elif damage == "shape":
        np.save(path, np.zeros((5, 3, 3), dtype=np.uint8))
    else:
        path.unlink()
    cache = build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert sorted(decoded) == ["s0", "s1", "s2", "s3", "s4"]
    check(cache, manifest)


COUNTED = """
import sys
from pathlib import Path
from segbench.data.samples import cache
from segbench.data.manifest.manifest import Manifest
load, names = cache.load_resized, []
def counting(manifest, sample, *rest):
    names.append(sample.id)
    return load(manifest, sample, *rest)
cache.load_resized = counting
cache.build_cache(Manifest.read(sys.argv[1]), (20, 30), folder=Path(sys.argv[2]), workers=1)
print(len(names))
"""


@pytest.mark.slow
def test_two_processes_build_it_once(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "m.json")
    command = [sys.executable, "-c", COUNTED, str(tmp_path / "m.json"), str(tmp_path / "c")]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [builder.communicate(timeout=60)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert sum(int(answer) for answer in answers) == 5
    check(build_cache(manifest, SIZE, folder=tmp_path / "c"), manifest)


@pytest.mark.slow
def test_the_lock_excludes_others_and_ends_with_its_holder(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", lambda: order.append("waits")):
            order.append("second")

    with locked(tmp_path / "lock"):
        other = threading.Thread(target=second)
        other.start()
        while "waits" not in order:
            pass
        order.append("first")
    other.join(10)
    assert order[0] == "waits"
    assert [name for name in order if name != "waits"] == ["first", "second"]
    script = "import sys, os\nfrom pathlib import Path\nfrom segbench.files import locked\n"
    script += "with locked(Path(sys.argv[1])): os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "lock")], check=False, timeout=60)
    with locked(tmp_path / "lock", lambda: pytest.fail("a dead process's lock still holds")):
        pass


# ---- what cannot work ------------------------------------------------------------------------------------------------


def test_broken_files_are_named_together_and_the_others_kept(
    manifest: Manifest, tmp_path: Path, decoded: list[str]
) -> None:
    for name in ("s1", "s3"):
        path = manifest.root / f"{name}.png"
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"2 of 5 samples cannot be decoded") as caught:
        build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert "s1.png" in str(caught.value)
    assert "s3.png" in str(caught.value)
    decoded.clear()
    good = replace(manifest, samples=tuple(sample for sample in manifest.samples if sample.id not in ("s1", "s3")))
    cache = build_cache(good, SIZE, folder=tmp_path / "c")
    assert decoded == []
    check(cache, good)


def test_at_most_ten_broken_files_are_named(tmp_path: Path) -> None:
    samples = tuple(
        Sample(id=f"{n:02d}", image=f"{n:02d}.png", mask="m.png", height=4, width=4, image_hash="i", mask_hash="m")
        for n in range(12)
    )
    manifest = Manifest(root=tmp_path, format="folder", class_map=CLASSES, samples=samples)
    with pytest.raises(DatasetError, match=r"(?s)12 of 12 samples .*00\.png.*09\.png.*and 2 more") as caught:
        build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert str(caught.value).count(".png") == 10


def test_too_little_space_is_said_before_anything_is_decoded(
    manifest: Manifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DatasetError, match=r"5 decoded samples at 20 x 30 pixels needs 0\.02 GB.*data\.cache_dir"):
        build_cache(manifest, SIZE, folder=tmp_path / "c")
    assert decoded == []


def test_a_folder_that_cannot_be_written_names_the_setting(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"set data\.cache_dir or the environment variable SEGBENCH_CACHE"):
        build_cache(manifest, SIZE, folder=tmp_path / "file")


def test_a_finished_cache_is_read_without_writing(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(manifest, SIZE, folder=tmp_path / "c")

    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(cache_module, "locked", refuse)
    check(build_cache(manifest, SIZE, folder=tmp_path / "c"), manifest)


def test_bad_arguments(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got size \(0, 30\), zoom 1\.0, workers None"):
        build_cache(manifest, (0, 30), folder=tmp_path)
    with pytest.raises(ValueError, match="workers 0"):
        build_cache(manifest, SIZE, folder=tmp_path, workers=0)
    with pytest.raises(ValueError, match="at least one sample to cache"):
        build_cache(replace(manifest, samples=()), SIZE, folder=tmp_path)
    cache = build_cache(replace(manifest, samples=manifest.samples[:2]), SIZE, folder=tmp_path / "c")
    with pytest.raises(DatasetError, match=r"3 samples are not in this cache: s2, s3, s4"):
        cache.rows_of(manifest.samples)


def test_the_usual_folder_is_the_one_of_the_environment(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "elsewhere"))
    build_cache(manifest, SIZE)
    recipe = json.loads(next((tmp_path / "elsewhere" / "samples").rglob("cache.json")).read_text())
    assert recipe["size"] == [20, 30]
    assert recipe["root"] == str(manifest.root)


# ---- resizing and counting -------------------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(1, 70)] * 4))
def test_masks_take_the_label_under_the_pixel_centre(sides: tuple[int, int, int, int]) -> None:
    height, width, new_height, new_width = sides
    mask = np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)
    resized = resize_mask(mask, (new_height, new_width))
    for i in {0, new_height // 2, new_height - 1}:
        for j in {0, new_width // 3, new_width - 1}:
            y = int(np.floor((i + 0.5) * height / new_height))
            x = int(np.floor((j + 0.5) * width / new_width))
            assert resized[i, j] == mask[y, x]


@pytest.mark.parametrize("size", [(17, 40), (24, 36), (48, 72), (100, 13), (12, 12)])
def test_masks_agree_with_pillow(size: tuple[int, int]) -> None:
    """But where a centre falls exactly between two pixels: there Pillow's sums of fractions may go either way."""
    mask = np.random.default_rng(1).integers(0, 4, (24, 36), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
    clear = np.ix_(
        *[
            (2 * np.arange(new) + 1) * old % (2 * new) != 0 if old < new else np.full(new, True)
            for old, new in zip(mask.shape, size, strict=True)
        ]
    )
    assert resize_mask(mask, size)[clear].size >= 0.9 * pillow.size
    assert np.array_equal(resize_mask(mask, size)[clear], pillow[clear])


def test_images_are_averaged_when_made_smaller() -> None:
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8)
    small = resize_image(image, (16, 16))
    assert small.shape == (16, 16, 3)
    assert abs(float(small.mean()) - 127.5) < 2
    assert small.std() < 8  # without antialiasing it would be black and white


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_pixel_counts(manifest: Manifest, tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_COUNT_BYTES", chunk_bytes)
    cache = build_cache(manifest, SIZE, folder=tmp_path / "c")
    rows = cache.rows_of(manifest.samples[1:4])
    counts = class_pixel_counts(cache, rows)
    wanted = [int((cache.masks[rows] == label).sum()) for label in range(3)]
    assert counts.dtype == np.int64
    assert counts.tolist() == wanted
    assert class_pixel_counts(cache, rows[:0]).tolist() == [0, 0, 0]


# ---- every sample at a size of its own -------------------------------------------------------------------------------

SHAPES = [(24, 36), (50, 20), (7, 9), (24, 36), (61, 80)]


@pytest.fixture
def uneven(tmp_path: Path) -> Manifest:
    root = tmp_path / "uneven"
    root.mkdir()
    samples = tuple(write_sample(root, f"s{number}", number, shape) for number, shape in enumerate(SHAPES))
    return Manifest(root=root, format="folder", class_map=CLASSES, samples=samples)


def check_originals(cache: SampleCache, manifest: Manifest) -> None:
    for sample, row in zip(manifest.samples, cache.rows_of(manifest.samples), strict=True):
        image, mask = load_sample(manifest, sample)
        assert np.array_equal(cache.images[row], image), sample.id
        assert np.array_equal(cache.masks[row], mask), sample.id
        assert cache.size_of(int(row)) == (sample.height, sample.width)


def test_samples_keep_their_size_and_are_decoded_once(uneven: Manifest, tmp_path: Path, decoded: list[str]) -> None:
    cache = build_cache(uneven, "original", folder=tmp_path / "c")
    check_originals(cache, uneven)
    assert isinstance(cache.images[0].base, np.memmap | np.ndarray)
    assert not cache.images[0].flags.writeable
    build_cache(uneven, "original", folder=tmp_path / "c")
    assert sorted(decoded) == ["s0", "s1", "s2", "s3", "s4"]
    with pytest.raises(TypeError, match="no common size"):
        assert cache.size
    few = cache.excerpt(uneven.samples[1:3])
    assert [image.shape for image in few.images] == [(50, 20, 3), (7, 9, 3)]
    counts = class_pixel_counts(cache, np.array([0, 2, 2]))
    masks = [load_sample(uneven, sample)[1] for sample in uneven.samples]
    assert counts.tolist() == [int((masks[0] == c).sum() + 2 * (masks[2] == c).sum()) for c in range(3)]


def test_a_stopped_build_of_uneven_samples_goes_on_and_a_changed_one_gets_new_room(
    uneven: Manifest, tmp_path: Path, decoded: list[str]
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(uneven, "original", folder=tmp_path / "c", workers=1, progress=stop)
    decoded.clear()
    before = build_cache(uneven, "original", folder=tmp_path / "c")
    assert len(decoded) == 2  # three were done, whichever came first
    check_originals(before, uneven)
    old = np.array(before.images[before.rows["s2"]])
    samples = (*uneven.samples[:2], write_sample(uneven.root, "s2", 77, (90, 30)), *uneven.samples[3:])
    changed = replace(uneven, samples=samples)
    decoded.clear()
    check_originals(build_cache(changed, "original", folder=tmp_path / "c"), changed)
    assert decoded == ["s2"]
    assert np.array_equal(before.images[before.rows["s2"]], old)  # who reads the old one goes on


@pytest.mark.parametrize("damage", ["cut", "gone", "line"])
def test_damaged_files_of_uneven_samples_are_made_again(
    uneven: Manifest, tmp_path: Path, damage: str, decoded: list[str]
) -> None:
    build_cache(uneven, "original", folder=tmp_path / "c")
    decoded.clear()
    path = next((tmp_path / "c").rglob("masks.bin"))
    if damage == "cut":
        os.truncate(path, path.stat().st_size - 10)
    elif damage == "gone":
        path.unlink()
    else:
        table = path.with_name("rows.jsonl")
        table.write_text(table.read_text().replace("[0, 24, 36]", "[-3, 24, 36]"))
    check_originals(build_cache(uneven, "original", folder=tmp_path / "c"), uneven)
    assert sorted(decoded) == {"cut": ["s4"], "gone": ["s0", "s1", "s2", "s3", "s4"], "line": ["s0"]}[damage]


def test_larger_versions_stop_at_the_files_own_pixels(uneven: Manifest, tmp_path: Path) -> None:
    cache = build_cache(uneven, (16, 24), zoom=2.0, folder=tmp_path / "c")
    sizes = [cache.size_of(int(row)) for row in cache.rows_of(uneven.samples)]
    assert sizes == [(24, 36), (32, 24), (16, 24), (24, 36), (32, 48)]
    for sample, row, size in zip(uneven.samples, cache.rows_of(uneven.samples), sizes, strict=True):
        image, mask = load_sample(uneven, sample)
        assert np.array_equal(cache.images[row], resize_image(image, size))
        assert np.array_equal(cache.masks[row], resize_mask(mask, size))


def test_too_little_space_for_uneven_samples(uneven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DatasetError, match=r"5 decoded samples at their own size needs 0\.02 GB"):
        build_cache(uneven, "original", folder=tmp_path / "c")
