"""What is suggested of a folder: the images that are worth it, none twice, none that has a label."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from segbench.assist.batch import copy_images, write_sheet, write_table
from segbench.assist.looks import doubt_of, member_pipelines
from segbench.assist.suggest import Suggested, suggest_images
from segbench.data.manifest.read import read_dataset
from segbench.errors import ConfigError, PredictionError
from segbench.predict.averaging import Ensemble
from segbench.predict.predictor import Predictor
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (255,)), task=Task.BINARY)
HALF = Normalization(mean=(0.5,) * 3, std=(0.5,) * 3)


class Red(nn.Module):
    """Logits that follow from the red channel: grey is doubtful, black and full red are not."""

    normalization = HALF

    def __init__(self, factor: float = 12.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor), requires_grad=False)
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        return self.factor * images[:, :1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Red(), BINARY, (32, 48))


Draw = Callable[..., np.ndarray]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def scene(seed: int, red: float | None = None) -> np.ndarray:
    """Returns (64, 96, 3) of coarse coloured patches, other ones with every seed; red, 0-1, in all of it where told."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    if red is not None:
        patches[..., 0] = round(red * 255)
    return patches


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def names(found: Suggested) -> list[str]:
    return [each.name for each in found.images]


def test_the_most_doubtful_come_first_whatever_their_size(predictor: Predictor, photos: Path) -> None:
    save(photos / "large_and_sure.png", scene(0, 0.9).repeat(4, 0).repeat(4, 1))
    save(photos / "doubtful.png", scene(1, 0.5))
    save(photos / "between.png", scene(2, 0.65))
    found = suggest_images(predictor, photos, strategy="entropy")
    assert names(found) == ["doubtful.png", "between.png", "large_and_sure.png"]
    assert found.images[0].score == pytest.approx(1.0, abs=1e-3), "one bit a pixel"
    assert str(found.images[0].why).startswith("doubtful (1.00 a pixel; half of the images: at most 0.")
    assert names(suggest_images(predictor, photos, strategy="confidence"))[0] == "doubtful.png"


def test_networks_that_contradict_each_other_are_told_from_ones_that_are_unsure(photos: Path) -> None:
    save(photos / "contradicted.png", scene(0, 0.95))
    save(photos / "unsure.png", scene(1, 0.5))
    two = Predictor(Ensemble([Red(20.0), Red(-20.0)], Task.BINARY), BINARY, (32, 48))
    found = suggest_images(two, photos, strategy="disagreement")
    assert names(found) == ["contradicted.png", "unsure.png"]
    assert [each.score for each in found.images] == pytest.approx([1.0, 0.0], abs=0.01), "in bits a pixel"
    assert "the networks contradict each other (1.000 a pixel" in str(found.images[0].why)


def test_one_network_cannot_disagree(predictor: Predictor, photos: Path) -> None:
    save(photos / "a.png", scene(0))
    with pytest.raises(ConfigError, match=r"one network cannot disagree with itself: name more trainings \(--ensemble"):
        suggest_images(predictor, photos, strategy="disagreement")
    assert doubt_of(predictor, member_pipelines(predictor), scene(0)).disagreement is None


def test_disagreement_of_exclusive_classes_is_at_most_one() -> None:
    class Sure(nn.Module):
        normalization = HALF

        def __init__(self, label: int) -> None:
            super().__init__()
            self.label = label

        def forward(self, images: Tensor) -> Tensor:
            logits = torch.zeros(len(images), 3, *images.shape[2:])
            logits[:, self.label] = 50.0
            return logits

    three = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)), task=Task.MULTICLASS)
    predictor = Predictor(Ensemble([Sure(0), Sure(1), Sure(2)], Task.MULTICLASS), three, (32, 48))
    doubt = doubt_of(predictor, member_pipelines(predictor), scene(0))
    assert doubt.disagreement == pytest.approx(1.0, abs=1e-3)
    assert doubt.entropy == pytest.approx(1.0, abs=1e-3)


def test_no_copy_of_what_is_labelled_or_suggested(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    labelled = save(tmp_path / "done" / "first.png", scene(0, 0.5))
    save(photos / "as_labelled.png", scene(0, 0.5)[:, ::-1])  # mirrored
    save(photos / "one.png", scene(1, 0.5))
    save(photos / "one_again.jpg", scene(1, 0.5), quality=60)
    (photos / "one_renamed.png").write_bytes((photos / "one.png").read_bytes())
    save(photos / "two.png", scene(2, 0.9))
    (photos / "the_labelled_one.png").write_bytes(labelled.read_bytes())
    for strategy in ("entropy", "diversity", "entropy+diversity", "random"):
        found = suggest_images(predictor, photos, strategy=strategy, labelled=[tmp_path / "done"])
        assert sorted(names(found)) in (["one.png", "two.png"], ["one_again.jpg", "two.png"]), strategy
        assert (found.candidates, found.labelled, found.copies) == (4, 1, 3), strategy


def test_images_with_a_mask_and_the_masks_are_no_candidates(predictor: Predictor, photos: Path) -> None:
    for number in range(6):
        save(photos / "images" / f"{number}.png", scene(number))
    for number in (0, 2, 9):  # 9: its image is gone
        save(photos / "masks" / f"{number}.png", (scene(number)[..., 0] > 128).astype(np.uint8) * 255)
    found = suggest_images(predictor, photos, strategy="random")
    assert sorted(names(found)) == [f"images/{number}.png" for number in (1, 3, 4, 5)]
    assert found.labelled == 2
    assert str(found.notes[0]) == "photos: read as folder, 2 labelled images"


def test_images_of_a_project_without_outlines_are_candidates(predictor: Predictor, photos: Path) -> None:
    project = {}
    for number in range(4):
        file = save(photos / f"{number}.png", scene(number))
        shape = {"name": "polygon", "all_points_x": [2, 40, 40], "all_points_y": [2, 2, 40]}
        region = {"shape_attributes": shape, "region_attributes": {"class": "spot"}}
        project[f"{number}"] = {
            "filename": file.name,
            "size": file.stat().st_size,
            "regions": [region] if number < 2 else [],
            "file_attributes": {},
        }
    (photos / "via_region_data.json").write_text(json.dumps(project), encoding="utf-8")
    found = suggest_images(predictor, photos, strategy="random")
    assert sorted(names(found)) == ["2.png", "3.png"]
    assert str(found.notes[0]) == "photos: read as via, 2 labelled images"


def test_the_data_of_a_run_are_labelled(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "set" / "images" / f"{number}.png", scene(number))
        save(tmp_path / "set" / "masks" / f"{number}.png", (scene(number)[..., 0] > 128).astype(np.uint8) * 255)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}", encoding="utf-8")
    read_dataset(tmp_path / "set").write(run / "manifest.json")
    (photos / "learnt.png").write_bytes((tmp_path / "set" / "images" / "1.png").read_bytes())
    save(photos / "new.png", scene(7))
    assert names(suggest_images(predictor, photos, strategy="random", models=[run])) == ["new.png"]
    (tmp_path / "set").rename(tmp_path / "moved")
    assert names(suggest_images(predictor, photos, strategy="random", models=[run])) == ["new.png"], "by its hash"


def test_frames_of_a_video_are_not_taken_side_by_side(predictor: Predictor, photos: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (8, 80, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for frame in range(60):  # a camera that moves by half a patch; the later, the more doubtful
        pixels = wide[:, 4 * frame : 4 * frame + 96].copy()
        pixels[:4, :, 0] = 255 - 2 * frame
        save(photos / f"frame_{frame:03d}.png", pixels)
    found = suggest_images(predictor, photos, strategy="entropy", count=4)
    places = sorted(int(name[6:9]) for name in names(found))
    assert min(np.diff(places)) > 1, places


def test_a_group_has_its_turn(predictor: Predictor, photos: Path) -> None:
    for patient, red in (("p1", 0.5), ("p2", 0.8)):
        for number in range(3):
            save(photos / f"{patient}_{number}.png", scene(ord(patient[1]) * 10 + number, red))
    found = suggest_images(predictor, photos, strategy="entropy", count=4, group="^(p[0-9]+)_")
    assert [name[:2] for name in names(found)] == ["p1", "p2", "p1", "p2"]
    assert [name[:2] for name in names(suggest_images(predictor, photos, strategy="entropy", count=3))] == ["p1"] * 3
    with pytest.raises(ConfigError, match="group: expected one group in the pattern"):
        suggest_images(predictor, photos, strategy="entropy", group="p[0-9]+")


def test_what_was_found_is_remembered_by_content_and_model(predictor: Predictor, photos: Path) -> None:
    save(photos / "a.png", scene(0))
    save(photos / "b.png", scene(1))
    network = predictor.network
    first = suggest_images(predictor, photos, strategy="entropy")
    assert network.asked == 2
    (photos / "a.png").rename(photos / "z.png")
    again = suggest_images(predictor, photos, strategy="entropy")
    assert network.asked == 2, "renamed, not asked again"
    assert [each.score for each in again.images] == [each.score for each in first.images]
    other = Predictor(Red(3.0), BINARY, (32, 48))
    suggest_images(other, photos, strategy="entropy")
    assert other.network.asked == 2, "another model is asked"


def test_what_a_stopped_command_found_is_kept(predictor: Predictor, photos: Path) -> None:
    for number in range(4):
        save(photos / f"{number}.png", scene(number))

    def stop(doing: str, done: int, total: int) -> None:
        if doing == "asking the model about images" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suggest_images(predictor, photos, strategy="entropy", progress=stop)
    assert predictor.network.asked == 3
    assert len(suggest_images(predictor, photos, strategy="entropy").images) == 4
    assert predictor.network.asked == 4, "one was left"


def test_without_an_encoder_colours_tell_images_apart(
    predictor: Predictor, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, red in (("dark_0", 0.1), ("dark_1", 0.12), ("dark_2", 0.08), ("red", 1.0)):
        save(photos / f"{name}.png", scene(len(name) * 7 + ord(name[-1]), red))
    monkeypatch.setattr("segbench.assist.vectors.installed", list)
    found = suggest_images(predictor, photos, strategy="diversity", count=2)
    assert names(found)[1] == "red.png", "the farthest from the most typical one"
    assert str(found.images[0].why) == "the most typical image of the folder"
    assert "no frozen encoder is installed" in str(found.notes[-1])


def test_a_damaged_image_is_noted_and_the_rest_goes_on(predictor: Predictor, photos: Path) -> None:
    save(photos / "fine.png", scene(0))
    (photos / "broken.png").write_bytes((photos / "fine.png").read_bytes()[:300])
    (photos / "text.jpg").write_bytes(b"no image")
    found = suggest_images(predictor, photos, strategy="entropy", count=10)
    assert names(found) == ["fine.png"]
    assert sorted(Path(path).name for path in found.failed) == ["broken.png", "text.jpg"]


@pytest.mark.parametrize("strategy", ["random", "diversity"])
def test_nothing_to_suggest_is_told(predictor: Predictor, photos: Path, strategy: str) -> None:
    with pytest.raises(PredictionError, match="there is no image in"):
        suggest_images(predictor, photos, strategy=strategy)  # type: ignore[arg-type]
    save(photos / "a.png", scene(0))
    with pytest.raises(PredictionError, match="its only image has a label; there is nothing left to suggest"):
        suggest_images(predictor, photos, strategy=strategy, labelled=[photos])  # type: ignore[arg-type]
    save(photos / "mirrored" / "b.png", scene(0)[::-1])
    done = photos.parent / "done"
    done.mkdir()
    (photos / "a.png").rename(done / "a.png")
    with pytest.raises(PredictionError, match="its only image without a label shows what is labelled already"):
        suggest_images(predictor, photos, strategy=strategy, labelled=[done])  # type: ignore[arg-type]
    (photos / "mirrored" / "b.png").write_bytes(b"no image")
    with pytest.raises(PredictionError, match="no image without a label can be read: not an image"):
        suggest_images(predictor, photos, strategy=strategy)  # type: ignore[arg-type]
    (photos / "a.png").write_bytes((done / "a.png").read_bytes())
    with pytest.raises(
        PredictionError, match=r"apart from what is labelled \(images: 1\), none can be read: not an image"
    ):
        suggest_images(predictor, photos, strategy=strategy, labelled=[done])  # type: ignore[arg-type]


def test_files_for_people(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    for number, red in enumerate((0.5, 0.7, 0.9)):
        save(photos / "sub" / f"{number}.png", scene(number, red))
    found = suggest_images(predictor, photos, strategy="entropy", count=2)
    lines = write_table(found, tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "rank,path,score,why"
    assert lines[1].startswith(f"1,{photos / 'sub' / '0.png'},")
    with Image.open(write_sheet(predictor, found, tmp_path / "out")) as sheet:
        assert sheet.width > 400
    copied = copy_images(found.images, tmp_path / "batch", link=True)
    assert [path.relative_to(tmp_path / "batch").as_posix() for path in copied] == ["sub/0.png", "sub/1.png"]
    assert copied[0].samefile(photos / "sub" / "0.png")
    assert copy_images(found.images, tmp_path / "batch") == copied, "the same again"
    copied[1].unlink()
    copied[1].write_bytes(b"another")
    with pytest.raises(PredictionError, match="another file is there already"):
        copy_images(found.images, tmp_path / "batch")
