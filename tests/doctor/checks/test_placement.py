"""Masks that do not lie on the objects of their images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor._sets import SCENE_SIDE, check, codes, finding, photo, save, scene

from segbench.doctor import Checkup, Finding, Severity, examine
from segbench.doctor.alignment import TURNS, edge_scores, judge, turned
from segbench.doctor.checks import placement

Data = Callable[[str], Path]


def moved(mask: np.ndarray, down: int, right: int) -> np.ndarray:
    return np.roll(mask, (down, right), axis=(0, 1))


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "shifted": (lambda mask: moved(mask, 0, 10), "moved by 10 pixels to the left."),
    "shifted_little": (lambda mask: moved(mask, -4, -3), "moved by 3 pixels to the right, 4 pixels down."),
    "mirrored": (lambda mask: mask[:, ::-1], "once they are mirrored left to right."),
    "upside_down": (lambda mask: mask[::-1], "once they are mirrored top to bottom."),
    "half_turn": (lambda mask: mask[::-1, ::-1], "once they are turned by 180 degrees."),
    "quarter_turn": (lambda mask: np.rot90(mask), "once they are turned by 90 degrees."),
    "transposed": (lambda mask: mask.T, "once they are with rows and columns exchanged."),
}


def write(
    root: Path, count: int = 16, change: Callable[[np.ndarray], np.ndarray] | None = None, folder: str = ""
) -> Path:
    for place in range(count):
        seed = 100 * len(folder) + place
        image, mask = scene(seed)
        save(root / folder / "images" / f"s{seed}x.png", image)
        save(root / folder / "masks" / f"s{seed}x.png", mask if change is None else change(mask))
    return root


def off(checkup: Checkup) -> Finding:
    return finding(checkup, "masks_off_the_objects")


def test_masks_on_their_objects_raise_nothing(tmp_path: Path) -> None:
    assert codes(check(write(tmp_path, 24))) == []


@pytest.mark.parametrize("name", CHANGES)
def test_masks_that_were_moved_are_found(tmp_path: Path, name: str) -> None:
    change, told = CHANGES[name]
    found = off(check(write(tmp_path, change=change)))
    assert told in found.detail
    assert "of the 16 images" in found.detail
    assert found.severity is Severity.ERROR
    assert found.pictures[0].kind == "overlay"
    assert set(found.files) <= {f"masks/s{place}x.png" for place in range(16)}


def test_a_small_shift_of_large_images_is_a_warning(tmp_path: Path) -> None:
    for place in range(12):
        image, mask = scene(place)
        wide = np.zeros((SCENE_SIDE, 4 * SCENE_SIDE, 3), np.uint8)
        wide[:, :SCENE_SIDE] = image
        save(tmp_path / f"images/s{place}x.png", wide)
        save(tmp_path / f"masks/s{place}x.png", np.pad(moved(mask, 0, 5), ((0, 0), (0, 3 * SCENE_SIDE))))
    assert off(check(tmp_path)).severity is Severity.WARNING


def test_one_folder_of_two(tmp_path: Path) -> None:
    write(tmp_path, folder="train")
    write(tmp_path, folder="test", change=lambda mask: mask[:, ::-1])
    found = off(check(tmp_path))
    assert found.title.startswith("the masks of the test part do not lie")
    assert {name.split("/")[0] for name in found.files} == {"test"}


def test_a_few_images_or_soft_borders_tell_nothing(tmp_path: Path) -> None:
    assert codes(check(write(tmp_path / "few", 6, change=lambda mask: mask[:, ::-1]))) == []
    soft = tmp_path / "soft"
    for place in range(24):
        save(soft / f"images/s{place}x.png", photo(place, SCENE_SIDE))
        save(soft / f"masks/s{place}x.png", scene(place)[1])
    assert "segbench data show" in finding(check(soft), "placement_unclear").advice
    assert codes(check(soft, fast=True)) == ["fast_look"]


def test_a_drawn_border_is_no_object(tmp_path: Path) -> None:
    """The outline of a trimap lies in the middle of its border, not on both sides of it."""
    image, mask = scene(3)
    near = np.asarray(Image.fromarray(mask).resize((SCENE_SIDE, SCENE_SIDE)))
    grown = np.zeros_like(mask)
    for down in range(-4, 5):
        for right in range(-4, 5):
            grown |= moved(near, down, right)
    shrunk = 255 - np.max([moved(255 - near, d, r) for d in range(-4, 5) for r in range(-4, 5)], axis=0)
    trimap = np.where(shrunk > 0, 1, np.where(grown > 0, 3, 2)).astype(np.uint8)
    plain, bordered, told = (
        edge_scores(image, labels, undecided=undecided)
        for labels, undecided in ((mask, ()), (trimap, ()), (trimap, (3,)))
    )
    assert plain is not None
    assert bordered is not None
    assert told is not None
    centre = plain.shape[1] // 2
    assert told[0, centre, centre] > 2 * bordered[0, centre, centre]


@pytest.mark.parametrize("turn", TURNS)
def test_a_score_is_that_of_the_moved_mask(turn: str) -> None:
    image, mask = scene(1)
    labels = np.asarray(turned(mask > 0, turn), dtype=np.uint8)
    scores = edge_scores(image, mask)
    assert scores is not None
    centre = scores.shape[1] // 2
    for down, right in ((0, 0), (5, -7), (-9, 3)):
        direct = edge_scores(image, moved(labels, down, right))
        assert direct is not None
        found = scores[TURNS.index(turn), centre + down, centre + right]
        assert found == pytest.approx(direct[0, centre, centre], abs=1e-4)


def test_no_verdict_without_enough_images() -> None:
    assert judge([]) is None
    assert edge_scores(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)) is None


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["oxford_pets_catdog", "ph2", "via_kudzu", "coco_tiny"])
def test_real_masks_and_the_same_mirrored(real_data: Data, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"masks_off_the_objects", "placement_unclear"} & set(codes(examine(real_data(name))))
    read = placement.labels_of
    monkeypatch.setattr(placement, "labels_of", lambda *args: np.ascontiguousarray(read(*args)[:, ::-1]))
    assert "mirrored left to right" in off(examine(real_data(name))).title
