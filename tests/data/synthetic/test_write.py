from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.synthetic import write as synthetic
from segbench.data.synthetic.write import LESION_CLASSES, STREET_CLASSES, lesion, street, write_lesions, write_streets
from segbench.errors import DatasetError

SMALL = (48, 64)


def otsu(grey: np.ndarray) -> int:
    """The grey level that separates two groups best (Otsu 1979)."""
    share = np.bincount(grey.ravel(), minlength=256) / grey.size
    below, moment = np.cumsum(share), np.cumsum(share * np.arange(256))
    between = (moment[-1] * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-12)
    return int(between.argmax())


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@pytest.mark.parametrize("draw", [lesion, street])
def test_a_picture_depends_on_seed_and_index_alone(draw) -> None:
    image, mask = draw(3, 7, SMALL)
    draw(3, 8, SMALL)
    again, same = draw(3, 7, SMALL)
    assert np.array_equal(image, again)
    assert np.array_equal(mask, same)
    for seed, index in ((3, 8), (4, 7)):
        assert not np.array_equal(image, draw(seed, index, SMALL)[0])


@pytest.mark.parametrize(("draw", "classes"), [(lesion, LESION_CLASSES), (street, STREET_CLASSES)])
def test_shapes_types_and_labels(draw, classes) -> None:
    seen = np.zeros(256, dtype=np.int64)
    for index in range(12):
        image, mask = draw(0, index, (80, 96))
        assert image.shape == (80, 96, 3)
        assert mask.shape == (80, 96)
        assert image.dtype == mask.dtype == np.uint8
        assert image.std() > 3.0
        seen += np.bincount(mask.ravel(), minlength=256)
    assert (seen[: classes.num_classes] > 0).all()
    assert not seen[classes.num_classes :].any()


def test_lesions_differ_from_their_skin_and_no_threshold_finds_them_all() -> None:
    by_threshold, by_truth, areas = [], [], []
    for index in range(60):
        image, mask = lesion(0, index, (96, 128))
        grey = np.asarray(Image.fromarray(image).convert("L"))
        inside = mask == 1
        by_threshold.append(iou(grey <= otsu(grey), inside))
        by_truth.append(float(np.abs(image[inside].mean(axis=0) - image[~inside].mean(axis=0)).max()))
        areas.append(inside.mean())
    assert 0.3 < np.mean(by_threshold) < 0.75
    assert np.mean(np.array(by_threshold) < 0.5) > 0.15
    assert np.median(by_truth) > 15.0
    assert min(areas) < 0.03
    assert max(areas) > 0.4


def test_a_vehicle_is_no_matter_of_colour() -> None:
    """The best class for each coarse colour, chosen with the truth known, leaves much of the vehicles wrong."""
    pictures = [street(0, index, (96, 128)) for index in range(24)]
    colors = np.concatenate([(image // 32 @ np.array([64, 8, 1])).ravel() for image, _ in pictures])
    labels = np.concatenate([mask.ravel() for _, mask in pictures])
    counts = np.zeros((512, 4))
    np.add.at(counts, (colors, labels), 1)
    guess = counts.argmax(axis=1)[colors]
    assert iou(guess == 3, labels == 3) < 0.4


def test_written_lesions_are_read_back(tmp_path: Path) -> None:
    folder = write_lesions(tmp_path / "lesions", count=3, size=SMALL, seed=5)
    manifest = read_dataset(folder)
    assert [sample.id for sample in manifest.samples] == ["lesion_00000", "lesion_00001", "lesion_00002"]
    assert manifest.class_map.task == LESION_CLASSES.task
    assert manifest.class_map.values == LESION_CLASSES.values
    image, mask = load_sample(manifest, manifest.samples[2])
    drawn, truth = lesion(5, 2, SMALL)
    assert np.array_equal(image, drawn)
    assert np.array_equal(mask, truth)


def test_written_streets_are_read_back(tmp_path: Path) -> None:
    folder = write_streets(tmp_path / "streets", count=2, size=SMALL, seed=5)
    manifest = read_dataset(folder, classes=list(STREET_CLASSES.names))
    assert manifest.class_map.names == STREET_CLASSES.names
    assert np.array_equal(load_sample(manifest, manifest.samples[1])[1], street(5, 1, SMALL)[1])
    with Image.open(folder / "masks" / "street_00001.png") as picture:
        assert picture.mode == "P"


def test_attributes_describe_every_sample(tmp_path: Path) -> None:
    write_lesions(tmp_path, count=3, size=SMALL)
    with (tmp_path / "attributes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["lesion_00000", "lesion_00001", "lesion_00002"]
    for index, row in enumerate(rows):
        assert float(row["area_frac"]) == pytest.approx(lesion(0, index, SMALL)[1].mean(), rel=1e-4)
        assert 0.0 < float(row["contrast"]) <= 1.0


def test_an_interrupted_folder_is_completed_and_good_files_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(synthetic, "_RECORD_EVERY", 2)

    def stop(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lesions(tmp_path, count=6, size=SMALL, progress=stop)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*s/*.png")}
    assert len(files) == 8
    cut = tmp_path / "images" / "lesion_00001.png"
    cut.write_bytes(cut.read_bytes()[:200])
    seen: list[int] = []
    write_lesions(tmp_path, count=6, size=SMALL, progress=lambda what, done, total: seen.append(done))
    assert seen == [1, 2, 3, 4, 5, 6]
    redone = {path for path, stamp in files.items() if path.stat().st_mtime_ns != stamp}
    assert redone == {cut, tmp_path / "masks" / "lesion_00001.png"}
    for index in range(6):
        with Image.open(tmp_path / "images" / f"lesion_{index:05d}.png") as picture:
            assert np.array_equal(np.asarray(picture), lesion(0, index, SMALL)[0])
    assert not list(tmp_path.rglob("*.tmp*"))
    assert threading.active_count() == 1


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    write_lesions(tmp_path / "a", count=2, size=SMALL)
    with pytest.raises(DatasetError, match=r"'seed': 1.*'seed': 0.*choose another"):
        write_lesions(tmp_path / "a", count=2, size=SMALL, seed=1)
    with pytest.raises(DatasetError, match=r"choose another"):
        write_streets(tmp_path / "a", count=2, size=SMALL)
    with pytest.raises(DatasetError, match=r"holds 2 samples, more than the 1 asked for"):
        write_lesions(tmp_path / "a", count=1, size=SMALL)
    (tmp_path / "b" / "images").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"did not draw; choose an empty or new folder"):
        write_lesions(tmp_path / "b", count=1, size=SMALL)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 32 pixels each way, got \\(16, 64\\)"):
        lesion(0, 0, (16, 64))
    with pytest.raises(ValueError, match="got seed 0, index -1"):
        street(0, -1)
    with pytest.raises(ValueError, match="count of at least 1, got 0"):
        write_lesions(tmp_path / "new", count=0)
    assert not (tmp_path / "new").exists()
