"""Counts: exact against scikit-learn, joined once, written and read back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from segbench.errors import RunError
from segbench.metrics import Counts, count_masks
from segbench.types import ClassMap, Task


def make_counts(task: Task, ids: tuple[str, ...] = ("a", "b"), seed: int = 0) -> Counts:
    shape = {Task.BINARY: (2, 2), Task.MULTICLASS: (3, 3), Task.MULTILABEL: (3, 2, 2)}[task]
    random = np.random.default_rng(seed)
    confusion = random.integers(0, 2**40, (len(ids), *shape))
    return Counts(ids=ids, confusion=confusion, ignored=random.integers(0, 99, len(ids)), task=task)


def make_map(task: Task) -> ClassMap:
    names = ("skin", "lesion") if task is Task.BINARY else ("sky, blue", 'a>b "x"', "железо")
    background = None if task is Task.MULTILABEL else 0
    return ClassMap(names=names, values=tuple((i,) for i in range(len(names))), task=task, background=background)


def test_multiclass_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    target, prediction = random.integers(0, 5, (2, 31, 17))
    target[random.random(target.shape) < 0.1] = 255
    table, ignored = count_masks(prediction.astype(np.uint8), target.astype(np.uint8), 6)
    kept = target != 255
    assert np.array_equal(table, confusion_matrix(target[kept], prediction[kept], labels=range(6)))
    assert table.dtype == np.int64
    assert ignored == (~kept).sum() > 0


def test_multilabel_equals_scikit_learn() -> None:
    random = np.random.default_rng(1)
    target, prediction = random.random((2, 3, 9, 8)) < 0.4
    table, ignored = count_masks(prediction, target, 3, task=Task.MULTILABEL)
    assert np.array_equal(table, multilabel_confusion_matrix(target.reshape(3, -1).T, prediction.reshape(3, -1).T))
    assert ignored == 0
    partly = target.astype(np.uint8)
    partly[1, :2] = 255
    table, ignored = count_masks(prediction, partly, 3, task=Task.MULTILABEL)
    assert ignored == 16
    assert table.sum(axis=(1, 2)).tolist() == [72, 56, 72]


def test_properties_by_hand() -> None:
    confusion = np.array([[[5, 1, 0], [2, 7, 3], [0, 0, 4]]])
    counts = Counts(ids=("x",), confusion=confusion, ignored=np.array([0]), task=Task.MULTICLASS)
    assert counts.tp.tolist() == [[5, 7, 4]]
    assert counts.fp.tolist() == [[2, 1, 3]]
    assert counts.fn.tolist() == [[1, 5, 0]]
    assert counts.tn.tolist() == [[14, 9, 15]]
    labels = Counts(ids=("x",), confusion=np.array([[[[1, 2], [3, 4]]]]), ignored=np.array([0]), task=Task.MULTILABEL)
    assert [int(part[0, 0]) for part in (labels.tn, labels.fp, labels.fn, labels.tp)] == [1, 2, 3, 4]


@pytest.mark.parametrize("task", list(Task))
def test_csv_round_trip_is_exact(task: Task, tmp_path: Path) -> None:
    counts = make_counts(task, ids=("a,b", 'say "x"', " 007", "слон"))
    counts.write_csv(tmp_path / "counts.csv", make_map(task))
    again = Counts.read_csv(tmp_path / "counts.csv", make_map(task))
    assert again.ids == counts.ids
    assert np.array_equal(again.confusion, counts.confusion)
    assert np.array_equal(again.ignored, counts.ignored)
    assert again.task is task
    assert [path.name for path in tmp_path.iterdir()] == ["counts.csv"]


def test_no_image_round_trips(tmp_path: Path) -> None:
    counts = make_counts(Task.MULTICLASS, ids=())
    counts.write_csv(tmp_path / "c.csv", make_map(Task.MULTICLASS))
    assert len(Counts.read_csv(tmp_path / "c.csv", make_map(Task.MULTICLASS))) == 0


def test_csv_is_readable(tmp_path: Path) -> None:
    counts = Counts(ids=("IMD002",), confusion=np.array([[[90, 1], [2, 7]]]), ignored=np.array([3]), task=Task.BINARY)
    counts.write_csv(tmp_path / "c.csv", make_map(Task.BINARY))
    header = "id,ignored,skin>skin,skin>lesion,lesion>skin,lesion>lesion"
    assert (tmp_path / "c.csv").read_text() == f"{header}\nIMD002,3,90,1,2,7\n"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.csv"
    make_counts(Task.BINARY).write_csv(path, make_map(Task.BINARY))
    before = path.read_bytes()

    def refuse(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        make_counts(Task.BINARY, seed=1).write_csv(path, make_map(Task.BINARY))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "id,ignored,skin>skin\n",
            "3 columns and belongs to other classes.*column 4 should be 'skin>lesion', not nothing",
        ),
        ("id,ignored,skin>skin,skin>mole,mole>skin,mole>mole\n", "column 4 should be 'skin>lesion', not 'skin>mole'"),
        ("", "0 columns"),
        ("HEADER\na,0,1,2,3\n", "line 2: expected an id and 5 whole numbers"),
        ("HEADER\na,0,1,2,3,-4\n", "line 2: expected"),
        ("HEADER\na,0,1,2,3,4\na,0,1,2,3,4\n", "no image may count twice.*: a"),
    ],
)
def test_broken_files_are_explained(text: str, words: str, tmp_path: Path) -> None:
    header = "id,ignored,skin>skin,skin>lesion,lesion>skin,lesion>lesion"
    (tmp_path / "c.csv").write_text(text.replace("HEADER", header))
    with pytest.raises(RunError, match=words) as caught:
        Counts.read_csv(tmp_path / "c.csv", make_map(Task.BINARY))
    assert caught.value.run == str(tmp_path)


def test_missing_file_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot read the counts nothing\.csv"):
        Counts.read_csv(tmp_path / "nothing.csv", make_map(Task.BINARY))


def test_concatenate_keeps_order_and_refuses_an_image_twice() -> None:
    first, second = make_counts(Task.MULTICLASS, ("a", "b")), make_counts(Task.MULTICLASS, ("c",), seed=1)
    joined = Counts.concatenate([first, second])
    assert joined.ids == ("a", "b", "c")
    assert np.array_equal(joined.pooled(), first.pooled() + second.pooled())
    with pytest.raises(ValueError, match=r"no image may count twice.*: b$"):
        Counts.concatenate([first, make_counts(Task.MULTICLASS, ("b",))])
    with pytest.raises(ValueError, match="different tasks or classes"):
        Counts.concatenate([first, make_counts(Task.BINARY, ("z",))])
    with pytest.raises(ValueError, match="no counts"):
        Counts.concatenate([])


def test_wrong_counts_are_refused() -> None:
    good = make_counts(Task.MULTICLASS)
    for changes, words in (
        ({"confusion": good.confusion[:1]}, "2 images cannot have the shape"),
        ({"confusion": good.confusion[..., :2]}, "cannot have the shape"),
        ({"confusion": good.confusion.astype(float)}, "must be int64"),
        ({"confusion": good.confusion - 2**41}, "negative"),
        ({"ignored": good.ignored[:1]}, "one number of ignored pixels an image"),
        ({"task": Task.BINARY}, "binary counts of 2 images"),
    ):
        fields = {"ids": good.ids, "confusion": good.confusion, "ignored": good.ignored, "task": good.task}
        with pytest.raises(ValueError, match=words):
            Counts(**{**fields, **changes})


def test_wrong_class_map_or_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit a class map of a binary task"):
        make_counts(Task.MULTICLASS).write_csv(tmp_path / "c.csv", make_map(Task.BINARY))
    with pytest.raises(ValueError, match="must not hold line breaks"):
        make_counts(Task.BINARY, ("a\rb",)).write_csv(tmp_path / "c.csv", make_map(Task.BINARY))


@pytest.mark.parametrize(
    ("prediction", "target", "words"),
    [
        ([[0, 9]], [[0, 1]], "prediction holds label 9, which is outside 0 to 2: 1 of 2 counted"),
        ([[0, 1]], [[-1, 7]], "target holds label -1, which is outside 0 to 2 and not the ignored 255: 2 of 2"),
        ([[0, 1]], [[0, 1], [1, 1]], "differ in shape"),
        ([[0.0, 1.0]], [[0, 1]], "integer label map as prediction"),
        ([0, 1], [0, 1], r"target \(H, W\)"),
    ],
)
def test_wrong_masks_are_explained(prediction: list[object], target: list[object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        count_masks(np.array(prediction), np.array(target), 3)


def test_what_is_predicted_on_ignored_pixels_counts_nowhere() -> None:
    """Also where the prediction is out of range there: the target alone decides."""
    table, ignored = count_masks(np.array([[0, 255, 99]]), np.array([[0, 255, 255]]), 2)
    assert table.tolist() == [[1, 0], [0, 0]]
    assert ignored == 2


def test_rows_are_read_and_written_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.metrics.counts.ROWS_AT_ONCE", 2)
    counts = make_counts(Task.MULTICLASS, ids=tuple("abcde"))
    path, class_map = tmp_path / "c.csv", make_map(Task.MULTICLASS)
    counts.write_csv(path, class_map)
    again = Counts.read_csv(path, class_map)
    assert again.ids == counts.ids
    assert np.array_equal(again.confusion, counts.confusion)
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace("d,", "d,x")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"line 5: expected an id and 10 whole numbers"):
        Counts.read_csv(path, class_map)
