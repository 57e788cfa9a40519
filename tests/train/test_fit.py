"""`fit`: what a run leaves behind, what it refuses, and that it goes on exactly where it was."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.train._runs import StopAt, assert_same_weights, config_for
from torch import Tensor, nn

import segbench
from segbench.config.run import OptimizerConfig, RunConfig, ScheduleConfig, SplitConfig
from segbench.data.files.resize import resize_mask
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.split.divide import split_manifest
from segbench.errors import ConfigError, DatasetError, RunError
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.metrics import SCORES
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.metrics.surface_scores import read_surfaces
from segbench.models.weights import read_metadata, save_weights
from segbench.train.callback import Callback
from segbench.train.optim import Schedule, build_optimizer
from segbench.types import SPLITS, Task

DEFINED = ("scores", "surfaces", "calibration")
TABLES = (*DEFINED, "counts", "confusion")


@pytest.fixture(scope="module")
def finished(binary_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Returns the config of a finished run; read only."""
    config = config_for(binary_pairs, tmp_path_factory.mktemp("runs") / "finished", epochs=12)
    segbench.fit(config, watch=Callback())
    return config


@pytest.mark.slow
def test_each_file_is_read_once_before_the_first_epoch(
    binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    reads: Counter[Path] = Counter()
    read_bytes = Path.read_bytes

    def counting(path: Path) -> bytes:
        reads[path] += path.is_relative_to(binary_pairs.resolve())
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    with pytest.raises(KeyboardInterrupt):
        segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=StopAt(1, 1))
    pictures = [path.resolve() for path in binary_pairs.rglob("*.png")]
    assert +reads == dict.fromkeys(pictures, 1)


class TestWhatARunLeaves:
    @pytest.mark.slow
    def test_every_file_is_there(self, finished: RunConfig) -> None:
        names = {path.name for path in finished.run_folder.iterdir()} - {".lock"}
        assert names == {
            *("config.yaml", "manifest.json", "run.json", "metrics.csv", "last.pt", "best.safetensors"),
            *(f"{table}_{split}.csv" for table in TABLES for split in SPLITS),
            *(f"{table}_{split}.definitions.json" for table in DEFINED for split in SPLITS),
            *("predicted_val.zip", "predicted_test.zip"),
            *("test_log.csv", "curves.png", "pictures", "tensorboard", "alerts.json", "result.json"),
        }
        assert len(list((finished.run_folder / "pictures").glob("epoch_*.png"))) == 12
        assert list((finished.run_folder / "tensorboard").glob("events.out.*"))

    @pytest.mark.slow
    def test_the_network_learned(self, finished: RunConfig) -> None:
        result = RunFolder(finished.run_folder).read_result()
        assert result.scores["test"]["iou_per_image"] > 0.7
        history = RunFolder(finished.run_folder).read_history()
        assert history[-1]["train_loss"] < 0.6 * history[0]["train_loss"]

    @pytest.mark.slow
    def test_the_result_says_what_it_is(self, finished: RunConfig) -> None:
        result = json.loads((finished.run_folder / "result.json").read_text())
        assert result["n"] == {"train": 17, "val": 4, "test": 3}
        assert result["test_scored"] == 1
        assert result["epochs"] == 12
        assert result["weights"]["source"] == "random"
        assert result["scored_at"].startswith("32x32 pixels")
        assert result["parameters"] == sum(
            parameter.numel() for parameter in segbench.build_network("unet_nearest", widths=[4, 8]).parameters()
        )
        assert result["flops"] > 1e5
        assert result["images_per_s"]["prediction"] > 0
        assert result["peak_memory_mb"] > 50
        assert set(result["definitions"]) == set(result["scores"]["test"])
        facts = json.loads((finished.run_folder / "run.json").read_text())
        assert facts["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]

    @pytest.mark.slow
    def test_counts_give_the_scores_again(self, finished: RunConfig) -> None:
        folder = RunFolder(finished.run_folder)
        counts = Counts.read_csv(folder.counts_file("test"), folder.class_map())
        summary = score_counts(counts, folder.class_map()).summary()
        written = folder.read_result().scores["test"]
        assert summary == pytest.approx({name: written[name] for name in summary}, nan_ok=True)
        surfaces = read_surfaces(finished.run_folder / "surfaces_test.csv", folder.class_map()).summary()
        assert surfaces == pytest.approx({name: written[name] for name in surfaces}, nan_ok=True)
        assert set(written) == {*summary, *surfaces, "expected_calibration_error"} == set(SCORES)
        assert (counts.confusion.sum(axis=(1, 2)) + counts.ignored == 32 * 32).all()

    @pytest.mark.slow
    def test_the_best_epoch_is_the_first_maximum(self, finished: RunConfig) -> None:
        folder = RunFolder(finished.run_folder)
        values = [row["val_iou_per_image"] for row in folder.read_history()]
        assert folder.read_result().result["best_epoch"] == values.index(max(values)) + 1

    @pytest.mark.slow
    def test_a_finished_run_is_not_trained_again(self, finished: RunConfig) -> None:
        before = (finished.run_folder / "last.pt").stat().st_mtime_ns
        result = segbench.fit(finished, watch=Callback())
        assert (finished.run_folder / "last.pt").stat().st_mtime_ns == before
        assert result.result["test_scored"] == 1
        assert "iou_per_image" in result._repr_html_()

    @pytest.mark.slow
    def test_evaluate_repeats_the_test_scores_and_is_counted(self, finished: RunConfig, tmp_path: Path) -> None:
        run = tmp_path / "copy"
        shutil.copytree(finished.run_folder, run)
        scores = segbench.evaluate(run, watch=Callback())
        written = json.loads((run / "evaluation_test.json").read_text())
        first = RunFolder(run).read_result().scores["test"]
        assert written["scores"] == pytest.approx(dict(first), nan_ok=True, abs=1e-9)
        assert scores.summary() == pytest.approx({name: first[name] for name in scores.summary()}, abs=1e-9)
        assert written["test_scored"] == 2
        original = segbench.evaluate(run, "val", resolution="original", watch=Callback())
        assert (original.counts.confusion.sum(axis=(1, 2)) == 40 * 48).all()
        assert "each image's own size" in (run / "evaluation_val_original.json").read_text()


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "changes",
        [
            {"schedule": {"name": "one_cycle"}},
            {"schedule": {"name": "plateau", "patience": 1, "cooldown": 0}, "optimizer": {"name": "sgd", "lr": 0.1}},
            {"schedule": {"name": "cosine", "warmup_frac": 0.2}, "ema_decay": 0.9, "grad_clip": 1.0},
        ],
        ids=["one_cycle", "plateau-sgd", "cosine-ema-clip"],
    )
    def test_interrupted_twice_ends_bit_identical(
        self, binary_pairs: Path, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        augment = {"rotate_deg": 20, "scale": [0.8, 1.2], "brightness": 0.2, "vflip": 0.5}
        data = {"path": str(binary_pairs), "size": 32, "augment": augment}
        whole = config_for(binary_pairs, tmp_path / "whole", epochs=4, data=data, **changes)
        broken = config_for(binary_pairs, tmp_path / "broken", epochs=4, data=data, **changes)
        segbench.fit(whole, watch=Callback())
        for stop in (StopAt(1, 2), StopAt(2, 3), StopAt(3)):
            with pytest.raises(KeyboardInterrupt):
                segbench.fit(broken, watch=stop)
        torch.manual_seed(12345)  # whatever else the process did must not matter
        np.random.default_rng(1).random()
        segbench.fit(broken, watch=Callback())
        assert_same_weights(whole.run_folder, broken.run_folder)
        left, right = (RunFolder(config.run_folder).read_history() for config in (whole, broken))
        for a, b in zip(left, right, strict=True):
            same = {key for key in a if not key.endswith(("_s", "seconds", "_mb"))}
            assert {key: a[key] for key in same} == {key: b[key] for key in same}

    @pytest.mark.slow
    def test_other_settings_in_the_same_folder_are_refused(self, finished: RunConfig) -> None:
        other = finished.model_copy(update={"epochs": 5})
        with pytest.raises(ConfigError, match=r"holds a run with other settings \(epochs: 12 there, 5 now\)"):
            segbench.fit(other, watch=Callback())

    @pytest.mark.slow
    def test_other_settings_are_fine_while_no_epoch_is_finished(self, binary_pairs: Path, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=StopAt(1, 1))
        result = segbench.fit(config_for(binary_pairs, tmp_path / "run", epochs=1), watch=Callback())
        assert result.result["epochs"] == 1

    @pytest.mark.slow
    def test_restart_begins_again(self, binary_pairs: Path, tmp_path: Path) -> None:
        segbench.fit(config_for(binary_pairs, tmp_path / "run", epochs=1), watch=Callback())
        config = config_for(binary_pairs, tmp_path / "run", epochs=2)
        assert segbench.fit(config, watch=Callback(), restart=True).result["epochs"] == 2
        assert len((tmp_path / "run" / "test_log.csv").read_text().splitlines()) == 2

    @pytest.mark.slow
    def test_changed_data_stop_a_resume(self, binary_pairs: Path, tmp_path: Path) -> None:
        data = tmp_path / "data"
        shutil.copytree(binary_pairs, data)
        config = config_for(data, tmp_path / "run")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(1))
        Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(data / "images" / "img_003.png")
        with pytest.raises(DatasetError, match=r"img_003.*begin again with --restart"):
            segbench.fit(config, watch=Callback())

    @pytest.mark.slow
    def test_a_begun_run_goes_on_where_the_same_samples_lie_now(self, binary_pairs: Path, tmp_path: Path) -> None:
        manifests = {}
        for name in ("old", "new"):
            shutil.copytree(binary_pairs, tmp_path / name)
            manifests[name] = tmp_path / f"{name}.json"
            split_manifest(read_dataset(tmp_path / name), SplitConfig()).write(manifests[name])
        config = config_for(tmp_path / "old", tmp_path / "run", epochs=2)
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(1), manifest=manifests["old"])
        shutil.rmtree(tmp_path / "old")
        moved = config_for(tmp_path / "new", tmp_path / "run", epochs=2)
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(moved, watch=StopAt(2, 1), manifest=manifests["new"])
        assert segbench.fit(moved, watch=Callback(), manifest=manifests["new"]).result["epochs"] == 2
        assert Manifest.read(tmp_path / "run" / "manifest.json").root == tmp_path / "new"
        assert segbench.fit(moved, watch=Callback(), manifest=manifests["new"]).result["epochs"] == 2
        other = config_for(tmp_path / "new", tmp_path / "run", epochs=2, batch_size=2)
        with pytest.raises(ConfigError, match=r"other settings \(batch_size: 4 there, 2 now\)"):
            segbench.fit(other, watch=Callback(), manifest=manifests["new"])
        with pytest.raises(ConfigError, match=r"other settings \(data\.path: "):
            segbench.fit(moved, watch=Callback())

    @pytest.mark.slow
    def test_another_manifest_than_the_run_was_begun_with_is_refused(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path / "run")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(1))
        other = tmp_path / "other.json"
        split_manifest(read_dataset(binary_pairs), SplitConfig(method="ratios", seed=7)).write(other)
        with pytest.raises(DatasetError) as caught:
            segbench.fit(config, watch=Callback(), manifest=other)
        assert str(caught.value).startswith(f"{other}: the run was begun with {tmp_path}/run/manifest.json, which has")

    @pytest.mark.slow
    def test_a_damaged_checkpoint_is_named(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path / "run")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(1))
        (tmp_path / "run" / "last.pt").write_bytes(b"PK\x03\x04 half a file")
        with pytest.raises(RunError, match=r"last\.pt is damaged"):
            segbench.fit(config, watch=Callback())


@pytest.mark.slow
class TestOptions:
    def test_same_seed_same_weights_other_seed_others(self, binary_pairs: Path, tmp_path: Path) -> None:
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            segbench.fit(config_for(binary_pairs, tmp_path / name, epochs=1, seed=seed), watch=Callback())
        assert_same_weights(tmp_path / "a", tmp_path / "b")
        left, right = (load_file(tmp_path / name / "best.safetensors") for name in ("a", "c"))
        assert any(not torch.equal(left[name], right[name]) for name in left)

    @pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
    @pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "one_cycle"])
    def test_every_optimizer_and_schedule_runs(
        self, binary_pairs: Path, tmp_path: Path, optimizer: str, schedule: str
    ) -> None:
        changes = {"optimizer": {"name": optimizer}, "schedule": {"name": schedule}, "epochs": 2}
        config = config_for(binary_pairs, tmp_path / "run", **changes)
        segbench.fit(config, watch=Callback())
        rates = [row["lr"] for row in RunFolder(tmp_path / "run").read_history()]
        assert all(0 < rate <= 1e-3 for rate in rates)
        assert (rates[0] == rates[1]) == (schedule in ("constant", "plateau"))

    def test_multiclass_trains_and_ignores(self, three_class_pairs: Path, tmp_path: Path) -> None:
        data = {"path": str(three_class_pairs), "size": 32, "options": {"classes": {"none": 0, "a": 1}, "ignore": [2]}}
        loss = {"cross_entropy": {"class_weights": "inverse_frequency", "weight": 0.5}, "dice": 0.5}
        plain = {"data": {"path": str(three_class_pairs), "size": 32}, "loss": loss}
        result = segbench.fit(config_for(three_class_pairs, tmp_path / "run", **plain), watch=Callback())
        assert [row["class"] for row in result.result["per_class"]["test"]] == ["class_0", "class_1", "class_2"]
        weights = json.loads((tmp_path / "run" / "run.json").read_text())["loss"][0]["options"]["class_weights"]
        assert len(weights) == 3
        assert weights[0] < min(weights[1:])  # the background is frequent
        config = config_for(three_class_pairs, tmp_path / "ignoring", data=data)
        ignoring = segbench.fit(config, watch=Callback())
        counts = Counts.read_csv(
            tmp_path / "ignoring" / "counts_test.csv", RunFolder(tmp_path / "ignoring").class_map()
        )
        assert counts.ignored.sum() > 0
        assert ignoring.result["n"]["test"] == 3

    def test_multilabel_trains(self, multilabel_pairs: Path, tmp_path: Path) -> None:
        data = {"path": str(multilabel_pairs), "size": 32, "options": {"task": "multilabel"}}
        result = segbench.fit(config_for(multilabel_pairs, tmp_path / "run", data=data), watch=Callback())
        assert {row["class"] for row in result.result["per_class"]["test"]} == {"red", "green"}
        predictor = segbench.Predictor.from_run(tmp_path / "run")
        prediction = predictor(np.zeros((20, 30, 3), np.uint8))
        assert prediction.mask.shape == (2, 20, 30)
        assert predictor.class_map.task is Task.MULTILABEL

    def test_multilabel_inverse_frequency_leaves_ignored_pixels_out(
        self, multilabel_pairs: Path, tmp_path: Path
    ) -> None:
        data = tmp_path / "data"
        shutil.copytree(multilabel_pairs, data)
        for path in (data / "masks" / "red").glob("*.png"):
            with Image.open(path) as opened:
                values = np.array(opened)
            values[:10] = 128
            Image.fromarray(values).save(path)
        options = {"task": "multilabel", "ignore": [128]}
        config = config_for(
            data,
            tmp_path / "run",
            data={"path": str(data), "size": [40, 48], "options": options},
            loss={"bce": {"pos_weight": "inverse_frequency"}},
            epochs=1,
        )
        segbench.fit(config, watch=Callback())
        folder = RunFolder(tmp_path / "run")
        confusion = Counts.read_csv(folder.counts_file("train"), folder.class_map()).confusion.sum(axis=(0, 3))
        weights = json.loads((folder.path / "run.json").read_text())["loss"][0]["options"]["pos_weight"]
        assert weights == pytest.approx((confusion[:, 0] / confusion[:, 1]).tolist())
        assert confusion.sum(axis=1).tolist() != [confusion.sum(axis=1)[0]] * 2  # some were ignored in one class

    def test_early_stopping(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(
            binary_pairs,
            tmp_path / "run",
            epochs=30,
            early_stopping=2,
            optimizer={"lr": 1e-9},
            monitor="pixel_accuracy",
        )
        result = segbench.fit(config, watch=Callback())
        assert result.result["epochs"] < 30
        assert result.result["epochs"] == result.result["best_epoch"] + 2

    def test_the_training_part_is_scored_unaugmented_when_asked(self, binary_pairs: Path, tmp_path: Path) -> None:
        segbench.fit(config_for(binary_pairs, tmp_path / "run", train_score_every=2, epochs=4), watch=Callback())
        rows = RunFolder(tmp_path / "run").read_history()
        assert [math.isnan(row["train_clean_iou_per_image"]) for row in rows] == [True, False, True, False]

    def test_channels_last_changes_speed_only(self, binary_pairs: Path, tmp_path: Path) -> None:
        results = [
            segbench.fit(config_for(binary_pairs, tmp_path / str(on), channels_last=on, epochs=1), watch=Callback())
            for on in (True, False)
        ]
        losses = [result.result["loss_values"]["test"] for result in results]
        assert losses[0] == pytest.approx(losses[1], rel=2e-2)

    def test_inverse_frequency_is_counted_over_the_training_part(self, binary_pairs: Path, tmp_path: Path) -> None:
        loss = {"bce": {"pos_weight": "inverse_frequency"}}
        segbench.fit(config_for(binary_pairs, tmp_path / "run", loss=loss, epochs=1), watch=Callback())
        folder = RunFolder(tmp_path / "run")
        counts = Counts.read_csv(folder.counts_file("train"), folder.class_map()).confusion.sum(axis=(0, 2))
        weight = json.loads((folder.path / "run.json").read_text())["loss"][0]["options"]["pos_weight"]
        assert weight == pytest.approx(counts[0] / counts[1])


class NanAfter(nn.Module):
    """BCE that turns into NaN at its n-th call with gradients."""

    tasks = frozenset({Task.BINARY})

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def set_epoch(self, epoch: int) -> None:
        """Its weight does not move."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.float())
        if torch.is_grad_enabled():
            self.left -= 1
        return loss * float("nan") if self.left < 0 and torch.is_grad_enabled() else loss


class TestTrouble:
    @pytest.mark.slow
    def test_a_nan_loss_stops_and_names_the_batch(
        self, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("segbench.train.fit.build_loss", lambda terms: NanAfter(4 + 2))  # 4 batches an epoch
        with pytest.raises(RunError, match=r"loss became nan in epoch 2, batch 3 \(samples img_\d+") as caught:
            segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=Callback())
        assert "the checkpoint of epoch 1 is kept" in str(caught.value)
        state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
        assert len(state["history"]) == 1
        assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())
        monkeypatch.undo()
        segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=Callback())  # goes on from there

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."),
            MemoryError(),
        ],
        ids=["cuda", "cpu", "python"],
    )
    def test_out_of_memory_says_what_to_lower(
        self, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*_: Any) -> Tensor:
            raise error

        monkeypatch.setattr("segbench.train.loop.Training._step", fail)
        with pytest.raises(
            RunError,
            match=r"out of memory with batch_size 4 at 32x32 pixels; lower batch_size \(try 2, and accumulate 2 for",
        ):
            segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=Callback())

    @pytest.mark.slow
    def test_other_errors_are_not_taken_for_memory(
        self, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Tensor:
            raise RuntimeError("something else")

        monkeypatch.setattr("segbench.train.loop.Training._step", fail)
        with pytest.raises(RuntimeError, match="something else"):
            segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=Callback())

    @pytest.mark.slow
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
    def test_a_full_or_read_only_disk_keeps_finished_epochs(
        self, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        import segbench.train.checkpoint as module

        saved = module.save_checkpoint
        calls = []

        def full(path: Path, state: dict[str, Any]) -> None:
            calls.append(path)
            if len(calls) == 2:
                raise OSError(code, "no", str(path))
            saved(path, state)

        monkeypatch.setattr(module, "save_checkpoint", full)
        with pytest.raises(RunError, match=r"cannot write .*finished epochs are kept\. Make room"):
            segbench.fit(config_for(binary_pairs, tmp_path / "run"), watch=Callback())
        assert len(torch.load(tmp_path / "run" / "last.pt", weights_only=True)["history"]) == 1

    def test_output_that_cannot_be_made(self, binary_pairs: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match=r"cannot write into this folder .*choose another `output`"):
            segbench.fit(config_for(binary_pairs, tmp_path / "file" / "run"), watch=Callback())

    def test_a_loss_that_cannot_do_the_task(self, three_class_pairs: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"'bce' cannot do the multiclass task of this data; these can: boundary"):
            segbench.fit(config_for(three_class_pairs, tmp_path / "run", loss="bce"), watch=Callback())

    def test_a_device_that_is_not_there(self, binary_pairs: Path, tmp_path: Path) -> None:
        if torch.backends.mps.is_available():
            pytest.skip("this machine has MPS")
        with pytest.raises(ConfigError, match="this machine has no mps device"):
            segbench.fit(config_for(binary_pairs, tmp_path / "run", device="mps"), watch=Callback())

    def test_half_precision_needs_a_gpu(self, binary_pairs: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="16-mixed needs a GPU"):
            segbench.fit(config_for(binary_pairs, tmp_path / "run", precision="16-mixed"), watch=Callback())

    def test_missing_data_and_empty_parts(self, binary_pairs: Path, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="does not exist"):
            segbench.fit(config_for(tmp_path / "nowhere", tmp_path / "run"), watch=Callback())
        few = tmp_path / "few"
        for part in ("images", "masks"):
            (few / part).mkdir(parents=True)
            for name in ("img_000.png", "img_001.png"):
                shutil.copy(binary_pairs / part / name, few / part / name)
        with pytest.raises(DatasetError, match="at least 3 samples, got 2"):
            segbench.fit(config_for(few, tmp_path / "run"), watch=Callback())

    @pytest.mark.slow
    def test_a_network_that_blows_up_in_the_last_step_is_not_committed(
        self, binary_pairs: Path, tmp_path: Path
    ) -> None:
        changes = {
            "network": {"name": "unet_nearest", "widths": [4, 8], "norm": "none"},
            "loss": "bce",
            "batch_size": 100,  # one step an epoch: its loss is taken before the weights blow up
            "optimizer": {"name": "sgd", "lr": 100, "weight_decay": 1e6},
            "schedule": "constant",
        }
        with pytest.raises(
            RunError, match=r"the validation loss became (nan|inf) after epoch 1; no epoch was finished"
        ):
            segbench.fit(config_for(binary_pairs, tmp_path / "run", **changes), watch=Callback())
        assert not (tmp_path / "run" / "last.pt").exists()

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
    def test_a_really_full_disk(self, binary_pairs: Path, tmp_path: Path) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine does not let us mount a small disk")
        network = {"name": "unet_nearest", "widths": [16, 32, 64]}
        cache = {"path": str(binary_pairs), "size": 32, "cache_dir": str(tmp_path / "cache")}
        try:
            with pytest.raises(RunError, match=r"cannot write \(No space left on device.*finished epochs are kept"):
                segbench.fit(config_for(binary_pairs, small / "run", data=cache, network=network), watch=Callback())
            assert not list((small / "run").glob("*.tmp*"))
        finally:
            subprocess.run(["umount", str(small)], check=True)


class TestNobodyElsesFiles:
    @pytest.mark.slow
    def test_foreign_files_in_the_output_folder_survive(self, binary_pairs: Path, tmp_path: Path) -> None:
        run = tmp_path / "project"
        (run / "sub").mkdir(parents=True)
        kept = {run / "notes.txt", run / ".notes.tmpl", run / "sub" / ".x.tmp", run / "sub" / "best.safetensors"}
        for path in kept:
            path.write_text("precious")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config_for(binary_pairs, run), watch=StopAt(1, 1))
        (run / ".metrics.csv.12-34.tmp.csv").write_text("left by a killed run")
        segbench.fit(config_for(binary_pairs, run, epochs=1), watch=Callback())
        segbench.fit(config_for(binary_pairs, run, epochs=2), watch=Callback(), restart=True)
        assert all(path.read_text() == "precious" for path in kept)
        assert not (run / ".metrics.csv.12-34.tmp.csv").exists()

    @pytest.mark.parametrize("restart", [False, True])
    def test_a_config_that_no_run_wrote_is_not_written_over(
        self, binary_pairs: Path, tmp_path: Path, restart: bool
    ) -> None:
        (tmp_path / "config.yaml").write_text("mine")
        with pytest.raises(ConfigError, match=r"holds config\.yaml, which no run wrote; choose another output"):
            segbench.fit(config_for(binary_pairs, tmp_path), watch=Callback(), restart=restart)
        assert (tmp_path / "config.yaml").read_text() == "mine"

    @pytest.mark.slow
    def test_a_lost_config_is_written_again(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path / "run")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(1))
        (tmp_path / "run" / "config.yaml").unlink()
        segbench.fit(config, watch=Callback())
        assert segbench.Predictor.from_run(tmp_path / "run").size == (32, 32)


@pytest.mark.slow
class TestBestWeights:
    def test_weights_of_an_uncommitted_epoch_are_thrown_away(
        self, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import segbench.train.checkpoint as module

        whole = config_for(binary_pairs, tmp_path / "whole", monitor="loss")
        broken = config_for(binary_pairs, tmp_path / "broken", monitor="loss")
        segbench.fit(whole, watch=Callback())
        saved = module.save_checkpoint

        def die(path: Path, state: dict[str, Any]) -> None:
            if len(state["history"]) == 2:
                raise KeyboardInterrupt
            saved(path, state)

        monkeypatch.setattr(module, "save_checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(broken, watch=Callback())
        assert (tmp_path / "broken" / "best_candidate.safetensors").is_file()
        assert read_metadata(tmp_path / "broken" / "best.safetensors")["epoch"] == "1"
        monkeypatch.undo()
        segbench.fit(broken, watch=Callback())
        assert not (tmp_path / "broken" / "best_candidate.safetensors").exists()
        assert_same_weights(whole.run_folder, broken.run_folder)

    def test_a_committed_candidate_becomes_the_best(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path / "run", monitor="loss")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(2))
        folder = RunFolder(tmp_path / "run")
        assert read_metadata(folder.best_file)["epoch"] == "2"
        folder.best_file.rename(folder.candidate_file)  # as if killed between the checkpoint and the renaming
        result = segbench.fit(config, watch=Callback())
        best = read_metadata(folder.best_file)["epoch"]
        assert best == str(result.result["best_epoch"])
        assert not folder.candidate_file.exists()

    def test_weights_of_another_epoch_are_noticed(self, binary_pairs: Path, tmp_path: Path) -> None:
        config = config_for(binary_pairs, tmp_path / "run", monitor="loss")
        with pytest.raises(KeyboardInterrupt):
            segbench.fit(config, watch=StopAt(2))
        network = segbench.build_network("unet_nearest", widths=[4, 8])
        save_weights(tmp_path / "run" / "best.safetensors", network, {"epoch": "7"})
        with pytest.raises(RunError, match=r"best\.safetensors is of epoch 7, but the best epoch of last\.pt is 2"):
            segbench.fit(config, watch=Callback())

    def test_evaluate_gives_the_same_counts_under_mixed_precision(self, binary_pairs: Path, tmp_path: Path) -> None:
        segbench.fit(config_for(binary_pairs, tmp_path / "run", precision="bf16-mixed", epochs=1), watch=Callback())
        before = (tmp_path / "run" / "counts_test.csv").read_bytes()
        segbench.evaluate(tmp_path / "run", watch=Callback())
        assert (tmp_path / "run" / "counts_test.csv").read_bytes() == before

    @pytest.mark.parametrize("momentum", [0.0, 0.5])
    def test_one_cycle_leaves_momentum_alone(self, momentum: float) -> None:
        network = nn.Linear(2, 2)
        optimizer = build_optimizer(network, OptimizerConfig(name="sgd", momentum=momentum))
        schedule = Schedule(optimizer, ScheduleConfig(name="one_cycle"), 10)
        for _ in range(9):
            assert optimizer.param_groups[0]["momentum"] == momentum
            optimizer.step()
            schedule.after_step()


@pytest.mark.slow
def test_the_kept_masks_are_the_scored_ones(binary_pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    segbench.fit(config_for(binary_pairs, run), watch=Callback())
    folder = RunFolder(run)
    manifest = Manifest.read(folder.manifest_file)
    for split in ("val", "test"):
        counts = Counts.read_csv(folder.counts_file(split), folder.class_map())
        masks = MaskArchive(folder.predicted_file(split))
        assert masks.ids == counts.ids
        for row, sample in zip(counts.confusion, manifest.split(split), strict=True):
            target = resize_mask(load_sample(manifest, sample)[1], (32, 32))
            np.testing.assert_array_equal(count_masks(masks.read(sample.id), target, 2, task=Task.BINARY)[0], row)
    assert not folder.predicted_file("train").exists()


@pytest.mark.slow
def test_a_search_never_touches_the_test_part(binary_pairs: Path, tmp_path: Path) -> None:
    config = config_for(binary_pairs, tmp_path / "run", epochs=1)
    result = segbench.fit(config, watch=Callback(), score_test=False)
    assert set(result.scores) == {"train", "val"}
    assert "<th>val" in result._repr_html_()
    assert not (tmp_path / "run" / "test_log.csv").exists()
    assert not list((tmp_path / "run").glob("*_test*"))
    assert result.result["test_scored"] == 0


@pytest.mark.slow
def test_runs_may_share_a_split_manifest(binary_pairs: Path, three_class_pairs: Path, tmp_path: Path) -> None:
    manifest = read_dataset(binary_pairs)
    shared = tmp_path / "manifest.json"
    manifest.write(shared)
    config = config_for(binary_pairs, tmp_path / "run", epochs=1)
    with pytest.raises(DatasetError, match="expected a manifest with train, val and test samples"):
        segbench.fit(config, watch=Callback(), manifest=shared)
    divided = split_manifest(manifest, SplitConfig(method="ratios", seed=7))
    divided.write(shared)
    result = segbench.fit(config, watch=Callback(), manifest=shared)
    assert result.result["manifest_hash"] == divided.content_hash
