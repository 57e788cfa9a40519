"""Made-up data sets for the checks: what is asked for, and nothing else that a check could complain of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from segbench.config.run import SplitConfig
from segbench.doctor import Checkup, Finding, examine

SIDE = 48
SCENE_SIDE = 96
SLICES = 60


def save(path: Path, array: np.ndarray, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path, **how)
    return path


def photo(seed: int, side: int = SIDE) -> np.ndarray:
    """Returns a smooth random picture that no other seed gives nearly."""
    coarse = np.random.default_rng(seed).integers(20, 235, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def blob(seed: int, side: int = SIDE, value: int = 255) -> np.ndarray:
    """Returns a mask with one rectangle of about a fifth of the pixels, off the border."""
    top, left = np.random.default_rng(seed).integers(3, side // 3, 2)
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[top : top + side // 2 + seed % 3, left : left + side // 2 - seed % 2] = value
    return mask


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a picture with one bright, lopsided object, and its mask of 0 and 255."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SCENE_SIDE, :SCENE_SIDE]
    row, column, radius = rng.uniform(30, 45), rng.uniform(35, 55), rng.uniform(10, 16)
    inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    inside |= (abs(rows - row - radius) < 5) & (abs(columns - column - radius) < radius)
    image = 0.5 * photo(seed, SCENE_SIDE) + 90.0 * inside[..., None] + rng.normal(0, 6, (SCENE_SIDE, SCENE_SIDE, 3))
    return np.clip(image, 0, 255).astype(np.uint8), (inside * 255).astype(np.uint8)


def stack(seed: int, slices: int = SLICES, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Returns a grainy rock, (slices, side, side) uint8, and its pores as 0 and 255."""
    noise = np.random.default_rng(seed).normal(size=(slices, side, side))
    smooth = ndimage.gaussian_filter(noise, (4, 5, 5), mode="wrap")
    smooth /= smooth.std()
    pores = smooth > 0.6
    return np.clip(128 + 50 * smooth + 20 * pores, 0, 255).astype(np.uint8), (255 * pores).astype(np.uint8)


def cracks(seed: int, side: int, width: int = 3) -> np.ndarray:
    """Returns two slanted, wavy lines of 1 on 0, `width` pixels across."""
    rows, columns = np.mgrid[:side, :side]
    mask = np.zeros((side, side), dtype=np.uint8)
    for place, slant in enumerate((0.3, -0.5)):
        middle = side * (0.3 + 0.4 * place) + slant * (columns - side / 2) / 2 + 9 * np.sin(columns / 23 + seed + place)
        mask |= (abs(rows - middle) < width * np.sqrt(1 + slant**2 / 4) / 2).astype(np.uint8)
    return mask


def pairs(
    root: Path, count: int = 8, mask: Callable[[int], np.ndarray] = blob, folder: str = "", name: str = "s{:02d}x"
) -> Path:
    """Writes images/ and masks/ (below `folder`) of `count` pairs."""
    first = sum(map(ord, folder)) * 1000
    for place in range(count):
        save(root / folder / "images" / f"{name.format(place)}.png", photo(first + place))
        save(root / folder / "masks" / f"{name.format(place)}.png", mask(place))
    return root


def split_pairs(root: Path, count: int = 4, mask: Callable[[int], np.ndarray] = blob) -> Path:
    for first, folder in enumerate(("train", "test")):
        pairs(root, count, lambda place, first=first: mask(place + 7 * first), folder, name=f"{folder}{{:02d}}")
    return root


def check(root: Path, **more: Any) -> Checkup:
    return examine(root, "folder", **more)


def finding(checkup: Checkup, code: str) -> Finding:
    found = [one for one in checkup.findings if one.code == code]
    assert len(found) == 1, f"{code} not among {codes(checkup)}"
    return found[0]


def codes(checkup: Checkup) -> list[str]:
    return [one.code for one in checkup.findings]


def flawed_sets(root: Path) -> list[Checkup]:
    """Makes data sets with as many kinds of mistakes as fit into a few, and looks at them."""
    return [
        check(_with_bad_files(root / "files")),
        check(_with_bad_pairs(root / "pairs")),
        check(_with_bad_values(root / "values"), options={"classes": ["background", "a", "b", "c"], "tolerance": 1}),
        check(_with_colors(root / "colors")),
        check(_with_leaks(root / "leaks"), options={"classes": ["background", "a"]}),
        examine(_with_bad_shapes(root / "shapes"), "coco"),
        check(pairs(root / "inverted", mask=lambda seed: 255 - blob(seed)), fast=True),
        examine(pairs(root / "several" / "one").parent),
        check(pairs(root / "one", 1)),
        check(_with_moved_masks(root / "moved")),
        check(_with_cracks(root / "cracks"), image_size=(64, 64)),
        check(_with_a_stack(root / "stack")),
        check(root / "stack", split=SplitConfig(ratios=(0.8, 0.1, 0.1), seed=1)),
    ]


def _with_moved_masks(root: Path) -> Path:
    for place in range(12):
        image, mask = scene(place)
        save(root / f"images/s{place}x.png", image)
        save(root / f"masks/s{place}x.png", np.roll(mask[::-1], 7, axis=1))
    return root


def _with_cracks(root: Path) -> Path:
    for place in range(12):
        save(root / f"images/s{place}x.png", photo(place, 600))
        save(root / f"masks/s{place}x.png", cracks(place, 600))
    return root


def _with_a_stack(root: Path) -> Path:
    for place, (image, mask) in enumerate(zip(*stack(0), strict=True)):
        save(root / f"images/slice_{place}.png", image)
        save(root / f"masks/slice_{place}.png", mask)
    return root


def _with_bad_files(root: Path) -> Path:
    pairs(root, 14)
    images, masks = root / "images", root / "masks"
    whole = (images / "s00x.png").read_bytes()
    (images / "s00x.png").write_bytes(whole[: len(whole) // 2])
    (images / "s01x.png").write_bytes(b"")
    (images / "s02x.png").write_bytes(b"no image at all")
    frames = [Image.fromarray(photo(seed)) for seed in (1, 2)]
    frames[0].save(images / "s03x.png", format="GIF", save_all=True, append_images=frames[1:])
    Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)).save(images / "s04x.png")
    (images / "s05x.png").unlink()
    (images / "s05x.png").symlink_to(root / "gone.png")
    Image.fromarray(photo(6)).save(images / "s06x.png", format="JPEG")
    alpha = np.dstack([photo(7), blob(7)])
    Image.fromarray(alpha).save(images / "s07x.png")
    save(masks / "s08x.png", blob(8, 2 * SIDE))
    save(masks / "s09x.png", blob(9)[:, : SIDE - 2])
    save(images / "s10x.png", np.full((SIDE, SIDE, 3), 99))
    save(images / "s11x.png", photo(11, 6 * SIDE))
    save(masks / "s11x.png", blob(11, 6 * SIDE))
    save(images / "s12x.png", photo(12)[:, :, 0])
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(photo(13)).save(images / "s13x.png", exif=turned)
    return root


def _with_bad_pairs(root: Path) -> Path:
    pairs(root, mask=lambda seed: 0 * blob(seed) if seed == 3 else blob(seed))
    save(root / "images/lonely.png", photo(90))
    save(root / "masks/orphan.png", blob(91))
    save(root / "images/S00X.png", photo(92))
    save(root / "masks/S00X.png", blob(5))
    save(root / "masks/s04x.png", np.full((SIDE, SIDE), 255))
    for name in (".DS_Store", "images/scan.psd"):
        (root / name).write_bytes(b"x")
    for place in range(8):
        save(root / "extra" / f"s{place:02d}x.png", 255 - blob(place))
    return root


def _with_bad_values(root: Path) -> Path:
    def mask(seed: int) -> np.ndarray:
        values = blob(seed, value=1)
        values[40, 40] = 2 if seed == 0 else 0
        values[2, 2] = 200 if seed == 1 else 0
        return values

    pairs(root, 12, mask=mask, name="patient1_{:02d}")
    pairs(root, 2, mask=mask, name="patient2_{:02d}")
    (root / "masks/patient1_05.png").unlink()
    save(root / "masks/patient1_05.jpg", mask(5), quality=60)
    return root


def _with_colors(root: Path) -> Path:
    def mask(seed: int) -> np.ndarray:
        colors = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        colors[blob(seed) > 0] = (200, 10, 10)
        colors[0, 0] = (7, 99, 3) if seed == 2 else 0
        return colors

    return pairs(root, mask=mask)


def _with_leaks(root: Path) -> Path:
    split_pairs(root, 16, lambda seed: blob(seed % 7, value=1))
    pairs(root, 3, lambda seed: 0 * blob(seed), "val", name="val{:02d}")
    train, test = root / "train/images", root / "test/images"
    (test / "test00.png").write_bytes((train / "train00.png").read_bytes())
    save(test / "test01.png", np.fliplr(photo(sum(map(ord, "train")) * 1000 + 1)))
    (train / "train03.png").write_bytes((train / "train02.png").read_bytes())
    for part in ("train", "test"):
        (root / f"{part}.txt").write_text("train00\ntrain01\n")
    return root


def _with_bad_shapes(root: Path) -> Path:
    square = [10, 10, 34, 10, 34, 34, 10, 34]
    wrong: list[dict[str, Any]] = [
        {"segmentation": {"size": [SIDE, SIDE], "counts": [5]}},
        {"segmentation": {"size": [SIDE, 2 * SIDE], "counts": [2 * SIDE * SIDE]}},
        {"segmentation": [[1, 1, 5, 5]]},
        {"segmentation": [], "bbox": [1, 1, 8, 8]},
        {"segmentation": [[40, 40, 60, 40, 60, 60, 40, 60]]},
        {"segmentation": [square], "category_id": 77},
        {"segmentation": [[2, 2, 8, 8, 8, 2, 2, 8]]},
        {"segmentation": [[3, 3, 4, 3, 4, 4]]},
        {"segmentation": [square], "category_id": 2},
    ]
    for place in range(10):
        save(root / f"images/{place:03d}.jpg", photo(place), quality=95)
    save(root / "images/extra.jpg", photo(60), quality=95)
    names = [f"{place:03d}.jpg" for place in range(10)] + ["nowhere.jpg"]
    rows = [{"segmentation": [[value + place / 4 for value in square]]} for place in range(9)] + wrong
    plain = {
        "images": [{"id": place, "file_name": name, "height": SIDE, "width": SIDE} for place, name in enumerate(names)],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "lid"}],
        "annotations": [
            {"id": number, "image_id": number % 9, "category_id": 1, "iscrowd": 0, **row}
            for number, row in enumerate(rows)
        ],
    }
    (root / "annotations").mkdir()
    (root / "annotations/instances.json").write_text(json.dumps(plain))
    return root
