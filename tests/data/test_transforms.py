from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segbench.config import AugmentConfig
from segbench.data.transforms import AugmentParameters, apply_augmentation, draw_augmentation

NOTHING = AugmentConfig(hflip=0.0)
EVERYTHING = AugmentConfig(
    hflip=0.5, vflip=0.5, rotate_deg=30, scale=(0.7, 1.5), translate_frac=0.1, crop=(24, 20), brightness=0.2,
    contrast=0.2, saturation=0.2, hue=0.1,
)  # fmt: skip


def parameters(count: int, size: tuple[int, int], **changes: Any) -> AugmentParameters:
    """What leaves `count` images alone, but for the same change to each."""
    plain = draw_augmentation(NOTHING, 0, 0, range(count), size)
    return replace(plain, **{name: np.full_like(getattr(plain, name), value) for name, value in changes.items()})


def pictures(count: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, height, width, generator=generator)
    return images, torch.randint(0, 5, (count, height, width), generator=generator, dtype=torch.uint8)


def test_nothing_asked_changes_nothing() -> None:
    images, masks = pictures(2, 17, 23)
    new_images, new_masks = apply_augmentation(images, masks, parameters(2, (17, 23)))
    assert torch.equal(new_images, images)
    assert torch.equal(new_masks, masks)
    assert new_images.data_ptr() != images.data_ptr()


@pytest.mark.parametrize(
    ("change", "expected"), [("hflip", reference.horizontal_flip), ("vflip", reference.vertical_flip)]
)
@pytest.mark.parametrize("resampled", [False, True])
def test_flips_agree_with_torchvision(change: str, expected: Any, resampled: bool) -> None:
    images, masks = pictures(2, 17, 23)
    what = parameters(2, (17, 23), **{change: True}, angle_deg=360.0 if resampled else 0.0)
    assert what.keeps_pixels is not resampled
    new_images, new_masks = apply_augmentation(images, masks, what)
    torch.testing.assert_close(new_images, expected(images), atol=1e-4 if resampled else 0.0, rtol=0)
    assert torch.equal(new_masks, expected(masks))


@pytest.mark.parametrize("angle", [90, 180, 270, -90])
def test_right_angles_agree_with_torchvision(angle: int) -> None:
    images, masks = pictures(2, 24, 24)
    new_images, new_masks = apply_augmentation(images, masks, parameters(2, (24, 24), angle_deg=angle))
    torch.testing.assert_close(new_images, reference.rotate(images, angle), atol=1e-4, rtol=0)
    assert torch.equal(new_masks, reference.rotate(masks, angle))


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(30.0, 1.0, (0, 0)), (-17.0, 1.4, (3, -5)), (45.0, 0.8, (-2, 4))]
)
def test_any_movement_of_a_wide_image_agrees_with_torchvision(
    angle: float, scale: float, shift: tuple[int, int]
) -> None:
    images, masks = pictures(1, 40, 64)
    what = replace(parameters(1, (40, 64), angle_deg=angle, scale=scale), shift_px=np.array([shift], dtype=np.float64))
    new_images, new_masks = apply_augmentation(images, masks, what)
    # torchvision's affine turns clockwise, its rotate counter-clockwise; (right, down)
    options = {"angle": -angle, "translate": [shift[1], shift[0]], "scale": scale, "shear": [0.0, 0.0]}
    wanted = reference.affine(images, **options, interpolation=reference.InterpolationMode.BILINEAR)
    wanted_masks = reference.affine(masks, **options)
    # torchvision fills with 0 where we mirror: compare where every source pixel lies inside
    inside = reference.affine(torch.ones_like(images), **options, interpolation=reference.InterpolationMode.BILINEAR)
    known = inside[:, 0] > 0.9999
    assert known.float().mean() > 0.4
    torch.testing.assert_close(new_images[:, 0][known], wanted[:, 0][known], atol=2e-3, rtol=0)
    assert (new_masks[known] == wanted_masks[known]).float().mean() > 0.995  # ties may fall either way


def test_a_square_stays_a_square_in_a_wide_image() -> None:
    image = torch.zeros(1, 3, 60, 120)
    image[..., 20:40, 50:70] = 1.0
    turned, _ = apply_augmentation(image, (image[:, 0] > 0.5).to(torch.uint8), parameters(1, (60, 120), angle_deg=90.0))
    middle = slice(31, 89)  # what mirror images at left and right cannot reach
    torch.testing.assert_close(turned[..., middle], image[..., middle], atol=1e-3, rtol=0)


def test_positive_angles_turn_counter_clockwise_and_shifts_go_down_and_right() -> None:
    masks = torch.zeros(1, 33, 33, dtype=torch.uint8)
    masks[0, 16, 28] = 1  # right of the centre
    images = torch.zeros(1, 3, 33, 33)
    _, turned = apply_augmentation(images, masks, parameters(1, (33, 33), angle_deg=90.0))
    assert turned.nonzero().tolist() == [[0, 4, 16]]
    moved = replace(parameters(1, (33, 33)), shift_px=np.array([[2.0, 3.0]]))
    assert apply_augmentation(images, masks, moved)[1].nonzero().tolist() == [[0, 18, 31]]


def test_outside_is_a_mirror_image() -> None:
    row = torch.arange(8, dtype=torch.uint8).repeat(8, 1)[None]
    moved = replace(parameters(1, (8, 8)), shift_px=np.array([[0.0, 3.0]]))
    images, masks = apply_augmentation((row / 8.0)[:, None].expand(-1, 3, -1, -1), row, moved)
    assert masks[0, 0].tolist() == [2, 1, 0, 0, 1, 2, 3, 4]
    torch.testing.assert_close(images[0, 2, 5], masks[0, 5] / 8.0, atol=1e-5, rtol=0)


@pytest.mark.parametrize("flip", ["hflip", "vflip"])
def test_flips_come_before_the_rotation(flip: str) -> None:
    images, masks = pictures(1, 31, 31)
    flipped = apply_augmentation(images, masks, parameters(1, (31, 31), **{flip: True}))
    wanted, wanted_masks = apply_augmentation(*flipped, parameters(1, (31, 31), angle_deg=33.0))
    both, both_masks = apply_augmentation(images, masks, parameters(1, (31, 31), **{flip: True}, angle_deg=33.0))
    torch.testing.assert_close(both, wanted, atol=1e-4, rtol=0)
    assert (both_masks == wanted_masks).float().mean() > 0.99


@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_bytes_are_taken_as_they_are(angle: float) -> None:
    images, masks = pictures(2, 20, 30)
    whole = (images * 255).to(torch.uint8)
    what = parameters(2, (20, 30), hflip=True, angle_deg=angle)
    nhwc = whole.contiguous(memory_format=torch.channels_last)
    for given_images in (whole, nhwc):
        changed, _ = apply_augmentation(given_images, masks, what)
        assert changed.dtype == torch.float32
        torch.testing.assert_close(changed, apply_augmentation(whole / 255, masks, what)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("flips", [{}, {"hflip": True}, {"vflip": True}, {"hflip": True, "vflip": True}])
def test_both_ways_of_moving_agree(flips: dict[str, bool]) -> None:
    images, masks = pictures(3, 30, 44)
    windows = np.array([[0, 0], [14, 24], [3, 7]])
    exact = replace(parameters(3, (30, 44), **flips), size=(16, 20), window_px=windows)
    warped = replace(exact, angle_deg=np.full(3, 360.0))
    for one, other in zip(
        apply_augmentation(images, masks, exact), apply_augmentation(images, masks, warped), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    whole = reference.horizontal_flip(masks) if flips.get("hflip") else masks
    whole = reference.vertical_flip(whole) if flips.get("vflip") else whole
    assert torch.equal(apply_augmentation(images, masks, exact)[1][2], whole[2, 3:19, 7:27])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("brightness", reference.adjust_brightness),
        ("contrast", reference.adjust_contrast),
        ("saturation", reference.adjust_saturation),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_agree_with_torchvision(change: str, expected: Any, factor: float) -> None:
    images, masks = pictures(2, 9, 12)
    changed, same = apply_augmentation(images, masks, parameters(2, (9, 12), **{change: factor}))
    torch.testing.assert_close(changed, expected(images, factor), atol=5e-4, rtol=0)
    assert torch.equal(same, masks)


def test_colours_together_are_the_steps_in_turn() -> None:
    images, masks = pictures(2, 9, 12)
    images = 0.4 + 0.2 * images  # so that no step clamps
    what = parameters(2, (9, 12), brightness=1.1, contrast=0.8, saturation=1.3)
    wanted = reference.adjust_saturation(reference.adjust_contrast(reference.adjust_brightness(images, 1.1), 0.8), 1.3)
    torch.testing.assert_close(apply_augmentation(images, masks, what)[0], wanted, atol=5e-4, rtol=0)


def test_hue_turns_colours_and_keeps_luma_and_greys() -> None:
    images, masks = pictures(2, 9, 12)
    images = 0.4 + 0.2 * images
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    turned, _ = apply_augmentation(images, masks, parameters(2, (9, 12), hue=0.25))
    assert (turned - images).abs().max() > 0.05
    torch.testing.assert_close((turned * luma).sum(1), (images * luma).sum(1), atol=1e-4, rtol=0)
    grey = images[:, :1].expand(-1, 3, -1, -1).contiguous()
    torch.testing.assert_close(
        apply_augmentation(grey, masks, parameters(2, (9, 12), hue=0.25))[0], grey, atol=1e-5, rtol=0
    )
    red = torch.tensor([0.7, 0.3, 0.3]).view(1, 3, 1, 1).expand(2, -1, 9, 12).contiguous()
    for hue in (-0.1, 0.1, 0.3):  # the direction is torchvision's
        mine = apply_augmentation(red, masks, parameters(2, (9, 12), hue=hue))[0][0, :, 0, 0]
        theirs = reference.adjust_hue(red, hue)[0, :, 0, 0]
        assert int(mine.argmax()) == int(theirs.argmax())
        assert (mine[1] > mine[2]) == (theirs[1] > theirs[2])
    once = parameters(2, (9, 12), hue=0.5)
    twice = apply_augmentation(apply_augmentation(images, masks, once)[0], masks, once)[0]
    torch.testing.assert_close(twice, images, atol=1e-4, rtol=0)
    back = apply_augmentation(turned, masks, parameters(2, (9, 12), hue=-0.25))[0]
    torch.testing.assert_close(back, images, atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    height=st.integers(24, 60),
    width=st.integers(24, 60),
    planes=st.sampled_from([0, 2]),
)
def test_labels_are_never_invented_and_pixels_stay_in_range(seed: int, height: int, width: int, planes: int) -> None:
    images, masks = pictures(2, height, width, seed % 1000)
    masks = torch.where(masks < 2, 255, masks * 40).to(torch.uint8)
    if planes:
        masks = torch.stack([masks, 200 - masks.clamp(max=200)], dim=1)
    what = draw_augmentation(EVERYTHING, seed, 1, [4, 9], (height, width))
    new_images, new_masks = apply_augmentation(images, masks, what)
    assert new_images.shape == (2, 3, 24, 20)
    assert new_masks.shape == (2, *([planes] if planes else []), 24, 20)
    assert new_masks.dtype == torch.uint8
    assert set(new_masks.unique().tolist()) <= set(masks.unique().tolist())
    assert float(new_images.min()) >= 0.0
    assert float(new_images.max()) <= 1.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_image_and_mask_stay_together(seed: int) -> None:
    y, x = np.mgrid[0:72, 0:96]
    blob = np.hypot(y - 30 - seed % 9, (x - 40) * 0.7) < 18
    image = torch.from_numpy(np.where(blob, 0.9, 0.1).astype(np.float32)).expand(1, 3, -1, -1).contiguous()
    mask = (image[:, 0] > 0.5).to(torch.uint8)
    config = EVERYTHING.model_copy(
        update={"crop": (56, 60), "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    )
    new_image, new_mask = apply_augmentation(image, mask, draw_augmentation(config, seed, 0, [0], (72, 96)))
    seen = (new_image[:, 0] > 0.5).to(torch.uint8)
    border = (new_image[:, 0] - 0.5).abs() < 0.39  # a pixel that mixes both
    assert torch.equal(seen[~border], new_mask[~border])
    assert border.float().mean() < 0.15


def test_parameters_follow_the_sample_and_not_the_batch() -> None:
    together = draw_augmentation(EVERYTHING, 3, 5, [8, 2, 31], (40, 50))
    alone = draw_augmentation(EVERYTHING, 3, 5, [31], (40, 50))
    names = [name for name in vars(alone) if name != "size"]
    for name in names:
        assert np.array_equal(getattr(together, name)[2:], getattr(alone, name)), name
    for other in (
        draw_augmentation(EVERYTHING, 3, 6, [31], (40, 50)),
        draw_augmentation(EVERYTHING, 4, 5, [31], (40, 50)),
    ):
        assert other.angle_deg[0] != alone.angle_deg[0]


def test_one_change_more_leaves_the_others_alone() -> None:
    flips = draw_augmentation(AugmentConfig(hflip=0.5), 0, 0, range(50), (40, 50))
    both = draw_augmentation(AugmentConfig(hflip=0.5, rotate_deg=20, brightness=0.3), 0, 0, range(50), (40, 50))
    assert np.array_equal(flips.hflip, both.hflip)
    assert flips.keeps_pixels
    assert flips.keeps_colors
    assert not both.keeps_pixels
    assert not both.keeps_colors


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


def test_errors_name_what_was_expected() -> None:
    images, masks = pictures(2, 30, 30)
    what = parameters(2, (30, 30))
    with pytest.raises(ValueError, match=r"crop of at most \(16, 30\).*got \(24, 20\)"):
        draw_augmentation(EVERYTHING, 0, 0, [0], (16, 30))
    with pytest.raises(ValueError, match=r"expected float or uint8 images.*torch.int32"):
        apply_augmentation(images.int(), masks, what)
    with pytest.raises(ValueError, match=r"with B = 2, got torch.float32 \(1, 3, 30, 30\)"):
        apply_augmentation(images[:1], masks, what)
    with pytest.raises(ValueError, match=r"expected uint8 masks.*torch.int64"):
        apply_augmentation(images, masks.long(), what)
    with pytest.raises(ValueError, match=r"drawn for larger images"):
        apply_augmentation(images[..., :20], masks[..., :20], what)
