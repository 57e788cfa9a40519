from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.config.run import load_config
from segbench.data.files.masks import encode_plane
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import DatasetError
from segbench.folders.study import StudyFolder
from segbench.serve.answers import ServeError
from segbench.studio.corrections import Corrections, encoded, summary
from segbench.types import ClassMap, Task

Open = Callable[..., Any]


def test_a_corrected_mask_is_read_back_and_the_data_stay(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[2]
    before = {path: path.read_bytes() for path in lesions.rglob("*") if path.is_file()}
    labels = 1 - load_sample(manifest, sample)[1]
    assert corrections.save(manifest, sample, labels, 0).version == 1
    assert np.array_equal(corrections.labels(manifest, sample)[0], labels)
    written = Manifest.read(corrections.manifest_file)
    assert np.array_equal(load_sample(written, written.samples[2])[1], labels)
    assert written.content_hash != manifest.content_hash
    assert {path: path.read_bytes() for path in lesions.rglob("*") if path.is_file()} == before


def test_nobody_overwrites_the_other(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[0]
    own = load_sample(manifest, sample)[1]
    ours, theirs = np.zeros_like(own), np.ones_like(own)
    corrections.save(manifest, sample, theirs, 0)
    with pytest.raises(ServeError, match="somebody else saved version 1"):
        corrections.save(manifest, sample, ours, 0)
    assert np.array_equal(corrections.labels(manifest, sample)[0], theirs)
    assert corrections.save(manifest, sample, ours, 1).version == 2
    kept = sorted(path.name for path in (tmp_path / "corrected" / "masks").iterdir())
    assert kept == [f"{sample.id}.v1.png", f"{sample.id}.v2.png"], "every version is kept"


def test_what_was_saved_unheard_is_saved_again_without_a_conflict(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[0]
    ours = 1 - load_sample(manifest, sample)[1]
    first = corrections.save(manifest, sample, ours, 0)
    assert corrections.save(manifest, sample, ours, 0) == first
    assert corrections.save(manifest, sample, 1 - ours, 1).version == 2


def test_a_full_disk_is_told_and_the_next_try_saves(
    lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample, other = manifest.samples[:2]
    own = load_sample(manifest, sample)[1]
    corrections.save(manifest, other, 1 - load_sample(manifest, other)[1], 0)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for where in ("write_json", "replacing"):
        with monkeypatch.context() as broken:
            broken.setattr(f"segbench.studio.corrections.{where}", full)
            with pytest.raises(ServeError, match="No space left on device") as told:
                corrections.save(manifest, sample, 1 - own, 0)
            assert (told.value.status, told.value.code) == (507, "unwritable")
        assert corrections.all().keys() == {other.id}, "what was saved before is as it was"
    assert corrections.save(manifest, sample, 1 - own, 0).version == 1
    written = Manifest.read(corrections.manifest_file)
    assert np.array_equal(load_sample(written, written.samples[0])[1], 1 - own)


def test_a_mask_that_changed_under_its_correction_is_told(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[0]
    corrections.save(manifest, sample, 1 - load_sample(manifest, sample)[1], 0)
    assert summary(corrections, manifest)["told"] == ""
    shutil.copy(manifest.root / manifest.samples[1].mask, manifest.root / sample.mask)
    assert "1 corrected mask was made on another mask" in summary(corrections, read_dataset(lesions))["told"]


def test_the_own_mask_comes_back(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[1]
    own = load_sample(manifest, sample)[1]
    corrections.save(manifest, sample, np.zeros_like(own), 0)
    corrections.revert(manifest, sample)
    found, version = corrections.labels(manifest, sample)
    assert np.array_equal(found, own)
    assert version == 0
    assert Manifest.read(corrections.manifest_file).content_hash == manifest.content_hash


def test_a_corrected_test_mask_is_told(lesions: Path, tmp_path: Path) -> None:
    manifest = read_dataset(lesions)
    parts = {sample.id: "test" if index < 2 else "train" for index, sample in enumerate(manifest.samples)}
    manifest, corrections = manifest.with_splits(parts), Corrections(tmp_path / "corrected")  # type: ignore[arg-type]
    own = load_sample(manifest, manifest.samples[5])[1]
    corrections.save(manifest, manifest.samples[5], 1 - own, 0)
    assert summary(corrections, manifest)["told"] == ""
    corrections.save(manifest, manifest.samples[0], 1 - load_sample(manifest, manifest.samples[0])[1], 0)
    assert "not comparable" in summary(corrections, manifest)["told"]


def test_a_damaged_list_says_that_nothing_is_lost(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    corrections.save(manifest, manifest.samples[0], load_sample(manifest, manifest.samples[0])[1], 0)
    (tmp_path / "corrected" / "corrections.json").write_text('{"format": 1, "samples": {"x": ')
    with pytest.raises(DatasetError, match="the masks beside it, in masks/, are all there"):
        corrections.all()


def test_masks_have_the_values_of_the_data_sets_own() -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    grey = ClassMap(names=("a", "b", "c"), values=((7,), (30,), (200,)), ignore_values=(9,))
    assert encoded(labels, grey)[0].tolist() == [[7, 30], [200, 9]]
    colors = ClassMap(
        names=("a", "b", "c"), values=(((1, 2, 3),), ((4, 5, 6),), ((7, 8, 9),)), ignore_values=((0, 0, 0),)
    )
    assert encoded(labels, colors)[0][0].tolist() == [[1, 2, 3], [4, 5, 6]]
    planes = ClassMap(names=("a", "b"), values=((255,), (255,)), task=Task.MULTILABEL, background=None)
    found = encoded(np.array([[[0, 1]], [[1, 1]]], np.uint8), planes)
    assert [each.tolist() for each in found] == [[[0, 255]], [[255, 255]]]
    odd = ClassMap(names=("a", "b"), values=((0,), (7,)), ignore_values=(9,), task=Task.MULTILABEL, background=None)
    found = encoded(np.array([[[0, 1, 255]], [[1, 0, 255]]], np.uint8), odd)
    assert [each.tolist() for each in found] == [[[255, 0, 9]], [[7, 0, 9]]], "present as 0, and what counts nowhere"
    for plane, each, index in zip(found, ([0, 1, 255], [1, 0, 255]), (0, 1), strict=True):
        assert encode_plane(plane, odd, index).tolist() == [each]
    with pytest.raises(ServeError, match="no value for pixels that count nowhere"):
        encoded(np.array([[[0, 255]], [[1, 255]]], np.uint8), planes)
    with pytest.raises(ServeError, match="no class has the label 3"):
        encoded(np.array([[3]], np.uint8), grey)
    with pytest.raises(ServeError, match="no value for pixels that count nowhere"):
        encoded(labels, ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,))))


def test_labels_travel_and_wrong_ones_are_refused(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    answer = client.get("/api/correct/4/labels")
    labels = np.frombuffer(answer.content, np.uint8).reshape(48, 64)
    manifest = read_dataset(lesions)
    assert np.array_equal(labels, load_sample(manifest, manifest.samples[4])[1])
    assert answer.headers["x-version"] == "0"
    data = gzip.compress((1 - labels).tobytes())
    for body, headers, code in (
        (data, {}, "no_version"),
        (data, {"X-Version": b"\xb2"}, "no_version"),
        (b"labels", {"X-Version": "0"}, "bad_labels"),
        (gzip.compress(b"\0" * 10), {"X-Version": "0"}, "bad_labels"),
        (gzip.compress(b"\0" * 5000), {"X-Version": "0"}, "bad_labels"),
        (gzip.compress(b"\x07" * labels.size), {"X-Version": "0"}, "bad_labels"),
    ):
        answer = client.put("/api/correct/4/labels", content=body, headers=headers)
        assert (answer.status_code // 100, answer.json()["error"]["code"]) == (4, code)
    assert client.put("/api/correct/4/labels", content=data, headers={"X-Version": "0"}).json()["version"] == 1
    theirs = gzip.compress(labels.tobytes())
    conflict = client.put("/api/correct/4/labels?lang=ru", content=theirs, headers={"X-Version": "0"})
    assert conflict.status_code == 409
    assert [each["version"] for each in client.get("/api/correct").json()["samples"]] == [1]


def test_a_bomb_of_labels_is_refused(open_place: Open, lesions: Path) -> None:
    bomb = gzip.compress(b"\0" * (200 << 20))
    answer = open_place(lesions).put("/api/correct/4/labels", content=bomb, headers={"X-Version": "0"})
    assert answer.status_code == 413


def test_a_training_is_repeated_on_the_corrected_masks(open_place: Open, study: StudyFolder, tmp_path: Path) -> None:
    from segbench.studio.correct_api import retrained
    from segbench.studio.place import Place

    place = Place(study.path, tmp_path / "work")
    place.reading.start()
    place.reading.wait()
    name = study.read_plan().runs[0].id
    with pytest.raises(ServeError, match="nothing is corrected yet"):
        retrained(place, name)
    sample = place.manifest.split("train")[0]
    Corrections(place.corrected_folder).save(place.manifest, sample, 1 - load_sample(place.manifest, sample)[1], 0)
    config = load_config(retrained(place, name), [])
    before = study.run(name).read_config()
    assert config.run_folder == tmp_path / "work" / "runs" / f"{name}_corrected"
    assert (config.network, config.loss, config.seed, config.epochs) == (
        before.network,
        before.loss,
        before.seed,
        before.epochs,
    )
    read = read_dataset(config.data.path)
    assert [each.id for each in read.split("test")] == [each.id for each in place.manifest.split("test")]
    assert np.array_equal(
        load_sample(read, next(each for each in read.samples if each.id == sample.id))[1],
        1 - load_sample(place.manifest, sample)[1],
    )


def test_after_a_revert_no_version_is_written_over(lesions: Path, tmp_path: Path) -> None:
    manifest, corrections = read_dataset(lesions), Corrections(tmp_path / "corrected")
    sample = manifest.samples[0]
    own = load_sample(manifest, sample)[1]
    first = corrections.save(manifest, sample, 1 - own, 0)
    corrections.revert(manifest, sample)
    other = np.zeros_like(own)
    second = corrections.save(manifest, sample, other, 0)
    assert (first.version, second.version) == (1, 2)
    kept = np.asarray(Image.open(corrections.folder / first.files[0]))
    assert np.array_equal(kept > 0, own == 0), "the first is still there"
    with pytest.raises(ServeError, match="somebody else saved version 2"):
        corrections.save(manifest, sample, 1 - own, 1)
