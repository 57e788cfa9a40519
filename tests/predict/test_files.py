"""Folders through one network: side by side, the same masks, and on where it was stopped."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from segbench.errors import ConfigError, PredictionError
from segbench.files import locked
from segbench.models import build_network
from segbench.predict.averaging import Ensemble
from segbench.predict.doubt import disagreement
from segbench.predict.files import predict_files
from segbench.predict.found import Job, find_images, output_names
from segbench.predict.journal import JOURNAL, journal_key, opened_journal
from segbench.predict.outputs import OutputOptions
from segbench.predict.pipeline import enlarge
from segbench.predict.predictor import Prediction, Predictor
from segbench.predict.stages import Stages
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
RNG = np.random.default_rng(0)


class Counting(nn.Module):
    """Tells how many images it saw at once; says 1 where the first channel is bright."""

    def __init__(self, fails_at: int = 0, seconds: float = 0.0) -> None:
        super().__init__()
        self.normalization = Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)
        self.batches: list[int] = []
        self.fails_at, self.seconds = fails_at, seconds

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        if self.fails_at and len(images) >= self.fails_at:
            raise RuntimeError("not enough memory\nand more")
        if (images.mean(dim=(1, 2, 3)) == -1.0).any():
            raise ValueError("a black image")
        time.sleep(self.seconds)
        return 8.0 * images[:, :1]


def folder_of(path: Path, number: int, size: tuple[int, int] = (30, 40)) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path / f"i{index:02d}.png")
    return path


def mask(out: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(out / "masks" / f"{name}.png"))


def test_a_name_almost_as_long_as_the_system_takes(tmp_path: Path) -> None:
    name = 240 * "n"
    (folder_of(tmp_path / "in", 1) / "i00.png").rename(tmp_path / "in" / f"{name}.png")
    done = predict_files(Predictor(Counting(), BINARY, (30, 40)), [tmp_path / "in"], tmp_path / "out")
    assert (len(done.written), done.failed) == (1, {})
    assert mask(tmp_path / "out", name).shape == (30, 40)


@pytest.mark.slow
def test_batches_give_the_masks_of_one_at_a_time(tmp_path: Path, runs: Path, binary_pairs: Path) -> None:
    predictor = Predictor.load(runs / "a_seed0", device="cpu")
    folder = binary_pairs / "images"
    done = predict_files(predictor, [folder], tmp_path / "out")
    assert len(done.written) == 24
    for job in find_images([folder], tmp_path / "out").jobs():
        expected = predictor(job.path).mask
        assert np.array_equal(mask(tmp_path / "out", job.name), expected)
        assert 0 < expected.mean() < 1


def test_images_of_one_size_go_together_whatever_the_threads_do(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 20)
    for threads in (1, 4):
        network = Counting()
        stages = Stages(Predictor(network, BINARY, (128, 256)), lambda job, _: {"id": job.name}, threads=threads)
        found = list(stages.run(find_images([folder], tmp_path / "out").jobs()))
        assert [done.job.name for done in found] == [f"i{index:02d}" for index in range(20)]
        assert network.batches == [4] * 5  # 128 x 256 x 4 pixels
        assert 0.0 <= stages.clock.idle_frac <= 1.0


def test_decoding_and_writing_wait_for_nobody_but_a_full_queue(tmp_path: Path) -> None:
    """The network is hardly idle where it is what takes the time, and what is in memory is bounded."""
    folder = folder_of(tmp_path, 40)
    living, most, lock = 0, 0, threading.Lock()

    def write(job: Job, prediction: Prediction) -> dict[str, object]:
        time.sleep(0.02)
        return {}

    predictor = Predictor(Counting(seconds=0.05), BINARY, (256, 512))
    read = predictor.pipeline.read

    def counted(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        nonlocal living, most
        with lock:
            living += 1
            most = max(most, living)
        return read(path)

    predictor.pipeline.read = counted  # type: ignore[method-assign,assignment]
    stages = Stages(predictor, write, threads=2)
    for _ in stages.run(find_images([folder], tmp_path / "out").jobs()):
        living -= 1
    assert stages.clock.idle_frac <= 0.05
    assert most <= 12  # 4 ahead, 4 behind, those that are at it


def test_a_failing_image_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", 6)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(folder / "i03.png")
    (folder / "i01.png").write_bytes((folder / "i02.png").read_bytes()[:900])
    done = predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder], tmp_path / "out")
    assert done.written == ("i00", "i02", "i04", "i05")
    assert done.failed[str(folder / "i03.png")] == "ValueError: a black image"
    assert "damaged or cut off" in done.failed[str(folder / "i01.png")]
    again = predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder], tmp_path / "out")
    assert again.failed == done.failed, "what failed is tried again"


def test_what_cannot_be_looked_at_is_noted_and_what_is_given_twice_is_done_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", 2)
    (folder / "gone.png").symlink_to("nowhere.png")
    done = predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder, folder / "i01.png"], tmp_path / "out")
    assert (done.written, done.twice) == (("i00", "i01"), 1)
    assert done.failed == {str(folder / "gone.png"): "it is a link to nowhere.png, which is not there"}


def test_what_is_too_much_together_goes_one_by_one(tmp_path: Path) -> None:
    network = Counting(fails_at=2)
    done = predict_files(Predictor(network, BINARY, (32, 32)), [folder_of(tmp_path / "in", 4)], tmp_path / "out")
    assert len(done.written) == 4
    assert network.batches == [4, 1, 1, 1, 1]


def test_a_large_image_goes_by_parts_between_the_others(tmp_path: Path) -> None:
    order: list[str] = []

    def by_parts(job: Job) -> Callable[[], dict[str, object]] | None:
        def write() -> dict[str, object]:
            order.append(job.name)
            if job.name == "i03":
                raise PredictionError("too large", path=job.path)
            return {"large": True}

        return write if job.name in ("i02", "i03") else None

    network = Counting()
    stages = Stages(Predictor(network, BINARY, (32, 32)), lambda job, _: {"large": False}, by_parts=by_parts)
    found = list(stages.run(find_images([folder_of(tmp_path / "in", 6)], tmp_path / "out").jobs()))
    assert [done.row and done.row["large"] for done in found] == [False, False, True, None, False, False]
    assert found[3].reason == "too large"
    assert order == ["i02", "i03"]
    assert network.batches == [2, 2]


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    def write(job: Job, prediction: Prediction) -> dict[str, object]:
        raise OSError(28, "No space left on device")

    stages = Stages(Predictor(Counting(), BINARY, (32, 32)), write)
    with pytest.raises(OSError, match="No space left"):
        list(stages.run(find_images([folder_of(tmp_path / "in", 3)], tmp_path / "out").jobs()))


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "in", 6), tmp_path / "out"
    network = Counting()
    first = predict_files(Predictor(network, BINARY, (32, 32)), [folder], out)
    areas = first.areas_file.read_text()
    assert (first.kept, sum(network.batches)) == (0, 6)

    def again(number: int, kept: int, size: tuple[int, int] = (32, 32), **arguments: object) -> None:
        network = Counting()
        done = predict_files(Predictor(network, BINARY, size), [folder], out, **arguments)  # type: ignore[arg-type]
        assert (sum(network.batches), done.kept) == (number, kept)
        assert len(done.written) == 6

    again(0, 6)
    assert first.areas_file.read_text() == areas
    (out / "masks" / "i02.png").unlink()
    (out / "overlays" / "i03.jpg").unlink()
    again(2, 4)
    Image.fromarray(np.full((30, 41, 3), 9, np.uint8)).save(folder / "i04.jpg")
    (folder / "i04.png").unlink()
    again(1, 5)
    assert "i04.jpg" in first.areas_file.read_text()
    with (out / JOURNAL).open("a") as stream:
        stream.write('{"name": "i05", "sta')  # killed in the middle of a line
    again(0, 6)
    again(6, 0, overwrite=True)
    again(6, 0, size=(32, 48))  # other settings
    again(6, 0, size=(32, 48), options=OutputOptions(overlays=False))


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "in", 2), tmp_path / "out"
    for seed, kept in ((0, 0), (0, 2), (1, 0)):
        torch.manual_seed(seed)
        network = build_network("unet_nearest", widths=[4, 8])
        assert predict_files(Predictor(network, BINARY, (32, 32)), [folder], out).kept == kept


def test_without_overlays_there_are_none(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "in", 1), tmp_path / "out"
    predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder], out, options=OutputOptions(overlays=False))
    assert not (out / "overlays").exists()
    predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder], out)
    with Image.open(out / "overlays" / "i00.jpg") as overlay:
        assert (overlay.format, overlay.size) == ("JPEG", (40, 30))


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    folder = folder_of(tmp_path / "in", 1)
    with (
        locked(tmp_path / "out" / ".lock"),
        pytest.raises(PredictionError, match="another process writes predictions into this folder"),
    ):
        predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder], tmp_path / "out")


@pytest.mark.parametrize("inside", ["", "sub", "i00.png"])
def test_images_do_not_lie_where_predictions_go(tmp_path: Path, inside: str) -> None:
    folder = folder_of(tmp_path, 1)
    folder_of(tmp_path / "sub", 1)
    with pytest.raises(PredictionError, match="where the predictions would be written; give another folder"):
        predict_files(Predictor(Counting(), BINARY, (32, 32)), [folder / inside], folder)
    assert sorted(path.name for path in folder.iterdir()) == ["i00.png", "sub"]


def test_two_inputs_of_one_name_have_outputs_of_their_own(tmp_path: Path) -> None:
    for below in ("a", "b"):
        folder_of(tmp_path / below, 1)
    done = predict_files(Predictor(Counting(), BINARY, (32, 32)), [tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert len(set(done.written)) == 2
    for name, below in zip(done.written, ("a", "b"), strict=True):
        expected = Predictor(Counting(), BINARY, (32, 32))(tmp_path / below / "i00.png").mask
        assert np.array_equal(mask(tmp_path / "out", name), expected)
    tricky = [(Path("1"), Path("x.png")), (Path("2"), Path("x.png")), (Path("3"), Path("x.png_2.tif"))]
    assert len(set(output_names(tricky))) == 3
    alike = [(Path("1"), Path(each)) for each in ("x.png", "X.jpg", "y/z.png", "y__z.png")]
    assert output_names(alike) == ["x", "X_2", "y/z", "y__z_2"], "files of their own, whatever the disk takes for equal"


@pytest.mark.parametrize("kind", ["coco", "labelme", "via"])
def test_polygons_name_the_files_that_people_have(tmp_path: Path, kind: str) -> None:
    folder_of(tmp_path / "in", 1)
    folder_of(tmp_path / "in/sub", 1)
    (tmp_path / "in/i00.webp").write_bytes((tmp_path / "in/i00.png").read_bytes())
    options = OutputOptions(polygons=(kind,), overlays=False)  # type: ignore[arg-type]
    predict_files(Predictor(Counting(), BINARY, (32, 32)), [tmp_path / "in"], tmp_path / "out", options=options)
    told = "".join(file.read_text() for file in (tmp_path / "out/polygons" / kind).rglob("*.json"))
    names = re.findall(r'"(?:file_name|imagePath|filename)": ?"([^"]*)"', told)
    assert sorted(names) == ["i00.png", "i00.webp", "sub/i00.png"]
    both = [tmp_path / "in", folder_of(tmp_path / "other", 1)]
    predict_files(Predictor(Counting(), BINARY, (32, 32)), both, tmp_path / "two", options=options)
    told = "".join(file.read_text() for file in (tmp_path / "two/polygons" / kind).rglob("*.json"))
    names = re.findall(r'"(?:file_name|imagePath|filename)": ?"([^"]*)"', told)
    assert len(set(names)) == 4


def test_polygons_that_cannot_hold_the_classes_are_refused_first(tmp_path: Path) -> None:
    odd = ClassMap(names=("background", "a/b"), values=((0,), (255,)), task=Task.BINARY)
    with pytest.raises(ConfigError, match="class names that cannot be file names: 'a/b'"):
        predict_files(
            Predictor(Counting(), odd, (32, 32)), [folder_of(tmp_path / "in", 1)], tmp_path / "out",
            options=OutputOptions(polygons=("coco",)),
        )  # fmt: skip
    assert not (tmp_path / "out/masks").exists()


def test_a_journal_is_of_one_key(tmp_path: Path) -> None:
    image = folder_of(tmp_path / "in", 1) / "i00.png"
    key = journal_key("model", {"size": [3, 4]})
    assert key == journal_key("model", {"size": [3, 4]}) != journal_key("model", {"size": [3, 5]})
    with opened_journal(tmp_path / "out", key) as journal:
        assert journal.before.row_of("i00", image) is None
        journal.add("i00", image, {"id": "i00", "spot_frac": "0.25"})
    for other, again, there in ((key, False, True), ("other", False, False), (key, False, False)):
        with opened_journal(tmp_path / "out", other, again=again) as journal:
            assert (journal.before.row_of("i00", image) is not None) == there
    (tmp_path / "out" / JOURNAL).write_bytes(b"\xff\xfe rubbish")
    with opened_journal(tmp_path / "out", key) as journal:
        assert journal.before.row_of("i00", image) is None


KILLED = """
import sys, time
from pathlib import Path
from tests.predict.test_files import BINARY, Counting
from segbench.predict.files import predict_files
from segbench.predict.predictor import Predictor
predict_files(Predictor(Counting(seconds=0.2), BINARY, (256, 512)), [Path(sys.argv[1])], Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_process_loses_what_it_was_at(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "in", 30), tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(out)], env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(out.glob("masks/*.png"))) < 8:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines = (out / JOURNAL).read_text().splitlines()
    noted = [json.loads(line)["name"] for line in lines if '"name"' in line and line.endswith("}")]
    assert 4 <= len(noted) < 30
    network = Counting()
    done = predict_files(Predictor(network, BINARY, (256, 512)), [folder], out)
    assert len(done.written) == 30
    assert done.kept >= len(noted) - 1
    assert sum(network.batches) == 30 - done.kept
    assert len(list((out / "masks").iterdir())) == 31, "30 masks and classes.json, nothing half written"
    for path in out.glob("masks/*.png"):
        assert np.array_equal(mask(out, path.stem), Predictor(Counting(), BINARY, (256, 512))(folder / path.name).mask)


def test_doubt_of_several_networks_tells_how_much_they_disagree(tmp_path: Path) -> None:
    """The mean of their entropies is what every network has by itself; masks are those without the question."""
    torch.manual_seed(0)
    networks = [build_network("unet", widths=[4, 8], out_channels=1).eval() for _ in range(2)]
    for network in networks:
        torch.nn.init.normal_(network.decoder[0][1].weight, std=3.0)
    folder, options = folder_of(tmp_path / "images", 2), OutputOptions(doubt=True)
    both = Predictor(Ensemble(networks, Task.BINARY), BINARY, (32, 32))
    predict_files(both, [folder], tmp_path / "plain")
    done = predict_files(both, [folder], tmp_path / "both", options=options)
    with done.areas_file.open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        image = folder / row["file"]
        apart = [Predictor(network, BINARY, (32, 32))(image).network_probs[None] for network in networks]
        expected = disagreement(apart, Task.BINARY)[0]
        found = enlarge(torch.from_numpy(expected)[None], (30, 40))[0].numpy().mean()
        assert found > 0.01
        assert float(row["disagreement"]) == pytest.approx(found, abs=1e-4)
        np.testing.assert_array_equal(mask(tmp_path / "both", row["id"]), mask(tmp_path / "plain", row["id"]))
        with Image.open(tmp_path / "both" / "disagreement" / f"{row['id']}.png") as picture:
            assert picture.size == (40, 30)
    assert (tmp_path / "both" / "disagreement_legend.png").is_file()
    (tmp_path / "both" / "disagreement" / f"{rows[0]['id']}.png").unlink()
    assert predict_files(both, [folder], tmp_path / "both", options=options).kept == 1

    one = predict_files(Predictor(networks[0], BINARY, (32, 32)), [folder], tmp_path / "one", options=options)
    assert "disagreement" not in one.areas_file.read_text()
    assert not (tmp_path / "one" / "disagreement").exists()
