"""Copies in the cache of files that hold several pictures."""

from __future__ import annotations

import errno
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.formats import FORMATS, Entry, Listing
from segbench.data.formats.detect import detect
from segbench.data.formats.shared.unpacked import telling, unpack_once
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.doctor.dataset import check_dataset
from segbench.errors import DatasetError
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "cell"), values=((0,), (1,)), task=Task.BINARY, background=0)


def boxes(root: Path, *, size: int = 8) -> Listing:
    """Lists a text file of numbers: each is the side of a square in an image of its own."""

    def write(folder: Path, side: str) -> int:
        mask = np.zeros((size, size), dtype=np.uint8)
        mask[: int(side), : int(side)] = 1
        for kind, pixels in (("images", mask * 200), ("masks", mask)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f"{side}.png")
        return int(mask.sum())

    sides = (root / "sides.txt").read_text().split()
    made = unpack_once(root, sides, write, sources=[root / "sides.txt"], recipe={"size": size})
    entries = [
        Entry(id=side, image=made.folder / "images" / f"{side}.png", mask=made.folder / "masks" / f"{side}.png")
        for side in sides
    ]
    return Listing(class_map=BINARY, entries=tuple(entries), root=made.folder, notes=(f"pixels: {made.facts}",))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a data set of that format, with a cache of its own."""
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(FORMATS._table, "boxes", boxes)
    root = tmp_path / "data"
    root.mkdir()
    (root / "sides.txt").write_text("2 3 5")
    return root


def copies(data: Path) -> list[Path]:
    return sorted(path for path in (data.parent / "cache" / "unpacked").iterdir() if path.is_dir())


def test_the_manifest_reads_the_copy_and_knows_the_folder(data: Path) -> None:
    manifest = read_dataset(data, "boxes")
    assert manifest.root == copies(data)[0]
    assert manifest.folder == data
    assert int((load_sample(manifest, manifest.samples[2])[1] == 1).sum()) == 25
    manifest.write(data.parent / "boxes.json")
    assert Manifest.read(data.parent / "boxes.json") == manifest
    assert read_dataset(data.parent / "boxes.json") == manifest


def test_a_manifest_whose_copy_is_gone_says_what_to_read_again(data: Path) -> None:
    manifest = read_dataset(data, "boxes")
    manifest.write(data.parent / "boxes.json")
    shutil.rmtree(data.parent / "cache")
    with pytest.raises(DatasetError, match=rf"segbench data check {data}"):
        read_dataset(data.parent / "boxes.json")
    assert read_dataset(data, "boxes").content_hash == manifest.content_hash
    assert read_dataset(data.parent / "boxes.json") == manifest


def test_it_is_made_once_and_again_when_a_source_changes(data: Path) -> None:
    first = read_dataset(data, "boxes").root
    made = (first / "images" / "2.png").stat().st_mtime_ns
    assert read_dataset(data, "boxes").root == first
    assert (first / "images" / "2.png").stat().st_mtime_ns == made
    other = read_dataset(data, "boxes", size=9).root
    assert copies(data) == sorted([first, other]), "copies with other options stay"
    time.sleep(0.01)
    (data / "sides.txt").write_text("2 4")
    third = read_dataset(data, "boxes")
    assert copies(data) == [third.root]
    assert len(third) == 2


def test_another_folder_of_the_same_name_keeps_its_copy(data: Path) -> None:
    first = read_dataset(data, "boxes").root
    twin = data.parent / "beside" / "data"
    twin.mkdir(parents=True)
    (twin / "sides.txt").write_text("7")
    read_dataset(twin, "boxes")
    assert first in copies(data)
    assert len(copies(data)) == 2


def test_progress_is_told(data: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with telling(lambda what, done, total: seen.append((what, done, total))):
        boxes(data)
    assert seen == [("unpacking data", done, 3) for done in range(4)]
    boxes(data, size=9)
    assert len(seen) == 4
    seen.clear()
    read_dataset(data, "boxes", size=10, progress=lambda what, done, total: seen.append((what, done, total)))
    assert ("unpacking data", 1, 3) in seen


def test_nothing_is_left_of_what_could_not_be_finished(data: Path) -> None:
    def fill(folder: Path, item: int) -> None:
        (folder / f"{item}.bin").write_bytes(b"x")
        if item:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DatasetError, match=r"No space left on device.*SEGBENCH_CACHE"):
        unpack_once(data, [0, 1], fill, sources=[data / "sides.txt"], recipe={})
    assert copies(data) == []

    def refuse(folder: Path, item: int) -> None:
        raise DatasetError("damaged", path=data)

    with pytest.raises(DatasetError, match="damaged"):
        unpack_once(data, [0, 1], refuse, sources=[data / "sides.txt"], recipe={})
    assert copies(data) == []


def test_what_a_killed_process_left_is_removed(data: Path) -> None:
    name = read_dataset(data, "boxes").root.name
    left = data.parent / "cache" / "unpacked" / f".{name}.12345.tmp"
    left.mkdir()
    read_dataset(data, "boxes", size=9)
    assert not left.exists()


def test_the_doctor_looks_at_the_copy_and_names_the_folder(data: Path) -> None:
    (data / "sides.txt").write_text("0 2 3")
    checkup = check_dataset(data, "boxes")
    assert checkup.root == data
    assert checkup.files_root == copies(data)[0]
    assert checkup.samples == 3
    empty = next(finding for finding in checkup.findings if finding.code == "empty_masks")
    assert (copies(data)[0] / empty.files[0]).is_file()
    assert all(not finding.fixes for finding in checkup.findings)
    assert not {finding.code for finding in checkup.findings} & {
        "images_without_mask",
        "masks_without_image",
        "other_files",
        "other_masks",
    }
    assert json.loads(json.dumps(checkup.to_dict()))["files_root"] == str(copies(data)[0])
    read_dataset(data, "boxes").write(data.parent / "boxes.json")
    assert check_dataset(data.parent / "boxes.json").root == data


def test_masks_are_sampled_where_they_lie(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def derived(root: Path) -> Listing:
        listing = boxes(root)
        return Listing(
            class_map=lambda facts: BINARY if facts else pytest.fail("nothing read"),
            entries=listing.entries,
            root=listing.root,
        )

    derived.__name__ = "derived"
    monkeypatch.setitem(FORMATS._table, "derived", derived)
    monkeypatch.setattr("segbench.data.formats.detect.recognise", lambda root: {"derived": "numbers"})
    best = detect(data).best
    assert best is not None
    assert best.samples == 3
