"""Slices of a stack and frames of a video that lie, or would lie, in different parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from tests.doctor._sets import SLICES, check, codes, finding, pairs, save, stack

from segbench.config.run import SplitConfig
from segbench.data.manifest.read import read_dataset
from segbench.data.split.divide import split_manifest
from segbench.doctor import Severity, examine
from segbench.doctor.before_training import fast_warnings
from segbench.doctor.finding import Finding

Data = Callable[[str], Path]


def write(root: Path, seed: int = 0, name: str = "slice_{}", slices: int = SLICES) -> Path:
    images, masks = stack(seed, slices)
    for place, (image, mask) in enumerate(zip(images, masks, strict=True)):
        save(root / "images" / f"{name.format(place)}.png", image)
        save(root / "masks" / f"{name.format(place)}.png", mask)
    return root


def advised(found: Finding) -> dict[str, Any]:
    """Returns the split that the advice tells to set."""
    text = re.search(r"data\.split: (\{.*?\})(;|$)", found.advice)
    assert text is not None, found.advice
    plain: dict[str, Any] = YAML(typ="safe", pure=True).load(text[1])
    return plain


def test_a_stack_without_parts_is_told_and_the_advice_helps(tmp_path: Path) -> None:
    root = write(tmp_path)
    found = finding(check(root), "neighbours")
    assert (found.severity, found.count) == (Severity.WARNING, SLICES)
    assert f"the {SLICES} images look like slices" in found.title
    split = SplitConfig(**advised(found))
    assert split.method == "blocks"
    divided = check(root, split=split)
    assert {"train", "val", "test"} <= set(divided.parts)
    assert not {"neighbours", "neighbours_across_parts"} & set(codes(divided))


def test_slices_that_a_draw_has_torn_apart(tmp_path: Path) -> None:
    root = write(tmp_path)
    found = finding(check(root, split=SplitConfig(seed=3)), "neighbours_across_parts")
    assert found.severity is Severity.WARNING
    assert found.count == len(found.files) >= 15
    assert "test 9 of 9" in found.title
    numbers = re.search(r"gets ([\d.]+) % .*\(mean IoU ([\d.]+)\), .* ([\d.]+) % \(mean IoU ([\d.]+)\)", found.detail)
    assert numbers is not None
    near, near_iou, other, other_iou = map(float, numbers.groups())
    _, masks = stack(0)
    same = np.mean([(one == two).mean() for one, two in zip(masks[1:], masks[:-1], strict=True)])
    any_two = np.mean([(one == two).mean() for one, two in zip(masks[20:], masks[:-20], strict=True)])
    assert near == pytest.approx(100 * same, abs=3)
    assert other == pytest.approx(100 * any_two, abs=5)
    assert near_iou > other_iou + 0.2
    assert found.pictures[0].kind == "pair"


def test_it_is_said_before_a_training_without_opening_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path)
    check(root, split=SplitConfig(seed=3))
    manifest = split_manifest(read_dataset(root, "folder"), SplitConfig(seed=3))

    def refuse(*args: object) -> bytes:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert any("have a neighbour in training that looks nearly the same" in line for line in fast_warnings(manifest))


def test_many_stacks_are_divided_by_their_names(tmp_path: Path) -> None:
    for seed in range(8):
        write(tmp_path, seed, name=f"core{seed}_{{}}", slices=16)
    found = finding(check(tmp_path), "neighbours")
    split = SplitConfig(**advised(found))
    assert (split.method, bool(split.group)) == ("ratios", True)
    assert "neighbours_across_parts" not in codes(check(tmp_path, split=split))
    grouped = check(tmp_path, options={"group": split.group})
    assert "neighbours" not in codes(grouped)


def test_short_stacks_that_are_groups_need_no_word(tmp_path: Path) -> None:
    for seed in range(5):
        write(tmp_path, seed, name=f"core{seed}_{{}}", slices=8)
    assert finding(check(tmp_path), "neighbours").count == 40
    assert "neighbours" not in codes(check(tmp_path, options={"group": r"^(core\d)"}))


def test_images_in_no_order_and_few_slices_raise_nothing(tmp_path: Path) -> None:
    assert codes(check(pairs(tmp_path / "plain", 40, name="s{}"))) == ["placement_unclear"]
    assert "neighbours" not in codes(check(write(tmp_path / "few", slices=10)))
    shuffled = write(tmp_path / "shuffled")
    order = np.random.default_rng(1).permutation(SLICES)
    for folder in ("images", "masks"):
        for place, new in enumerate(order):
            (shuffled / folder / f"slice_{place}.png").rename(shuffled / folder / f"x{new}.png")
    assert "neighbours" not in codes(check(shuffled))
    assert "neighbours" not in codes(check(write(tmp_path / "fast"), fast=True))


def test_neighbours_whose_masks_differ_are_an_info(tmp_path: Path) -> None:
    root = write(tmp_path)
    for place in range(SLICES):
        mask = np.random.default_rng(place).random((3, 3)) > 0.5
        save(root / f"masks/slice_{place}.png", 255 * np.kron(mask, np.ones((16, 16))))
    assert finding(check(root), "neighbours").severity is Severity.INFO


@pytest.mark.slow
@pytest.mark.data
def test_frames_of_streets(real_data: Data) -> None:
    """CamVid's published parts are whole runs of frames; a random draw of its frames is not."""
    told = examine(real_data("camvid"))
    assert {one.severity for one in told.findings if one.code == "neighbours_across_parts"} <= {Severity.INFO}
    torn = examine(real_data("camvid"), split=SplitConfig(method="ratios", group=""))
    found = finding(torn, "neighbours_across_parts")
    assert found.severity is Severity.WARNING
    assert found.count > 150


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["ph2", "oxford_pets", "cwfid", "via_kudzu", "coco_tiny"])
def test_sets_in_no_order(real_data: Data, name: str) -> None:
    assert not {"neighbours", "neighbours_across_parts"} & set(codes(examine(real_data(name))))
