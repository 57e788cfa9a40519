"""Videos, frame by frame: one is decoded, segmented and written before the next, so that any length needs the memory of
one.

The overlay is a video of the same size and time stamps, without sound; masks are numbered palette PNGs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import DatasetError, PredictionError
from segbench.files import replacing
from segbench.predict.class_pixels import class_pixels
from segbench.predict.found import given_once
from segbench.predict.outputs import OutputOptions, area_row, prepare_outputs, write_areas
from segbench.predict.outputs.masks import write_masks
from segbench.predict.predictor import Predictor
from segbench.types import Progress

_RATE = Fraction(25)  # frames a second of a file that tells none
_ENCODER = {"crf": "18", "preset": "veryfast"}  # of x264; the quality is hardly to be told from the frames themselves


@dataclass(frozen=True)
class PredictedVideos:
    """Attributes: frames, of each video; overlays, the videos, none where none were asked for; areas_file, a row a
    frame."""

    frames: tuple[int, ...]
    overlays: tuple[Path, ...]
    areas_file: Path


@dataclass(frozen=True)
class _Frame:
    """Attributes: pixels, (H, W, 3) uint8, upright; seconds, from the video's begin; pts, in units of time_base."""

    pixels: NDArray[np.uint8]
    seconds: float
    pts: int
    time_base: Fraction


def predict_videos(
    predictor: Predictor,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    options: OutputOptions | None = None,
    progress: Progress | None = None,
) -> PredictedVideos:
    """Segments every frame: `masks/NAME/000000.png` and so on, `overlays/NAME.mp4`, and `areas.csv`, a row a frame.

    Args:
        predictor: see `Predictor`; of images of three channels.
        paths: video files, each taken once; frames are turned as the file says.
        out: folder.
        options: of `OutputOptions`, `overlays` alone has a meaning here; None: overlays.
        progress: told after every frame; the total is what the file says, or the frames so far.
    Raises:
        PredictionError: PyAV is not installed, the network reads other channels than RGB, two files of one name, or an
            option that videos do not have.
        DatasetError: no video, or damaged; the masks of the frames before are there then.
    """
    videos, out, options = given_once(paths), Path(out), options or OutputOptions()
    if predictor.bands is not None:
        raise PredictionError(f"this network reads {predictor.bands.channels} bands, and videos have three")
    if options != OutputOptions(overlays=options.overlays):
        raise PredictionError("a video has masks, an overlay and areas; for anything else, save its frames as images")
    if len({path.stem for path in videos}) < len(videos):
        raise PredictionError("two videos have the same name; predict them into different folders")
    prepare_outputs(predictor.pipeline.settings, out, options)
    rows: list[dict[str, Any]] = []
    frames, overlays = [], []
    for path in videos:
        overlay = out / "overlays" / f"{path.stem}.mp4" if options.overlays else None
        before = len(rows)
        rows += _predicted(predictor, path, out, overlay, progress)
        frames.append(len(rows) - before)
        overlays += [overlay] if overlay is not None else []
    write_areas(out / "areas.csv", rows)
    return PredictedVideos(tuple(frames), tuple(overlays), out / "areas.csv")


def _predicted(
    predictor: Predictor, path: Path, out: Path, overlay: Path | None, progress: Progress | None
) -> Iterator[dict[str, Any]]:
    """Writes one video's masks and overlay, and yields each frame's row of areas.csv."""
    class_map = predictor.class_map
    with _opened(path) as source, _overlay(overlay, source) as written:
        for index, frame in enumerate(_frames(source, path)):
            name = f"{path.stem}/{index:06d}"
            prediction = predictor(frame.pixels)
            write_masks(out / "masks", name, prediction.mask, class_map, None, None)
            if written is not None:
                written.add(prediction.overlay(), frame)
            height, width = frame.pixels.shape[:2]
            pixels, counted = class_pixels(prediction.mask, class_map)
            head = {"id": name, "file": path.name, "width": width, "height": height, "seconds": f"{frame.seconds:.3f}"}
            if progress is not None:
                progress(f"predicting {path.name}", index + 1, max(source.streams.video[0].frames, index + 1))
            yield head | area_row(class_map, pixels, counted, None)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yields a video opened by PyAV; what goes wrong with it inside the block becomes a DatasetError."""
    try:
        import av
    except ModuleNotFoundError as error:
        message = "videos need the package av, which is not installed; pip install 'segbench[video]'"
        raise PredictionError(message, path=path) from error
    if not path.is_file():
        raise PredictionError("there is no such file or folder", path=path)
    try:
        with av.open(str(path)) as source:
            if not source.streams.video:
                raise DatasetError("expected a video, got a file without pictures", path=path)
            source.streams.video[0].thread_type = "AUTO"
            yield source
    except av.error.FFmpegError as error:
        message = f"no video that can be decoded, or damaged ({error.strerror}); copy it again"
        raise DatasetError(message, path=path) from error


def _frames(source: Any, path: Path) -> Iterator[_Frame]:
    stream = source.streams.video[0]
    step = 1 / float(stream.average_rate or _RATE)
    first: float | None = None
    for index, frame in enumerate(source.decode(stream)):
        seconds = frame.time if frame.time is not None else index * step
        first = seconds if first is None else first
        pixels = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), _quarters(frame)))
        pts = frame.pts if frame.pts is not None else round(seconds / float(stream.time_base))
        yield _Frame(pixels=pixels, seconds=seconds - first, pts=pts, time_base=stream.time_base)
    if first is None:
        raise DatasetError("the video has no frame that can be decoded", path=path)


def _quarters(frame: Any) -> int:
    """Returns by how many right angles a frame is to be turned counterclockwise, as phones note it."""
    quarters: int = frame.rotation // 90
    return quarters


class _Overlay:
    """Pictures that become a video one by one.

    Args:
        target: open file of PyAV.
        source: whose frame rate and time stamps it takes.
    """

    def __init__(self, target: Any, source: Any) -> None:
        self.target = target
        self.source = source
        self.stream: Any = None

    def add(self, pixels: NDArray[np.uint8], frame: _Frame) -> None:
        """Writes a picture (H, W, 3) at the time of a frame; sides of an odd number of pixels get one more."""
        import av

        height, width = pixels.shape[:2]
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self.stream is None:
            rate = self.source.streams.video[0].average_rate or _RATE
            self.stream = self.target.add_stream("libx264", rate=rate, options=_ENCODER)
            self.stream.height, self.stream.width = even.shape[:2]
            self.stream.pix_fmt = "yuv420p"  # what every player shows
            self.stream.codec_context.time_base = frame.time_base
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture.pts, picture.time_base = frame.pts, frame.time_base
        self.target.mux(self.stream.encode(picture))

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self.stream is not None:
            self.target.mux(self.stream.encode())


@contextmanager
def _overlay(path: Path | None, source: Any) -> Iterator[_Overlay | None]:
    """Yields what writes a video, all or nothing; None without a path."""
    if path is None:
        yield None
        return
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w") as target:
        overlay = _Overlay(target, source)
        yield overlay
        overlay.finish()
