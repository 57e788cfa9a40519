"""How far a network looks, exactly: what tiles must bring along so that they give what the whole image gives.

Followed from operator to operator on tensors without numbers (`segbench.models.describe`): which pixels of the image
each logit depends on, after how many pixels that pattern repeats, and whether anything reads the whole image. Nothing
is measured on pictures, so nothing depends on what they show: it is the theoretical receptive field (Luo et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from segbench.locale import Message, message
from segbench.models.describe.axis_field import AxisField
from segbench.models.describe.memory import mode, tensors_for
from segbench.models.describe.trace import Row, Trace

_SIZES = (512, 768)  # where both say the same, it is the network's and not the image's
_BYTES_PER_MB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a network looks.

    Attributes:
        halo_px: a logit depends on no pixel further away, along either axis; None: on the whole image, or nobody knows.
        stride_px: the network repeats itself after so many pixels: tiles begin at its multiples.
        pads: the network mirrors images to whole strides itself, so tiles equal the whole at any size; without, at
            sizes that are multiples of `stride_px`.
        mb_per_megapixel: of the living tensors of a forward pass.
        why: what makes it look at the whole image; empty where it does not.
    """

    halo_px: int | None
    stride_px: int = 1
    pads: bool = True
    mb_per_megapixel: float = 0.0
    why: str = ""

    @property
    def sentence(self) -> Message:
        """What a person should know about tiles of this network."""
        if self.halo_px is None:
            return message(
                "tiles are blended where they overlap, since this network looks at the whole image ({why})",
                why=self.why,
            )
        return message(
            "tiles give what the whole image gives: this network looks {halo} pixels far, and every tile brings them "
            "along",
            halo=self.halo_px,
        )


def find_reach(network: nn.Module) -> Reach:
    """Returns how far a network looks in evaluation mode, which is left as it was.

    Statistics of the image itself (group and instance normalisation) count as looking at all of it, unlike in
    `segbench.describe`.

    Args:
        network: takes (1, C, H, W); C is its attribute `in_channels`, or the length of its `normalization`, or 3. Where
            its operators cannot be followed, its attribute `receptive_field_px` (odd, at stride 1) is believed.
    """
    first = _trace(network, _SIZES[0])
    declared = getattr(network, "receptive_field_px", None)
    if first.unknown and declared is not None:
        return Reach(halo_px=declared // 2, mb_per_megapixel=first.mb_per_megapixel)
    if first.halo is None:
        return Reach(halo_px=None, why=first.why, mb_per_megapixel=first.mb_per_megapixel)
    if first.halo != _trace(network, _SIZES[1]).halo:
        return Reach(
            halo_px=None, why="what a pixel sees grows with the image", mb_per_megapixel=first.mb_per_megapixel
        )
    halo, period = first.halo
    stride = getattr(network, "stride", 1)
    return Reach(halo_px=halo, stride_px=period, pads=stride % period == 0, mb_per_megapixel=first.mb_per_megapixel)


@dataclass(frozen=True, kw_only=True)
class _Traced:
    """Attributes: halo, in pixels, and after how many pixels it repeats; why there is none; unknown, not followed."""

    mb_per_megapixel: float
    halo: tuple[int, int] | None = None
    why: str = ""
    unknown: bool = False


@torch.inference_mode(False)  # in which operators would run that are not followed
@torch.no_grad()
def _trace(network: nn.Module, side: int) -> _Traced:
    """Returns what one pass over side x side pixels shows."""
    normalization = getattr(network, "normalization", None)
    channels = getattr(network, "in_channels", None) or (3 if normalization is None else len(normalization.mean))
    image = torch.zeros(1, channels, side, side, device="meta")
    tensors = tensors_for(network, image.device)
    trace = Trace(network, image)
    statistics = _Statistics()
    with mode(network, training=False), statistics, trace.recording(list(tensors.values())):
        field = trace.field_of(functional_call(network, tensors, (image,)))
    mb = trace.peak_bytes / _BYTES_PER_MB / (side * side / 1e6)
    if statistics.found:
        return _Traced(why=statistics.found, mb_per_megapixel=mb)
    if field is None or not field.exact:
        return _Traced(why="an operation moves its pixels about", mb_per_megapixel=mb, unknown=True)
    if field.size_px is None:
        return _Traced(why=_what_pools(trace.rows), mb_per_megapixel=mb)
    halos = [_halo(axis) for axis in field.sides]
    known = [halo for halo in halos if halo is not None]
    if len(known) < len(halos):
        return _Traced(why="its maps have no common stride", mb_per_megapixel=mb)
    period = int(np.lcm.reduce([period for _, period in known]))
    return _Traced(halo=(max(halo for halo, _ in known), period), mb_per_megapixel=mb)


def _halo(axis: AxisField) -> tuple[int, int] | None:
    """Returns how far the positions of an axis look at most, and their period; None where it is no whole number."""
    if axis.shift != axis.period:
        return None
    positions = np.arange(axis.period)
    return int(np.ceil(max((positions - axis.low).max(), (axis.high - positions).max(), 0))), axis.period


_ATTENTION = frozenset({"bmm", "mm", "baddbmm", "addmm", "matmul", "_softmax"})


def _what_pools(rows: list[Row]) -> str:
    """Returns which first layer sees the whole image."""
    found = next((row for row in rows if row.seen is not None and row.seen.size_px is None), None)
    if found is None:
        return "some layer pools all of it"
    mixes = "scaled_dot_product" in " ".join(found.operators) or not _ATTENTION.isdisjoint(found.operators)
    return f"{'attention' if mixes else 'pooling'} in {found.name}"


class _Statistics(TorchDispatchMode):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """Notes a normalisation by the statistics of the map that it normalises."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and looks at its name."""
        name = func._schema.name.partition("::")[2]
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | (kwargs or {})
        if name == "native_group_norm":
            self.found = "group normalisation"
        elif "batch_norm" in name and (given.get("training") or name.endswith("no_stats")):
            self.found = "instance normalisation"
        elif name == "native_layer_norm" and len(given["normalized_shape"]) > 1:
            self.found = "layer normalisation over the map"
        return func(*args, **(kwargs or {}))
