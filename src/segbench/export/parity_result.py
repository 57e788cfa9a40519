"""What comparing an exported file with its model found, the budget that is held against it, and how it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from segbench.errors import shorten
from segbench.export.full_form import Form
from segbench.export.write import Format
from segbench.locale import Message, message, quoted

TIE = 1e-4  # probabilities closer to the threshold, or to each other, decide a pixel by rounding alone
INT8_LOSS = 0.005  # of IoU: half a point
# IoU of the masks in int8 with the model's: docs/howto/export.md has what trained networks keep. A poor one may change
# a quarter of its masks and score the same against the labels, which is no equal file.
INT8_AGREEMENT = 0.9
SCORE = "iou_per_image"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What the comparison found.

    Attributes:
        format, form, int8: of the file.
        images: what was compared, in words; n_images, n_pixels: how many.
        sizes: smallest and largest (H, W), odd ones among them; batch: how many images went through together.
        largest_difference: of a probability.
        changed_px: pixels of another class than the model's; ties_px: of them, those that rounding decides (`TIE`).
        tile: (h, w) of the cut-outs that were compared, of a file for tiles; None: whole images.
        agreement: mean IoU of the two masks.
        score, model, exported: name and mean of the score against the labels, None without labels.
        difference, low, high: exported minus model, with its 95 % interval over images (Student's t).
        speed: seconds of the model in PyTorch over seconds of the file, the same threads; above 1 the file is quicker.
        size_bytes: of the file or files.
        passed, reason: whether it keeps to its budget, and what is over.
        first_layer: where the two part, for a file that failed, where that was found.
        left_float: layers that int8 left alone, by rule.
        lost_most: of IoU, the worse end of the 95 % interval of what int8 loses, which the budget is for; None of
            float32, and where one image tells no interval.
    """

    format: Format
    form: Form
    int8: bool
    images: str
    n_images: int
    n_pixels: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    batch: int
    largest_difference: float
    changed_px: int
    ties_px: int
    agreement: float
    score: str | None
    model: float | None
    exported: float | None
    difference: float | None
    low: float | None
    high: float | None
    speed: float
    threads: int
    size_bytes: int
    passed: bool
    reason: str = ""
    first_layer: str | None = None
    left_float: tuple[str, ...] = ()
    lost_most: float | None = None
    tile: tuple[int, int] | None = None

    @property
    def result(self) -> Message:
        """The judgement, for people: also whether int8 was shown to keep to its budget, or only did on these images."""
        if not self.passed:
            return message("FAILED: {reason}", reason=quoted(self.reason))
        if not self.int8:
            return message("equal within its budget")
        if self.lost_most is not None and self.lost_most <= INT8_LOSS:
            return message("within {most:.1f} points of IoU", most=100 * INT8_LOSS)
        if self.lost_most is None:
            return message(
                "within {most:.1f} points of IoU on one image, which shows nothing of others; name more: --images DIR",
                most=100 * INT8_LOSS,
            )
        return message(
            "within {most:.1f} points of IoU on these images, but not shown to be: the 95 % interval reaches a loss of "
            "{lost:.1f} points (n = {n}); more images tell: --images DIR",
            most=100 * INT8_LOSS,
            lost=100 * self.lost_most,
            n=self.n_images,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, with the budget that was held against them."""
        int8 = {"iou_loss": INT8_LOSS, "agreement": INT8_AGREEMENT}
        budget = int8 if self.int8 else {"changed_px_beyond_ties": 0, "tie": TIE}
        return {**asdict(self), "budget": budget, "result": str(self.result)}


def over_budget(int8: bool, lost: float, agreement: float, changed: int) -> Message | None:
    """Returns what is over the budget; None where nothing is.

    Args:
        int8: of the file.
        lost: of IoU, by int8.
        agreement: IoU of the two masks.
        changed: pixels of another class, without ties.
    """
    if int8:
        if lost > INT8_LOSS:
            return message(
                "it loses {lost:.2f} points of IoU, and {most:.1f} are allowed", lost=100 * lost, most=100 * INT8_LOSS
            )
        if agreement < INT8_AGREEMENT:
            return message(
                "its masks are others than the model's: they agree at an IoU of {agreement:.2f}, and {least:.1f} is "
                "wanted, whatever both score",
                agreement=agreement,
                least=INT8_AGREEMENT,
            )
        return None
    if not changed:
        return None
    return message("{changed} pixels change their class beyond ties, and none may", changed=changed)


def parity_table(parity: Parity) -> list[tuple[str, str]]:
    """Returns (what, value) rows for people."""
    smallest, largest = ("{} x {}".format(*size) for size in parity.sizes)
    compared = f"{parity.images}, {smallest} to {largest} pixels, odd sizes, a batch of {parity.batch}"
    if parity.tile is not None:
        wide = message(
            "cut to a tile of {height} x {width} pixels from their middle; how tiles are joined is not in the file",
            height=parity.tile[0],
            width=parity.tile[1],
        )
        compared = f"{compared}; {wide}"
    rows = [
        ("compared on", compared),
        ("largest difference of a probability", f"{parity.largest_difference:.2g}"),
        ("pixels of another class", f"{parity.changed_px} of {parity.n_pixels}, {parity.ties_px} of them ties"),
        ("IoU of the two masks", f"{parity.agreement:.5f}"),
    ]
    if parity.difference is not None:
        assert parity.model is not None
        assert parity.exported is not None
        interval = "" if parity.low is None else f", 95 % interval {parity.low:+.4f} to {parity.high:+.4f}"
        rows.append(
            (
                f"{SCORE} against the labels",
                f"{parity.exported:.4f}, the model {parity.model:.4f}: {parity.difference:+.4f}{interval}",
            )
        )
    rows += [
        ("speed beside PyTorch", f"{parity.speed:.2f} times, {parity.threads} thread(s)"),
        ("size", f"{parity.size_bytes / 1e6:.2f} MB"),
    ]
    if parity.left_float:
        rows.append(("layers left in float32", shorten(parity.left_float, 4)))
    if parity.first_layer:
        rows.append(("first layer that differs", parity.first_layer))
    return [*rows, ("result", str(parity.result))]
