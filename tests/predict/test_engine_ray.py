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
from segbench.predict.files import find_jobs, predict_files
from segbench.predict.outputs import OutputOptions
from segbench.predict.postprocess import Postprocess
from segbench.predict.recipe import Recipe
from segbench.study.ray import RayEngine

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


def test_a_killed_worker_costs_its_images(
    cluster: RayEngine, recipe: Recipe, binary_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    submitted: list[int] = []
    real = engine_ray._Pool.submit

    def submit(self: Any, batch: list[Any], attempt: int) -> None:
        submitted.append(len(batch))
        if len(submitted) == 3:  # the first two are at work, or through
            worker = self._idle[-1]
            killed.append(pid_of(worker))
            os.kill(killed[-1], signal.SIGKILL)
        real(self, batch, attempt)

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
            def predict(self, images: list[tuple[str, str, str]]) -> Any:
                if any(name == "img_003" for _, _, name in images):
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().predict(images)

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
    jobs = find_jobs([binary_pairs / "images"], tmp_path / "out")
    with pytest.raises(PredictionError, match=r"does not see .*gone; put it on a disk that all machines mount there"):
        list(RayWorkers(gone).run(jobs, tmp_path / "out", OutputOptions()))
