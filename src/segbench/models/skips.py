"""How a U-Net's decoder takes in the encoder's map of the same size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.models.layers import make_norm


def make_join(skip: str, width: int, norm: str) -> nn.Module:
    """Returns a module (upsampled (B, C, H, W), encoder's (B, C, H, W)) -> (B, C or 2C, H, W), see `joined_width`."""
    if skip == "attention":
        return AttentionGate(width, norm)
    if skip == "aff":
        return AttentionalFusion(width, norm)
    return {"concat": Concat, "add": Add, "none": Ignore}[skip]()


def joined_width(skip: str, width: int) -> int:
    """Returns how many channels a join of two maps of `width` channels has."""
    return 2 * width if skip in ("concat", "attention") else width


class Concat(nn.Module):
    """Both maps, one behind the other (Ronneberger et al. 2015)."""

    def forward(self, upsampled: Tensor, skipped: Tensor) -> Tensor:
        """Returns (B, 2C, H, W): upsampled first."""
        return torch.cat([upsampled, skipped], dim=1)


class Add(nn.Module):
    """Their sum (as in LinkNet, Chaurasia and Culurciello 2017)."""

    def forward(self, upsampled: Tensor, skipped: Tensor) -> Tensor:
        """Returns (B, C, H, W)."""
        return upsampled + skipped


class Ignore(nn.Module):
    """The upsampled map alone."""

    def forward(self, upsampled: Tensor, skipped: Tensor) -> Tensor:
        """Returns (B, C, H, W)."""
        return upsampled


class AttentionGate(nn.Module):
    """The upsampled map, and the encoder's weighted pixel by pixel with an attention coefficient in (0, 1).

    coefficient = sigmoid(psi(relu(W_g upsampled + W_x skipped))), one a pixel, each W and psi a 1x1 convolution with
    normalisation; C / 2 channels between.

    Source: Oktay et al. 2018 (Attention U-Net); differs: the gating signal is the upsampled map, which has the size of
    the skipped one, so nothing is resampled inside the gate.
    """

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        between = max(1, width // 2)
        self.gating = nn.Sequential(nn.Conv2d(width, between, 1), *make_norm(norm, between))
        self.skipped = nn.Sequential(nn.Conv2d(width, between, 1), *make_norm(norm, between))
        self.psi = nn.Sequential(nn.Conv2d(between, 1, 1), *make_norm(norm, 1), nn.Sigmoid())

    def forward(self, upsampled: Tensor, skipped: Tensor) -> Tensor:
        """Returns (B, 2C, H, W): upsampled, then the weighted map."""
        coefficient = self.psi(torch.relu(self.gating(upsampled) + self.skipped(skipped)))
        return torch.cat([upsampled, skipped * coefficient], dim=1)


class AttentionalFusion(nn.Module):
    """A mixture of both maps, its shares decided pixel by pixel and channel by channel.

    fused = M * upsampled + (1 - M) * skipped with M = sigmoid(local(s) + pooled(s)) and s = upsampled + skipped; local
    and pooled are two 1x1 convolutions with C / 4 channels between, the second on the mean over the whole map.

    Source: Dai et al. 2021 (Attentional feature fusion, its MS-CAM).
    """

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.local = self._two(width, norm)
        self.pooled = self._two(width, norm)

    @staticmethod
    def _two(width: int, norm: str) -> nn.Sequential:
        between = max(1, width // 4)
        first = (nn.Conv2d(width, between, 1), *make_norm(norm, between), nn.ReLU(inplace=True))
        return nn.Sequential(*first, nn.Conv2d(between, width, 1), *make_norm(norm, width))

    def forward(self, upsampled: Tensor, skipped: Tensor) -> Tensor:
        """Returns (B, C, H, W)."""
        both = upsampled + skipped
        share = torch.sigmoid(self.local(both) + self.pooled(both.mean(dim=(2, 3), keepdim=True)))
        return share * upsampled + (1 - share) * skipped
