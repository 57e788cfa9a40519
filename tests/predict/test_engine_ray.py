"""Images over a Ray cluster of two nodes, with workers that are really killed."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segbench.errors import PredictionError
from segbench.predict import engine_ray
from segbench.predict.engine_ray import RayWorkers
from segbench.predict.files import predict_files
from segbench.predict.found import find_images
from segbench.predict.outputs import OutputOptions
from segbench.predict.postprocess import Postprocess
from segbench.predict.recipe import Recipe
from segbench.study.ray import RayEngine
from segbench.types import SizePolicy

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayEngine]:
    """Returns a connection to a cluster of two nodes with one core each."""
    pytest.importorskip("ray")
    RayEngine()  # Ray reads its settings when it is imported, so the engine comes first
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    logging.getLogger("ray").setLevel(logging.ERROR)
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    engine = RayEngine(made.address)
    try:
        made.add_node(**node)
        engine.machine()
        yield engine
    finally:
        engine.close()
        made.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def recipe(runs: Path) -> Recipe:
    return Recipe(models=(str(runs / "a_seed0"),), device="cpu", threads=1)


def assert_same(one: Path, other: Path) -> None:
    names = sorted(path.relative_to(one) for path in one.rglob("*.png"))
    assert len(names) > 24
    for name in names:
        assert np.array_equal(np.asarray(Image.open(one / name)), np.asarray(Image.open(other / name))), name
    assert (one / "areas.csv").read_text() == (other / "areas.csv").read_text()


def test_the_results_are_those_of_this_machine(
    cluster: RayEngine, recipe: Recipe, binary_pairs: Path, tmp_path: Path
) -> None:
    recipe = replace(recipe, postprocess=Postprocess(smallest_px=5))
    predictor, images = recipe.make(), binary_pairs / "images"
    broken = tmp_path / "in"
    broken.mkdir()
    (broken / "broken.png").write_bytes(b"no image")
    for out, engine in (("local", None), ("ray", RayWorkers(recipe, at_once=5))):
        done = predict_files(predictor, [images, broken], tmp_path / out, engine=engine)
        assert len(done.written) == 24
        assert list(done.failed) == [str(broken / "broken.png")]
    assert_same(tmp_path / "local", tmp_path / "ray")
    assert predict_files(predictor, [images], tmp_path / "ray", engine=RayWorkers(recipe)).kept == 24


@pytest.mark.parametrize("policy", ["tiles", None])
def test_what_workers_find_of_sizes_and_seams_is_told_as_on_this_machine(
    cluster: RayEngine, recipe: Recipe, tmp_path: Path, policy: SizePolicy | None
) -> None:
    recipe = replace(recipe, policy=policy, tta="flips")  # turned images have no exact tiles: they are blended
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (250, 230, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    told = []
    for out, engine in (("local", None), ("ray", RayWorkers(recipe, at_once=1))):
        predictor = recipe.make()
        predict_files(predictor, [folder], tmp_path / out, engine=engine)
        seams = predictor.pipeline.seams
        told.append((seams.pixels, seams.different, seams.note, predictor.pipeline.notes))
    assert told[0] == told[1]
    assert told[0][0] > 0 if policy == "tiles" else "times as large as those of training" in told[1][3]["resize"]


def test_a_killed_worker_costs_its_images(
    cluster: RayEngine, recipe: Recipe, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    submitted: list[int] = []
    real = engine_ray._Pool.submit

    def submit(self: Any, task: Any) -> None:
        submitted.append(len(task.jobs))
        if len(submitted) == 3:  # the first two are at work, or through
            worker = self._idle[-1]
            killed.append(pid_of(worker))
            os.kill(killed[-1], signal.SIGKILL)
        real(self, task)

    monkeypatch.setattr(engine_ray._Pool, "submit", submit)
    predictor = recipe.make()
    images = binary_pairs / "images"
    done = predict_files(predictor, [images], tmp_path / "ray", engine=RayWorkers(recipe, at_once=4))
    assert killed
    assert len(done.written) == 24
    assert not done.failed
    assert sum(submitted) == 24 + 4, "the images of the killed worker were given out again"
    predict_files(predictor, [images], tmp_path / "local")
    assert_same(tmp_path / "local", tmp_path / "ray")


def pid_of(worker: Any) -> int:
    """Returns the process of an actor."""
    import ray

    return int(ray.get(worker.process.remote()))


def test_an_image_that_kills_every_worker_is_noted(
    cluster: RayEngine, recipe: Recipe, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine_ray._worker_class

    def deadly() -> type:
        kind = real()

        class Deadly(kind):  # type: ignore[misc,valid-type]
            def predict(self, images: list[tuple[str, str, str, int | None]], banded: bool) -> Any:
                if any(name == "img_003" for _, _, name, _ in images):
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().predict(images, banded)

        return Deadly

    monkeypatch.setattr(engine_ray, "_worker_class", deadly)
    done = predict_files(
        recipe.make(), [binary_pairs / "images"], tmp_path / "out", engine=RayWorkers(recipe, at_once=8)
    )
    assert len(done.written) == 23
    assert list(done.failed.values()) == ["its worker was lost 3 times (ActorDiedError)"]


def test_a_machine_that_does_not_see_the_model_is_told(
    cluster: RayEngine, recipe: Recipe, binary_pairs: Path, tmp_path: Path
) -> None:
    gone = replace(recipe, models=(str(tmp_path / "gone"),))
    (tmp_path / "out").mkdir()
    jobs = find_images([binary_pairs / "images"], tmp_path / "out").jobs()
    with pytest.raises(PredictionError, match=r"does not see .*gone; put it on a disk that all machines mount there"):
        list(RayWorkers(gone).run(jobs, tmp_path / "out", OutputOptions(), lambda _: None))


def test_one_large_raster_is_spread_in_bands_of_rows(
    cluster: RayEngine, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is that of this machine, byte for byte, also where a worker is killed or everything is stopped: finished
    bands are kept, and the rows of the unfinished one."""
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(0).integers(0, 256, (3, 900, 260), dtype=np.uint8)
    place = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_400_000.0)
    profile = {"driver": "GTiff", "count": 3, "height": 900, "width": 260, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(tmp_path / "field.tif", "w", transform=place, **profile) as target:
        target.write(values)
    log = tmp_path / "bands.txt"
    log.touch()
    real = engine_ray._worker_class

    def small() -> type:
        kind = real()

        class Small(kind):  # type: ignore[misc,valid-type]
            def _load(self) -> None:
                super()._load()
                make_small()

            def band(self, images: Any, band: tuple[int, int]) -> Any:
                from segbench.predict.unfinished import RowStore

                append, first = RowStore.append, not log.read_text().count("killed")

                def deadly(store: Any, labels: Any) -> None:
                    append(store, labels)
                    if first and band[0] and store.rows < band[1] - band[0]:
                        with log.open("a") as stream:
                            stream.write(f"killed {band[0]} {store.rows}\n")
                        os.kill(os.getpid(), signal.SIGKILL)

                RowStore.append = deadly  # type: ignore[method-assign]
                try:
                    answer = super().band(images, band)
                finally:
                    RowStore.append = append  # type: ignore[method-assign]
                with log.open("a") as stream:
                    stream.write(f"band {band[0]}\n")
                return answer

        return Small

    def make_small() -> None:
        from segbench.predict import large, tiles, windows

        large.LARGE_PX, tiles._TILES_MB, windows._BAND_PX = 1000, (2.0,), 40_000

    monkeypatch.setattr("segbench.predict.large.LARGE_PX", 1000)
    monkeypatch.setattr("segbench.predict.tiles._TILES_MB", (2.0,))
    monkeypatch.setattr(engine_ray, "_worker_class", small)
    recipe = replace(recipe, policy="tiles")
    predictor, asked = recipe.make(), OutputOptions(probs="tif", objects=True)
    answered = engine_ray._Pool.next
    answers: list[Any] = []

    def stopped(self: Any) -> Any:
        if len(answers) == 3:  # which bands there are, and two of them
            raise KeyboardInterrupt
        answers.append(answered(self))
        return answers[-1]

    with monkeypatch.context() as patch:
        patch.setattr(engine_ray._Pool, "next", stopped)
        with pytest.raises(KeyboardInterrupt):
            predict_files(
                predictor, [tmp_path / "field.tif"], tmp_path / "ray", options=asked, engine=RayWorkers(recipe)
            )
    assert any(line.startswith("band") for line in log.read_text().splitlines())
    done = predict_files(
        predictor, [tmp_path / "field.tif"], tmp_path / "ray", options=asked, engine=RayWorkers(recipe)
    )
    assert done.written == ("field",)
    lines = log.read_text().splitlines()
    assert sum(line.startswith("killed") for line in lines) >= 1
    bands = [line for line in lines if line.startswith("band")]
    assert len(bands) == len(set(bands)) > 3
    predict_files(predictor, [tmp_path / "field.tif"], tmp_path / "local", options=asked)
    for name in ("masks/field.tif", "overlays/field.jpg", "areas.csv", "probs/field.tif", "objects.csv"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes(), name
    assert not list((tmp_path / "ray").rglob("*unfinished*"))
