"""A folder of VGG Image Annotator as people send it: drawn images in train, val and test, polygons with mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.synthetic.write import write_lesions
from segbench.data.writers.convert import convert_dataset

SIZE = (48, 64)
PARTS = {"train": 30, "val": 6, "test": 16}
SHRUNK = 10  # of the train part: sloppy polygons, a third as large
SPECK, EMPTY = PARTS["train"] - 1, PARTS["train"] - 2  # places in the train part


def write_via(folder: Path, out: Path) -> dict[str, NDArray[np.uint8]]:
    """Makes the folder `out`; returns name of the image -> its true mask (H, W).

    Args:
        folder: for what it is made from.
    """
    write_lesions(folder, count=sum(PARTS.values()), seed=7, size=SIZE)
    manifest = read_dataset(folder)
    truth = {Path(each.image).name: load_sample(manifest, each)[1] for each in manifest.samples}
    first = 0
    for part, count in PARTS.items():
        one = folder.with_name(f"{folder.name}_{part}")
        for kind in ("images", "masks"):
            (one / kind).mkdir(parents=True)
            for file in sorted((folder / kind).iterdir())[first : first + count]:
                shutil.copy(file, one / kind)
        convert_dataset(one, "via", one.with_name(f"{one.name}_via"))
        (project,) = one.with_name(f"{one.name}_via").glob("*.json")
        (out / part).mkdir(parents=True)
        for file in (one / "images").iterdir():
            shutil.copy(file, out / part)
        plain = json.loads(project.read_text(encoding="utf-8"))
        if part == "train":
            _spoil(list(plain["_via_img_metadata"].values()))
        (out / part / "via_project.json").write_text(json.dumps(plain), encoding="utf-8")
        first += count
    return truth


def _spoil(images: list[dict]) -> None:  # type: ignore[type-arg]  # of VIA's JSON
    for image in images[:SHRUNK]:
        for region in image["regions"]:
            shape = region["shape_attributes"]
            for key, limit in (("all_points_x", SIZE[1]), ("all_points_y", SIZE[0])):
                middle = sum(shape[key]) / len(shape[key])
                shape[key] = [min(limit - 1, round(middle + 0.55 * (value - middle))) for value in shape[key]]
    speck = {"name": "rect", "x": 2, "y": 2, "width": 1, "height": 1}
    images[SPECK]["regions"].append({"shape_attributes": speck, "region_attributes": {"class": "foreground"}})
    images[EMPTY]["regions"] = []
