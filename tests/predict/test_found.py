"""Which images files and folders name: each once, and nothing left out in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segbench.errors import PredictionError
from segbench.predict.found import find_images, given_once


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Returns a folder of two images, one of them in a sub-folder; nobody looks into them here."""
    (tmp_path / "photos" / "day").mkdir(parents=True)
    for name in ("x.png", "day/y.png"):
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("arguments", "names", "twice"),
    [
        (["photos", "photos"], ["day/y", "x"], 2),
        (["photos", "link"], ["day/y", "x"], 2),
        (["photos/day", "photos"], ["y", "x"], 1),
        (["photos", "photos/x.png"], ["day/y", "x"], 1),
        (["photos/x.png", "also_x.png"], ["x"], 1),
    ],
)
def test_what_is_given_twice_is_one_image(
    photos: Path, tmp_path: Path, arguments: list[str], names: list[str], twice: int
) -> None:
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "also_x.png").symlink_to(photos / "x.png")
    found = find_images([tmp_path / name for name in arguments], tmp_path / "out")
    assert [job.name for job in found.jobs()] == names
    assert found.twice == twice


def test_a_folder_may_have_two_names_for_a_file(photos: Path, tmp_path: Path) -> None:
    """Equal images of a set are links to one file where a version control of data keeps them."""
    (photos / "z.png").symlink_to("x.png")
    found = find_images([photos], tmp_path / "out")
    assert [job.name for job in found.jobs()] == ["day/y", "x", "z"]
    assert found.twice == 0


def test_what_cannot_be_looked_at_is_told(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "gone.png").symlink_to("moved/away.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "closed").mkdir()
    scandir = os.scandir

    def closed(path: str) -> object:  # who tests as root is let in everywhere
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = find_images([photos], tmp_path / "out")
    assert [file.name for file, _ in found.images] == ["y.png", "x.png"]
    assert found.failed == {
        str(photos / "gone.png"): "it is a link to moved/away.png, which is not there",
        str(photos / "pipe.png"): "it is neither a file nor a folder",
        str(photos / "closed"): "the folder cannot be read (Permission denied)",
    }
    with pytest.raises(PredictionError, match=r"gone\.png: it is a link to moved/away\.png, which is not there"):
        find_images([photos / "gone.png"], tmp_path / "out")


def test_linked_folders_are_entered_once(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "z.png").touch()
    (photos / "a_link").symlink_to(tmp_path / "disk")
    (photos / "b_link").symlink_to(tmp_path / "disk")
    (photos / "latest").symlink_to("day")
    (photos / "up").symlink_to(tmp_path)
    found = find_images([photos], tmp_path / "out")
    assert [below.as_posix() for _, below in found.images] == ["day/y.png", "x.png", "a_link/z.png"]


def test_a_video_is_given_once(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(photos / "x.png")
    assert given_once([photos / "x.png", tmp_path / "link.mp4"]) == [photos / "x.png"]
