"""A first model from a few drawn images: an ordinary bundle, scored on what it has not seen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.train.test_config_new_trains import multilabel

from segbench.assist.cross_validate import honest_scores
from segbench.assist.first_model import FirstModel, make_first_model, object_areas
from segbench.data.files.bands import Bands
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.synthetic.write import write_lesions, write_streets
from segbench.errors import DatasetError
from segbench.export.export import export_model
from segbench.metrics.counts import Counts, count_masks
from segbench.metrics.scores import score_counts
from segbench.predict.predictor import Predictor
from segbench.types import Task

pytestmark = pytest.mark.slow  # fits, exports
SIZE = (64, 96)
CLASSES = {"ground": 0, "road": 1, "car": 2, "sky": 3}


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_dataset(write_lesions(tmp_path_factory.mktemp("lesions"), count=16, size=SIZE))


def some(manifest: Manifest, *places: int) -> Manifest:
    return replace(manifest, samples=tuple(manifest.samples[place] for place in places))


@pytest.fixture(scope="module")
def made(lesions: Manifest) -> FirstModel:
    return make_first_model(some(lesions, *range(8)))


def iou_of(model: FirstModel, manifest: Manifest) -> float:
    predictor = Predictor.of_bundles([model.bundle], "cpu")
    tables = []
    for sample in manifest.samples:
        labels = np.asarray(Image.open(manifest.mask_paths(sample)[0])) > 0
        mask = predictor(manifest.image_path(sample)).mask
        tables.append(count_masks(mask, labels.astype(np.uint8), 2, task=Task.BINARY)[0])
    ids = tuple(sample.id for sample in manifest.samples)
    counts = Counts(ids=ids, confusion=np.stack(tables), ignored=np.zeros(len(ids), np.int64), task=Task.BINARY)
    return score_counts(counts, manifest.class_map).summary()["iou_per_image"]


def test_it_finds_lesions_that_it_has_not_seen(made: FirstModel, lesions: Manifest) -> None:
    assert made.validated is not None
    others = iou_of(made, some(lesions, *range(8, 16)))
    assert others > 0.4
    assert made.validated.low <= others <= made.validated.high, "what was expected of other images"
    assert set(made.validated.scores) == {sample.id for sample in lesions.samples[:8]}
    assert made.validated.value < iou_of(made, some(lesions, *range(8))) + 0.02, "its own images look better"


def test_the_sentences_say_what_is_not_known(made: FirstModel, lesions: Manifest) -> None:
    first, few, *_ = made.sentences
    assert made.validated is not None
    assert first.startswith(f"IoU per image {made.validated.value:.2f}, 95 % interval ")
    assert "8 images, each predicted without having been learnt" in first
    assert "below 20 labelled images" in few
    alone = make_first_model(some(lesions, 0))
    assert alone.validated is None
    assert "label a second one" in alone.sentences[0]
    pair = make_first_model(some(lesions, 0, 1))
    assert any("the interval is wide: 2 images tell little" in sentence for sentence in pair.sentences)


def test_a_second_call_computes_new_images_only_and_gives_the_same(lesions: Manifest, tmp_path: Path) -> None:
    first = make_first_model(some(lesions, 0, 1, 2), folder=tmp_path)
    again = make_first_model(some(lesions, 0, 1, 2), folder=tmp_path)
    more = make_first_model(some(lesions, 0, 1, 2, 3), folder=tmp_path)
    assert (first.computed, again.computed, more.computed) == (3, 0, 1)
    assert first.bundle.id == again.bundle.id


def test_images_of_a_group_are_left_out_together(lesions: Manifest) -> None:
    """An image and its twin: whoever learns one knows the other, so together they are one unit."""
    samples = [replace(sample, group=f"patient {place // 2}") for place, sample in enumerate(lesions.samples[:6])]
    grouped = make_first_model(replace(lesions, samples=tuple(samples)))
    assert grouped.validated is not None
    assert (grouped.validated.units, len(grouped.validated.scores)) == (3, 6)
    assert grouped.bundle.card["main"]["n_groups"] == 3
    twins = tuple(
        replace(sample, id=f"{sample.id} {twin}", group=sample.id) for sample in samples[::2] for twin in "ab"
    )
    leaking = make_first_model(replace(lesions, samples=tuple(replace(each, group=None) for each in twins)))
    sealed = make_first_model(replace(lesions, samples=twins))
    assert leaking.validated is not None
    assert sealed.validated is not None
    assert leaking.validated.value > sealed.validated.value + 0.05


def test_an_image_does_not_choose_the_setting_that_it_is_scored_at() -> None:
    table = np.array([[0.9, 0.2, 0.2], [0.1, 0.3, 0.4], [math.nan, 0.0, 0.0]])
    # The first image alone makes the first setting the best one; without it the second is.
    assert honest_scores(table, np.array(["a", "b", "c"])).tolist() == [0.1, 0.2, 0.2]
    assert honest_scores(table, np.array(["a", "b", "b"])).tolist() == [0.1, 0.2, 0.2]


def test_the_bundle_is_read_back_and_exported(made: FirstModel, lesions: Manifest, tmp_path: Path) -> None:
    file = tmp_path / "first.segbench"
    made.bundle.write(file)
    image = lesions.image_path(lesions.samples[9])
    ours, read = Predictor.of_bundles([made.bundle], "cpu")(image), Predictor.load(file, device="cpu")(image)
    assert np.array_equal(ours.mask, read.mask)
    assert np.array_equal(ours.network_probs, read.network_probs)
    assert made.bundle.card["licences"]["starting_weights"][0]["license"] == "Apache-2.0"
    assert made.sentences[0] in made.bundle.readme()
    photos = tmp_path / "photos"
    photos.mkdir()
    for sample in lesions.samples[8:11]:
        Image.open(lesions.image_path(sample)).save(photos / f"{sample.id}.png")
    assert export_model(file, tmp_path / "first.onnx", images=photos).passed


def test_specks_are_left_out_of_what_it_predicts(made: FirstModel, lesions: Manifest) -> None:
    smallest = made.bundle.settings.postprocess.smallest_px
    assert smallest > 3
    predictor = Predictor.of_bundles([made.bundle], "cpu")
    for sample in lesions.samples[8:12]:
        areas = object_areas(predictor(lesions.image_path(sample)).mask, lesions.class_map)
        assert min(areas, default=smallest) >= smallest
    labels = np.array([[0, 1, 0, 0, 1], [0, 0, 1, 0, 1]], dtype=np.uint8)
    assert object_areas(labels, lesions.class_map) == [2, 2]


def test_classes_that_exclude_each_other_and_classes_that_do_not(tmp_path: Path) -> None:
    streets = read_dataset(write_streets(tmp_path / "streets", count=5, size=SIZE))
    made = make_first_model(streets)
    assert made.validated is not None
    assert made.bundle.settings.class_map.task is Task.MULTICLASS
    mask = Predictor.of_bundles([made.bundle], "cpu")(streets.image_path(streets.samples[0])).mask
    assert len(np.unique(mask)) > 2
    both = read_dataset(multilabel(tmp_path / "both"), task="multilabel")
    made = make_first_model(some(both, *range(5)))
    assert made.validated is not None
    assert Predictor.of_bundles([made.bundle], "cpu")(both.image_path(both.samples[0])).mask.shape[0] == 2
    assert made.validated.value > 0.3


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    for name, value in (("empty", 0), ("full", 255)):
        root = tmp_path / name
        for number in range(3):
            for part, pixel in (("images", 90), ("masks", value)):
                (root / part).mkdir(parents=True, exist_ok=True)
                Image.new("L", (40, 40), pixel).save(root / part / f"{number}.png")
        manifest = read_dataset(root, "folder", classes={"background": 0, "lesion": 255})
        with pytest.raises(DatasetError, match=r"nothing to tell apart: no labelled image shows (lesion|background)"):
            make_first_model(manifest)


def test_other_bands_are_refused(lesions: Manifest) -> None:
    four = replace(lesions, bands=Bands(numbers=(1, 2, 3, 4)))
    with pytest.raises(DatasetError, match="these images have 4 bands"):
        make_first_model(four)


def test_a_class_that_nobody_has_labelled_yet_is_named(tmp_path: Path) -> None:
    root = write_streets(tmp_path / "streets", count=3, size=SIZE)
    for file in (root / "masks").iterdir():
        mask = Image.open(file)
        values = np.asarray(mask).copy()
        values[values == 2] = 0
        fewer = Image.fromarray(values, "P")
        fewer.putpalette(mask.getpalette() or [])
        fewer.save(file)
    names = [entry["name"] for entry in read_dataset(root, classes=CLASSES).class_map.to_dict()["classes"]]
    assert names == list(CLASSES)
    sentences = make_first_model(read_dataset(root, classes=CLASSES)).sentences
    assert any("no labelled image shows car" in sentence for sentence in sentences)
