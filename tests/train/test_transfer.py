"""Starting weights, freezing, separate rates, auxiliary losses, weights of losses that move: each inside a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import segbench
from segbench.config.run import RunConfig, parse_config
from segbench.data.synthetic.write import write_lesions
from segbench.errors import ConfigError, DatasetError, WeightsError
from segbench.folders.run import RunFolder
from segbench.losses import build_loss
from segbench.models import build_network
from segbench.models.weights import save_weights
from segbench.train.callback import Callback
from segbench.train.freeze import begin_epoch, freeze_for_good
from segbench.train.optim import build_optimizer

UNET = {"name": "unet", "widths": [4, 8], "downsampling": "strided", "upsampling": "transposed"}


def config_for(pairs: Path, run: Path, **changes: Any) -> RunConfig:
    values: dict[str, Any] = {
        "data": {"path": str(pairs), "size": 32},
        "network": UNET,
        "loss": {"dice": 0.5, "bce": 0.5},
        "optimizer": {"lr": 0.02},
        "epochs": 2,
        "batch_size": 4,
        "device": "cpu",
        "output": str(run),
    }
    return parse_config({**values, **changes})


def fit(config: RunConfig) -> dict[str, Any]:
    return dict(segbench.fit(config, watch=Callback()).result)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a weights file of the network the runs train, its running statistics away from their start."""
    torch.manual_seed(11)
    network = build_network(**UNET).train()
    for _ in range(3):
        network(torch.rand(4, 3, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    save_file(network.state_dict(), str(path))
    return path


def last_state(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / "last.pt", weights_only=True)["network"]
    return state


def is_encoder(name: str) -> bool:
    return name.startswith(("encoder.", "down."))


class TestFreezing:
    @pytest.mark.slow
    def test_a_frozen_encoder_is_bit_identical_with_its_running_statistics(
        self, binary_pairs: Path, tmp_path: Path, start: Path
    ) -> None:
        result = fit(config_for(binary_pairs, tmp_path, weights=str(start), freeze="encoder", optimizer="sgd"))
        before, after = load_file(str(start)), last_state(tmp_path)
        for name, tensor in before.items():
            assert torch.equal(tensor, after[name]) == is_encoder(name), name
        assert sum("running_mean" in name for name in before if is_encoder(name)) == 6
        network = build_network(**UNET)
        encoder = sum(p.numel() for module in network.encoder_modules() for p in module.parameters())
        assert result["parameters"] - result["trainable_parameters"] == encoder > 0
        assert result["freeze"] == {"part": "encoder", "until_epoch": None}

    @pytest.mark.slow
    def test_averaged_weights_of_a_frozen_encoder_are_frozen_too(
        self, binary_pairs: Path, tmp_path: Path, start: Path
    ) -> None:
        fit(config_for(binary_pairs, tmp_path, weights=str(start), freeze="encoder", ema_decay=0.9))
        before, best = load_file(str(start)), load_file(str(tmp_path / "best.safetensors"))
        assert all(torch.equal(before[name], best[name]) for name in before if is_encoder(name))

    @pytest.mark.slow
    def test_until_epoch_frees_it_then(self, binary_pairs: Path, tmp_path: Path, start: Path) -> None:
        states: list[dict[str, Tensor]] = []

        class Keep(Callback):
            def epoch(self, row: Any, is_best: bool) -> None:
                states.append(last_state(tmp_path))

        config = config_for(binary_pairs, tmp_path, weights=str(start), freeze={"until_epoch": 2}, epochs=3)
        segbench.fit(config, watch=Keep())
        before = load_file(str(start))
        encoder = [name for name in before if is_encoder(name) and "num_batches" not in name]
        for epoch in (0, 1):
            assert all(torch.equal(before[name], states[epoch][name]) for name in encoder)
        moved = [name for name in encoder if not torch.equal(before[name], states[2][name])]
        assert moved == encoder

    @pytest.mark.slow
    def test_a_resumed_run_frees_it_at_the_same_epoch(self, binary_pairs: Path, tmp_path: Path, start: Path) -> None:
        class Stop(Callback):
            def epoch(self, row: Any, is_best: bool) -> None:
                if row["epoch"] == 1:
                    raise KeyboardInterrupt

        changes = {"weights": str(start), "freeze": {"until_epoch": 2}, "epochs": 3, "optimizer": {"encoder_lr": 0.001}}
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        fit(config_for(binary_pairs, whole, **changes))
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config_for(binary_pairs, parts, **changes), watch=Stop())
        result = fit(config_for(binary_pairs, parts, **changes))
        first, second = last_state(whole), last_state(parts)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert result["weights"]["source"] == str(start)

    def test_dropout_in_a_frozen_encoder_is_off(self) -> None:
        config = parse_config({"data": "x", "network": {"name": "unet", "dropout": 0.5}, "freeze": "encoder"})
        network = build_network("unet", widths=[4, 8], dropout=0.5)
        freeze_for_good(network, config)
        begin_epoch(network, config, 0)
        assert network.training
        assert not any(module.training for part in network.encoder_modules() for module in part.modules())
        assert network.dropout.training  # the decoder's

    def test_what_has_no_encoder_cannot_be_frozen(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path, network="full_resolution_conv", freeze="encoder")
        with pytest.raises(ConfigError, match="no encoder that could be frozen"):
            fit(config)
        with pytest.raises(ConfigError, match=r"optimizer.encoder_lr: .* no encoder"):
            fit(config_for(binary_pairs, tmp_path, network="full_resolution_conv", optimizer={"encoder_lr": 1e-4}))


class TestRates:
    @pytest.mark.slow
    def test_encoder_and_decoder_have_their_own(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path, optimizer={"lr": 0.02, "encoder_lr": 0.002}, schedule="constant")
        fit(config)
        rows = RunFolder(tmp_path).read_history()
        assert [(row["lr"], row["encoder_lr"]) for row in rows] == [(0.02, 0.002)] * 2

    def test_groups_hold_every_parameter_once(self) -> None:
        network = build_network("unet", widths=[4, 8])
        config = parse_config({"data": "x", "optimizer": {"name": "adam", "lr": 0.1, "encoder_lr": 0.01}}).optimizer
        groups = build_optimizer(network, config, network.encoder_modules()).param_groups
        encoder = {id(p) for module in network.encoder_modules() for p in module.parameters()}
        assert [group["lr"] for group in groups] == [0.1, 0.01]
        assert {id(p) for p in groups[1]["params"]} == encoder
        assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in network.parameters()}

    @pytest.mark.slow
    def test_a_smaller_rate_moves_the_encoder_less(self, binary_pairs: Path, tmp_path: Path, start: Path) -> None:
        moved = {}
        for rate in (0.02, 1e-6):
            run = tmp_path / f"rate{rate:g}"
            optimizer = {"name": "adamw", "lr": 0.02, "encoder_lr": rate, "weight_decay": 0.0}
            fit(config_for(binary_pairs, run, weights=str(start), optimizer=optimizer))
            before, after = load_file(str(start)), last_state(run)
            moved[rate] = max(
                float((before[k] - after[k]).abs().max()) for k in before if k.endswith("weight") and is_encoder(k)
            )
        assert moved[1e-6] < 1e-3 * moved[0.02]


class TestStartingWeights:
    @pytest.mark.slow
    def test_the_result_says_which(self, binary_pairs: Path, tmp_path: Path, start: Path) -> None:
        result = fit(config_for(binary_pairs, tmp_path, weights=str(start), epochs=1))
        origin = result["weights"]
        assert (origin["source"], origin["part"], origin["file"]) == (str(start), "network", "start.safetensors")
        assert len(origin["sha256"]) == 64
        assert origin["tensors"] == len(load_file(str(start)))
        assert origin["left_random"] == []
        assert json.loads((tmp_path / "run.json").read_text())["weights"] == origin

    @pytest.mark.slow
    def test_the_start_is_told(self, binary_pairs: Path, tmp_path: Path, start: Path) -> None:
        said: list[str] = []

        class Listen(Callback):
            def message(self, text: str) -> None:
                said.append(text)

        segbench.fit(config_for(binary_pairs, tmp_path, weights=str(start), epochs=1), watch=Listen())
        assert any(f"starts from {start}: the whole network (" in text for text in said)

    @pytest.mark.slow
    def test_another_number_of_classes_leaves_the_output_layer_random(
        self, three_class_pairs: Path, tmp_path: Path, start: Path
    ) -> None:
        changes = {"weights": str(start), "loss": "cross_entropy", "epochs": 1}
        result = fit(config_for(three_class_pairs, tmp_path, **changes))
        assert result["weights"]["left_random"] == ["decoder.0.1.bias", "decoder.0.1.weight"]

    @pytest.mark.slow
    def test_a_run_goes_on_without_the_file_it_started_from(
        self, binary_pairs: Path, tmp_path: Path, start: Path
    ) -> None:
        copy = tmp_path / "copy.safetensors"
        copy.write_bytes(start.read_bytes())
        config = config_for(binary_pairs, tmp_path / "run", weights=str(copy))

        class Stop(Callback):
            def epoch(self, row: Any, is_best: bool) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=Stop())
        copy.unlink()
        assert fit(config)["weights"]["source"] == str(copy)
        segbench.Predictor.from_run(tmp_path / "run")

    @pytest.mark.parametrize(
        ("weights", "error", "words"),
        [
            ("nowhere/start.pt", WeightsError, "does not exist; looked at .*nowhere/start.pt"),
            ("imagenet", ConfigError, "no published weights of 'unet'.* use none, or the path"),
        ],
    )
    def test_what_is_not_there_is_told_before_data_is_read(
        self, tmp_path: Path, binary_pairs: Path, weights: str, error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            fit(config_for(binary_pairs, tmp_path / "run", weights=weights))
        assert not (tmp_path / "run" / "manifest.json").exists()

    @pytest.mark.slow
    def test_a_run_can_start_from_another_ones_best(self, binary_pairs: Path, tmp_path: Path) -> None:
        fit(config_for(binary_pairs, tmp_path / "first", epochs=1))
        best = tmp_path / "first" / "best.safetensors"
        second = fit(config_for(binary_pairs, tmp_path / "second", weights=str(best), epochs=1))
        assert second["weights"]["part"] == "network"

    def test_other_conventions_of_the_same_shapes_are_refused(self, tmp_path: Path) -> None:
        """The shapes of a MobileNetV2 do not tell whose it is; what the run wrote beside them does."""
        network = build_network("mobilenet_v2_unet", weights="imagenet", load_weights=False)
        file = tmp_path / "best.safetensors"
        save_weights(file, network, {"epoch": "1", "normalization": network.normalization.to_json()})
        with pytest.raises(WeightsError, match=r"mean \(0.485, .* but MobileNetV2UNet .* mean \(0.5, "):
            build_network("mobilenet_v2_unet", weights=str(file))
        again = build_network("mobilenet_v2_unet", weights=str(file), conventions="torchvision")
        assert again.weights_origin.part == "network"

    def test_another_networks_file_is_refused_with_its_tensors(
        self, tmp_path: Path, binary_pairs: Path, start: Path
    ) -> None:
        config = config_for(binary_pairs, tmp_path, weights=str(start), network={**UNET, "widths": [4, 16]})
        with pytest.raises(WeightsError, match=r"do not fit UNet.*\(file: \(8,.*network: \(16,.*What fits"):
            fit(config)

    @pytest.mark.parametrize("key", ["weights", "freeze"])
    def test_a_key_under_network_is_sent_one_level_up(self, tmp_path: Path, binary_pairs: Path, key: str) -> None:
        with pytest.raises(ConfigError, match=rf"network.{key}: .*write it one level up: `{key}: encoder`"):
            fit(config_for(binary_pairs, tmp_path, network={**UNET, key: "encoder"}))


class TestLosses:
    @pytest.mark.slow
    def test_auxiliary_logits_are_learned_from(self, binary_pairs: Path, tmp_path: Path) -> None:
        network = {"name": "unet", "widths": [4, 8, 8], "deep_supervision": True}
        fit(config_for(binary_pairs, tmp_path, network=network, epochs=1, seed=3))
        torch.manual_seed(3)
        before = build_network(**network).state_dict()  # type: ignore[arg-type]
        after = last_state(tmp_path)
        auxiliary = [name for name in before if name.startswith("auxiliary.")]
        assert len(auxiliary) == 4
        assert all(not torch.equal(before[name], after[name]) for name in auxiliary)

    @pytest.mark.slow
    def test_a_scheduled_weight_moves_with_the_epochs(self, binary_pairs: Path, tmp_path: Path) -> None:
        seen: list[float] = []
        loss = {"dice": 1.0, "bce": {"weight": {"start": 0.0, "end": 0.5, "epochs": 3}}}
        config = config_for(binary_pairs, tmp_path, loss=loss, epochs=4)
        built = build_loss(config.loss)
        for epoch in range(4):
            built.set_epoch(epoch)
            seen.append(float(built.total({"dice": torch.tensor(0.0), "bce": torch.tensor(1.0)})))
        assert seen == pytest.approx([0.0, 0.25, 0.5, 0.5])
        result = fit(config)
        assert result["loss"]["bce"]["weight"] == {"start": 0.0, "end": 0.5, "epochs": 3}
        constant = config_for(binary_pairs, tmp_path / "constant", loss={"dice": 1.0, "bce": 0.5}, epochs=1)
        fit(constant)
        first, other = (RunFolder(run).read_history()[0] for run in (tmp_path, tmp_path / "constant"))
        assert first["train_loss"] < other["train_loss"]  # the same batches; only dice counts in the first epoch

    def test_a_batch_too_small_for_the_network_is_told_first(self, binary_pairs: Path, tmp_path: Path) -> None:
        network = {"name": "unet", "widths": [4, 8], "skip": "aff"}
        with pytest.raises(
            ConfigError, match=r"batch_size: 'unet' normalises maps pooled to one pixel.*at least 2, got 1"
        ):
            fit(config_for(binary_pairs, tmp_path, network=network, batch_size=1))

    def test_a_term_of_weight_0_is_not_computed(self) -> None:
        """Otherwise a value that is not finite would come through, and distance maps be made for nothing."""
        loss = build_loss({"dice": 1.0, "bce": {"weight": {"start": 1.0, "end": 0.0, "epochs": 2}}})
        logits, target = torch.randn(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.int64)
        dice = build_loss("dice")(logits, target)
        loss.losses[1].forward = lambda *_: torch.tensor(float("nan"))  # type: ignore[method-assign]
        assert torch.equal(loss(logits, target), dice)
        loss.set_epoch(0)
        assert torch.isnan(loss(logits, target))

    def test_one_training_image_is_too_few_for_some(self, tmp_path: Path) -> None:
        write_lesions(tmp_path / "data", count=3, size=(32, 32))
        config = config_for(tmp_path / "data", tmp_path / "run", network={**UNET, "skip": "aff"})
        with pytest.raises(DatasetError, match="'unet' needs 2 training images or more to train at all, got 1"):
            fit(config)


class TestThreshold:
    @pytest.mark.slow
    def test_it_is_chosen_on_validation_and_its_gain_is_stated(self, binary_pairs: Path, tmp_path: Path) -> None:
        """Weighting the foreground 20 times makes 0.5 far too low, so another threshold must win."""
        changes = {"loss": {"bce": {"pos_weight": 20}}, "epochs": 6, "threshold": "validation"}
        result = fit(config_for(binary_pairs, tmp_path, **changes))
        choice = result["threshold_choice"]
        assert result["threshold"] == choice["threshold"] > 0.5
        assert choice["chosen_on"] == "val"
        assert choice["n_images"] == result["n"]["val"]
        assert choice["gain"] == pytest.approx(choice["value"] - choice["default_value"])
        assert choice["gain"] > 0
        assert result["scores"]["val"]["iou_per_image"] == pytest.approx(choice["value"])
        assert result["scores"]["test"]["iou_per_image"] == pytest.approx(choice["test"]["value"])
        assert f"above {result['threshold']:g}" in result["definitions"]["iou_per_image"]
        predictor = segbench.Predictor.from_run(tmp_path)
        assert predictor.threshold == result["threshold"]
        again = segbench.evaluate(tmp_path, "val", watch=Callback()).summary()
        assert again["iou_per_image"] == pytest.approx(choice["value"])
        rows = RunFolder(tmp_path).read_history()
        best = rows[result["best_epoch"] - 1]["val_iou_per_image"]
        assert best == pytest.approx(choice["default_value"], abs=1e-6)  # while training it was 0.5

    def test_a_multiclass_task_has_none(self, three_class_pairs: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="threshold: a multiclass task takes the most probable class"):
            fit(config_for(three_class_pairs, tmp_path, loss="cross_entropy", threshold="validation"))


class TestNotes:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"freeze": "encoder", "optimizer": {"encoder_lr": 1e-4}}, "optimizer.encoder_lr has no effect"),
            ({"freeze": {"until_epoch": 9}}, "until_epoch 9 is the whole run of 1 epochs"),
            ({"freeze": "encoder"}, "freeze keeps a random encoder as it is"),
            (
                {"monitor": "loss", "loss": {"dice": 1.0, "bce": {"weight": {"start": 0.0, "end": 0.5, "epochs": 3}}}},
                "monitor: loss compares validation losses of epochs, but the weight of bce moves",
            ),
        ],
    )
    def test_what_is_hardly_meant_is_said(
        self, binary_pairs: Path, tmp_path: Path, changes: dict[str, Any], words: str
    ) -> None:
        said: list[str] = []

        class Listen(Callback):
            def message(self, text: str) -> None:
                said.append(text)

        segbench.fit(config_for(binary_pairs, tmp_path, epochs=1, **changes), watch=Listen())
        assert any(words in text for text in said)
