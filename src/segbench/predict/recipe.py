"""What is needed to make a predictor again, in another process or on another machine: plain values and paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segbench.locale import Message
from segbench.predict.postprocess import Postprocess
from segbench.predict.predictor import Predictor
from segbench.predict.runtimes import load_predictor
from segbench.types import SizePolicy, Tta


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a predictor is made.

    Attributes:
        models: run folders and bundles.
        device, threshold, tta, policy: see `Predictor.load`.
        runtime, threads: see `segbench.predict.runtimes.load_predictor`.
        postprocess: of masks, in place of the model's; None keeps that.
    """

    models: tuple[str, ...]
    device: str = "auto"
    threshold: float | None = None
    tta: Tta | None = None
    policy: SizePolicy | None = None
    runtime: str = "torch"
    threads: int | None = None
    postprocess: Postprocess | None = None

    def make(self, images: Sequence[Path] = (), say: Callable[[Message], None] | None = None) -> Predictor:
        """Returns the predictor; `images` and `say` are for the runtime `auto`."""
        predictor = load_predictor(
            self.models,
            self.runtime,
            images=images,
            say=say,
            threads=self.threads,
            device=self.device,
            threshold=self.threshold,
            tta=self.tta,
            policy=self.policy,
        )
        return predictor if self.postprocess is None else predictor.with_postprocess(self.postprocess)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Returns what `to_dict` gave."""
        kept = plain["postprocess"]
        return cls(**{**plain, "postprocess": None if kept is None else Postprocess.from_dict(kept)})
