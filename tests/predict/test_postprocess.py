"""Cleaning of masks: each step by hand-drawn examples, for all three tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench.predict.pipeline import Pipeline, PipelineSettings
from segbench.predict.postprocess import Postprocess
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (1,)), task=Task.BINARY)
THREE = ClassMap(names=("ground", "a", "b"), values=((0,), (1,), (2,)))
NO_GROUND = ClassMap(names=("x", "a", "b"), values=((0,), (1,), (2,)), background=None)
LABELS = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[int(sign) for sign in row.replace(".", "0")] for row in rows], dtype=np.uint8)


RING = drawn(
    ".......",
    ".11111.",
    ".1...1.",
    ".1...1.",
    ".11111.",
    "......1",
    ".1.....",
)


def test_nothing_is_done_unless_asked() -> None:
    assert Postprocess().apply(RING, BINARY) is RING


@pytest.mark.parametrize(("fill_holes_px", "filled"), [(5, 0), (6, 6)])
def test_holes_up_to_an_area_are_filled(fill_holes_px: int, filled: int) -> None:
    before = RING.copy()
    after = Postprocess(fill_holes_px=fill_holes_px).apply(RING, BINARY)
    assert after.sum() == RING.sum() + filled
    assert np.array_equal(RING, before), "the mask itself stays"


def test_what_another_class_is_in_is_no_hole() -> None:
    eye = drawn("11111", "1.2.1", "1...1", "11111")
    assert np.array_equal(Postprocess(fill_holes_px=9).apply(eye, THREE), eye)
    assert (Postprocess(fill_holes_px=9).apply(eye, NO_GROUND) == 1).all(), "without a background, any region is one"


def test_small_regions_become_what_is_next_to_them() -> None:
    after = Postprocess(smallest_px=2).apply(RING, BINARY)
    assert after[6, 1] == 0
    assert after[5, 6] == 1, "a corner joins it to the ring"
    assert after[:5].sum() == RING[:5].sum()
    spot = drawn("1111", "1121", "1111", "....")
    assert Postprocess(smallest_px=2).apply(spot, THREE)[1, 2] == 1, "not a hole of background"


def test_the_largest_region_of_each_class_is_kept() -> None:
    mask = drawn("11..2", "11...", "....2", "1...2")
    after = Postprocess(keep_largest=True).apply(mask, THREE)
    assert np.array_equal(after, drawn("11...", "11...", "....2", "....2"))


def test_a_mask_of_nothing_but_specks() -> None:
    mask = np.ones((3, 3), dtype=np.uint8)
    assert (Postprocess(smallest_px=10).apply(mask, BINARY) == 0).all()
    assert (Postprocess(smallest_px=10).apply(mask, NO_GROUND) == 1).all(), "there is nothing it could become"
    empty = np.zeros((3, 3), dtype=np.uint8)
    every = Postprocess(fill_holes_px=3, smallest_px=3, keep_largest=True, smooth_px=2)
    assert np.array_equal(every.apply(empty, BINARY), empty)


def test_outlines_are_smoothed_by_a_majority() -> None:
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[:, 10:] = 1
    smooth = mask.copy()
    mask[5, 9] = 1  # a tooth
    mask[12, 10] = 0  # a notch
    assert np.array_equal(Postprocess(smooth_px=2).apply(mask, BINARY), smooth)


def test_planes_know_nothing_of_each_other() -> None:
    planes = np.stack([RING, 1 - RING])
    after = Postprocess(fill_holes_px=6, smallest_px=2).apply(planes, LABELS)
    for plane, cleaned in zip(planes, after, strict=True):
        assert np.array_equal(Postprocess(fill_holes_px=6, smallest_px=2).apply(plane, BINARY), cleaned)
    assert after[0].sum() == RING.sum() + 6 - 1


def test_the_pipeline_cleans_at_the_images_own_size() -> None:
    probs = torch.zeros(1, 8, 8)
    probs[0, 4, 4] = 1.0
    settings = PipelineSettings(class_map=BINARY, size=(8, 8), normalization=Normalization.identity(3))
    plain = Pipeline(torch.nn.Identity(), settings).decide(probs, (32, 32))
    area = int(plain.sum())
    assert area > 1
    for smallest_px, left in ((area, area), (area + 1, 0)):
        cleaning = PipelineSettings.from_dict(settings.to_dict() | {"postprocess": {"smallest_px": smallest_px}})
        assert Pipeline(torch.nn.Identity(), cleaning).decide(probs, (32, 32)).sum() == left


def test_areas_are_numbers_of_pixels() -> None:
    with pytest.raises(ValueError, match="fill_holes_px is a number of pixels, 0 or more, got -1"):
        Postprocess(fill_holes_px=-1)
