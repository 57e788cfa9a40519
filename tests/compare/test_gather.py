"""Evidence: the right numbers on the same images, or a refusal that says why they cannot be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.compare.gather import load_evidence
from segbench.compare.image_scores import check_score
from segbench.data.manifest.manifest import Manifest
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, DatasetError, RunError
from segbench.folders.mask_archive import MaskArchive
from segbench.folders.run import RunFolder
from segbench.metrics.families import COMPARED

Train = Callable[..., Path]


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """Returns a copy of the runs that a test may change."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def paths(root: Path, *names: str) -> list[Path]:
    return [root / name for name in names]


@pytest.mark.slow
def test_runs_that_differ_in_the_seed_alone_are_one_entry(runs: Path) -> None:
    evidence = load_evidence(paths(runs, "b_seed1", "a_seed0", "a_seed1", "b_seed0"))
    assert [(entry.name, entry.seeds, entry.values.shape) for entry in evidence.entries] == [
        ("b", (0, 1), (2, 3)),
        ("a", (0, 1), (2, 3)),
    ]
    result = json.loads((runs / "a_seed1" / "result.json").read_text())
    assert evidence.entries[1].values[1].mean() == pytest.approx(result["scores"]["test"]["iou_per_image"])
    assert evidence.entries[1].costs.parameters == result["parameters"]
    assert evidence.size == (32, 32)
    assert evidence.higher_is_better
    image, target = evidence.load(evidence.ids[0])
    assert image.shape == (32, 32, 3)
    assert evidence.entries[0].masks[0].read(evidence.ids[0]).shape == target.shape


@pytest.mark.slow
@pytest.mark.parametrize("score", COMPARED)
def test_every_comparable_score_is_the_runs_own(runs: Path, score: str) -> None:
    evidence = load_evidence(paths(runs, "a_seed0", "b_seed0"), score=score)
    result = json.loads((runs / "a_seed0" / "result.json").read_text())
    if not evidence.left_out:
        assert evidence.entries[0].values.mean() == pytest.approx(result["scores"]["test"][score])
    assert evidence.definition["name"] == score


@pytest.mark.slow
def test_a_class_can_decide(runs: Path) -> None:
    evidence = load_evidence(paths(runs, "a_seed0", "b_seed0"), score="iou_per_image[background]")
    assert evidence.definition["classes"] == ["background"]


@pytest.mark.parametrize(
    ("score", "text"),
    [
        ("iou_pooled", "is no mean over images, which are what a comparison resamples"),
        ("iou_per_image_median", "is no mean over images"),
        ("area_bias_per_image", "is no mean over images"),
        ("iuo", "is no score"),
    ],
)
def test_scores_that_cannot_decide(score: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_score(score)


@pytest.mark.slow
def test_other_test_images_are_refused(train: Train, own: Path, binary_pairs: Path, tmp_path: Path) -> None:
    data = {"path": str(binary_pairs), "size": 32, "split": {"method": "ratios", "seed": 5}}
    other = train(binary_pairs, tmp_path / "other", data=data)
    with pytest.raises(RunError, match=r"was not scored on the same test images as .*a_seed0: 3 there, 3 here, \d+ in"):
        load_evidence([own / "a_seed0", other])


@pytest.mark.slow
def test_other_sizes_are_compared_at_the_images_own_size(
    train: Train, own: Path, binary_pairs: Path, tmp_path: Path
) -> None:
    large = train(binary_pairs, tmp_path / "large", data={"path": str(binary_pairs), "size": 40})
    with pytest.raises(ConfigError, match="runs were scored at different sizes \\(32x32, 40x40\\)"):
        load_evidence([own / "a_seed0", large], resolution="training")
    evidence = load_evidence([own / "a_seed0", large])
    assert evidence.size is None
    assert evidence.definition["resolution"] == "each image's own size"
    assert "2 runs were scored again, at each image's own size" in evidence.notes
    assert len((own / "a_seed0" / "test_log.csv").read_text().splitlines()) == 3
    again = load_evidence([own / "a_seed0", large])
    assert not any("scored again" in note for note in again.notes)


@pytest.mark.slow
def test_another_definition_is_refused(train: Train, own: Path, binary_pairs: Path, tmp_path: Path) -> None:
    scores = {"tolerance_px": 5.0}
    other = train(binary_pairs, tmp_path / "other", scores=scores)
    with pytest.raises(RunError, match="nsd_per_image means something else here: formula is"):
        load_evidence([own / "a_seed0", other], score="nsd_per_image")
    assert len(load_evidence([own / "a_seed0", other]).entries) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("result.json", None, "this run is not finished; run `segbench train` again"),
        ("result.json", "{", r"result.json cannot be read"),
        ("counts_test.csv", None, "there are no counts of the test part .counts_test.csv.; run `segbench evaluate"),
        ("counts_test.csv", "id,ignored\n", "belongs to other classes"),
        ("surfaces_test.csv", "id\n", "surfaces_test.csv"),
        ("manifest.json", "[]", "expected a manifest"),
    ],
)
def test_half_written_and_damaged_runs(own: Path, file: str, content: str | None, text: str) -> None:
    if content is None:
        (own / "a_seed0" / file).unlink()
    else:
        (own / "a_seed0" / file).write_text(content)
    with pytest.raises((RunError, DatasetError), match=text):
        load_evidence(paths(own, "a_seed0", "b_seed0"))


@pytest.mark.slow
def test_too_little_to_compare(own: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a comparison needs two entries or more, got a"):
        load_evidence(paths(own, "a_seed0", "a_seed1"))
    with pytest.raises(RunError, match="named twice"):
        load_evidence(paths(own, "a_seed0", "a_seed0"))
    with pytest.raises(RunError, match="there is no such folder"):
        load_evidence([own / "a_seed0", tmp_path / "nothing"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RunError, match="expected a run or a study among them"):
        load_evidence([empty])
    with pytest.raises(DatasetError, match="found no image in this folder"):
        load_evidence([own / "a_seed0", empty])


@pytest.fixture
def masks(runs: Path, tmp_path: Path) -> Path:
    """Returns a folder of the truths at the images' own size, as another tool would write them."""
    manifest = Manifest.read(RunFolder(runs / "a_seed0").manifest_file)
    folder = tmp_path / "other_tool"
    folder.mkdir()
    for sample in manifest.split("test"):
        _, target = load_sample(manifest, sample)
        Image.fromarray(target * 255).save(folder / f"{Path(sample.image).stem}.png")
    return folder


@pytest.mark.slow
def test_another_tools_masks_are_judged_by_the_same_rules(own: Path, masks: Path) -> None:
    evidence = load_evidence([own / "a_seed0", masks])
    outside = evidence.entries[1]
    assert (outside.name, outside.runs, outside.seeds) == ("other_tool", (), ())
    np.testing.assert_array_equal(outside.values, np.ones((1, 3)))
    assert evidence.size is None
    target = evidence.load(evidence.ids[0])[1]
    np.testing.assert_array_equal(outside.masks[0].read(evidence.ids[0]), target)
    boundary = load_evidence([own / "a_seed0", masks], score="boundary_iou_per_image")
    np.testing.assert_array_equal(boundary.entries[1].values, np.ones((1, 3)))


@pytest.mark.slow
def test_segbenchs_own_predictions_score_like_its_run(own: Path, tmp_path: Path) -> None:
    run = RunFolder(own / "a_seed0")
    folder = tmp_path / "copied"
    folder.mkdir()
    archive = MaskArchive(run.predicted_file("test"))
    for name in archive.ids:
        Image.fromarray(archive.read(name)).save(folder / f"{name}.png")  # class indices, at the training size
    evidence = load_evidence([run.path, folder])
    np.testing.assert_array_equal(evidence.entries[0].values, evidence.entries[1].values)
    assert evidence.size == (32, 32)
    assert any("read as class indices 0 to 1" in note for note in evidence.notes)


@pytest.mark.slow
def test_masks_that_have_both_sizes_need_no_second_scoring(
    train: Train, binary_pairs: Path, masks: Path, tmp_path: Path
) -> None:
    run = train(binary_pairs, tmp_path / "full", data={"path": str(binary_pairs), "size": [40, 48]})
    for resolution in ("auto", "training"):
        evidence = load_evidence([run, masks], resolution=resolution)
        assert evidence.size == (40, 48)
        np.testing.assert_array_equal(evidence.entries[1].values, np.ones((1, 3)))
    assert len((run / "test_log.csv").read_text().splitlines()) == 2
    assert load_evidence([run, masks], resolution="original").size is None


@pytest.mark.slow
def test_missing_extra_and_differently_sized_masks(own: Path, masks: Path) -> None:
    run = own / "a_seed0"
    files = sorted(masks.glob("*.png"))
    shutil.copy(files[0], masks / "of_another_image.png")
    evidence = load_evidence([run, masks])
    assert any("1 masks belong to no test image and were left out: of_another_image" in note for note in evidence.notes)
    with Image.open(files[1]) as image:
        image.resize((7, 9)).save(files[1])
    with pytest.raises(DatasetError, match=r"1 masks have another size \(H x W\) .*: .*png is 9x7, its image 40x48"):
        load_evidence([run, masks])
    with Image.open(files[0]) as image:
        image.resize((32, 32)).save(files[1])
    with pytest.raises(DatasetError, match=r"2 masks have their image's size .* and 1 the size of the runs"):
        load_evidence([run, masks])
    files[1].unlink()
    with pytest.raises(DatasetError, match=f"1 of 3 test images have no mask here: {files[1].stem}"):
        load_evidence([run, masks])


@pytest.mark.slow
def test_masks_with_unknown_values_and_broken_ones(own: Path, masks: Path) -> None:
    run, file = own / "a_seed0", sorted(masks.glob("*.png"))[0]
    Image.fromarray(np.full((40, 48), 7, np.uint8)).save(file)
    with pytest.raises(
        DatasetError, match=r"the masks hold the values 0, 7, 255; expected those of the data set's own"
    ):
        load_evidence([run, masks])
    file.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="this mask cannot be read"):
        load_evidence([run, masks])


@pytest.mark.slow
def test_a_name_that_only_half_fits_is_not_guessed(own: Path, masks: Path) -> None:
    file = sorted(masks.glob("*.png"))[0]
    file.rename(file.with_name(f"pred_{file.name}"))
    with pytest.raises(DatasetError, match="A mask is named like its image"):
        load_evidence([own / "a_seed0", masks])


@pytest.mark.slow
def test_multilabel_masks_have_a_folder_a_class(train: Train, multilabel_pairs: Path, tmp_path: Path) -> None:
    data = {"path": str(multilabel_pairs), "size": 32, "options": {"task": "multilabel"}}
    run = train(multilabel_pairs, tmp_path / "run", data=data)
    manifest = Manifest.read(RunFolder(run).manifest_file)
    for sample in manifest.split("test"):
        _, target = load_sample(manifest, sample)
        for name, plane in zip(manifest.class_map.names, target, strict=True):
            (tmp_path / "tool" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(plane * 255).save(tmp_path / "tool" / name / f"{Path(sample.image).stem}.png")
    evidence = load_evidence([run, tmp_path / "tool"])
    np.testing.assert_array_equal(evidence.entries[1].values, np.ones((1, len(evidence.ids))))
