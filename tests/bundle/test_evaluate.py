"""A bundle is scored where a run is: on the run's data the same numbers, on another set that set's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench import cli
from segbench.bundle.make import bundle_runs
from segbench.errors import BundleError, DatasetError, RunError
from segbench.predict.bundle_file import ModelBundle
from segbench.train.callback import Callback

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundled(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundles") / "a.segbench"
    bundle_runs(runs / "a_seed0", watch=Callback()).write(file)
    return file


@pytest.mark.parametrize("resolution", ["training", "original"])
def test_it_scores_as_its_run(runs: Path, bundled: Path, tmp_path: Path, resolution: str) -> None:
    run = runs / "a_seed0"
    options = {"resolution": resolution, "watch": Callback()}
    wanted = segbench.evaluate(run, "val", out=tmp_path / "run", **options)  # type: ignore[arg-type]
    found = segbench.evaluate(bundled, "val", data=run / "manifest.json", out=tmp_path / "it", **options)  # type: ignore[arg-type]
    assert found.summary() == wanted.summary()
    assert found.counts.confusion.tolist() == wanted.counts.confusion.tolist()
    name = "evaluation_val.json" if resolution == "training" else "evaluation_val_original.json"
    written = json.loads((tmp_path / "it" / name).read_text())
    assert written["bundle"] == ModelBundle.read(bundled).id
    assert "epoch" not in written


def test_each_scoring_of_the_test_part_is_counted(runs: Path, bundled: Path, tmp_path: Path) -> None:
    times = []
    for _ in range(2):
        segbench.evaluate(bundled, data=runs / "a_seed0" / "manifest.json", out=tmp_path, watch=Callback())
        times.append(json.loads((tmp_path / "evaluation_test.json").read_text())["test_scored"])
    before = ModelBundle.read(bundled).card["test_uses"]
    assert times == [before + 1, before + 2]


def test_a_set_without_parts_is_a_test_part(bundled: Path, binary_pairs: Path, tmp_path: Path) -> None:
    scores = segbench.evaluate(bundled, data=binary_pairs, out=tmp_path, watch=Callback())
    assert scores.n_images == 24
    with pytest.raises(BundleError, match=r"was to be scored on the val part, which .* does not have"):
        segbench.evaluate(bundled, "val", data=binary_pairs, out=tmp_path, watch=Callback())


def test_deep_values_are_scaled_as_the_network_learnt_them(
    train: Callable[..., Path], binary_pairs: Path, tmp_path: Path
) -> None:
    """Not by the range of the other set's values: `segbench predict` knows no other set."""
    for folder, factor in (("ours", 10), ("theirs", 7)):
        shutil.copytree(binary_pairs / "masks", tmp_path / folder / "masks")
        (tmp_path / folder / "images").mkdir()
        for file in sorted((binary_pairs / "images").iterdir()):
            grey = np.asarray(Image.open(file).convert("L")).astype(np.uint16) * factor
            Image.fromarray(grey).save(tmp_path / folder / "images" / file.name)
    run = train(tmp_path / "ours", tmp_path / "run", data=_deep(tmp_path / "ours", [0, 2550]), epochs=6)
    bundle_runs(run, watch=Callback()).write(tmp_path / "x.segbench")
    other = segbench.read_dataset(tmp_path / "theirs", **_deep(tmp_path / "theirs", [0, 1785])["options"])
    other.write(tmp_path / "theirs.json")
    scores = segbench.evaluate(
        tmp_path / "x.segbench", data=tmp_path / "theirs.json", resolution="original", out=tmp_path / "out",
        watch=Callback(),
    )  # fmt: skip
    predictor = segbench.Predictor.load(tmp_path / "x.segbench", device="cpu")
    for place, sample in enumerate(other.samples):
        said = predictor(other.image_path(sample)).mask == 1
        assert int(said.sum()) == int(scores.counts.confusion[scores.ids.index(sample.id)][:, 1].sum()), place


def _deep(folder: Path, values: list[int]) -> dict[str, Any]:
    return {"path": str(folder), "size": 32, "options": {"depth_range": values}}


def test_what_is_refused(runs: Path, bundled: Path, three_class_pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"a\.segbench: holds no images; say with --data which are scored"):
        segbench.evaluate(bundled, out=tmp_path, watch=Callback())
    with pytest.raises(BundleError, match=r"a\.segbench: is not changed when it is scored; say with --out where to"):
        segbench.evaluate(bundled, data=three_class_pairs, watch=Callback())
    with pytest.raises(BundleError, match=r"has the classes background, foreground, and .* has"):
        segbench.evaluate(bundled, data=three_class_pairs, out=tmp_path, watch=Callback())
    with pytest.raises(BundleError, match=r"alike, for example with `segbench data index .* --option 'classes=\[backg"):
        segbench.evaluate(bundled, data=three_class_pairs, out=tmp_path, watch=Callback())
    ModelBundle.read(bundled).write(tmp_path / "folder")
    with pytest.raises(BundleError, match="there is a bundle; choose another folder with --out"):
        segbench.evaluate(bundled, data=runs / "a_seed0" / "manifest.json", out=tmp_path / "folder", watch=Callback())
    (tmp_path / "odd set").mkdir()
    with pytest.raises(DatasetError, match=r"where it needs options, .* `segbench data index '.*odd set' \.\.\. -o"):
        segbench.evaluate(bundled, data=tmp_path / "odd set", out=tmp_path, watch=Callback())
    with pytest.raises(BundleError, match="is scored alone; bundle several runs as one first"):
        segbench.evaluate([bundled, runs / "a_seed1"], data=three_class_pairs, out=tmp_path, watch=Callback())
    with pytest.raises(RunError, match="is a bundle, and no run"):
        segbench.evaluate([runs / "a_seed1", bundled], out=tmp_path, watch=Callback())
    with pytest.raises(RunError, match="a run is scored on its own data; bundle it first"):
        segbench.evaluate(runs / "a_seed1", data=three_class_pairs, out=tmp_path, watch=Callback())


def test_the_command(
    bundled: Path, binary_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], train: Callable[..., Path]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", str(bundled), "--data", str(binary_pairs), "-o", str(tmp_path), "-q"])
    told = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "test IoU per image" in told
    assert "over 24 images" in told
    assert "scored at 32x32 pixels" in told
