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

from segbench.config.augment import PRESETS, AugmentConfig
from segbench.data.augment.transforms import AugmentParameters, apply_augmentation, draw_augmentation

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
    assert bool(what.moved.any()) is resampled
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


# ---- further movements -----------------------------------------------------------------------------------------------

ALL_CHANGES = AugmentConfig(
    **{
        **PRESETS["strong"], "vflip": 0.5, "crop": (24, 24), "place": "random", "outside": "ignore", "shear_deg": 15,
        "shear_p": 0.5, "rot90_p": 0.7, "grey_p": 0.3, "blur_px": 2.0, "holes": 3, "holes_p": 0.5,
    }
)  # fmt: skip


@pytest.mark.parametrize("resampled", [False, True])
def test_quarter_turns_are_exact_and_come_last(resampled: bool) -> None:
    images, masks = pictures(4, 30, 44)
    window = replace(
        parameters(4, (30, 44), hflip=True, angle_deg=12.0 * resampled), size=(16, 16), window_px=np.full((4, 2), 5)
    )
    plain, plain_masks = apply_augmentation(images, masks, window)
    turned, turned_masks = apply_augmentation(images, masks, replace(window, turns=np.arange(4)))
    for row in range(4):
        assert torch.equal(turned[row], plain[row].rot90(row, (1, 2)))
        assert torch.equal(turned_masks[row], plain_masks[row].rot90(row, (0, 1)))


@pytest.mark.parametrize("shear", [(20.0, 0.0), (0.0, -15.0)])
def test_shear_agrees_with_torchvision(shear: tuple[float, float]) -> None:
    images, masks = pictures(1, 40, 64)
    what = replace(parameters(1, (40, 64)), shear_deg=np.array([shear]))
    new_images, new_masks = apply_augmentation(images, masks, what)
    options: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [-shear[0], -shear[1]]}
    bilinear = reference.InterpolationMode.BILINEAR
    known = reference.affine(torch.ones_like(images), **options, interpolation=bilinear)[:, 0] > 0.9999
    assert known.float().mean() > 0.7
    wanted = reference.affine(images, **options, interpolation=bilinear)
    torch.testing.assert_close(new_images[:, 0][known], wanted[:, 0][known], atol=2e-3, rtol=0)
    assert (new_masks[known] == reference.affine(masks, **options)[known]).float().mean() > 0.99


def test_a_bend_that_is_the_same_everywhere_is_a_shift() -> None:
    images, masks = pictures(2, 30, 40)
    bend = np.zeros((2, 2, 5, 5))
    bend[:, 0], bend[:, 1] = -3.0, 2.0  # looks up and to the right: the picture goes down and left
    bent = apply_augmentation(images, masks, replace(parameters(2, (30, 40), angle_deg=9.0), bend_px=bend))
    inner = (slice(None), slice(8, 20), slice(10, 30))
    shifted = replace(parameters(2, (30, 40), angle_deg=9.0), shift_px=np.full((2, 2), [3.0, -2.0]))
    wanted = apply_augmentation(images, masks, shifted)
    torch.testing.assert_close(bent[0][:, 0][inner], wanted[0][:, 0][inner], atol=1e-3, rtol=0)
    assert (bent[1][inner] == wanted[1][inner]).float().mean() > 0.99


def test_the_strongest_bend_folds_nothing() -> None:
    config = AugmentConfig(hflip=0.0, elastic_frac=0.25 / 4)
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(100.0), indexing="ij")
    ramps = torch.stack([x / 100, y / 80, x * 0]).expand(40, -1, -1, -1)
    masks = torch.zeros(40, 80, 100, dtype=torch.uint8)
    what = draw_augmentation(config, 0, 0, range(40), (80, 100))
    assert np.abs(what.bend_px[:, 0]).max() == pytest.approx(0.0625 * 80, rel=0.02)
    assert np.abs(what.bend_px[:, 1]).max() == pytest.approx(0.0625 * 100, rel=0.02)
    worst = what.bend_px.copy()
    worst[0] = np.indices((5, 5)).sum(0) % 2 * 2 - 1.0
    worst[0] *= 0.0625 * np.array([80, 100])[:, None, None]
    bent, _ = apply_augmentation(ramps, masks, replace(what, bend_px=worst))
    inner = bent[:, :2, 10:-10, 10:-10]
    across = inner.diff(dim=3)[:, :, :-1] * torch.tensor([100, 80]).view(1, 2, 1, 1)
    along = inner.diff(dim=2)[..., :-1] * torch.tensor([100, 80]).view(1, 2, 1, 1)
    area = across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0]  # of what one new pixel shows, in old pixels
    assert float(area.min()) > 0.0
    assert float(area.max()) < 4.0


def test_what_lies_outside_can_count_nowhere() -> None:
    images, masks = pictures(1, 8, 8)
    moved = replace(parameters(1, (8, 8)), shift_px=np.array([[0.0, 3.0]]))
    mirrored, mirrored_masks = apply_augmentation(images, masks, moved)
    new_images, new_masks = apply_augmentation(images, masks, replace(moved, ignore_outside=True))
    assert torch.equal(new_images, mirrored)
    assert (new_masks[..., :3] == 255).all()
    assert torch.equal(new_masks[..., 3:], mirrored_masks[..., 3:])
    assert torch.equal(new_masks[..., 3:], masks[..., :-3])


def test_random_places_show_every_part_of_an_enlarged_image_and_all_of_a_shrunk_one() -> None:
    images, masks = torch.zeros(200, 3, 40, 60), torch.zeros(200, 40, 60, dtype=torch.uint8)
    masks[:, :4, :4] = 1  # a corner: seldom seen enlarged, always seen shrunk
    street = AugmentConfig(hflip=0.0, place="random", outside="ignore")
    shrunk = street.model_copy(update={"scale": (0.5, 0.5)})
    what = draw_augmentation(shrunk, 0, 0, range(200), (40, 60))
    _, seen = apply_augmentation(images, masks, what)
    counted = (seen != 255).flatten(1).sum(1).float()
    torch.testing.assert_close(counted, torch.full_like(counted, 20 * 30), atol=51, rtol=0)
    tops = (seen != 255).any(2).int().argmax(1)
    assert int(tops.min()) <= 1
    assert int(tops.max()) >= 19
    assert (seen == 1).flatten(1).any(1).all()
    enlarged = draw_augmentation(street.model_copy(update={"scale": (2.0, 2.0)}), 0, 0, range(200), (40, 60))
    _, seen = apply_augmentation(images, masks, enlarged)
    assert (seen != 255).all()
    share = (seen == 1).flatten(1).any(1).float().mean()
    assert 0.0 < share < 0.1
    window = street.model_copy(update={"scale": (2.0, 2.0), "crop": (20, 20)})
    _, seen = apply_augmentation(images, masks, draw_augmentation(window, 0, 0, range(200), (40, 60)))
    assert (seen != 255).all()


# ---- further changes of content --------------------------------------------------------------------------------------


def test_gamma_and_grey_agree_with_torchvision() -> None:
    images, masks = pictures(2, 9, 12)
    darker = apply_augmentation(images, masks, parameters(2, (9, 12), gamma=1.7))[0]
    torch.testing.assert_close(darker, reference.adjust_gamma(images, 1.7), atol=1e-5, rtol=0)
    grey = apply_augmentation(images, masks, parameters(2, (9, 12), grey=True))[0]
    torch.testing.assert_close(grey, reference.rgb_to_grayscale(images, 3), atol=5e-4, rtol=0)


@pytest.mark.parametrize("sigma", [0.4, 1.5])
def test_blur_agrees_with_torchvision(sigma: float) -> None:
    images, masks = pictures(2, 20, 24)
    blurred, same = apply_augmentation(images, masks, parameters(2, (20, 24), blur_px=sigma))
    side = 2 * int(np.ceil(3 * sigma)) + 1
    torch.testing.assert_close(blurred, reference.gaussian_blur(images, [side, side], [sigma] * 2), atol=1e-5, rtol=0)
    assert torch.equal(same, masks)
    tiny, tiny_masks = pictures(1, 3, 3)
    assert apply_augmentation(tiny, tiny_masks, parameters(1, (3, 3), blur_px=9.0))[0].std() < tiny.std()


def test_noise_has_its_standard_deviation_and_follows_the_sample() -> None:
    images, masks = torch.full((3, 3, 60, 60), 0.5), torch.zeros(3, 60, 60, dtype=torch.uint8)
    what = replace(parameters(3, (60, 60)), noise=np.array([0.0, 0.05, 0.1]))
    noisy = apply_augmentation(images, masks, what)[0] - 0.5
    assert not noisy[0].any()
    for row, sd in ((1, 0.05), (2, 0.1)):
        assert float(noisy[row].std()) == pytest.approx(sd, rel=0.05)
        assert float(noisy[row].mean()) == pytest.approx(0.0, abs=0.003)
    assert float(torch.corrcoef(noisy[1:].flatten(1))[0, 1].abs()) < 0.05
    again = apply_augmentation(images[2:], masks[2:], what.take(np.array([2])))[0] - 0.5
    assert torch.equal(again[0], noisy[2])


def test_holes_take_the_mean_colour_and_leave_the_labels() -> None:
    images, masks = pictures(2, 20, 24)
    holes = np.zeros((2, 2, 4), dtype=np.int64)
    holes[0] = [[2, 3, 5, 6], [12, 10, 4, 4]]
    covered, same = apply_augmentation(images, masks, replace(parameters(2, (20, 24)), holes_px=holes))
    changed = (covered != images).any(1)
    assert torch.equal(covered[1], images[1])
    assert int(changed.sum()) == 5 * 6 + 4 * 4
    torch.testing.assert_close(covered[0, :, 4, 5], images[0].mean((1, 2)))
    assert torch.equal(same, masks)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels(channels: int) -> None:
    generator = torch.Generator().manual_seed(1)
    images = 0.3 + 0.2 * torch.rand(2, channels, 20, 24, generator=generator)
    masks = torch.zeros(2, 20, 24, dtype=torch.uint8)
    coloured = parameters(2, (20, 24), saturation=0.3, hue=0.3, grey=True)
    torch.testing.assert_close(apply_augmentation(images, masks, coloured)[0], images, atol=1e-6, rtol=0)
    brighter = apply_augmentation(images, masks, parameters(2, (20, 24), brightness=1.3, contrast=0.8))[0]
    mean = images.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(brighter, 1.3 * (0.8 * images + 0.2 * mean), atol=1e-5, rtol=0)
    everything = draw_augmentation(ALL_CHANGES.model_copy(update={"crop": (18, 18)}), 0, 0, range(2), (20, 24))
    changed, _ = apply_augmentation(images, masks, everything)
    assert changed.shape == (2, channels, 18, 18)
    assert changed.isfinite().all()


@pytest.mark.parametrize("name", [*PRESETS, "all"])
def test_a_sample_is_the_same_alone_and_in_any_batch(name: str) -> None:
    config = ALL_CHANGES if name == "all" else AugmentConfig(**PRESETS[name])
    images, masks = pictures(12, 32, 40)
    whole = (images * 255).to(torch.uint8)
    what = draw_augmentation(config, 7, 3, range(12), (32, 40))
    together, together_masks = apply_augmentation(whole, masks, what)
    for index in range(12):
        alone = draw_augmentation(config, 7, 3, [index], (32, 40))
        image, mask = apply_augmentation(whole[index : index + 1], masks[index : index + 1], alone)
        torch.testing.assert_close(image[0], together[index], atol=1e-5, rtol=0)
        assert torch.equal(mask[0], together_masks[index])
    assert set(together_masks.unique().tolist()) <= {0, 1, 2, 3, 4, 255}
    assert (255 in together_masks) <= (config.outside == "ignore")
    assert float(together.min()) >= 0.0
    assert float(together.max()) <= 1.0


@pytest.mark.parametrize("planes", [0, 2])
def test_working_through_a_batch_in_parts_changes_nothing(planes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, masks = pictures(7, 32, 40)
    masks = torch.stack([masks] * planes, dim=1) if planes else masks
    what = draw_augmentation(ALL_CHANGES, 7, 3, range(7), (32, 40))
    whole = apply_augmentation(images, masks, what)
    monkeypatch.setattr("segbench.data.augment.transforms.CACHED_PX", 2 * 32 * 40)
    parts = apply_augmentation(images, masks, what)
    torch.testing.assert_close(parts[0], whole[0], atol=1e-5, rtol=0)
    assert torch.equal(parts[1], whole[1])
