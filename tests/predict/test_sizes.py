"""Which way an image of any size takes through a network, and that it is said where it matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from segbench.data.files.bands import Bands
from segbench.errors import PredictionError
from segbench.models import build_network
from segbench.predict.pipeline import Pipeline, PipelineSettings
from segbench.predict.sizes import AT_ONCE_PX, plan_size
from segbench.types import ORIGINAL, ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)
FOUR = Bands(numbers=(1, 2, 3, 4))


def settings_of(**changes: object) -> PipelineSettings:
    plain = {"class_map": BINARY, "size": (96, 128), "normalization": Normalization.identity(3), **changes}
    return PipelineSettings(**plain)  # type: ignore[arg-type]


def test_images_like_those_of_training_go_as_these_did_and_nothing_is_said() -> None:
    for size in ((384, 512), (100, 90), (720, 960)):
        plan = plan_size(settings_of(training_px=(384, 512)), size)
        assert (plan.policy, plan.size, plan.tile, plan.note) == ("resize", (96, 128), None, None)
    plan = plan_size(settings_of(size=ORIGINAL, training_px=(384, 512)), (700, 900))
    assert (plan.policy, plan.size, plan.tile, plan.note) == ("whole", (700, 900), None, None)


def test_a_photo_much_larger_than_those_of_training_is_squeezed_like_them_and_that_is_said() -> None:
    plan = plan_size(settings_of(training_px=(384, 512)), (3000, 4000))
    assert (plan.policy, plan.size) == ("resize", (96, 128))
    assert plan.note == (
        "images 7.8 times as large as those of training are squeezed to 96 x 128 pixels, as those were (policy "
        "resize); if yours show more things of the same size, not the same thing in more pixels, use --policy tiles"
    )


def test_tiles_keep_the_scale_of_training_on_each_axis() -> None:
    """384 x 512 pixels became 96 x 128: four pixels became one, and so they do of a mosaic of such images."""
    plan = plan_size(settings_of(training_px=(384, 512)), (1536, 4096), "tiles")
    assert (plan.size, plan.tile) == ((384, 1024), (96, 128))
    plan = plan_size(settings_of(training_px=(384, 1024)), (1536, 4096), "whole")
    assert (plan.size, plan.tile) == ((384, 512), None)


def test_a_raster_has_a_scale_of_its_own_so_a_large_one_goes_in_tiles() -> None:
    plan = plan_size(settings_of(size=(256, 256), training_px=(256, 256), bands=FOUR), (20_000, 20_000))
    assert (plan.policy, plan.size, plan.tile) == ("tiles", (20_000, 20_000), (256, 256))
    assert plan.note is not None
    assert "keep the scale of training" in plan.note
    near = plan_size(settings_of(size=(256, 256), training_px=(256, 256), bands=FOUR), (480, 300))
    assert (near.policy, near.note) == ("resize", None)


def test_an_image_too_large_to_go_at_once_goes_in_tiles_and_that_is_said() -> None:
    plan = plan_size(settings_of(size=ORIGINAL, training_px=(400, 300)), (4000, 3000))
    assert (plan.policy, plan.size, plan.tile) == ("tiles", (4000, 3000), (400, 300))
    assert plan.note is not None
    assert "10.0 times as large as those of training keep their own scale" in plan.note
    unknown = plan_size(settings_of(size=ORIGINAL), (4000, 3000))
    assert (unknown.policy, unknown.tile) == ("tiles", (512, 512))
    assert unknown.note is not None
    assert "12.0 megapixels" in unknown.note
    side = int(AT_ONCE_PX**0.5)
    assert plan_size(settings_of(size=ORIGINAL), (side, side)).policy == "whole"
    assert plan_size(settings_of(size=ORIGINAL, training_px=(4000, 3000)), (4000, 3000)).policy == "whole"


@pytest.mark.parametrize("patch", [None, (128, 128)])
def test_a_camera_of_twice_the_side_is_told_where_images_keep_their_own_scale(patch: tuple[int, int] | None) -> None:
    """A network trained on halved photos, and given the photos: it finds next to nothing, and no size is wrong."""
    settings = settings_of(size=ORIGINAL, patch=patch, training_px=(483, 648))
    plan = plan_size(settings, (966, 1296))
    assert plan.size == (966, 1296)
    assert plan.note == (
        "images 2.0 times as large as those of training keep their own scale; if yours show the same thing in more "
        "pixels, not more things of the same size, use --policy resize"
    )
    followed = plan_size(settings, (966, 1296), "resize")
    assert (followed.policy, followed.size, followed.tile) == ("resize", (483, 648), patch)
    upright = plan_size(settings, (1296, 966), "resize")
    assert upright.size == (648, 483)


def test_a_run_of_patches_goes_in_patches() -> None:
    plan = plan_size(settings_of(size=ORIGINAL, patch=(64, 64)), (200, 300))
    assert (plan.policy, plan.size, plan.tile) == ("tiles", (200, 300), (64, 64))
    plan = plan_size(settings_of(patch=(64, 64), training_px=(96, 128)), (200, 200))
    assert (plan.policy, plan.size, plan.tile) == ("resize", (96, 128), (64, 64))


def test_the_command_s_policy_goes_before_the_settings() -> None:
    settings = settings_of(policy="whole", training_px=(96, 128))
    assert plan_size(settings, (960, 1280)).size == (960, 1280)
    assert plan_size(settings, (960, 1280), "resize").size == (96, 128)
    with pytest.raises(PredictionError, match="so there is no size to resize to; use --policy whole or tiles"):
        plan_size(settings_of(size=ORIGINAL), (100, 100), "resize")


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (31, 40)])
def test_images_smaller_than_any_network_takes_are_mirrored(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def network(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape[2:]))
        return images[:, :1]

    for policy in ("whole", "tiles"):
        pipeline = Pipeline(network, settings_of(size=ORIGINAL, policy=policy))
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        probs = pipeline.probabilities(image)
        assert probs.shape == (1, *size)
        torch.testing.assert_close(probs[0].logit(), torch.from_numpy(image[..., 0]) / 255, atol=1e-5, rtol=0)
    assert all(min(each) >= 32 for each in seen)


def test_what_should_be_said_is_said_once_a_policy() -> None:
    pipeline = Pipeline(lambda images: images[:, :1], settings_of(size=(32, 32), training_px=(40, 40)))
    for side in (40, 100, 200):
        pipeline(np.zeros((side, side, 3), dtype=np.uint8))
    assert list(pipeline.notes) == ["resize"]
    assert "2.5 times" in pipeline.notes["resize"]


@pytest.mark.parametrize("policy", ["whole", "resize", "tiles"])
@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (900, 1)])
def test_thin_images_get_masks_of_their_size_by_every_policy(size: tuple[int, int], policy: str) -> None:
    network = build_network("unet", widths=[4, 8])
    pipeline = Pipeline(network, settings_of(size=(48, 64), training_px=(290, 384), policy=policy))
    mask, _ = pipeline(np.zeros((*size, 3), dtype=np.uint8))
    assert mask.shape == size
