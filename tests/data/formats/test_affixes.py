"""What all names of one side have in common is cut; numbers and words are not torn."""

from __future__ import annotations

import pytest

from segbench.data.formats.shared.affixes import common_affixes


@pytest.mark.parametrize(
    ("images", "masks", "names"),
    [
        (["21_training", "22_training"], ["21_manual1", "22_manual1"], ["21", "22"]),
        (["101", "201"], ["101_mask", "201_mask"], ["101", "201"]),  # both end in 01, which is no suffix
        (["img_1", "img_2"], ["gt_1", "gt_2"], ["1", "2"]),
        (["a/image", "b/image"], ["a/mask", "b/mask"], ["a", "b"]),
        (["10k/train/a", "10k/val/b"], ["train/a", "val/b"], ["train/a", "val/b"]),
        (["c_001_0000", "c_002_0000"], ["c_001", "c_002"], ["c_001", "c_002"]),
        (["train/img_1", "train/img_2"], ["train/lab_1", "train/lab_2"], ["train/1", "train/2"]),
        (["im1", "im2"], ["im1.ah", "im2.ah"], ["im1", "im2"]),
        (["a_pre", "b_pre"], ["a_post", "b_post"], ["a", "b"]),
        (["im", "im_s1"], ["gt_im", "gt_im_s1"], ["im", "im_s1"]),
    ],
)
def test_names_agree_without_what_is_common(images: list[str], masks: list[str], names: list[str]) -> None:
    """Each image has the mask in its place."""
    cuts = common_affixes(images, masks)
    assert cuts is not None
    assert [cuts[0].cut(name) for name in images] == names
    assert [cuts[1].cut(name) for name in masks] == names


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["frame_100", "frame_101"], ["frame_200", "frame_201"]),
        (["2020_1", "2020_2"], ["2021_1", "2021_2"]),
        (["cat", "car"], ["dot", "dor"]),
        (["a", "b", "c"], ["a_x", "b_x"]),
        (["a", "b"], ["c_x", "d_x"]),
        (["a"], ["b"]),
        (["a1", "a2"], ["b1", "b3"]),
    ],
)
def test_other_names_are_not_paired(images: list[str], masks: list[str]) -> None:
    """Other numbers, other words and files without partner are for a person to judge."""
    assert common_affixes(images, masks) is None
