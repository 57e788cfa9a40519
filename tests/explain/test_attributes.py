"""Attributes: on drawn images whose true value is known, and on real dermoscopy."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.compare._evidence import make_evidence

from segbench.data.files.resize import resize_image, resize_mask
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError
from segbench.explain.attributes import ATTRIBUTES, measure_attributes, measure_image
from segbench.explain.attributes_math import dominant_colors, to_lab
from segbench.types import ClassMap, Task

BINARY = ClassMap(names=("background", "spot"), values=((0,), (1,)), task=Task.BINARY)
THREE = ClassMap(names=("background", "cat", "dog"), values=((0,), (1,), (2,)))
STREET = ClassMap(names=("road", "car"), values=((0,), (1,)), background=None)
PLANES = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)
SKIN = (200, 160, 140)


def disc(size: int = 128, radius: float = 30.0) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return ((rows - size / 2) ** 2 + (columns - size / 2) ** 2 <= radius**2).astype(np.uint8)


def painted(mask: np.ndarray, *colors: tuple[int, int, int]) -> np.ndarray:
    """Returns skin with the object in vertical stripes of the colours, equally wide over the object."""
    image = np.full((*mask.shape, 3), SKIN, np.uint8)
    inside = np.flatnonzero(mask.any(axis=0))
    for column in inside:
        part = (column - inside[0]) * len(colors) // len(inside)
        image[mask[:, column] == 1, column] = colors[part]
    return image


@pytest.mark.parametrize("rgb", [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255), (119, 119, 119)])
def test_lab_agrees_with_published_values(rgb: tuple[int, int, int]) -> None:
    known = {
        (255, 255, 255): (100.0, 0.0, 0.0),
        (0, 0, 0): (0.0, 0.0, 0.0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (119, 119, 119): (50.03, 0.0, 0.0),
    }
    assert to_lab(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(known[rgb], abs=0.05)


BLACK, WHITE, RED, BLUE, GREEN = (10, 10, 10), (245, 245, 245), (200, 30, 30), (40, 60, 200), (40, 160, 60)


@pytest.mark.parametrize("colors", [(RED,), (RED, BLUE), (RED, BLUE, WHITE), (RED, BLUE, WHITE, BLACK, GREEN)])
@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_an_object_of_so_many_flat_colours_has_so_many(colors: tuple[tuple[int, int, int], ...], noise: float) -> None:
    mask = disc()
    image = painted(mask, *colors)
    noisy = image + np.random.default_rng(0).normal(0, noise, image.shape)
    found = measure_image(np.clip(noisy, 0, 255).astype(np.uint8), mask, BINARY)
    assert found["dominant_colors"] == len(colors)
    lab = to_lab(np.array([colors], np.uint8))[0]
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1).max()
    assert found["dominant_color_contrast"] == pytest.approx(apart, abs=6.0)
    assert (found["color_spread"] > 15.0) == (len(colors) > 1)


def test_a_colour_below_a_twentieth_is_not_dominant() -> None:
    lab = np.array([[50.0, 0.0, 0.0]] * 96 + [[90.0, 0.0, 0.0]] * 4, np.float32)
    assert len(dominant_colors(lab)) == 1
    lab[95] = lab[-1]
    assert len(dominant_colors(lab)) == 2


def test_sizes_and_counts_by_hand() -> None:
    mask = np.zeros((50, 100), np.uint8)
    mask[10:20, 10:20] = 1
    mask[20, 20] = 1  # diagonal neighbour: the same object
    mask[30:40, 80:100] = 1
    found = measure_image(np.full((50, 100, 3), 90, np.uint8), mask, BINARY)
    assert found["object_count"] == 2
    assert found["object_share"] == pytest.approx(200 / 5000)
    assert found["object_size"] == pytest.approx(301 / 2)
    assert found["foreground_share"] == pytest.approx(301 / 5000)
    assert found["touches_frame"] == 1.0
    mask[:, 99] = 255
    ignored = measure_image(np.full((50, 100, 3), 90, np.uint8), mask, BINARY)
    assert ignored["touches_frame"] == 0.0
    assert ignored["foreground_share"] == pytest.approx(291 / 4950)


def test_outlines() -> None:
    flat = np.full((128, 128, 3), 90, np.uint8)
    circle = measure_image(flat, disc(radius=30), BINARY)
    assert circle["perimeter"] == pytest.approx(2 * math.pi * 30, rel=0.03)
    assert circle["compactness"] == pytest.approx(1.0, abs=0.05)
    comb = np.zeros((128, 128), np.uint8)
    comb[20:100, 20:100] = 1
    comb[30:100, 25:100:6] = 0
    assert measure_image(flat, comb, BINARY)["compactness"] < 0.3


def test_contrast_across_the_border_is_that_of_the_colours() -> None:
    mask = disc()
    lab = to_lab(np.array([[SKIN, (120, 80, 60)]], np.uint8))[0]
    expected = float(np.linalg.norm(lab[0] - lab[1]))
    assert measure_image(painted(mask, (120, 80, 60)), mask, BINARY)["border_contrast"] == pytest.approx(expected, 1e-3)
    assert measure_image(painted(mask, SKIN), mask, BINARY)["border_contrast"] == pytest.approx(0.0, abs=1e-3)
    # Far from the border nothing counts: a bright centre changes nothing.
    image = painted(mask, (120, 80, 60))
    image[disc(radius=15) == 1] = 255
    assert measure_image(image, mask, BINARY)["border_contrast"] == pytest.approx(expected, 1e-3)


def test_hair_is_seen_and_spots_and_edges_are_not() -> None:
    mask = disc(256, 50)
    plain = Image.fromarray(painted(mask, (120, 80, 60)))
    assert measure_image(np.asarray(plain), mask, BINARY)["hair"] == 0.0
    hairy, spotted = plain.copy(), plain.copy()
    draw = ImageDraw.Draw(hairy)
    for x in (30, 90, 150, 210):
        draw.line((x, 20, x + 25, 230), fill=(30, 20, 20), width=2)
    lines = 4 * 210 * 2 / 256**2
    assert measure_image(np.asarray(hairy), mask, BINARY)["hair"] == pytest.approx(lines, rel=0.4)
    draw = ImageDraw.Draw(spotted)
    for x in range(20, 240, 20):
        draw.ellipse((x, 20, x + 5, 25), fill=(30, 20, 20))
    assert measure_image(np.asarray(spotted), mask, BINARY)["hair"] == 0.0
    framed = plain.copy()
    ImageDraw.Draw(framed).rectangle((0, 0, 255, 255), outline=(0, 0, 0), width=2)
    assert measure_image(np.asarray(framed), mask, BINARY)["hair"] == 0.0


def test_speckles_that_hang_together_are_no_hair() -> None:
    image = painted(disc(256, 50), SKIN)
    image[np.random.default_rng(0).random((256, 256)) < 0.3] = (30, 20, 20)
    assert measure_image(image, disc(256, 50), BINARY)["hair"] < 0.03


def test_ignored_pixels_are_not_the_other_side_of_the_border() -> None:
    mask = disc()
    image = painted(mask, (120, 80, 60))
    expected = measure_image(image, mask, BINARY)["border_contrast"]
    ring = disc(radius=40) - mask
    ring[:, :64] = 0  # right of the object nothing is known
    image[ring == 1] = (0, 255, 0)
    mask[ring == 1] = 255
    assert measure_image(image, mask, BINARY)["border_contrast"] == pytest.approx(expected, 1e-3)


def test_brightness_contrast_colour_and_blur() -> None:
    mask = disc()
    grey = measure_image(np.full((128, 128, 3), 119, np.uint8), mask, BINARY)
    assert grey["brightness"] == pytest.approx(50.03, abs=0.05)
    assert grey["contrast"] == pytest.approx(0.0, abs=1e-3)
    assert grey["colorfulness"] == pytest.approx(0.0, abs=0.01)
    assert grey["blur"] == pytest.approx(4.0, abs=0.01)
    texture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(texture).resize((32, 32)).resize((128, 128), Image.Resampling.BILINEAR))
    assert measure_image(texture, mask, BINARY)["blur"] < measure_image(soft, mask, BINARY)["blur"] < 4.0


def test_an_image_without_object_has_no_value() -> None:
    found = measure_image(np.full((32, 32, 3), 90, np.uint8), np.zeros((32, 32), np.uint8), BINARY)
    for name, attribute in ATTRIBUTES.items():
        assert math.isnan(found[name]) == attribute.of_object, name
    assert (found["object_count"], found["foreground_share"]) == (0.0, 0.0)


def test_a_mask_that_fills_the_image_has_no_border() -> None:
    found = measure_image(np.full((32, 32, 3), 90, np.uint8), np.ones((32, 32), np.uint8), BINARY)
    assert math.isnan(found["border_contrast"])
    assert found["foreground_share"] == 1.0


def test_what_the_object_is() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[:10], mask[30:] = 1, 2
    assert measure_image(image, mask, THREE)["foreground_share"] == 0.5
    assert measure_image(image, mask, THREE, class_name="dog")["foreground_share"] == 0.25
    assert math.isnan(measure_image(image, (mask == 1).astype(np.uint8), STREET)["object_share"])
    assert measure_image(image, (mask == 1).astype(np.uint8), STREET, class_name="car")["object_share"] == 0.25
    planes = np.stack([mask == 1, mask == 2]).astype(np.uint8)
    assert measure_image(image, planes, PLANES)["foreground_share"] == 0.5
    assert measure_image(image, planes, PLANES, class_name="b")["foreground_share"] == 0.25
    with pytest.raises(ConfigError, match="there is no class 'dgo'; did you mean 'dog'"):
        measure_image(image, mask, THREE, class_name="dgo")
    with pytest.raises(ConfigError, match="there is no attribute 'hairs'; did you mean 'hair'"):
        measure_image(image, mask, THREE, names=["hairs"])


def test_large_images_are_measured_like_small_ones() -> None:
    mask = disc(512, 120)
    large = measure_image(painted(mask, RED, BLUE), mask, BINARY)
    small = measure_image(painted(disc(256, 60), RED, BLUE), disc(256, 60), BINARY)
    for name in ("dominant_colors", "brightness", "object_share", "compactness"):
        assert large[name] == pytest.approx(small[name], rel=0.02), name
    assert large["border_contrast"] == pytest.approx(small["border_contrast"], rel=0.1)
    assert large["object_size"] == pytest.approx(4 * small["object_size"], rel=0.02)


def test_the_table_of_an_evidence(tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path, count=5)
    calls: list[int] = []
    table = measure_attributes(evidence, progress=lambda what, done, total: calls.append(done))
    assert calls == [1, 2, 3, 4, 5]
    assert table.names == tuple(ATTRIBUTES)
    assert table.object_name == "the class foreground"
    image, target = evidence.load(evidence.ids[3])
    expected = list(measure_image(image, target, evidence.class_map).values())
    assert table.values[3] == pytest.approx(expected)
    assert table.column("hair").tolist() == table.values[:, table.names.index("hair")].tolist()
    with pytest.raises(ConfigError, match="there is no attribute 'brightnes'; did you mean 'brightness'"):
        table.column("brightnes")
    table.write_csv(tmp_path / "attributes.csv")
    with (tmp_path / "attributes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == list(evidence.ids)
    assert float(rows[3]["brightness"]) == table.column("brightness")[3]
    assert json.loads(json.dumps(table.to_dict()))["definitions"]["hair"]["unit"] == "share"


def test_images_without_object_are_named(tmp_path: Path) -> None:
    evidence = make_evidence(tmp_path / "first", count=3, classes=3)
    table = measure_attributes(evidence, names=["object_count"])
    assert table.without_object == ()
    (tmp_path / "empty" / "images").mkdir(parents=True)
    (tmp_path / "empty" / "masks").mkdir()
    for number in range(2):
        mask = np.zeros((20, 20), np.uint8)
        mask[5:9, 5:9] = 255 * number
        Image.fromarray(np.full((20, 20, 3), 80, np.uint8)).save(tmp_path / "empty" / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "empty" / "masks" / f"{number}.png")
    evidence = make_evidence(tmp_path / "second", data=tmp_path / "empty", seeds=(0,))
    table = measure_attributes(evidence)
    assert table.without_object == ("0",)
    table.write_csv(tmp_path / "attributes.csv")
    assert ",,," in (tmp_path / "attributes.csv").read_text().splitlines()[1]


def test_real_dermoscopy(real_data: Callable[[str], Path]) -> None:
    manifest = read_dataset(real_data("ph2"), "ph2", verify=False)
    samples = {sample.id: sample for sample in manifest.samples}
    found = {}
    for image_id in ("IMD306", "IMD018", "IMD430", "IMD014"):
        image, target = load_sample(manifest, samples[image_id])
        size = (256, 256)
        found[image_id] = measure_image(resize_image(image, size), resize_mask(target, size), manifest.class_map)
    # By eye: 306 is covered with hairs, 018 has none; 430 is black, brown and pink, 014 is faint and of one colour.
    assert found["IMD306"]["hair"] > 0.05
    assert found["IMD018"]["hair"] == 0.0
    assert found["IMD430"]["dominant_colors"] > found["IMD014"]["dominant_colors"] == 1
    assert found["IMD430"]["color_spread"] > 2 * found["IMD014"]["color_spread"]
    assert found["IMD018"]["border_contrast"] > 2 * found["IMD014"]["border_contrast"]
