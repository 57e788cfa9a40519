"""What people met in the first hour of a training on their own images, each tried on drawn images in seconds.

Every test names where it was met: `owner/repository#number`. Sentences are not compared word by word here; what a test
asks for is that the training goes right, or that what is said names the thing to change.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file
from tests.conftest import draw_pairs
from typer.testing import CliRunner

import segbench
from segbench.cli.main import app
from segbench.config.run import parse_config
from segbench.errors import ConfigError, RunError
from segbench.train.callback import Callback
from segbench.train.console import ConsoleCallback
from segbench.types import RunResult

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"name": "unet_nearest", "widths": [4, 8]}
DEEPER: dict[str, Any] = {"name": "unet_nearest", "widths": [8, 16, 16]}


class Listener(Callback):
    """Keeps what a run says; interrupts it after an epoch as Ctrl-C does."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def epoch(self, row: Mapping[str, float], is_best: bool) -> None:
        if row["epoch"] == self.stop_after:
            raise KeyboardInterrupt


def train(pairs: Path, run: Path, watch: Callback | None = None, **changes: Any) -> RunResult:
    """Trains a small network for a second; changes are top-level keys, those of `data` are added."""
    values: dict[str, Any] = {
        "network": SMALL,
        "optimizer": {"lr": 0.02},
        "epochs": 4,
        "batch_size": 4,
        "threads": 1,
        "device": "cpu",
        "output": str(run),
    }
    if changes.keys() & {"steps", "seconds"}:
        del values["epochs"]
    data = {"path": str(pairs), "size": 32, **changes.pop("data", {})}
    return segbench.fit(parse_config({**values, **changes, "data": data}), watch=watch or Callback())


def history(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def alerts(run: Path) -> dict[str, dict[str, Any]]:
    """Returns the alerts of a run by code."""
    return {alert["code"]: alert for alert in json.loads((run / "alerts.json").read_text())}


def facts(run: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((run / "run.json").read_text())
    return known


def paint(folder: Path, masks: Mapping[str, np.ndarray], images: Mapping[str, np.ndarray] | None = None) -> None:
    """Puts other masks (and images) into a folder of pairs."""
    for name, mask in masks.items():
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    for name, image in (images or {}).items():
        Image.fromarray(image).save(folder / "images" / f"{name}.png")


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "images").glob("*.png"))


def draw_rare(folder: Path, count: int, share: float, size: int = 64) -> Path:
    """Writes images whose only object, a bright disc, has this share of the pixels."""
    draw_pairs(folder, count, size=(size, size))
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size]
    for name in names_of(folder):
        center = rng.integers(size // 4, 3 * size // 4, 2)
        mask = np.hypot(y - center[0], x - center[1]) <= size * math.sqrt(share / math.pi)
        image = rng.integers(40, 90, (size, size, 3), dtype=np.uint8)
        image[mask] += 60
        paint(folder, {name: (mask * 255).astype(np.uint8)}, {name: image})
    return folder


class TestTheScoreIsNotZero:
    def test_three_dozen_images_and_two_steps_an_epoch(self, tmp_path: Path) -> None:
        """milesial/Pytorch-UNet#106, tensorflow/tensorflow#46414: training learns, validation stays at 0."""
        train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", network=DEEPER, batch_size=8, epochs=8)
        last = history(tmp_path / "run")[-1]
        assert last["train_iou_per_image"] > 0.4
        assert last["val_iou_per_image"] > 0.5 * last["train_iou_per_image"]

    def test_the_same_image_scores_alike_learning_and_scored(self, tmp_path: Path) -> None:
        """layumi/Person_reID_baseline_pytorch#218, the page of Buglakova on train/eval disparity."""
        result = train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", network=DEEPER, batch_size=8, epochs=8)
        learned = history(tmp_path / "run")[int(result.result["best_epoch"]) - 1]["train_iou_per_image"]
        assert result.scores["train"]["iou_per_image"] > 0.6 * learned

    def test_an_average_over_few_steps_is_no_average_with_the_random_start(self, tmp_path: Path) -> None:
        """wandb/senpai#2899: an EMA of .999 over a short run stays at its start."""
        pairs = draw_pairs(tmp_path / "set", 20)
        plain = train(pairs, tmp_path / "plain", epochs=8)
        averaged = train(pairs, tmp_path / "averaged", epochs=8, ema_decay=0.999)
        assert plain.scores["val"]["iou_per_image"] > 0.4
        assert averaged.scores["val"]["iou_per_image"] > 0.7 * plain.scores["val"]["iou_per_image"]

    def test_averaged_weights_have_statistics_of_their_own(self, tmp_path: Path) -> None:
        """mosaicml/composer#624, timgaripov/swa#7: SWA without another pass for BatchNorm scores far below."""
        pairs = draw_pairs(tmp_path / "set", 20)
        plain = train(pairs, tmp_path / "plain", epochs=8)
        averaged = train(pairs, tmp_path / "averaged", epochs=8, swa_start=0.5)
        assert averaged.scores["val"]["iou_per_image"] > 0.7 * plain.scores["val"]["iou_per_image"]

    def test_what_is_frozen_keeps_its_statistics(self, tmp_path: Path) -> None:
        """qubvel/segmentation_models#434: BatchNorm of a frozen encoder moved all the same."""
        pairs = draw_pairs(tmp_path / "set", 14)
        train(pairs, tmp_path / "run", network=DEEPER, freeze="encoder", epochs=1, norm_statistics="recomputed")
        start = segbench.build_network(DEEPER["name"], widths=DEEPER["widths"])
        trained = load_file(tmp_path / "run" / "best.safetensors")
        moved, kept = 0, 0
        frozen = {id(module) for encoder in start.encoder_modules() for module in encoder.modules()}
        for name, module in start.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                same = torch.equal(trained[f"{name}.running_mean"], module.running_mean)  # both start at 0
                assert same == (id(module) in frozen), name
                kept, moved = kept + same, moved + (not same)
        assert kept
        assert moved


class TestTheBestIsTheBest:
    def test_equal_scores_are_told_apart_by_the_loss(self, tmp_path: Path) -> None:
        """allenai/allennlp#1246, sacmehta/ESPNetv2#8: with a score that does not move the first or the last is kept."""
        pairs = draw_rare(tmp_path / "set", 14, 0.003)
        chosen = {"loss": "bce", "optimizer": {"name": "sgd", "lr": 0.5}, "schedule": "constant"}
        result = train(pairs, tmp_path / "run", **chosen, epochs=5, data={"size": 64})
        rows = history(tmp_path / "run")
        best = max(row["val_iou_per_image"] for row in rows)
        equals = [row for row in rows if row["val_iou_per_image"] == best]
        assert len(equals) > 1
        assert result.result["best_epoch"] == min(equals, key=lambda row: row["val_loss"])["epoch"]

    def test_the_best_of_before_an_interruption_is_kept(self, tmp_path: Path) -> None:
        """open-mmlab/mmsegmentation#2428: a resumed training forgot the best score it had reached."""
        pairs = draw_pairs(tmp_path / "set", 14)
        chosen = {"optimizer": {"name": "sgd", "lr": 0.5}, "schedule": "constant", "epochs": 6}
        whole = train(pairs, tmp_path / "whole", **chosen)
        for stop in (1, 3, 5):
            with pytest.raises(KeyboardInterrupt):
                train(pairs, tmp_path / "broken", Listener(stop), **chosen)
        broken = train(pairs, tmp_path / "broken", **chosen)
        assert broken.result["best_epoch"] == whole.result["best_epoch"]
        assert (tmp_path / "broken" / "counts_test.csv").read_bytes() == (
            tmp_path / "whole" / "counts_test.csv"
        ).read_bytes()

    @pytest.mark.parametrize("monitor", ["loss", "pixel_accuracy", "dice_pooled"])
    def test_another_score_may_choose(self, tmp_path: Path, monitor: str) -> None:
        """lightly-ai/lightly-train#578: the best by mIoU is not the best by what is asked for."""
        result = train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", epochs=5, monitor=monitor)
        values = [row[f"val_{monitor}"] for row in history(tmp_path / "run")]
        best = min(values) if monitor == "loss" else max(values)
        assert values[result.result["best_epoch"] - 1] == best

    def test_a_class_that_validation_lacks_is_no_zero(self, tmp_path: Path) -> None:
        """Lightning-AI/torchmetrics#2866, allenai/rslearn#696: an absent class counted as 0, or made the mean NaN."""
        pairs = draw_pairs(tmp_path / "set", 12, classes=3)
        names = names_of(pairs)
        for name in names[8:]:
            mask = np.asarray(Image.open(pairs / "masks" / f"{name}.png"))
            paint(pairs, {name: np.where(mask == 2, 0, mask).astype(np.uint8)})
        listed = tmp_path / "split.csv"
        parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
        listed.write_text("id,split\n" + "".join(f"{n},{part}\n" for n, part in zip(names, parts, strict=True)))
        data = {"split": {"method": "file", "file": str(listed)}}
        result = train(pairs, tmp_path / "run", data=data, loss="dice", epochs=3)
        table = result.result["per_class"]["val"]
        present = [row["iou_pooled"] for row in table if row["iou_pooled"] is not None]
        assert 0.0 <= result.scores["val"]["iou_pooled"] <= 1.0
        assert result.scores["val"]["iou_pooled"] == pytest.approx(np.nanmean(present))


class TestWhatGoesWrongIsTold:
    def test_background_only_is_called_collapsed(self, tmp_path: Path) -> None:
        """dmlc/gluon-cv#644, isht7/pytorch-deeplab-resnet#32: 99 % accuracy, and every mask is empty."""
        pairs = draw_rare(tmp_path / "set", 14, 0.003)
        chosen = {"loss": "bce", "optimizer": {"name": "sgd", "lr": 0.5}, "data": {"size": 64}}
        result = train(pairs, tmp_path / "run", **chosen)
        assert result.scores["val"]["pixel_accuracy"] > 0.98
        assert result.result["collapsed"] is True
        assert {"one_class", "class_never_predicted"} & alerts(tmp_path / "run").keys()

    def test_a_class_that_is_never_predicted_is_named(self, tmp_path: Path) -> None:
        """divamgupta/image-segmentation-keras#230, qubvel/segmentation_models#445: the rare one of several classes."""
        pairs = draw_pairs(tmp_path / "set", 20, classes=3)
        for name in names_of(pairs):
            mask = np.array(Image.open(pairs / "masks" / f"{name}.png"))
            mask[mask == 2] = 0
            mask[:2, :3] = 2  # looks like everything else
            paint(pairs, {name: mask})
        train(pairs, tmp_path / "run", loss="cross_entropy", epochs=60)
        alert = alerts(tmp_path / "run")["class_never_predicted"]
        assert "2" in alert["sentence"]
        assert alert["advice"]

    def test_a_loss_that_stands_still_is_told(self, tmp_path: Path) -> None:
        """yassouali/pytorch-segmentation#24, GeorgeSeif/Semantic-Segmentation-Suite#52: nothing moves for hours."""
        chosen = {"optimizer": {"name": "sgd", "lr": 1e-7}, "schedule": "constant", "epochs": 12}
        train(draw_pairs(tmp_path / "set", 20), tmp_path / "run", **chosen)
        told = alerts(tmp_path / "run")
        assert told.keys() & {"loss_flat", "learning_rate"}
        assert any("optimizer.lr" in alert["advice"] for alert in told.values())

    def test_a_rate_that_blows_the_loss_up_is_named(self, tmp_path: Path) -> None:
        """arslan-chaudhry/dcsp_segmentation#1, dmlc/gluon-cv#1086: the loss became NaN after some steps."""
        chosen = {
            "network": {**SMALL, "norm": "none"},
            "optimizer": {"name": "sgd", "lr": 100.0},
            "schedule": "constant",
        }
        with pytest.raises(RunError, match=r"optimizer\.lr") as caught:
            train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", **chosen, loss="bce", epochs=30)
        assert "epoch" in str(caught.value)
        assert "not_finite" in alerts(tmp_path / "run")

    def test_learning_by_heart_is_told(self, tmp_path: Path) -> None:
        """TobiasGruening/ARU-Net#12, say4n/pytorch-segnet#4: from some epoch on validation only gets worse."""
        pairs = draw_pairs(tmp_path / "set", 14)
        rng = np.random.default_rng(3)
        for name in names_of(pairs):  # outlines that have nothing to do with the image can only be learned by heart
            blocks = rng.integers(0, 2, (5, 6), dtype=np.uint8).repeat(8, 0).repeat(8, 1) * 255
            paint(pairs, {name: blocks})
        chosen = {"network": {"name": "unet_nearest", "widths": [16, 32, 32]}, "schedule": "constant"}
        train(pairs, tmp_path / "run", **chosen, optimizer={"lr": 0.005}, loss="bce", epochs=40)
        assert "overfits" in alerts(tmp_path / "run")

    def test_a_run_that_was_too_short_says_so(self, tmp_path: Path) -> None:
        """facebookresearch/maskrcnn-benchmark#642, imlab-uiip/lung-segmentation-3d#11: how many epochs are enough?"""
        chosen = {"optimizer": {"lr": 0.0005}, "schedule": "constant", "epochs": 12, "network": DEEPER}
        train(draw_pairs(tmp_path / "set", 30), tmp_path / "run", **chosen)
        alert = alerts(tmp_path / "run")["still_improving"]
        assert any(key in alert["advice"] for key in ("epochs", "steps", "seconds"))

    def test_stopping_early_says_why(self, tmp_path: Path) -> None:
        """benbogin/spider-schema-gnn#5: a training ended, and nobody knew what "patience" had to do with it."""
        watch = Listener()
        chosen = {"optimizer": {"lr": 0.05}, "schedule": "constant", "early_stopping": 2, "epochs": 30}
        result = train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", watch, **chosen)
        assert result.result["epochs"] < 30
        assert result.result["epochs"] == result.result["best_epoch"] + 2
        assert any("early" in line and "2 epochs" in line for line in watch.said)

    def test_an_epoch_leaves_a_line_on_a_terminal(self, tmp_path: Path) -> None:
        """mirzaevinom/promise12_segmentation#4, MIC-DKFZ/nnUNet#207: "stuck on epoch 1" for hours, or days."""
        output = io.StringIO()
        watch = ConsoleCallback(Console(file=output, force_terminal=True, width=100))
        train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", watch, epochs=3)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())
        for row in history(tmp_path / "run"):
            line = next(line for line in re.split(r"[\r\n]", shown) if line.startswith(f"epoch {row['epoch']:.0f}/3 "))
            assert f"{row['val_iou_per_image']:.4f}" in line

    def test_every_class_has_its_score_under_its_name(self, tmp_path: Path) -> None:
        """PaddlePaddle/PaddleSeg#3410, qubvel-org/segmentation_models.pytorch#1064: which class is which number?"""
        pairs = draw_pairs(tmp_path / "set", 14, classes=3)
        config = tmp_path / "config.yaml"
        options = "options: {classes: {ground: 0, stone: 1, water: 2}}"
        data = f"data: {{path: {pairs}, size: 32, {options}}}\n"
        config.write_text(f"{data}network: {{name: unet_nearest, widths: [4, 8]}}\nloss: cross_entropy\nepochs: 1\n")
        words = ["train", str(config), "--set", f"output={tmp_path / 'run'}"]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0
        for name in ("ground", "stone", "water"):
            assert re.search(rf"^{name}\s.*\s[01]\.\d+", result.output, re.MULTILINE), name

    def test_a_run_that_went_right_has_no_alarm(self, tmp_path: Path) -> None:
        """What every warning has to be measured by: silence where nothing is wrong."""
        result = train(draw_pairs(tmp_path / "set", 60), tmp_path / "run", epochs=16)
        assert result.scores["val"]["iou_per_image"] > 0.7
        assert result.result["collapsed"] is False
        assert not alerts(tmp_path / "run").keys() - {"still_improving"}


class TestFewAndOddImages:
    def test_one_image_left_over_for_the_last_batch(self, tmp_path: Path) -> None:
        """jfzhang95/pytorch-deeplab-xception#41, yassouali/pytorch-segmentation#8: no variance of a single value."""
        chosen = {"network": {**SMALL, "name": "unet", "skip": "aff"}, "epochs": 1, "batch_size": 4}
        train(draw_pairs(tmp_path / "set", 13), tmp_path / "run", data={"split": {"counts": [9, 2, 2]}}, **chosen)
        assert math.isfinite(history(tmp_path / "run")[0]["train_loss"])

    def test_a_batch_of_one_that_cannot_work_is_refused_with_the_key(self, tmp_path: Path) -> None:
        """open-mmlab/mmsegmentation#272."""
        with pytest.raises(ConfigError, match="batch_size"):
            train(
                draw_pairs(tmp_path / "set", 13),
                tmp_path / "run",
                network={**SMALL, "name": "unet", "skip": "aff"},
                batch_size=1,
            )

    def test_fewer_images_than_a_batch(self, tmp_path: Path) -> None:
        """mapbox/robosat#228, dreamquark-ai/tabnet#537: the only batch was dropped, so nothing was learned."""
        train(draw_pairs(tmp_path / "set", 6), tmp_path / "run", batch_size=64, epochs=3)
        rows = history(tmp_path / "run")
        assert rows[-1]["train_loss"] < rows[0]["train_loss"]

    @pytest.mark.parametrize("loss", ["dice", "lovasz", "boundary", "focal_tversky", "bce"])
    def test_an_image_without_an_object(self, tmp_path: Path, loss: str) -> None:
        """Deci-AI/super-gradients#912, open-mmlab/mmocr#408: NaN, or always 1, where a mask is empty."""
        pairs = draw_pairs(tmp_path / "set", 12)
        paint(pairs, {name: np.zeros((40, 48), np.uint8) for name in names_of(pairs)[:6]})
        result = train(pairs, tmp_path / "run", loss=loss, batch_size=2)
        rows = history(tmp_path / "run")
        assert all(math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"]) for row in rows)
        assert 0.0 <= result.scores["test"]["iou_per_image"] <= 1.0

    @pytest.mark.parametrize("loss", ["cross_entropy", "dice"])
    def test_an_image_in_which_every_pixel_is_ignored(self, tmp_path: Path, loss: str) -> None:
        """swamiviv/LSD-seg#1: an image with nothing to learn from made the loss NaN."""
        pairs = draw_pairs(tmp_path / "set", 12, classes=3)
        paint(pairs, {name: np.full((40, 48), 255, np.uint8) for name in names_of(pairs)[:4]})
        train(pairs, tmp_path / "run", loss=loss, batch_size=1, epochs=2)
        assert all(math.isfinite(row["train_loss"]) for row in history(tmp_path / "run"))

    @pytest.mark.parametrize("size", [[50, 75], [33, 47]])
    @pytest.mark.parametrize("network", ["unet_nearest", "smp/unet", "segnet"])
    def test_a_size_that_no_power_of_two_divides(self, tmp_path: Path, network: str, size: list[int]) -> None:
        """qubvel-org/segmentation_models.pytorch#57, zhixuhao/unet#68: 350 x 525 fails deep in the decoder."""
        result = train(
            draw_pairs(tmp_path / "set", 12), tmp_path / "run", network=network, epochs=1, data={"size": size}
        )
        image = np.asarray(Image.open(tmp_path / "set" / "images" / "img_000.png"))
        assert math.isfinite(result.scores["val"]["iou_per_image"])
        assert segbench.Predictor.from_run(tmp_path / "run", device="cpu")(image).mask.shape == (40, 48)

    def test_the_mask_has_the_size_of_the_image(self, tmp_path: Path) -> None:
        """timojl/clipseg#43, matterport/Mask_RCNN#2177: the mask came back at the network's size."""
        train(draw_pairs(tmp_path / "set", 12), tmp_path / "run", epochs=1)
        predictor = segbench.Predictor.from_run(tmp_path / "run", device="cpu")
        for height, width in ((17, 230), (1, 1), (61, 33)):
            assert predictor(np.zeros((height, width, 3), np.uint8)).mask.shape == (height, width)

    def test_a_predicted_mask_is_not_black_in_a_viewer(self, tmp_path: Path) -> None:
        """milesial/Pytorch-UNet#521, zhixuhao/unet#217: values 0 and 1 look like an empty mask."""
        pairs = draw_pairs(tmp_path / "set", 30)
        train(pairs, tmp_path / "run", epochs=10)
        words = ["predict", str(tmp_path / "run"), str(pairs / "images"), "--out", str(tmp_path / "out")]
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
        masks = [Image.open(path) for path in sorted((tmp_path / "out").rglob("*.png"))]
        brightest = max(int(np.asarray(mask.convert("L")).max()) for mask in masks)
        assert brightest > 60


class TestGoingOn:
    CHANGES = (
        {"schedule": "one_cycle"},
        {"schedule": "cosine", "ema_decay": 0.99},
        {"norm_statistics": "recomputed"},
        {"norm_statistics": "recomputed", "ema_decay": 0.9},
        {"accumulate": 2},
        {"swa_start": 0.3},
        {"steps": 17},
        {"data": {"patch": [32, 32], "size": "original"}},
    )

    @pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes))
    def test_an_interruption_changes_nothing(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        """ultralytics/yolov5#292, lightly-ai/lightly-train#301: the rate began anew, and the loss jumped."""
        pairs = draw_pairs(tmp_path / "set", 14)
        changes = {"epochs": 5, **changes} if "steps" not in changes else changes
        train(pairs, tmp_path / "whole", **changes)
        for stop in (1, 3):
            with pytest.raises(KeyboardInterrupt):
                train(pairs, tmp_path / "broken", Listener(stop), **changes)
        train(pairs, tmp_path / "broken", **changes)
        whole, broken = (load_file(tmp_path / name / "best.safetensors") for name in ("whole", "broken"))
        assert whole.keys() == broken.keys()
        assert all(torch.equal(tensor, broken[name]) for name, tensor in whole.items())
        rates = [[row["lr"] for row in history(tmp_path / name)] for name in ("whole", "broken")]
        assert rates[0] == rates[1]

    def test_the_same_seed_gives_the_same_bits(self, tmp_path: Path) -> None:
        """Beckschen/TransUNet#135, MIC-DKFZ/nnUNet#1184: other results every time although the seed is fixed."""
        pairs = draw_pairs(tmp_path / "set", 14)
        data = {"augment": "strong"}
        for name in ("first", "second"):
            train(pairs, tmp_path / name, data=data)
        first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("first", "second"))
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())

    @pytest.mark.parametrize(
        ("key", "value"), [("epochs", 8), ("optimizer", {"lr": 0.001}), ("batch_size", 2)], ids=str
    )
    def test_a_changed_setting_is_neither_ignored_nor_mixed_in(self, tmp_path: Path, key: str, value: Any) -> None:
        """mapbox/robosat#169, deepinsight/insightface#2143, vLAR-group/GrowSP#11: another rate, more epochs."""
        pairs = draw_pairs(tmp_path / "set", 14)
        with pytest.raises(KeyboardInterrupt):
            train(pairs, tmp_path / "run", Listener(1))
        with pytest.raises(ConfigError, match=key) as caught:
            train(pairs, tmp_path / "run", **{key: value})
        assert "--restart" in str(caught.value)


class TestHowLong:
    def test_steps_are_steps_whatever_the_set(self, tmp_path: Path) -> None:
        """divamgupta/image-segmentation-keras#195, jakeret/tf_unet#76: what an epoch is, and how many are enough."""
        for count in (5, 24):
            run = tmp_path / f"run{count}"
            train(draw_pairs(tmp_path / f"set{count}", count), run, steps=90)
            plan = facts(run)["plan"]
            assert plan["steps"] == 90
            assert len(history(run)) == plan["epochs"] <= 40

    @pytest.mark.parametrize("steps", [1, 2])
    def test_fewer_steps_than_a_pass(self, tmp_path: Path, steps: int) -> None:
        """jakeret/tf_unet#76: an iteration is not an epoch."""
        train(draw_pairs(tmp_path / "set", 30), tmp_path / "run", steps=steps)
        assert facts(tmp_path / "run")["plan"]["steps"] == steps
        assert len(history(tmp_path / "run")) == 1

    def test_seconds_become_steps_that_a_resumed_run_keeps(self, tmp_path: Path) -> None:
        """Cognexa/cxflow#87, JuliaWolleb/Diffusion-based-Segmentation#41: a budget of time."""
        pairs = draw_pairs(tmp_path / "set", 14)
        with pytest.raises(KeyboardInterrupt):
            train(pairs, tmp_path / "run", Listener(1), seconds=2.0)
        planned = facts(tmp_path / "run")["plan"]
        train(pairs, tmp_path / "run", seconds=2.0)
        assert facts(tmp_path / "run")["plan"] == planned
        assert len(history(tmp_path / "run")) == planned["epochs"]

    @pytest.mark.parametrize(
        "two", [{"steps": 5, "epochs": 3}, {"seconds": 5, "epochs": 3}, {"seconds": 5, "steps": 3}]
    )
    def test_one_length_is_given(self, tmp_path: Path, two: dict[str, int]) -> None:
        """affinelayer/pix2pix-tensorflow#30: max_epochs was ignored because max_steps was there, too."""
        with pytest.raises(ConfigError) as caught:
            parse_config({"data": {"path": str(tmp_path)}, **two})
        assert all(key in str(caught.value) for key in two)

    def test_accumulated_batches_are_one_large_batch(self, tmp_path: Path) -> None:
        """ultralytics/yolov5#1630, open-mmlab/mmsegmentation#1132: small batches for a small memory."""
        pairs = draw_pairs(tmp_path / "set", 14)
        # Without normalisation, and with a loss that is a mean over pixels, the two are the same sum.
        chosen = {"network": {**SMALL, "norm": "none"}, "loss": "bce", "optimizer": {"name": "sgd", "lr": 0.1}}
        train(pairs, tmp_path / "large", **chosen, batch_size=4)
        train(pairs, tmp_path / "small", **chosen, batch_size=2, accumulate=2)
        large, small = (load_file(tmp_path / name / "best.safetensors") for name in ("large", "small"))
        for name, tensor in large.items():
            torch.testing.assert_close(small[name], tensor, rtol=1e-4, atol=1e-5)
        assert [row["lr"] for row in history(tmp_path / "large")] == [row["lr"] for row in history(tmp_path / "small")]

    def test_more_accumulation_than_batches_makes_one_step_a_pass(self, tmp_path: Path) -> None:
        """open-mmlab/mmsegmentation#1132."""
        train(draw_pairs(tmp_path / "set", 14), tmp_path / "run", accumulate=50, epochs=3)
        assert facts(tmp_path / "run")["plan"]["steps"] == 3
        rows = history(tmp_path / "run")
        assert rows[-1]["train_loss"] != rows[0]["train_loss"]


class TestSmallThingsInLargeImages:
    @staticmethod
    def _lines(folder: Path, count: int = 16, size: int = 128) -> Path:
        draw_pairs(folder, count, size=(size, size))
        rng = np.random.default_rng(5)
        for name in names_of(folder):
            image = rng.integers(60, 90, (size, size, 3), dtype=np.uint8)
            mask = np.zeros((size, size), np.uint8)
            row = rng.integers(size // 4, 3 * size // 4)
            slope = rng.uniform(-0.4, 0.4)
            for column in range(size):
                y = int(row + slope * (column - size // 2))
                mask[y : y + 2, column] = 255
                image[y : y + 2, column] += 70
            paint(folder, {name: mask}, {name: image})
        return folder

    def test_thin_lines_survive_in_patches(self, tmp_path: Path) -> None:
        """ivadomed/model_seg_sci#12, axondeepseg/axondeepseg#329: resizing took away what was to be found."""
        pairs = self._lines(tmp_path / "set")
        predicted = {}
        for name, data in (("shrunk", {"size": 32}), ("patches", {"size": "original", "patch": [32, 32]})):
            train(pairs, tmp_path / name, data=data, steps=120, network=DEEPER)
            predictor = segbench.Predictor.from_run(tmp_path / name, device="cpu")
            overlaps = []
            for image in names_of(pairs):
                truth = np.asarray(Image.open(pairs / "masks" / f"{image}.png")) > 0
                mask = predictor(np.asarray(Image.open(pairs / "images" / f"{image}.png"))).mask > 0
                overlaps.append((truth & mask).sum() / (truth | mask).sum())
            predicted[name] = float(np.mean(overlaps))
        assert predicted["patches"] > 0.8
        assert predicted["patches"] > predicted["shrunk"] + 0.3

    def test_whole_images_are_scored_and_tiles_leave_no_seam(self, tmp_path: Path) -> None:
        """datapink/robosat.pink#59, kreshuklab/panseg#190, azavea/raster-vision#1055: lines along the tiles' edges."""
        pairs = self._lines(tmp_path / "set")
        train(pairs, tmp_path / "run", data={"size": "original", "patch": [32, 32]}, epochs=4)
        counted = (tmp_path / "run" / "counts_val.csv").read_text()
        assert all(counted.count(name) <= 1 for name in names_of(pairs))
        # An image without any edge: what the prediction varies by are the tiles alone.
        image = np.full((128, 128, 3), 75, np.uint8)
        probs = segbench.Predictor.from_run(tmp_path / "run", device="cpu")(image).probs[0]
        inner = probs[16:-16, 16:-16]
        steps = max(np.abs(np.diff(inner, axis=0)).max(), np.abs(np.diff(inner, axis=1)).max())
        assert steps < 0.1

    @pytest.mark.parametrize("patch", [[64, 64], [32, 200]])
    def test_an_image_smaller_than_a_patch(self, tmp_path: Path, patch: list[int]) -> None:
        """microsoft/InnerEye-DeepLearning#676, allenai/rslearn#503: a window larger than the image crashed."""
        pairs = draw_pairs(tmp_path / "set", 12)
        train(pairs, tmp_path / "run", data={"size": "original", "patch": patch}, epochs=1)
        image = np.asarray(Image.open(pairs / "images" / "img_000.png"))
        assert segbench.Predictor.from_run(tmp_path / "run", device="cpu")(image).mask.shape == (40, 48)

    def test_patches_see_what_is_rare(self, tmp_path: Path) -> None:
        """MIC-DKFZ/nnUNet#153, Project-MONAI/MONAI#1108: random windows of mostly background teach background."""
        pairs = draw_rare(tmp_path / "set", 20, 0.004, size=128)
        chosen = {"steps": 100, "data": {"size": "original", "patch": [32, 32]}}
        result = train(pairs, tmp_path / "run", **chosen)
        assert result.scores["val"]["iou_pooled"] > 0.5

    def test_memory_that_runs_out_is_answered_by_keys(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """open-mmlab/mmsegmentation#2297, jakeret/tf_unet#104: images of 5184 x 3456 on a small GPU."""
        from segbench.train.loop import Training

        def fails(*_: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 5.00 GiB")

        monkeypatch.setattr(Training, "_step", fails)
        with pytest.raises(RunError, match="batch_size") as caught:
            train(draw_pairs(tmp_path / "set", 12), tmp_path / "run")
        assert "accumulate" in str(caught.value) or "patch" in str(caught.value)


class TestWhatAPredictionIsMadeOf:
    def test_the_threshold_can_come_from_validation(self, tmp_path: Path) -> None:
        """ultralytics/ultralytics#7897, wasserth/TotalSegmentator#277: 0.3 was better than 0.5, said nobody."""
        pairs = draw_pairs(tmp_path / "set", 20)
        result = train(pairs, tmp_path / "run", threshold="validation", loss={"bce": {"pos_weight": 0.2}})
        choice = result.result["threshold_choice"]
        assert choice["chosen_on"] == "val"
        assert choice["test"]["gain"] == pytest.approx(choice["test"]["value"] - choice["test"]["default_value"])
        assert segbench.Predictor.from_run(tmp_path / "run", device="cpu").threshold == result.result["threshold"]

    def test_flips_at_test_time_are_turned_back_and_their_gain_is_told(self, tmp_path: Path) -> None:
        """LibreYOLO/libreyolo#601, facebookresearch/VideoPose3D#172: does it help, and is the flip undone?"""
        pairs = draw_pairs(tmp_path / "set", 20)
        result = train(pairs, tmp_path / "run", tta="hflip", epochs=6)
        assert "gain" in json.dumps(result.result["tta"])
        predictor = segbench.Predictor.from_run(tmp_path / "run", device="cpu")
        image = np.asarray(Image.open(pairs / "images" / "img_000.png"))
        there, back = predictor(image).network_probs, predictor(image[:, ::-1].copy()).network_probs
        np.testing.assert_allclose(there, back[..., ::-1], atol=2e-3)

    def test_the_precision_that_was_taken_stands_in_the_run(self, tmp_path: Path) -> None:
        """tensorflow/tensorflow#45441, pytorch/pytorch#118499: mixed precision on a CPU was fifty times slower."""
        train(draw_pairs(tmp_path / "set", 12), tmp_path / "run", epochs=1, precision="auto")
        assert facts(tmp_path / "run")["environment"]["precision"]
