"""A small Evidence in a second: drawn images on the disk, and distorted truths as the masks of two approaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segbench.compare.evidence import Entry, Evidence
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.files import write_json
from segbench.folders.mask_archive import MaskArchive, save_masks
from segbench.folders.run import RunFolder
from segbench.metrics.scores import score_masks

SIZE = (48, 64)
Mask = npt.NDArray[np.uint8]
Distort = Callable[[Mask, str, int], Mask]


def write_pairs(folder: Path, count: int, *, classes: int = 2, seed: int = 0) -> Path:
    """Writes images/ and masks/ of coloured ellipses, one a class, on dark noise; masks as in tests/conftest.py."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for index in range(count):
        image = rng.integers(40, 70, (*SIZE, 3), dtype=np.uint8)
        mask = np.zeros(SIZE, dtype=np.uint8)
        for label in range(1, classes):
            y, x = rng.uniform(14, SIZE[0] - 14), rng.uniform(14, SIZE[1] - 14)
            radii = rng.uniform(8, 13, 2)
            mask[((rows - y) / radii[0]) ** 2 + ((columns - x) / radii[1]) ** 2 <= 1] = label
            image[mask == label, label % 3] = 180
        Image.fromarray(image).save(folder / "images" / f"img_{index:03d}.png")
        Image.fromarray(mask * 255 if classes == 2 else mask).save(folder / "masks" / f"img_{index:03d}.png")
    return folder


def shifted(pixels: int) -> Distort:
    """Returns a distortion: the mask moved down by so many pixels, one more a seed."""

    def distort(mask: Mask, image_id: str, seed: int) -> Mask:
        return np.roll(mask, pixels + seed, axis=-2)

    return distort


def make_evidence(
    folder: Path,
    *,
    count: int = 24,
    classes: int = 2,
    distortions: Mapping[str, Distort] | None = None,
    seeds: Sequence[int] = (0, 1),
    without_masks: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    data: Path | Manifest | None = None,
) -> Evidence:
    """Returns evidence over all drawn images.

    Args:
        folder: gets data and masks.
        count, classes: of the images.
        distortions: entry name -> how its masks come from the truth; by default a good and a bad one.
        seeds: of every entry.
        without_masks: entries that keep none.
        groups: one an image.
        data: folder or manifest of pairs that exist already.
    """
    source = write_pairs(folder / "data", count, classes=classes) if data is None else data
    manifest = source if isinstance(source, Manifest) else read_dataset(source)
    truths = {sample.id: load_sample(manifest, sample)[1] for sample in manifest.samples}
    entries = []
    definition: dict[str, Any] = {}
    for name, distort in (distortions or {"good": shifted(1), "bad": shifted(4)}).items():
        archives, values = [], []
        for seed in seeds:
            masks = {image_id: distort(truth.copy(), image_id, seed) for image_id, truth in truths.items()}
            path = folder / f"{name}_{seed}.zip"
            save_masks(path, masks.items())
            archives.append(MaskArchive(path))
            scores = score_masks(masks, truths, manifest.class_map)
            values.append(scores.image_means("iou"))
            definition = scores.definition_of["iou_per_image"].to_dict()
        entries.append(
            Entry(
                name=name,
                factors={},
                runs=(),
                seeds=tuple(seeds),
                values=np.stack(values),
                masks=() if name in without_masks else tuple(archives),
            )
        )
    return Evidence(
        entries=tuple(entries),
        ids=tuple(truths),
        groups=None if groups is None else tuple(groups),
        score="iou_per_image",
        definition=definition,
        manifest=manifest,
        size=None,
    )


def write_run(
    folder: Path, history: Sequence[Mapping[str, float]], *, best_epoch: int, scores: Mapping[str, Mapping[str, float]]
) -> RunFolder:
    """Returns a run folder that holds curves and result, as far as explanations read them."""
    run = RunFolder(folder)
    run.path.mkdir(parents=True)
    run.write_history(history)
    result = {
        "name": folder.name,
        "network": {"name": "unet_nearest"},
        "loss": {"bce": 1},
        "scores": scores,
        "n": {"train": 10, "val": 5, "test": 5},
        "definitions": {},
        "best_epoch": best_epoch,
        "epochs": len(history),
        "monitor": {"name": "val_iou_per_image", "value": 0.5},
    }
    write_json(run.result_file, result)
    return run
