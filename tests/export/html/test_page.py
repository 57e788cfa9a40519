"""The page in a real browser: its masks against the Predictor's, and what a person does with it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from tests.export.html._chromium import Page, chromium
from torch import Tensor, nn

from segbench.data.files.bands import Bands
from segbench.errors import PredictionError
from segbench.export.html.about import about_model
from segbench.export.html.page import SampleImage, page_text
from segbench.export.html.texts import TEXTS
from segbench.models import build_network
from segbench.predict.doubt import expected_score
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.predict.receptive_field import Reach
from segbench.predict.unlike import image_features, image_statistics, unlike_training
from segbench.types import ClassMap, Normalization, Size, Task

SPOT = ClassMap(names=("skin", "spot"), values=((0,), (255,)), task=Task.BINARY)
THREE = ClassMap(names=("a", "b", "c"), values=((0,), (1,), (2,)))
PARTS = ClassMap(names=("x", "y & z"), values=((255,), (255,)), task=Task.MULTILABEL, background=None)
_TIE = 1e-4  # of probability: as far as runtimes differ


class Colours(nn.Module):
    """Logits that follow from the pixel alone, so that a mask tells every pixel that was read otherwise."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.normalization = Normalization(mean=(0.47, 0.52, 0.41), std=(0.25, 0.31, 0.22))
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> Tensor:
        return torch.sin(7.0 * images[:, : self.out_channels] + images[:, 1:2])


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def _page(predictor: Predictor, file: Path, **options: object) -> Path:
    about = about_model({"name": "<b>test</b>"}, predictor.pipeline.settings)
    file.write_text(page_text(predictor, about=about, **options), encoding="utf-8")  # type: ignore[arg-type]
    return file


def _open(tab: Page, page: Path, images: list[Path], **window: object) -> None:
    tab.requests.clear()
    tab.console.clear()
    tab.open(page, **window)  # type: ignore[arg-type]
    tab.until("document.body.dataset.ready !== undefined")
    if images:
        tab.give(images)
        _wait(tab)


def _wait(tab: Page) -> None:
    tab.until("document.body.classList.contains('idle') && document.querySelector('#work:not([hidden])')")


def _masks(tab: Page, names: list[str]) -> dict[str, np.ndarray]:
    """Returns the masks that the page saves of all its images, by the names in the archive."""
    with zipfile.ZipFile(tab.saved("#save-all", "masks.zip")) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(names)
        return {name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names}


def _picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Returns smooth blobs with some noise, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 9), max(2, width // 9), channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(coarse[..., each]).resize((width, height), Image.Resampling.BICUBIC))
        for each in range(channels)
    ]
    noise = rng.integers(-9, 10, (height, width, channels))
    return np.clip(np.stack(planes, axis=2).astype(np.int64) + noise, 0, 255).astype(np.uint8)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _all_kinds(folder: Path) -> list[Path]:
    """Writes PNG files of every kind, of odd sizes, and files that are not PNG but hold every pixel as it is."""
    rgb, rgba = Image.fromarray(_picture(67, 101)), Image.fromarray(_picture(53, 41, 4, seed=1))
    grey = Image.fromarray(_picture(31, 77, 1, seed=2)[..., 0])
    palette = rgb.quantize(200)
    kinds: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "rgb.png": (rgb, {}),
        "fast.png": (rgb, {"compress_level": 0}),
        "grey.png": (grey, {}),
        "bit.png": (grey.convert("1"), {}),
        "rgba.png": (rgba, {}),
        "la.png": (rgba.convert("LA"), {}),
        "palette.png": (palette, {}),
        "four.png": (rgb.quantize(11), {"bits": 4}),
        "see-through.png": (palette, {"transparency": bytes(range(200))}),
        "one-colour.png": (rgb, {"transparency": rgb.getpixel((3, 3))}),
        "gamma.png": (rgb, {"pnginfo": _gamma()}),
        **{f"turned{each}.png": (rgb, {"exif": _exif(each)}) for each in range(2, 9)},
        "bmp.bmp": (rgb, {}),
        "webp.webp": (rgb, {"lossless": True}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    return [folder / name for name in kinds]


def _gamma() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))  # a browser would lighten the picture
    return info


@pytest.mark.slow
def test_every_kind_of_file_gives_the_mask_of_the_predictor(tab: Page, tmp_path: Path) -> None:
    predictor = Predictor(Colours(1), SPOT, "original", threshold=0.43)
    images = _all_kinds(tmp_path)
    _open(tab, _page(predictor, tmp_path / "page.html"), images)
    masks = _masks(tab, [f"{image.stem}.png" for image in images])
    for image in images:
        expected = predictor(image).mask
        assert image.stem == "bit" or 0.1 < expected.mean() < 0.9
        np.testing.assert_array_equal(masks[f"{image.stem}.png"], expected, err_msg=image.name)
    assert (tab.requests, tab.console) == ([], [])


@pytest.mark.slow
def test_a_turned_photo_is_upright(tab: Page, tmp_path: Path) -> None:
    predictor = Predictor(Colours(1), SPOT, "original", threshold=0.43)
    photos = []
    for orientation in (3, 6):
        photo = tmp_path / f"photo{orientation}.jpg"
        Image.fromarray(_picture(67, 101)).save(photo, quality=95, exif=_exif(orientation))
        photos.append(photo)
    _open(tab, _page(predictor, tmp_path / "page.html"), photos)
    masks = _masks(tab, ["photo3.png", "photo6.png"])
    for photo in photos:
        expected = predictor(photo).mask
        assert masks[f"{photo.stem}.png"].shape == expected.shape
        # decoders of JPEG differ by 1 of 255 in some pixels
        assert (masks[f"{photo.stem}.png"] != expected).mean() < 0.02


def _network(out_channels: int) -> nn.Module:
    """Returns a U-Net with random weights that sees something of everything in `_picture`."""
    torch.manual_seed(3)
    network = build_network("unet_nearest", out_channels=out_channels, widths=[4, 8, 12]).eval()
    network.normalization = Normalization(mean=(0.47, 0.52, 0.41), std=(0.25, 0.31, 0.22))
    heads = [each for each in network.modules() if isinstance(each, nn.Conv2d) and each.out_channels == out_channels]
    head = heads[-1]
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 64, 64))
        spread = logits.std(dim=(0, 2, 3))
        head.weight /= spread.view(-1, 1, 1, 1)
        assert head.bias is not None
        head.bias -= logits.mean(dim=(0, 2, 3))
        head.bias /= spread
    return network


def _close_calls(predictor: Predictor, image: Path) -> np.ndarray:
    """Returns where a mask may be either way, (H, W) or (C, H, W)."""
    probs = predictor(image).probs
    if predictor.class_map.task is Task.MULTICLASS:
        second, first = np.sort(probs, axis=0)[-2:]
        return np.asarray(first - second < _TIE)
    close = np.asarray(abs(probs - predictor.threshold) < _TIE)
    return close[0] if predictor.class_map.task is Task.BINARY else close


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "size", "options"),
    [
        (SPOT, (64, 96), {}),
        (THREE, (96, 64), {}),
        (PARTS, (64, 64), {}),
        (THREE, "original", {}),
        (SPOT, "original", {"patch": (64, 96)}),
        (THREE, "original", {"patch": (96, 64), "tta": "hflip"}),
        (PARTS, (128, 160), {"patch": (64, 64)}),
    ],
)
def test_masks_equal_the_predictors(
    classes: ClassMap, size: Size, options: dict[str, object], tab: Page, tmp_path: Path
) -> None:
    network = _network(classes.out_channels)
    predictor = Predictor(network, classes, size, threshold=0.51, device="cpu", **options)  # type: ignore[arg-type]
    images = []
    for height, width in ((64, 96), (67, 131), (250, 33), (1, 40), (160, 300)):
        images.append(tmp_path / f"{height}x{width}.png")
        Image.fromarray(_picture(height, width, seed=height)).save(images[-1])
    _open(tab, _page(predictor, tmp_path / "page.html"), images)
    multilabel = classes.task is Task.MULTILABEL
    folders = [f"{name}/" for name in classes.names] if multilabel else [""]
    masks = _masks(tab, [f"{folder}{image.stem}.png" for folder in folders for image in images])
    for image in images:
        found = np.stack([masks[f"{folder}{image.stem}.png"] for folder in folders])
        expected = predictor(image).mask
        wrong = (found if multilabel else found[0]) != expected
        assert not (wrong & ~_close_calls(predictor, image)).any(), image.name
        assert wrong.mean() < 1e-3
    assert len(np.unique(predictor(images[-1]).mask)) > 1
    assert (tab.requests, tab.console) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("classes", [SPOT, replace(THREE, background=None), PARTS])
@pytest.mark.parametrize(
    "steps",
    [
        Postprocess(fill_holes_px=30),
        Postprocess(smallest_px=25),
        Postprocess(keep_largest=True),
        Postprocess(smooth_px=3),
        Postprocess(fill_holes_px=12, smallest_px=40, smooth_px=2),
    ],
)
def test_masks_are_cleaned_like_the_predictors(
    classes: ClassMap, steps: Postprocess, tab: Page, tmp_path: Path
) -> None:
    plain = Predictor(Colours(classes.out_channels), classes, "original", threshold=0.43)
    predictor = plain.with_postprocess(steps)
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, image in enumerate(images):
        Image.fromarray(_picture(83, 121, seed=seed)).save(image)
    _open(tab, _page(predictor, tmp_path / "page.html"), images)
    multilabel = classes.task is Task.MULTILABEL
    folders = [f"{name}/" for name in classes.names] if multilabel else [""]
    masks = _masks(tab, [f"{folder}{image.name}" for folder in folders for image in images])
    for image in images:
        found = np.stack([masks[f"{folder}{image.name}"] for folder in folders])
        expected = predictor(image).mask
        wrong = (found if multilabel else found[0]) != expected
        # where two labels are equally near to what is taken away, either may come
        ties = bool(steps.smallest_px or steps.keep_largest) and classes.background is None and not multilabel
        assert wrong.mean() <= (0.01 if ties else 0.0)
        assert (expected != plain(image).mask).any()


@pytest.mark.slow
@pytest.mark.parametrize("classes", [SPOT, THREE, PARTS])
def test_what_to_expect_and_what_is_unlike_training(classes: ClassMap, tab: Page, tmp_path: Path) -> None:
    usual = [image_features(_picture(60 + seed, 301, seed=seed)) for seed in range(40)]
    line = {"intercept": 0.1, "slope": 0.9, "below": -0.2, "above": 0.15}
    card = {"data": {"image_statistics": image_statistics(usual)}, "calibration": {"expected_score": line}}
    pictures = {
        "usual.png": _picture(75, 301, seed=60),
        "dark.png": _picture(75, 301, seed=61) // 5,
        "red.png": _picture(75, 301, seed=62) // np.array([1, 3, 3], dtype=np.uint8),
        "small.png": _picture(9, 12, seed=63),
        "flat.png": np.full((75, 301, 3), 128, dtype=np.uint8),
    }
    predictor = Predictor(Colours(classes.out_channels), classes, (40, 60), threshold=0.43)
    images = [tmp_path / name for name in pictures]
    for image in images:
        Image.fromarray(pictures[image.name]).save(image)
    _open(tab, _page(predictor, tmp_path / "page.html", card=card), images)
    said = {}
    for index, image in enumerate(images):
        tab.ask(f"document.querySelectorAll('#strip button')[{index}].click()")
        tab.until(f"document.getElementById('status').textContent.startsWith('{image.name}')")
        _wait(tab)
        shown = "(it => it.hidden ? '' : it.textContent)(document.getElementById('%s'))"
        found = [tab.ask(shown % key) for key in ("unlike", "expected")]
        unlike, expected = unlike_training(card, pictures[image.name]), expected_score(card, predictor(image))
        said[image.name] = unlike
        assert found[0].partition(": ")[2] == ("" if unlike is None else f"{unlike.partition(': ')[2]}.")
        if expected is None:
            assert found[1] == ""
        else:
            numbers = [float(each) for each in re.findall(r"\d(?:\.\d+)?", found[1])]
            np.testing.assert_allclose(numbers, expected, atol=0.0051)
    assert said["usual.png"] is None
    assert len({reasons for reasons in said.values() if reasons}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("blended", [False, True])
def test_large_images_go_in_tiles_where_a_person_wants_it(blended: bool, tab: Page, tmp_path: Path) -> None:
    predictor = Predictor(_network(1), SPOT, (64, 96), threshold=0.51)
    settings = replace(predictor.pipeline.settings, training_px=(100, 120))
    predictor.pipeline.settings = settings
    if blended:
        predictor.pipeline.__dict__["reach"] = Reach(halo_px=None, why="the test says so")
    image = tmp_path / "large.png"
    Image.fromarray(_picture(1500, 1300)).save(image)
    _open(tab, _page(predictor, tmp_path / "page.html"), [image])
    assert "64 x 96" in tab.ask("document.getElementById('note').textContent")  # squeezed, and said
    choose = "const it = document.getElementById('policy'); it.value = 'tiles'; it.dispatchEvent(new Event('change'))"
    tab.ask(f"{{{choose}}}")
    _wait(tab)
    assert "1,040 x 960 in tiles" in tab.ask("document.getElementById('status').textContent")
    assert tab.ask("document.getElementById('note').hidden")
    predictor.pipeline.settings = replace(settings, policy="tiles")
    assert predictor.pipeline.plan((1500, 1300)).size == (960, 1040)
    with Image.open(tab.saved("#save-grey", "large_mask.png")) as saved:
        wrong = np.asarray(saved) != predictor(image).mask
    assert not (wrong & ~_close_calls(predictor, image)).any()
    assert wrong.mean() < 1e-3
    assert (tab.requests, tab.console) == ([], [])


@pytest.mark.slow
def test_a_photo_of_a_better_camera_is_squeezed_where_a_person_wants_it(tab: Page, tmp_path: Path) -> None:
    """A network that learnt from images at their own size."""
    predictor = Predictor(_network(1), SPOT, "original", threshold=0.51)
    settings = replace(predictor.pipeline.settings, training_px=(100, 120))
    predictor.pipeline.settings = settings
    image = tmp_path / "upright.png"
    Image.fromarray(_picture(333, 250)).save(image)
    _open(tab, _page(predictor, tmp_path / "page.html"), [image])
    choose = "const it = document.getElementById('policy'); it.value = 'resize'; it.dispatchEvent(new Event('change'))"
    tab.ask(f"{{{choose}}}")
    _wait(tab)
    assert "; the network saw 95 x 126" in tab.ask("document.getElementById('status').textContent")
    predictor.pipeline.settings = replace(settings, policy="resize")
    assert predictor.pipeline.plan((333, 250)).size == (126, 95)
    with Image.open(tab.saved("#save-grey", "upright_mask.png")) as saved:
        wrong = np.asarray(saved) != predictor(image).mask
    assert not (wrong & ~_close_calls(predictor, image)).any()
    assert (tab.requests, tab.console) == ([], [])


@pytest.mark.slow
def test_what_a_person_does(tab: Page, tmp_path: Path) -> None:
    predictor = Predictor(Colours(1), SPOT, (40, 60), threshold=0.43)
    image = tmp_path / "my photo.v2.png"
    Image.fromarray(_picture(640, 700)).save(image)  # outlines are 2 px wide
    sample = SampleImage(name="a.jpg", pixels=_picture(30, 1200))
    _open(tab, _page(predictor, tmp_path / "page.html", samples=[sample]), [])
    assert tab.ask("document.querySelector('#samples img').naturalWidth") == 1024
    tab.ask("document.querySelector('#samples button').click()")
    _wait(tab)
    tab.give([image])
    _wait(tab)
    mask = predictor(image).mask
    share = f"{100 * mask.mean():.1f}%"
    assert tab.ask("document.getElementById('share-1').textContent") == share
    assert tab.ask("document.getElementById('px-1').textContent") == f"{int(mask.sum()):,}"
    assert share in tab.ask("document.getElementById('frame').getAttribute('aria-label')")
    assert "60 x 40" in tab.ask("document.getElementById('status').textContent")

    with Image.open(tab.saved("#save-palette", "my photo.v2_mask.png")) as saved:
        assert saved.mode == "P"
        assert saved.getpalette()[:6] == [*SPOT.colors[0], *SPOT.colors[1]]
        np.testing.assert_array_equal(np.asarray(saved), mask)
    with Image.open(tab.saved("#save-grey", "my photo.v2_mask.png")) as saved:
        assert saved.mode == "L"
        np.testing.assert_array_equal(np.asarray(saved), mask)

    shown = _overlay(tab, "my photo.v2_overlay.png")
    np.testing.assert_allclose(shown, predictor(image).overlay(0.45), atol=2)
    tab.ask("document.querySelector('#classes input').click()")  # the class is not drawn
    np.testing.assert_array_equal(_overlay(tab, "my photo.v2_overlay.png"), np.asarray(Image.open(image)))
    tab.ask("document.querySelector('#classes input').click()")
    tab.ask("document.querySelector('input[value=outlines]').click()")
    outlined = (_overlay(tab, "my photo.v2_overlay.png") != np.asarray(Image.open(image))).any(axis=2)
    assert 0 < outlined.mean() < 0.6 * mask.mean()

    slide = "const it = document.getElementById('threshold'); it.value = 0.7; it.dispatchEvent(new Event('input'))"
    tab.ask(f"{{{slide}}}")
    _wait(tab)
    at_70 = Predictor(Colours(1), SPOT, (40, 60), threshold=0.7)(image).mask
    assert at_70.sum() != mask.sum()
    with Image.open(tab.saved("#save-grey", "my photo.v2_mask.png")) as saved:
        np.testing.assert_array_equal(np.asarray(saved), at_70)
    tab.ask("document.getElementById('threshold-reset').click()")
    _wait(tab)
    assert tab.ask("document.getElementById('share-1').textContent") == share

    tab.ask("document.getElementById('remove').click()")
    _wait(tab)
    assert tab.ask("document.querySelectorAll('#strip button').length") == 1
    tab.ask("document.getElementById('remove').click()")
    assert tab.ask("document.getElementById('work').hidden && !document.getElementById('empty').hidden")
    assert (tab.requests, tab.console) == ([], [])


def _overlay(tab: Page, name: str) -> np.ndarray:
    with Image.open(tab.saved("#save-overlay", name)) as saved:
        return np.asarray(saved.convert("RGB"))


@pytest.mark.slow
def test_what_cannot_be_segmented_is_said_and_the_rest_goes_on(tab: Page, tmp_path: Path) -> None:
    picture = Image.fromarray(_picture(40, 50))
    good = tmp_path / "good.png"
    picture.save(good)
    broken = {
        "empty": (tmp_path / "empty.png", b""),
        "unknown": (tmp_path / "text.png", b"not a picture"),
        "damaged": (tmp_path / "half.png", good.read_bytes()[:900]),
    }
    for file, content in broken.values():
        file.write_bytes(content)
    moving, deep = tmp_path / "moving.png", tmp_path / "deep.png"
    picture.save(moving, save_all=True, append_images=[picture.rotate(90)])
    Image.fromarray(_picture(40, 50, 1)[..., 0].astype(np.uint16) * 200).save(deep)
    expected = {file.name: key for key, (file, _) in broken.items()} | {"moving.png": "frames", "deep.png": "deep"}
    predictor = Predictor(Colours(1), SPOT, (40, 60))
    _open(tab, _page(predictor, tmp_path / "page.html"), [*(tmp_path / name for name in expected), good])
    states = json.loads(
        tab.ask(
            "JSON.stringify([...document.querySelectorAll('#strip button')]"
            ".map(each => [each.textContent, each.dataset.state, each.title]))"
        )
    )
    assert states == [*([name, "problem", str(TEXTS[key])] for name, key in expected.items()), ["good.png", "done", ""]]
    assert tab.ask("document.getElementById('trouble').textContent") == str(TEXTS["empty"])
    assert tab.ask("document.getElementById('status').textContent") == "empty.png was not segmented."


@pytest.mark.slow
def test_deep_images_are_scaled_like_those_of_training(tab: Page, tmp_path: Path) -> None:
    grey = _picture(40, 50, 1)[..., 0].astype(np.uint16) * 150 + 1000
    images = [tmp_path / "deep.png", tmp_path / "other.png"]
    for image, values in zip(images, (grey, grey[::-1]), strict=True):
        Image.fromarray(np.ascontiguousarray(values)).save(image)
    predictor = Predictor(Colours(1), SPOT, "original", depth_range=(2000, 30000))
    _open(tab, _page(predictor, tmp_path / "page.html"), images)
    masks = _masks(tab, ["deep.png", "other.png"])
    for image in images:
        np.testing.assert_array_equal(masks[image.name], predictor(image).mask)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "lang", "dark"), [(375, "en", False), (375, "ru", True), (1440, "ru", False)])
def test_it_fits_the_screen(width: int, lang: str, dark: bool, tab: Page, tmp_path: Path) -> None:
    names = (*(f"class with quite a long name {index}" for index in range(11)), "<b>bold</b>")
    classes = ClassMap(names=names, values=tuple((index,) for index in range(12)))
    predictor = Predictor(_Twelve(), classes, (40, 60))
    page = _page(predictor, tmp_path / "page.html", lang=lang)
    wide, tall = tmp_path / "wide_with_a_very_long_name_without_any_space.png", tmp_path / "tall.png"
    Image.fromarray(_picture(30, 900)).save(wide)
    Image.fromarray(_picture(900, 30)).save(tall)
    _open(tab, page, [wide, tall], width=width, dark=dark)
    for _ in range(2):
        assert tab.ask("document.documentElement.scrollWidth") <= width
        box = json.loads(tab.ask("JSON.stringify(document.getElementById('frame').getBoundingClientRect())"))
        assert box["width"] > 300
        assert 190 < box["height"] < 700
        tab.ask("document.querySelectorAll('#strip button')[1].click()")
        _wait(tab)
    assert tab.ask("document.documentElement.lang") == lang
    ground = tab.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 24, 31)" if dark else "rgb(255, 255, 255)")
    nameless = """
        [...document.querySelectorAll("button, input, select")]
            .filter(each => each.checkVisibility())
            .filter(each => !(each.textContent.trim() || each.ariaLabel || each.labels?.[0]?.textContent.trim()))
            .map(each => each.outerHTML)
            .join()
    """
    assert tab.ask(nameless) == ""
    assert tab.console == []


class _Twelve(Colours):
    def __init__(self) -> None:
        super().__init__(12)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([torch.sin(each * images) for each in range(1, 5)], dim=1)


@pytest.mark.slow
def test_zoom_by_keys_and_buttons(tab: Page, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(_picture(90, 140)).save(image)
    _open(tab, _page(Predictor(Colours(1), SPOT, (40, 60)), tmp_path / "page.html"), [image])
    width = "document.querySelector('.paper canvas').getBoundingClientRect().width"
    press = "document.getElementById('frame').dispatchEvent(new KeyboardEvent('keydown', {key: '%s'}))"
    fitted = tab.ask(width)
    tab.ask("document.getElementById('larger').click()")
    assert tab.ask(width) == pytest.approx(1.4 * fitted)
    tab.ask(press % "+")
    assert tab.ask(width) == pytest.approx(1.96 * fitted)
    tab.ask(press % "0")
    assert tab.ask(width) == pytest.approx(fitted)
    tab.ask(press % "-")
    assert tab.ask(width) == pytest.approx(fitted)  # never smaller than the frame


@pytest.mark.slow
def test_the_page_can_send_nothing(tab: Page, tmp_path: Path) -> None:
    page = _page(Predictor(Colours(1), SPOT, (40, 60)), tmp_path / "page.html")
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "unsafe-inline" not in policy[1]
    assert policy[1].startswith("default-src 'none'; ")
    for kind, inside in (("script", r'<script type="module">(.*?)</script>'), ("style", r"<style>(.*?)</style>")):
        [found] = re.findall(inside, text, re.DOTALL)
        wanted = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{wanted}'" in policy[1]
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    _open(tab, page, [])
    refused = "fetch('https://example.org/').then(() => 'sent', error => error.name)"
    assert tab.ask(refused) == "TypeError"
    assert any("Content Security Policy" in line for line in tab.console)


def test_names_are_escaped() -> None:
    predictor = Predictor(Colours(1), replace(SPOT, names=("skin", "</script><script>alert(1)")), (40, 60))
    text = page_text(predictor, about=about_model({"name": "<u>"}, predictor.pipeline.settings))
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "<u>" not in text


def test_every_sentence_that_the_code_says_is_there() -> None:
    folder = files("segbench.export.html")
    code = "".join((folder / "js" / name).read_text(encoding="utf-8") for name in _modules())
    said = set(re.findall(r'(?:told|say|ImageProblem)\("(\w+)"', code))
    said |= set(re.findall(r'note \?\? null|"(squeezed|tiled)"', code)) - {""}
    page = (folder / "page.html").read_text(encoding="utf-8")
    said |= set(re.findall(r"texts\.(\w+)", page)) | set(re.findall(r'texts\["(\w+)"\]', page))
    assert said <= set(TEXTS)
    assert len(said) > 40


def _modules() -> list[str]:
    return sorted(each.name for each in (files("segbench.export.html") / "js").iterdir())


def test_networks_that_no_browser_can_feed_are_refused() -> None:
    settings = Predictor(Colours(1), SPOT, (40, 60)).pipeline.settings
    bands = Bands(numbers=(1, 2, 3), ranges=((0.0, 1.0),) * 3)
    predictor = Predictor(Colours(1), SPOT, (40, 60), bands=bands)
    with pytest.raises(PredictionError, match="RGB and grey images"):
        page_text(predictor, about=about_model({}, settings))


def test_the_colours_are_those_of_the_report() -> None:
    page = (files("segbench.export.html") / "page.css").read_text(encoding="utf-8")
    report = (files("segbench.report") / "templates" / "style.css").read_text(encoding="utf-8")
    ours = re.findall(r"--\w+(?:-\w+)?: #\w{6}", page)
    assert len(ours) == 20
    assert [each for each in ours if each not in report] == []
