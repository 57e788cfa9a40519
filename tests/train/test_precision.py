"""Precision: measured once where a CPU has the instructions, kept on resume, and right where it is mixed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable as Function
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import segbench
from segbench.config.run import parse_config
from segbench.errors import ConfigError
from segbench.folders.run import RunFolder
from segbench.train import precision
from segbench.train.callback import Callback
from segbench.train.precision import make_fabric, pick_precision

CPU = torch.device("cpu")


class Told(Callback):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Function[..., list[int]]:
    """Returns a function: seconds in bfloat16 for each in float32, instructions there? -> the list of measurements."""

    def pretend(share: float, instructions: bool = True) -> list[int]:
        done: list[int] = []

        def measured() -> dict[str, float]:
            done.append(1)
            return {"float32_s": 1.0, "bfloat16_s": share}

        monkeypatch.setattr(precision, "_measured", measured)
        monkeypatch.setattr(precision, "_has_instructions", lambda: instructions)
        monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
        return done

    return pretend


class TestAutoOnACPU:
    @pytest.mark.parametrize(
        ("text", "there"),
        [
            ("flags\t\t: fpu avx512f avx512_bf16 avx512vl\n", True),
            ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
            ("Features\t: fp asimd bf16 i8mm\n", True),
            ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", False),
        ],
    )
    def test_reads_the_instructions(self, tmp_path: Path, text: str, there: bool) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        assert precision._has_instructions(tmp_path / "cpuinfo") is there

    def test_without_such_a_file_there_are_none(self, tmp_path: Path) -> None:
        assert precision._has_instructions(tmp_path / "cpuinfo") is False

    @pytest.mark.parametrize(("share", "chosen"), [(0.5, "bf16-mixed"), (0.95, "32-true"), (20.0, "32-true")])
    def test_takes_what_is_faster_and_says_so_once(
        self, measuring: Function[..., list[int]], share: float, chosen: str
    ) -> None:
        done, told = measuring(share), Told()
        assert [pick_precision("auto", CPU, told) for _ in range(3)] == [chosen] * 3
        assert len(done) == len(told.texts) == 1
        assert f"{share:.2f} of float32's time" in told.texts[0]

    def test_an_ordinary_processor_measures_nothing(self, measuring: Function[..., list[int]]) -> None:
        done, told = measuring(0.5, instructions=False), Told()
        assert pick_precision("auto", CPU, told) == "32-true"
        assert (done, told.texts) == ([], [])

    def test_a_damaged_memory_is_measured_again(self, measuring: Function[..., list[int]], tmp_path: Path) -> None:
        done = measuring(0.5)
        pick_precision("auto", CPU, Callback())
        [file] = (tmp_path / "cache" / "precision").glob("*.json")
        assert json.loads(file.read_text())["bfloat16_s"] == 0.5
        file.write_text('{"float32_s": null')
        assert pick_precision("auto", CPU, Callback()) == "bf16-mixed"
        assert len(done) == 2
        assert json.loads(file.read_text())["torch"] == torch.__version__

    def test_a_cache_that_cannot_be_written_costs_only_the_memory(
        self, measuring: Function[..., list[int]], tmp_path: Path
    ) -> None:
        done = measuring(0.5)
        (tmp_path / "cache").write_text("no folder")
        assert [pick_precision("auto", CPU, Callback()) for _ in range(2)] == ["bf16-mixed"] * 2
        assert len(done) == 2

    def test_what_is_configured_is_taken(self, measuring: Function[..., list[int]]) -> None:
        done = measuring(0.5)
        assert [pick_precision(name, CPU, Callback()) for name in ("32", "bf16-mixed")] == ["32-true", "bf16-mixed"]
        assert done == []
        with pytest.raises(ConfigError, match="16-mixed needs a GPU"):
            pick_precision("16-mixed", CPU, Callback())

    def test_the_measurement_leaves_randomness_and_threads_alone(self) -> None:
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        threads = torch.get_num_threads()
        assert all(0 < seconds < 5 for seconds in precision._measured().values())
        assert torch.equal(torch.rand(2), expected)
        assert torch.get_num_threads() == threads


class Watched(nn.Module):
    """A stem, a depthwise convolution with a stride, a reflection and an unpooling; keeps their types."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 5, stride=2, groups=8, bias=False)
        self.seen: dict[str, torch.dtype] = {}

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        padded = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        pooled, positions = nn.functional.max_pool2d(x, 2, return_indices=True)
        unpooled = nn.functional.max_unpool2d(pooled, positions, 2)
        y = self.depthwise(x)
        self.seen = {"conv": x.dtype, "pad": padded.dtype, "unpool": unpooled.dtype, "depthwise": y.dtype}
        return y


class TestMixedOnACPU:
    def test_depthwise_convolutions_stay_in_float32_and_what_moves_values_does_not(self) -> None:
        network = Watched()
        names = list(network.state_dict())
        fabric = make_fabric(CPU, "bf16-mixed")
        logits = fabric.setup_module(network)(torch.rand(2, 3, 18, 18))
        half = torch.bfloat16
        assert network.seen == {"conv": half, "pad": half, "unpool": half, "depthwise": torch.float32}
        assert logits.dtype == torch.float32
        assert list(network.state_dict()) == names
        fabric.backward(logits.sum())
        assert network.depthwise.weight.grad is not None
        assert network.depthwise.weight.grad.dtype == torch.float32

    def test_nothing_is_changed_outside_a_pass(self) -> None:
        network = Watched()
        make_fabric(CPU, "bf16-mixed").setup_module(network)(torch.rand(1, 3, 18, 18))
        network(torch.rand(1, 3, 18, 18))
        assert set(network.seen.values()) == {torch.float32}

    @pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "resnet18"])
    def test_gradients_are_those_of_float32_but_for_rounding(self, encoder: str) -> None:
        """In evaluation mode: with statistics of a few pixels, noise of 1/512 in the image turns them as far."""
        image = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        grads = {}
        for name in ("32-true", "bf16-mixed"):
            torch.manual_seed(0)
            network = segbench.build_network("smp/unet", encoder=encoder).eval()
            fabric = make_fabric(CPU, name)
            fabric.backward(fabric.setup_module(network)(image).square().mean())
            grads[name] = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        assert torch.nn.functional.cosine_similarity(*grads.values(), dim=0) > 0.97


@pytest.mark.slow
class TestARun:
    def config(self, pairs: Path, run: Path) -> segbench.RunConfig:
        return parse_config(
            {
                "data": {"path": str(pairs), "size": 32},
                "network": {"name": "unet_nearest", "widths": [4, 8]},
                "optimizer": {"lr": 0.02},
                "epochs": 3,
                "batch_size": 4,
                "device": "cpu",
                "output": str(run),
            }
        )

    def test_goes_on_with_the_precision_it_was_begun_with(
        self, binary_pairs: Path, tmp_path: Path, measuring: Function[..., list[int]]
    ) -> None:
        class StopAfterOne(Callback):
            def epoch(self, row: object, is_best: bool) -> None:
                raise KeyboardInterrupt

        measuring(0.5)
        whole, halves = self.config(binary_pairs, tmp_path / "whole"), self.config(binary_pairs, tmp_path / "halves")
        segbench.fit(whole, watch=Callback())
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(halves, watch=StopAfterOne())
        (tmp_path / "cache" / "precision").rename(tmp_path / "forgotten")
        measuring(2.0)  # another machine would decide otherwise
        result = segbench.fit(halves, watch=Callback())
        facts = json.loads((tmp_path / "halves" / "run.json").read_text())
        assert facts["environment"]["precision"] == "bf16-mixed"
        states = [torch.load(tmp_path / run / "last.pt", weights_only=True)["network"] for run in ("whole", "halves")]
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
        assert result.result["scored_in"] == "float32"
        assert whole.precision == "auto"

    def test_differs_from_float32_by_rounding_only(
        self, binary_pairs: Path, tmp_path: Path, measuring: Function[..., list[int]]
    ) -> None:
        losses = {}
        for share in (0.5, 2.0):
            measuring(share)
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            segbench.fit(self.config(binary_pairs, tmp_path / f"run_{share}"), watch=Callback())
            losses[share] = RunFolder(tmp_path / f"run_{share}").read_history()[0]["train_loss"]
        assert losses[0.5] != losses[2.0]
        assert losses[0.5] == pytest.approx(losses[2.0], rel=0.02)
