"""The files of a prediction: polygons that give the mask back, tables that add up, probabilities in every form."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import zarr
from PIL import Image
from rasterio.features import rasterize
from ruamel.yaml import YAML
from scipy import ndimage
from shapely.geometry import shape
from tests.data._rasters import GRID, save

from segbench.data.files.map_grid import MapGrid
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.errors import ConfigError, PredictionError
from segbench.predict.doubt import disagreement, pixel_doubt
from segbench.predict.outputs import OutputOptions, finish_outputs, prepare_outputs, write_areas, write_outputs
from segbench.predict.outputs.geojson import object_rings
from segbench.predict.outputs.simplified import is_polygon
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Prediction
from segbench.types import ClassMap, Normalization, Task

THREE = ClassMap(names=("ground", "a", "b"), values=((0,), (1,), (2,)))
LABELS = ClassMap(names=("a", "b"), values=((1,), (1,)), task=Task.MULTILABEL, background=None)


def predicted(mask: np.ndarray, class_map: ClassMap = THREE, nodata: np.ndarray | None = None) -> Prediction:
    planes = len(mask) if mask.ndim == 3 else class_map.out_channels
    probs = np.random.default_rng(0).random((planes, *mask.shape[-2:])).astype(np.float32)
    image = np.full((*mask.shape[-2:], 3), 200, dtype=np.uint8)
    return Prediction(image=image, mask=mask, class_map=class_map, network_probs=probs, nodata=nodata)


def speckled(seed: int = 0, size: tuple[int, int] = (23, 31)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, size).astype(np.uint8)


def features_of(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    plain = json.loads(path.read_text(encoding="utf-8"))
    return plain, plain["features"]


@pytest.mark.parametrize("seed", range(8))
def test_polygons_are_valid_and_give_the_mask_back(seed: int, tmp_path: Path) -> None:
    mask = speckled(seed)
    row = write_outputs(predicted(mask), tmp_path, "x", OutputOptions(polygons=("geojson",), objects=True))
    _, features = features_of(tmp_path / "polygons/geojson/x.geojson")
    for label, name in enumerate(THREE.names[1:], start=1):
        own = [shape(each["geometry"]) for each in features if each["properties"]["class"] == name]
        assert all(each.is_valid for each in own), [shapely.is_valid_reason(each) for each in own]
        assert sum(each.area for each in own) == (mask == label).sum() == row[f"{name}_px"]
        assert np.array_equal(rasterize(own, mask.shape), mask == label)
        assert len(own) == row[f"{name}_objects"]


def blobs(seed: int) -> np.ndarray:
    """Returns smooth regions of three classes, some with holes, as networks draw them."""
    rng = np.random.default_rng(seed)
    planes = [ndimage.gaussian_filter(rng.normal(size=(90, 120)), 5.0) for _ in range(3)]
    return np.stack(planes).argmax(axis=0).astype(np.uint8)


@pytest.mark.parametrize("simplify", ["auto", 1.5, 6.0])
@pytest.mark.parametrize("seed", range(4))
def test_simplified_polygons_are_valid_and_near_the_mask(seed: int, simplify: Any, tmp_path: Path) -> None:
    mask, corners = blobs(seed), {}
    for folder, chosen in (("exact", None), ("few", simplify)):
        options = OutputOptions(polygons=("geojson",), simplify=chosen)
        write_outputs(predicted(mask), tmp_path / folder, "x", options)
        _, features = features_of(tmp_path / folder / "polygons/geojson/x.geojson")
        found = [shape(each["geometry"]) for each in features]
        assert all(each.is_valid for each in found), [shapely.is_valid_reason(each) for each in found]
        corners[folder] = sum(shapely.get_num_coordinates(each) for each in found)
        assert [each["properties"]["area_px"] for each in features] == [
            each["properties"]["area_px"] for each in features_of(tmp_path / "exact/polygons/geojson/x.geojson")[1]
        ]
    assert corners["few"] < (0.85 if simplify == "auto" else 0.7) * corners["exact"]
    if simplify == "auto":
        drawn = rasterize(found, mask.shape)
        assert (drawn & (mask > 0)).sum() / (drawn | (mask > 0)).sum() > 0.98


def test_what_is_no_polygon_is_seen() -> None:
    square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], dtype=float)

    def holed(*holes: list[list[int]]) -> bool:
        rings = [square, *(np.array(hole, dtype=float) for hole in holes)]
        valid = is_polygon(rings)
        assert valid == shapely.Polygon(rings[0], rings[1:]).is_valid
        return valid

    inner, small = [[2, 2], [2, 6], [6, 6], [6, 2]], [[3, 3], [3, 4], [4, 4], [4, 3]]
    assert holed()
    assert holed(inner)
    assert not holed(inner, small), "a hole in a hole"
    assert not holed([[10, 2], [10, 6], [12, 6], [12, 2]]), "a hole outside"
    assert not holed([[6, 2], [6, 6], [10, 6], [10, 2]]), "a hole across the outline"
    assert not is_polygon([np.array([[0, 0], [4, 4], [4, 0], [0, 4]], dtype=float)]), "an outline that crosses itself"
    assert not is_polygon([np.array([[0, 0], [4, 0], [4, 4], [4, 2]], dtype=float)]), "a side that runs back"


def test_a_ring_keeps_its_hole_and_the_island_in_it() -> None:
    ring = np.ones((7, 7), dtype=bool)
    ring[1:6, 1:6] = False
    ring[3, 3] = True
    outer, island = object_rings(ring)
    assert [len(each) for each in outer] == [4, 4], "an outline and a hole, which holds the island, too"
    assert len(island) == 1
    [[_, hole]] = object_rings(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool))
    assert {tuple(point) for point in hole.tolist()} == {(1, 1), (2, 1), (2, 2), (1, 2)}


def test_outlines_run_counterclockwise_and_holes_the_other_way(tmp_path: Path) -> None:
    mask = np.ones((5, 5), dtype=np.uint8)
    mask[2, 2] = 0
    write_outputs(predicted(mask), tmp_path, "x", OutputOptions(polygons=("geojson",)))
    _, [feature] = features_of(tmp_path / "polygons/geojson/x.geojson")
    polygon = shape(feature["geometry"])
    assert polygon.exterior.is_ccw
    assert not polygon.interiors[0].is_ccw
    assert feature["properties"]["classification"] == {"name": "a", "color": list(THREE.colors[1])}


def test_polygons_of_a_raster_lie_where_it_lies(tmp_path: Path) -> None:
    image = save(tmp_path / "scene.tif", np.zeros((1, 23, 31), dtype=np.uint8))
    mask = speckled()
    nodata = np.zeros(mask.shape, dtype=bool)
    nodata[:5] = True
    options = OutputOptions(polygons=("geojson",), objects=True, mm_per_px=3.0)
    row = write_outputs(predicted(mask, nodata=nodata), tmp_path, "x", options, like=image)
    plain, features = features_of(tmp_path / "polygons/geojson/x.geojson")
    assert plain["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    own = [shape(each["geometry"]) for each in features if each["properties"]["class"] == "a"]
    assert np.array_equal(rasterize(own, mask.shape, transform=GRID), (mask == 1) & ~nodata)
    pixel_m2 = abs(GRID.a * GRID.e)
    assert sum(each.area for each in own) == pytest.approx(((mask == 1) & ~nodata).sum() * pixel_m2)
    assert float(row["a_m2"]) == pytest.approx(sum(each.area for each in own)), "the raster's own scale goes first"
    assert features[0]["properties"]["area_m2"] == features[0]["properties"]["area_px"] * pixel_m2
    with rasterio.open(tmp_path / "masks/x.tif") as found:
        assert (found.read(1)[:5] == 255).all()


def test_degrees_and_systems_without_a_number_are_longitude_and_latitude(tmp_path: Path) -> None:
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    pixels = np.zeros((1, 4, 4), dtype=np.uint8)
    degrees = MapGrid.of(
        save(tmp_path / "d.tif", pixels, crs="EPSG:4326", transform=Affine(0.1, 0.0, 13.0, 0.0, -0.1, 52.0))
    )
    assert degrees is not None
    assert (degrees.epsg, degrees.pixel_m2) == (None, None), "no crs member, and no area in square metres"
    np.testing.assert_allclose(degrees.on_map(np.array([[1.0, 2.0]])), [[13.1, 51.8]])
    own = CRS.from_proj4("+proj=laea +lat_0=52 +lon_0=13 +datum=WGS84 +units=m")
    named = MapGrid.of(save(tmp_path / "l.tif", pixels, crs=own, transform=Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)))
    assert named is not None
    assert (named.epsg, named.pixel_m2) == (None, 100.0)
    np.testing.assert_allclose(named.on_map(np.array([[0.0, 0.0]])), [[13.0, 52.0]], atol=1e-9)
    assert MapGrid.of(save(tmp_path / "n.tif", pixels, crs=None, transform=None)) is None


def test_the_table_of_objects(tmp_path: Path) -> None:
    mask = np.zeros((10, 12), dtype=np.uint8)
    mask[1:3, 2:6] = 1
    mask[3, 6] = 1  # a corner joins it
    mask[7, 0] = 2
    options = OutputOptions(objects=True, mm_per_px=0.5, overlays=False)
    images = []
    for name in ("one", "sub/two"):
        write_outputs(predicted(mask), tmp_path, name, options)
        images.append((name, tmp_path / f"{name}.png", Path(f"{name}.png")))
    finish_outputs(tmp_path, images, THREE, options)
    with (tmp_path / "objects.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["one", "one", "sub/two", "sub/two"]
    first = rows[0]
    assert [first[key] for key in ("class", "area_px", "left", "top", "width", "height")] == [
        "a",
        "9",
        "2",
        "1",
        "5",
        "3",
    ]
    assert float(first["area_mm2"]) == 9 * 0.25
    assert float(first["centre_x"]) == pytest.approx((8 * 4.0 + 6.5) / 9, abs=0.01)
    assert [rows[1][key] for key in ("object", "class", "centre_x", "centre_y")] == ["2", "b", "0.50", "7.50"]
    assert not (tmp_path / "overlays").exists()


def test_areas_of_images_with_and_without_a_scale_are_one_table(tmp_path: Path) -> None:
    mask = np.ones((2, 2), dtype=np.uint8)
    rows = [
        write_outputs(predicted(mask), tmp_path, "plain", OutputOptions(overlays=False)) | {"file": "plain.png"},
        write_outputs(predicted(mask), tmp_path, "scaled", OutputOptions(overlays=False, mm_per_px=2.0)),
    ]
    write_areas(tmp_path / "areas.csv", rows)
    with (tmp_path / "areas.csv").open() as stream:
        plain, scaled = csv.DictReader(stream)
    assert (plain["file"], plain["a_frac"], plain["a_px"], plain["a_mm2"]) == ("plain.png", "1.000000", "4", "")
    assert (scaled["file"], scaled["a_mm2"]) == ("", "16")


@pytest.mark.parametrize("kind", ["npz", "npy", "tif", "zarr"])
def test_probabilities_in_every_form(kind: Any, tmp_path: Path) -> None:
    image = save(tmp_path / "scene.tif", np.zeros((1, 23, 31), dtype=np.uint8))
    nodata = np.zeros((23, 31), dtype=bool)
    nodata[0] = True
    prediction = predicted(speckled(), nodata=nodata)
    for _ in range(2):  # a second run writes over the first
        write_outputs(prediction, tmp_path, "sub/x", OutputOptions(probs=kind), like=image)
    file = tmp_path / f"probs/sub/x.{kind}"
    if kind == "tif":
        with rasterio.open(file) as found:
            assert found.descriptions == THREE.names
            assert found.transform == GRID
            assert found.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "16"
            values = found.read()
        assert np.isnan(values[:, 0]).all()
        np.testing.assert_allclose(values[:, 1:], prediction.probs[:, 1:], atol=5e-4)
        return
    if kind == "zarr":
        array = zarr.open_array(file, mode="r")
        assert array.attrs["classes"] == list(THREE.names)
        values = array[:]
    else:
        values = np.load(file) if kind == "npy" else np.load(file)["probs"]
    assert values.dtype == np.float16
    assert np.array_equal(values, prediction.probs.astype(np.float16))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(PredictionError, match=r"pip install 'segbench\[zarr\]'"):
        write_outputs(predicted(speckled()), tmp_path, "x", OutputOptions(probs="zarr"))


@pytest.mark.parametrize("kind", ["coco", "labelme", "via"])
@pytest.mark.parametrize("class_map", [THREE, LABELS])
def test_polygons_as_a_data_set_that_is_read_back(kind: Any, class_map: ClassMap, tmp_path: Path) -> None:
    options = OutputOptions(polygons=(kind,), overlays=False)
    masks = {}
    images = []
    for index, name in enumerate(("one", "two")):
        mask = np.zeros((40, 60), dtype=np.uint8)
        mask[5:20, 5 + index : 30] = 1
        mask[25:35, 30:50] = 2
        masks[name] = mask if class_map is THREE else np.stack([mask == 1, mask == 2]).astype(np.uint8)
        file = tmp_path / f"{name}.png"
        Image.fromarray(np.zeros((40, 60, 3), dtype=np.uint8)).save(file)
        write_outputs(predicted(masks[name], class_map), tmp_path / "out", name, options)
        images.append((name, file, Path(file.name)))
    for _ in range(2):
        finish_outputs(tmp_path / "out", images, class_map, options)
    target = tmp_path / "out/polygons" / kind
    beside = target / "images" if kind == "coco" else target
    beside.mkdir(exist_ok=True)
    for _, image, _ in images:
        (beside / image.name).write_bytes(image.read_bytes())
    said = YAML(typ="safe").load((target / "segbench.yaml").read_text())["data"]
    manifest = read_dataset(target, said["format"], **said.get("options", {}))
    assert len(manifest.samples) == 2
    for sample in manifest.samples:
        _, found = load_sample(manifest, sample)
        assert np.array_equal(found, masks[Path(sample.image).stem])


def test_doubt_is_entropy_in_units_of_its_largest() -> None:
    three = np.array([[1.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.0]], dtype=np.float32)[:, None]
    np.testing.assert_allclose(pixel_doubt(three, Task.MULTICLASS)[0], [0.0, 1.0, np.log(2) / np.log(3)], atol=1e-4)
    binary = np.array([[[0.0, 0.5, 1.0, 0.11]]], dtype=np.float32)
    np.testing.assert_allclose(pixel_doubt(binary, Task.BINARY)[0], [0.0, 1.0, 0.0, 0.5], atol=1e-3)
    planes = np.array([[[0.5, 1.0]], [[0.0, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(pixel_doubt(planes, Task.MULTILABEL)[0], [1.0, 0.0], atol=1e-4)


@pytest.mark.parametrize("task", list(Task))
def test_disagreement_is_the_part_of_the_doubt_that_is_between_networks(task: Task) -> None:
    """By hand: sure of two different classes it is all of the doubt, unsure of the same none of it."""
    if task is Task.MULTICLASS:
        one, other = (np.eye(4, dtype=np.float32)[index].reshape(1, 4, 1, 1) for index in (0, 2))
        np.testing.assert_allclose(disagreement([one, other], task), [[[0.5]]], atol=1e-5)  # log 2 of log 4
    else:
        one, other = np.zeros((1, 2, 1, 1), np.float32), np.array([[[[0.0]], [[1.0]]]], np.float32)
        np.testing.assert_allclose(disagreement([one, other], task), [[[1.0]]], atol=1e-5)  # of the second plane
        quarter = np.full((1, 1, 1, 1), 0.25, np.float32)  # an entropy of .8112781, as 3/4 has; 1/2, the mean, has 1
        np.testing.assert_allclose(disagreement([quarter, 1 - quarter], task), [[[1 - 0.8112781]]], atol=1e-5)
    half = (one + other) / 2
    np.testing.assert_allclose(disagreement([half, half, half], task), [[[0.0]]], atol=1e-6)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_disagreement_is_none_of_equals_and_never_more_than_the_doubt(task: Task) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 4, (3, 2, 1 if task is Task.BINARY else 5, 6, 7))
    probs = 1 / (1 + np.exp(-logits)) if task is Task.BINARY else np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    members = list(probs.astype(np.float32))
    found = disagreement(members, task)
    assert found.shape == (2, 6, 7)
    assert found.min() >= 0
    assert found.max() > 0.1
    for image in range(2):
        assert (found[image] <= pixel_doubt(probs.mean(axis=0)[image].astype(np.float32), task) + 1e-6).all()
    np.testing.assert_allclose(disagreement([members[0]] * 4, task), 0, atol=1e-6)
    np.testing.assert_allclose(disagreement(members[::-1], task), found, atol=1e-6)


def test_the_picture_of_doubt_shows_where(tmp_path: Path) -> None:
    probs = np.zeros((1, 20, 20), dtype=np.float32)
    probs[0, :, 10:] = 0.5
    spots = ClassMap(names=("ground", "spot"), values=((0,), (1,)), task=Task.BINARY)
    image = np.full((20, 20, 3), 100, dtype=np.uint8)
    prediction = Prediction(image=image, mask=np.zeros((20, 20), np.uint8), class_map=spots, network_probs=probs)
    options = OutputOptions(doubt=True)
    settings = PipelineSettings(class_map=spots, size=(20, 20), normalization=Normalization.identity(3))
    prepare_outputs(settings, tmp_path, options)
    write_outputs(prediction, tmp_path, "x", options)
    picture = np.asarray(Image.open(tmp_path / "doubt/x.png"))
    assert picture.shape == image.shape
    assert picture[:, 10:].mean() > picture[:, :10].mean() + 50
    with Image.open(tmp_path / "doubt_legend.png") as legend:
        assert legend.width > 200
    assert PipelineSettings.from_dict(json.loads((tmp_path / "settings.json").read_text())) == settings


def test_unknown_forms_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of npz, npy, tif, zarr, got 'png'"):
        OutputOptions(probs="png")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected some of geojson, coco, labelme, via, got 'svg'"):
        OutputOptions(polygons=("geojson", "svg"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="millimetres above 0, got 0"):
        OutputOptions(mm_per_px=0)
