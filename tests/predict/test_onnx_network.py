"""The plain ONNX form of every network: the same logits as torch, at every size."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from tests.contracts.test_models import build, every_network
from torch import Tensor, nn

from segbench.errors import PredictionError
from segbench.models import build_network
from segbench.models.base import SegmentationNetwork
from segbench.predict.averaging import Ensemble, FlipAverage
from segbench.predict.onnx_network import write_network_onnx
from segbench.types import Task

REMOVED = (
    "torch {version} no longer has the TorchScript-based exporter ({error}). Either keep torch below this version in "
    "pyproject.toml, or call torch.onnx.export with dynamo=True and dynamic_shapes in predict/onnx_network.py, measure "
    "how long every network takes, and drop what models/ does where torch.jit.is_tracing(): docs/decisions/0018"
)
# (B, H, W): odd, smaller than the padding, multiples of every stride, and the grid of a ViT's position embeddings.
SIZES = [(1, 32, 32), (2, 33, 47), (1, 65, 70), (3, 50, 131), (1, 97, 35), (1, 224, 224)]


def settled(network: SegmentationNetwork) -> SegmentationNetwork:
    """Returns a network whose batch statistics are not those of a network that saw nothing."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0.0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def session_of(network: nn.Module, channels: int) -> Callable[[Tensor], Tensor]:
    written = io.BytesIO()
    write_network_onnx(network, written, channels=channels)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(written.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"image": images.numpy()})[0])


def assert_same(network: nn.Module, channels: int = 3, sizes: list[tuple[int, int, int]] = SIZES) -> None:
    run = session_of(network, channels)
    for batch, height, width in sizes:
        images = torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(height))
        with torch.inference_mode():
            expected = network(images)
        torch.testing.assert_close(run(images), expected, rtol=0.0, atol=1e-4 * float(expected.std()))


@every_network
def test_logits_are_those_of_torch_at_every_size(name: str) -> None:
    sizes = SIZES[:4] if name == "sliding_window" else SIZES
    assert_same(settled(build(name, out_channels=3)), sizes=sizes)


@pytest.mark.parametrize("stages", [6, 7])
def test_an_image_smaller_than_its_padding_is_mirrored_repeatedly(stages: int) -> None:
    network = settled(build_network("unet_nearest", in_channels=5, out_channels=2, widths=[3] * stages))
    assert_same(network, channels=5, sizes=[(1, 33, 257), (2, 129, 32), (1, 40, 90)])


@pytest.mark.parametrize("mode", ["replicate", "zeros", "circular"])
def test_every_padding_of_the_convolutions(mode: str) -> None:
    assert_same(settled(build_network("unet", out_channels=2, widths=[4, 8], padding_mode=mode)))


@pytest.mark.parametrize("task", list(Task))
def test_mirror_images_and_ensembles_are_in_the_graph(task: Task) -> None:
    out_channels = 1 if task is Task.BINARY else 3
    members = [
        settled(build_network(name, out_channels=out_channels, **options))
        for name, options in [("unet_nearest", {"widths": [4, 8]}), ("simple_fcn", {"widths": [8, 8]})]
    ]
    assert_same(FlipAverage(Ensemble(members, task), task, "flips"), sizes=SIZES[:4])


def test_the_network_itself_is_left_as_it_is(tmp_path: Path) -> None:
    network = build_network("smp/pspnet", encoder="resnet18", decoder_channels=16).train()
    pooling = nn.functional.adaptive_avg_pool2d
    write_network_onnx(network, tmp_path / "network.onnx", channels=3)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert nn.functional.adaptive_avg_pool2d is pooling
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


def test_what_onnx_has_no_word_for_is_named() -> None:
    class Strange(SegmentationNetwork):
        def __init__(self) -> None:
            super().__init__(in_channels=3, out_channels=1, stride=1)

        def compute_logits(self, image: Tensor) -> Tensor:
            return torch.special.bessel_j0(image[:, :1])

    with pytest.raises(PredictionError, match=r"cannot be written as ONNX: .*bessel_j0"):
        write_network_onnx(Strange(), io.BytesIO(), channels=3)


def test_torch_still_has_the_exporter() -> None:
    try:
        session_of(build_network("simple_fcn", widths=[4]), 3)
    except (TypeError, AttributeError, ImportError) as error:
        pytest.fail(REMOVED.format(version=torch.__version__, error=error))
