"""Types of error: by hand on small masks, and that every wrong pixel is in exactly one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.compare._evidence import Mask, make_evidence, shifted

from segbench.errors import RunError
from segbench.explain.error_types import ERROR_TYPE_SENTENCES, ERROR_TYPES, ErrorTypes, error_table, split_errors
from segbench.plots.explain import ERROR_TYPE_COLORS
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (1,)), task=Task.BINARY)
THREE = ClassMap(names=("background", "cat", "dog"), values=((0,), (1,), (2,)))
STREET = ClassMap(names=("road", "car", "sky"), values=((0,), (1,), (2,)), background=None)
PLANES = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


def empty(height: int = 40, width: int = 40) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def box(label: int, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = empty()
    mask[top:bottom, left:right] = label
    return mask


def only(found: ErrorTypes) -> dict[str, int]:
    """Returns the types that occur."""
    return {name: pixels for name, pixels in found.pixels.items() if pixels}


def test_a_missed_and_a_false_object_are_whole_even_where_they_are_small() -> None:
    found = split_errors(box(1, 2, 5, 2, 5), box(1, 30, 34, 30, 34), BINARY)
    assert only(found) == {"missed_object": 9, "false_object": 16}
    assert (found.true_objects, found.missed_objects, found.false_objects) == (1, 1, 1)
    assert set(np.unique(found.types)) == {0, 1, 2}


def test_an_error_within_the_band_is_the_border_s_and_beyond_it_a_part() -> None:
    truth = box(1, 10, 30, 10, 30)
    prediction = box(1, 10, 30, 10, 36)  # 6 columns too wide; the band is 1 px
    found = split_errors(truth, prediction, BINARY)
    assert found.band_px == 1
    assert only(found) == {"boundary": 20, "extra_part": 100}
    found = split_errors(truth, box(1, 10, 30, 10, 24), BINARY)
    # Six columns lost, 20 rows each: the last column, and the first and last row of the other five, touch background.
    assert only(found) == {"boundary": 30, "missing_part": 90}


def test_the_rim_of_a_large_mistake_is_no_border() -> None:
    truth = box(1, 5, 35, 5, 35)
    prediction = truth.copy()
    prediction[15:25, 15:25] = 0
    assert only(split_errors(truth, prediction, BINARY)) == {"missing_part": 100}


def test_the_band_follows_the_diagonal() -> None:
    assert split_errors(empty(300, 400), empty(300, 400), BINARY).band_px == 10
    assert split_errors(empty(300, 400), empty(300, 400), BINARY, band_frac=0.001).band_px == 1


def test_an_object_is_found_from_a_tenth_on() -> None:
    truth = box(1, 10, 20, 10, 20)
    assert "missed_object" in only(split_errors(truth, box(1, 10, 19, 10, 11), BINARY))  # 9 of 100
    assert "missed_object" not in only(split_errors(truth, box(1, 10, 20, 10, 11), BINARY))  # 10 of 100


def test_objects_that_touch_at_a_corner_are_one() -> None:
    truth = box(1, 2, 4, 2, 4) | box(1, 4, 6, 4, 6)
    found = split_errors(truth, box(1, 2, 4, 2, 4), BINARY)
    assert (found.true_objects, found.missed_objects) == (1, 0)
    found = split_errors(box(1, 2, 4, 2, 4), truth, BINARY)
    assert found.false_objects == 0


def test_a_large_prediction_on_a_small_object_found_it() -> None:
    found = split_errors(box(1, 18, 20, 18, 20), box(1, 0, 40, 0, 40), BINARY)
    assert found.false_objects == 0
    assert only(found) == {"boundary": 12, "extra_part": 1600 - 16}


def test_a_swap_of_a_whole_object_and_of_a_part() -> None:
    truth = box(1, 5, 11, 5, 11)
    whole = split_errors(truth, truth * 2, THREE)
    assert only(whole) == {"class_swap": 36}
    assert (whole.missed_objects, whole.false_objects) == (1, 1)
    truth = box(1, 5, 35, 5, 35)
    prediction = truth.copy()
    prediction[10:20, 10:20] = 2
    assert only(split_errors(truth, prediction, THREE)) == {"class_swap": 100}


def test_the_border_is_that_between_the_two_classes_concerned() -> None:
    truth = box(1, 5, 35, 5, 20)
    truth[5:35, 20:35] = 2
    prediction = truth.copy()
    prediction[5:35, 19] = 2  # a column of cat beside the dog called dog
    assert only(split_errors(truth, prediction, THREE)) == {"boundary": 30}
    prediction = truth.copy()
    prediction[5:35, 5] = 2  # the cat's other edge, where only background is near
    assert only(split_errors(truth, prediction, THREE)) == {"class_swap": 30}


def test_without_a_background_everything_is_a_swap_or_a_border() -> None:
    truth = box(1, 10, 30, 10, 30)
    found = split_errors(truth, empty(), STREET)
    assert only(found) == {"class_swap": 400}
    prediction = truth.copy()
    prediction[10:30, 30] = 1
    assert only(split_errors(truth, prediction, STREET)) == {"boundary": 20}


def test_ignored_pixels_count_nowhere() -> None:
    truth = box(1, 10, 20, 10, 20)
    prediction = empty()
    truth[:, :15] = 255
    found = split_errors(truth, prediction, BINARY)
    assert found.counted == 40 * 25
    assert only(found) == {"missed_object": 50}
    prediction[:, :15] = 1
    again = split_errors(truth, prediction, BINARY)
    assert again.pixels == found.pixels
    assert (again.types == found.types).all()
    assert again.false_objects == 0


def test_multilabel_splits_every_plane() -> None:
    truth = np.stack([box(1, 2, 6, 2, 6), box(1, 10, 30, 10, 30)])
    prediction = np.stack([empty(), box(1, 10, 30, 10, 36)])
    found = split_errors(truth, prediction, PLANES)
    assert only(found) == {"missed_object": 16, "boundary": 20, "extra_part": 100}
    assert found.types.shape == (2, 40, 40)
    assert found.counted == 2 * 1600


def test_a_wrong_pixel_belongs_to_the_true_class_or_to_the_invented_one() -> None:
    truth, prediction = box(1, 5, 15, 5, 15), box(2, 25, 35, 25, 35)
    found = split_errors(truth, prediction, THREE)
    by_class = {
        (label, ERROR_TYPES[kind]): int(found.class_pixels[label, kind])
        for label, kind in np.argwhere(found.class_pixels).tolist()
    }
    assert by_class == {(1, "missed_object"): 100, (2, "false_object"): 100}
    assert found.class_objects.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_nothing_wrong_has_no_shares() -> None:
    found = split_errors(box(1, 2, 9, 2, 9), box(1, 2, 9, 2, 9), BINARY)
    assert found.wrong == 0
    assert all(np.isnan(share) for share in found.shares.values())


@settings(max_examples=120, deadline=None)
@given(data=st.data(), class_map=st.sampled_from([BINARY, THREE, STREET, PLANES]))
def test_every_wrong_pixel_is_in_exactly_one_type(data: st.DataObject, class_map: ClassMap) -> None:
    height, width = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    multilabel = class_map.task is Task.MULTILABEL
    shape = (2, height, width) if multilabel else (height, width)
    top = 1 if multilabel else class_map.num_classes - 1
    labels = st.integers(0, top)
    truth = data.draw(hnp.arrays(np.uint8, shape, elements=st.one_of(labels, st.just(255))))
    prediction = data.draw(hnp.arrays(np.uint8, shape, elements=labels))
    found = split_errors(truth, prediction, class_map)
    wrong = (truth != prediction) & (truth != 255)
    assert ((found.types > 0) == wrong).all()
    assert sum(found.pixels.values()) == found.wrong == wrong.sum()
    if found.wrong:
        assert sum(found.shares.values()) == pytest.approx(1.0)
    if multilabel or class_map is BINARY:
        assert found.pixels["class_swap"] == 0


@pytest.mark.parametrize(
    ("truth", "prediction", "options", "message"),
    [
        (empty(), empty(41), {}, "expected two masks (H, W) of one shape, got (40, 40) and (41, 40)"),
        (empty()[None], empty()[None], {}, "expected two masks (H, W) of one shape, got (1, 40, 40) and (1, 40, 40)"),
        (empty(), empty(), {"band_frac": 0.0}, "band_frac: expected a share above 0 and at most 1, got 0.0"),
        (empty(), empty(), {"found_frac": 1.5}, "found_frac: expected a share above 0 and at most 1, got 1.5"),
    ],
)
def test_wrong_arguments(truth: np.ndarray, prediction: np.ndarray, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        split_errors(truth, prediction, BINARY, **options)


def test_every_type_has_a_sentence_and_a_colour() -> None:
    assert tuple(ERROR_TYPE_SENTENCES) == ERROR_TYPES == tuple(ERROR_TYPE_COLORS)


class TestTable:
    def test_it_is_the_mean_over_seeds(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=4)
        entry = evidence.entries[1]
        calls: list[tuple[int, int]] = []
        table = error_table(evidence, entry, progress=lambda what, done, total: calls.append((done, total)))
        assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
        image_id = evidence.ids[2]
        target = evidence.load(image_id)[1]
        single = [split_errors(target, masks.read(image_id), evidence.class_map) for masks in entry.masks]
        assert table.pixels[2].tolist() == [np.mean([each.pixels[name] for each in single]) for name in ERROR_TYPES]
        assert np.allclose(table.seed_shares.sum(axis=1), 1.0)
        assert sum(table.shares.values()) == pytest.approx(1.0)
        assert table.true_objects == 4
        assert table.wrong_frac == pytest.approx(table.pixels.sum() / (4 * 48 * 64))
        assert (table.entry, table.missed_objects, table.false_objects) == ("bad", 0, 0)

    def test_classes_are_told_apart(self, tmp_path: Path) -> None:
        def second_lost(mask: Mask, image_id: str, seed: int) -> Mask:
            return np.where(mask == 2, 0, mask).astype(np.uint8) if seed == 0 else mask

        distortions = {"a": second_lost, "b": shifted(1)}
        evidence = make_evidence(tmp_path, count=3, classes=3, distortions=distortions)
        table = error_table(evidence, evidence.entries[0])
        truths = [evidence.load(image_id)[1] for image_id in evidence.ids]
        assert table.class_pixels.shape == (3, 6)
        assert table.class_pixels[:2].sum() == 0
        assert table.class_pixels[2].sum() == sum((truth == 2).sum() for truth in truths) / 2
        assert table.class_pixels[2, ERROR_TYPES.index("missed_object")] > 0
        assert table.class_objects[2].tolist() == [3.0, 1.5, 0.0]
        assert (table.true_objects, table.missed_objects) == (table.class_objects[:, 0].sum(), 1.5)
        moved = error_table(evidence, evidence.entries[1])
        assert moved.class_pixels.sum(axis=0) == pytest.approx(moved.pixels.sum(axis=0))

    def test_all_right_is_said(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=2, distortions={"perfect": shifted(0)}, seeds=(0,))
        table = error_table(evidence, evidence.entries[0])
        assert (table.entry, table.wrong_frac) == ("perfect", 0.0)
        assert np.isnan(list(table.shares.values())).all()

    def test_an_entry_without_masks_is_refused(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=2, without_masks=("bad",))
        with pytest.raises(RunError, match="the entry 'bad' keeps no predicted masks, so its errors cannot be told"):
            error_table(evidence, evidence.entries[1])
