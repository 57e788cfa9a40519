"""What is drawn for a sample: its own numbers, in their ranges, as often as asked."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.config.augment import AugmentConfig
from segbench.data.augment.transforms import draw_augmentation

EVERYTHING = AugmentConfig(
    hflip=0.5, vflip=0.5, rotate_deg=30, scale=(0.7, 1.5), translate_frac=0.1, crop=(24, 20), brightness=0.2,
    contrast=0.2, saturation=0.2, hue=0.1,
)  # fmt: skip
ALL_CHANGES = AugmentConfig(
    hflip=0.5, vflip=0.5, rotate_deg=30, rotate_p=0.5, scale=(0.6, 1.5), scale_p=0.5, translate_frac=0.1,
    translate_p=0.5, crop=(24, 24), place="random", outside="ignore", shear_deg=15, shear_p=0.5, elastic_frac=0.05,
    elastic_p=0.4, rot90_p=0.7, brightness=0.2, brightness_p=0.5, contrast=0.2, saturation=0.2, saturation_p=0.5,
    hue=0.1, hue_p=0.5, grey_p=0.3, gamma=(0.5, 2.0), gamma_p=0.5, blur_px=2.0, blur_p=0.5, noise=0.1, noise_p=0.5,
    holes=3, holes_p=0.5,
)  # fmt: skip


def test_parameters_follow_the_sample_and_not_the_batch() -> None:
    together = draw_augmentation(EVERYTHING, 3, 5, [8, 2, 31], (40, 50))
    alone = draw_augmentation(EVERYTHING, 3, 5, [31], (40, 50))
    for name, value in vars(alone).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(together, name)[2:], value), name
    for other in (
        draw_augmentation(EVERYTHING, 3, 6, [31], (40, 50)),
        draw_augmentation(EVERYTHING, 4, 5, [31], (40, 50)),
    ):
        assert other.angle_deg[0] != alone.angle_deg[0]


def test_one_change_more_leaves_the_others_alone() -> None:
    flips = draw_augmentation(AugmentConfig(hflip=0.5), 0, 0, range(50), (40, 50))
    both = draw_augmentation(AugmentConfig(hflip=0.5, rotate_deg=20, brightness=0.3), 0, 0, range(50), (40, 50))
    assert np.array_equal(flips.hflip, both.hflip)
    assert not flips.moved.any()
    assert not flips.tinted.any()
    assert both.moved.all()
    assert both.tinted.all()


def test_draws_fill_their_ranges() -> None:
    drawn = draw_augmentation(EVERYTHING, 0, 0, range(2000), (40, 50))
    assert 0.45 < drawn.hflip.mean() < 0.55
    assert -30 <= drawn.angle_deg.min() < -28
    assert 28 < drawn.angle_deg.max() <= 30
    assert 0.7 <= drawn.scale.min() < 0.72
    assert 1.48 < drawn.scale.max() <= 1.5
    assert np.abs(drawn.shift_px).max(axis=0) == pytest.approx([4.0, 5.0], rel=0.02)
    assert drawn.window_px.min(axis=0).tolist() == [0, 0]
    assert drawn.window_px.max(axis=0).tolist() == [16, 30]
    assert np.abs(drawn.hue).max() == pytest.approx(0.1, rel=0.02)


def test_turns_are_each_as_likely_and_a_wide_result_stays_wide() -> None:
    config = AugmentConfig(rot90_p=0.75)
    square = np.bincount(draw_augmentation(config, 0, 0, range(2000), (20, 20)).turns, minlength=4) / 2000
    assert square == pytest.approx([0.25] * 4, abs=0.03)
    wide = np.bincount(draw_augmentation(config, 0, 0, range(2000), (20, 30)).turns, minlength=4) / 2000
    assert wide == pytest.approx([0.5, 0, 0.5, 0], abs=0.03)


def test_a_change_happens_to_its_share_of_the_samples() -> None:
    drawn = draw_augmentation(ALL_CHANGES, 0, 0, range(3000), (40, 50))
    shares = {
        "angle_deg": 0.5, "scale": 0.5, "brightness": 0.5, "saturation": 0.5, "hue": 0.5, "grey": 0.3, "gamma": 0.5,
        "blur_px": 0.5, "noise": 0.5, "turns": 0.7, "contrast": 1.0,
    }  # fmt: skip
    for name, share in shares.items():
        neutral = 1.0 if name in ("scale", "brightness", "saturation", "gamma", "contrast") else 0.0
        assert (getattr(drawn, name) != neutral).mean() == pytest.approx(share, abs=0.03), name
    assert drawn.shear_deg.any(axis=1).mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.bend_px.any(axis=(1, 2, 3)).mean() == pytest.approx(0.4, abs=0.03)
    assert drawn.holes_px.any(axis=(1, 2)).mean() == pytest.approx(0.5, abs=0.03)
    assert sorted(np.unique((drawn.holes_px[:, :, 2] > 0).sum(axis=1))) == [0, 1, 2, 3]
    gamma = np.log(drawn.gamma[drawn.gamma != 1.0])
    assert np.abs(gamma).max() == pytest.approx(np.log(2), rel=0.02)
    assert gamma.mean() == pytest.approx(0.0, abs=0.03)


def test_every_change_leaves_every_other_as_it_was() -> None:
    alone = draw_augmentation(AugmentConfig(crop=(24, 24), rotate_deg=30, rotate_p=0.5), 1, 2, range(9), (40, 50))
    among = draw_augmentation(ALL_CHANGES, 1, 2, range(9), (40, 50))
    assert np.array_equal(alone.angle_deg, among.angle_deg)
    assert np.array_equal(alone.hflip, among.hflip)
    assert np.array_equal(alone.window_px, among.window_px)


def test_random_numbers_are_those_of_earlier_versions() -> None:
    """Runs begun before the later changes existed go on as they were."""
    drawn = draw_augmentation(EVERYTHING.model_copy(update={"vflip": 0.5}), 3, 5, [31], (40, 50))
    assert drawn.angle_deg == pytest.approx([-20.42053445])
    assert drawn.scale == pytest.approx([0.72615452])
    assert drawn.shift_px[0] == pytest.approx([-1.54877247, 3.38436547])
    assert drawn.window_px.tolist() == [[11, 25]]
    assert drawn.hue == pytest.approx([0.00153593], rel=1e-5)
