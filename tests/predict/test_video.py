"""Videos frame by frame: every frame has its mask, and the overlay plays like the video."""

from __future__ import annotations

import csv
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from segbench.data.files.bands import Bands
from segbench.errors import DatasetError, PredictionError
from segbench.predict.outputs import OutputOptions
from segbench.predict.predictor import Predictor
from segbench.predict.video import predict_videos
from segbench.types import ClassMap, Normalization, Task

SPOT = ClassMap(names=("ground", "spot"), values=((0,), (255,)), task=Task.BINARY)


class Brightness(nn.Module):
    """The spot is what is bright."""

    normalization = Normalization.identity(3)

    def forward(self, images: Tensor) -> Tensor:
        return 20.0 * (images.mean(dim=1, keepdim=True) - 0.5)


def film(path: Path, frames: int = 7, size: tuple[int, int] = (48, 64), pts: list[int] | None = None) -> Path:
    """Writes a bright bar that moves to the right over a dark ground."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        for index in range(frames):
            pixels = np.full((*size, 3), 20, dtype=np.uint8)
            pixels[:, 6 * index : 6 * index + 12] = 240
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (pts or range(0, 10 * frames, 10))[index], Fraction(1, 100)
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return path


def predictor_of() -> Predictor:
    return Predictor(Brightness(), SPOT, "original")


def test_every_frame_has_its_mask_and_its_row(tmp_path: Path) -> None:
    video = film(tmp_path / "bar.mp4")
    told: list[tuple[str, int, int]] = []
    done = predict_videos(predictor_of(), [video], tmp_path / "out", progress=lambda *args: told.append(args))
    assert done.frames == (7,)
    for index in range(7):
        mask = np.asarray(Image.open(tmp_path / f"out/masks/bar/{index:06d}.png"))
        assert mask.shape == (48, 64)
        assert abs(int(mask[20].argmax()) - 6 * index) <= 1
    with done.areas_file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["seconds"] for row in rows] == [f"{index / 10:.3f}" for index in range(7)]
    assert float(rows[0]["spot_frac"]) == pytest.approx(12 / 64, abs=0.02)
    assert told[-1] == ("predicting bar.mp4", 7, 7)


def test_the_overlay_plays_like_the_video(tmp_path: Path) -> None:
    video = film(tmp_path / "bar.mp4", size=(48, 64), pts=[0, 10, 20, 60, 70, 80, 95])  # not evenly
    done = predict_videos(predictor_of(), [video], tmp_path / "out")
    [overlay] = done.overlays
    with av.open(str(overlay)) as source:
        frames = list(source.decode(video=0))
        assert [round(frame.time, 3) for frame in frames] == [0.0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.95]
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
    assert pictures[0].shape == (48, 64, 3)
    bar, ground = pictures[0][24, 4:8].mean(axis=0), pictures[0][24, 30:].mean(axis=0)
    assert bar[0] > bar[2] + 50, "tinted orange"
    assert ground.max() < 60


def test_frames_are_turned_as_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = film(tmp_path / "bar.mp4", frames=2)
    upright = predict_videos(predictor_of(), [video], tmp_path / "a")
    monkeypatch.setattr("segbench.predict.video._quarters", lambda frame: 1)
    turned = predict_videos(predictor_of(), [video], tmp_path / "b")
    assert upright.frames == turned.frames
    first, second = (np.asarray(Image.open(tmp_path / each / "masks/bar/000001.png")) for each in ("a", "b"))
    assert np.array_equal(np.rot90(first), second)


def test_without_an_overlay_and_several_videos(tmp_path: Path) -> None:
    videos = [film(tmp_path / "one.mp4", frames=2), film(tmp_path / "two.mp4", frames=3)]
    done = predict_videos(predictor_of(), videos, tmp_path / "out", options=OutputOptions(overlays=False))
    assert done.frames == (2, 3)
    assert done.overlays == ()
    assert not (tmp_path / "out" / "overlays").exists()
    assert len(done.areas_file.read_text().splitlines()) == 6


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(DatasetError, match="no video that can be decoded, or damaged"):
        predict_videos(predictor_of(), [broken], tmp_path / "out")
    assert not (tmp_path / "out" / "overlays" / "broken.mp4").exists()
    with pytest.raises(PredictionError, match="no such file"):
        predict_videos(predictor_of(), [tmp_path / "none.mp4"], tmp_path / "out")
    with pytest.raises(PredictionError, match="save its frames as images"):
        predict_videos(predictor_of(), [whole], tmp_path / "out", options=OutputOptions(objects=True))
    with pytest.raises(PredictionError, match="two videos have the same name"):
        predict_videos(predictor_of(), [whole, film(tmp_path / "whole.avi")], tmp_path / "out")
    assert predict_videos(predictor_of(), [whole, whole], tmp_path / "out").frames == (7,), "it is one video"
    four = Predictor(Brightness(), SPOT, "original", bands=Bands(numbers=(1, 2, 3, 4)))
    with pytest.raises(PredictionError, match="reads 4 bands, and videos have three"):
        predict_videos(four, [whole], tmp_path / "out")


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = film(tmp_path / "bar.mp4", frames=1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PredictionError, match=r"pip install 'segbench\[video\]'"):
        predict_videos(predictor_of(), [video], tmp_path / "out")
