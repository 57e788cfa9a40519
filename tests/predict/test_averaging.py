"""Mirror images and ensembles: the mean of probabilities, as anybody would work it out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segbench.errors import PredictionError
from segbench.metrics.confusion import confusion_from_logits
from segbench.models import build_network
from segbench.predict.averaging import LOOKS, Ensemble, FlipAverage, average_probabilities
from segbench.predict.decide import decide, normalize, probabilities
from segbench.predict.pipeline import PipelineSettings, agreed_settings
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task, Tta

TASKS = [(Task.BINARY, 1), (Task.MULTICLASS, 4), (Task.MULTILABEL, 3)]
BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
MIRRORED: dict[Tta, list[Callable[[np.ndarray], np.ndarray]]] = {
    "none": [lambda array: array],
    "hflip": [lambda array: array, lambda array: array[..., ::-1]],
    "flips": [
        lambda array: array,
        lambda array: array[..., ::-1],
        lambda array: array[..., ::-1, :],
        lambda array: array[..., ::-1, ::-1],
    ],
}
QUARTERS = [(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)]


def settings_of(**changes: object) -> PipelineSettings:
    plain = {"class_map": BINARY, "size": (24, 40), "normalization": Normalization.identity(3)}
    return PipelineSettings(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("task", "channels"), TASKS)
@pytest.mark.parametrize("tta", ["none", "hflip", "flips"])
def test_flips_are_the_mean_of_the_probabilities_turned_back(task: Task, channels: int, tta: Tta) -> None:
    torch.manual_seed(1)
    network = build_network("unet_nearest", out_channels=channels, widths=[4, 8]).eval()
    images = torch.randn(2, 3, 32, 48)
    with torch.inference_mode():
        each = [
            turn(probabilities(network(torch.from_numpy(turn(images.numpy()).copy())), task).numpy())
            for turn in MIRRORED[tta]
        ]
        averaged = probabilities(FlipAverage(network, task, tta)(images), task).numpy()
    assert not np.array_equal(each[0], each[-1]) or tta == "none"  # the network is no mirror image of itself
    np.testing.assert_allclose(averaged, np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize(("task", "channels"), TASKS)
@pytest.mark.parametrize("tta", ["rotations", "flips_and_rotations"])
def test_turns_are_the_mean_of_the_probabilities_turned_back(task: Task, channels: int, tta: Tta) -> None:
    torch.manual_seed(1)
    network = build_network("unet_nearest", out_channels=channels, widths=[4, 8]).eval()
    images = torch.randn(2, 3, 32, 48).numpy()
    each = []
    for quarters, mirrored in QUARTERS if tta == "flips_and_rotations" else QUARTERS[:4]:
        seen = np.rot90(images[..., ::-1] if mirrored else images, quarters, (2, 3))
        with torch.inference_mode():
            found = probabilities(network(torch.from_numpy(seen.copy())), task).numpy()
        back = np.rot90(found, -quarters, (2, 3))
        each.append(back[..., ::-1] if mirrored else back)
    assert all(found.shape == each[0].shape for found in each)
    with torch.inference_mode():
        averaged = probabilities(FlipAverage(network, task, tta)(torch.from_numpy(images)), task).numpy()
    np.testing.assert_allclose(averaged, np.mean(each, axis=0), atol=1e-6)


def test_every_turn_sees_another_image_and_is_put_back() -> None:
    images = torch.arange(12.0).reshape(1, 1, 3, 4)
    looks = LOOKS["flips_and_rotations"]
    assert len({str(look.take(images).tolist()) for look in looks}) == 8
    for look in looks:
        assert torch.equal(look.put_back(look.take(images), (3, 4)), images)


def test_scales_show_the_image_smaller_and_larger() -> None:
    seen: list[tuple[int, ...]] = []

    def network(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape[2:]))
        return images[:, :1]

    smooth = torch.linspace(-3, 3, 60).repeat(1, 1, 40, 1)
    averaged = FlipAverage(network, Task.BINARY, "scales")(smooth)
    assert seen == [(40, 60), (32, 45), (50, 75)], "never shorter than a network takes"
    torch.testing.assert_close(averaged, smooth, atol=0.06, rtol=0.0)
    assert FlipAverage(network, Task.BINARY, "scales")(torch.zeros(1, 1, 1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("tta", [name for name in LOOKS if name != "none"])
def test_a_picture_of_any_shape_keeps_it(tta: Tta) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 61, 3), dtype=np.uint8)
    network = build_network("unet_nearest", widths=[4, 8]).eval()
    for size in ((32, 40), "original"):
        prediction = Predictor(network, BINARY, size, tta=tta)(image)  # type: ignore[arg-type]
        assert prediction.mask.shape == (37, 61)
        assert prediction.network_probs.shape[1:] == ((37, 61) if size == "original" else size)
    assert Predictor(network, BINARY, "original", tta=tta).pipeline.reach.halo_px is None, "no exact tiles of turns"


@pytest.mark.parametrize(("task", "channels"), TASKS)
@pytest.mark.parametrize("tta", ["hflip", "flips", "rotations", "flips_and_rotations"])
def test_a_symmetric_network_gives_the_same_mask_and_probabilities(task: Task, channels: int, tta: Tta) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, channels, 1)  # sees one pixel, so it cannot tell a mirror image
    images = 5 * torch.randn(2, 3, 16, 24)
    plain, averaged = network(images), FlipAverage(network, task, tta)(images)
    torch.testing.assert_close(probabilities(averaged, task), probabilities(plain, task))
    assert torch.equal(decide(averaged, task, 0.3), decide(plain, task, 0.3))


@pytest.mark.parametrize(("task", "channels"), TASKS)
def test_sure_logits_stay_finite_and_keep_their_size(task: Task, channels: int) -> None:
    sure = 1e4 * torch.randn(1, channels, 8, 8)
    averaged = average_probabilities([sure, sure.clone()], task)
    assert averaged.isfinite().all()
    wanted = sure.log_softmax(dim=1) if task is Task.MULTICLASS else sure
    torch.testing.assert_close(averaged, wanted)
    against = average_probabilities([sure, -sure], task)
    assert against.isfinite().all()
    if task is not Task.MULTICLASS:
        torch.testing.assert_close(against, torch.zeros_like(against), atol=1e-3, rtol=0)  # one says 0, the other 1


def test_probabilities_are_averaged_not_logits() -> None:
    one, other = torch.full((1, 1, 1, 1), 30.0), torch.full((1, 1, 1, 1), -2.0)  # the mean of the logits is 14
    averaged = average_probabilities(iter([one, other]), Task.BINARY)
    assert torch.sigmoid(averaged).item() == pytest.approx((1.0 + torch.sigmoid(other).item()) / 2, abs=1e-6)


def test_half_precision_is_averaged_in_float32() -> None:
    looks = [torch.randn(1, 2, 4, 4).bfloat16() for _ in range(3)]
    assert average_probabilities(looks, Task.MULTILABEL).dtype is torch.float32
    with pytest.raises(ValueError, match="got none"):
        average_probabilities([], Task.BINARY)


def test_a_threshold_counts_what_the_averaged_probability_says() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 1, 3, padding=1)
    images, target = torch.randn(4, 3, 16, 16), torch.randint(0, 2, (4, 16, 16))
    averaged = FlipAverage(network, Task.BINARY, "flips")(images)
    confusion, _ = confusion_from_logits(averaged, target, Task.BINARY, threshold=0.6)
    above = (torch.sigmoid(averaged) > 0.6)[:, 0]
    assert int(confusion[:, 1, 1].sum()) == int((above & (target == 1)).sum()) > 0


def test_the_mode_of_the_network_is_kept() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))
    network[1].eval()  # frozen
    wrapped = FlipAverage(network, Task.BINARY, "hflip")
    assert wrapped.training
    assert network[0].training
    assert not network[1].training


class Shade(nn.Module):
    """A logit from the brightness, as a network that learnt with its own normalisation."""

    def __init__(self, mean: float, slope: float) -> None:
        super().__init__()
        self.normalization = Normalization(mean=(mean,) * 3, std=(0.5,) * 3)
        self.slope = slope

    def forward(self, images: Tensor) -> Tensor:
        return self.slope * images.mean(dim=1, keepdim=True)


def test_every_network_of_an_ensemble_sees_its_own_normalisation() -> None:
    members = [Shade(0.2, 3.0), Shade(0.6, -1.0), Shade(0.5, 0.5)]
    images = torch.rand(2, 3, 8, 8)
    by_hand = torch.stack([torch.sigmoid(each(normalize(images, each.normalization))) for each in members]).mean(0)
    ensemble = Ensemble(members, Task.BINARY)
    torch.testing.assert_close(torch.sigmoid(ensemble(normalize(images, ensemble.normalization))), by_hand)
    image = (images[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    shown = Predictor(ensemble, BINARY, (8, 8), tta="flips")(image)
    expected = np.mean([Predictor(each, BINARY, (8, 8))(image).network_probs for each in members], axis=0)
    np.testing.assert_allclose(shown.network_probs, expected, atol=1e-6)


def test_settings_of_an_ensemble_agree_or_are_refused() -> None:
    one = settings_of(threshold=0.3, normalization=Normalization.identity(3))
    other = settings_of(threshold=0.5, normalization=Normalization(mean=(0.5,) * 3, std=(0.5,) * 3))
    assert agreed_settings({"a": one, "b": other}).threshold == pytest.approx(0.4)
    recoloured = ClassMap(names=BINARY.names, values=((0,), (1,)), task=Task.BINARY)
    assert agreed_settings({"a": one, "b": settings_of(class_map=recoloured)}).class_map == BINARY
    lesions = ClassMap(names=("background", "lesion"), values=((0,), (255,)), task=Task.BINARY)
    for changes, told in [
        ({"size": (24, 48)}, r"agree in size: a has \(24, 40\), b has \(24, 48\)"),
        ({"class_map": lesions}, r"agree in classes: a has \['background', 'spot'\], b has \['background', 'lesion'\]"),
        ({"tta": "flips"}, "agree in tta: a has none, b has flips"),
    ]:
        with pytest.raises(PredictionError, match=told):
            agreed_settings({"a": one, "b": settings_of(**changes)})
