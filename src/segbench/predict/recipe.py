"""What is needed to make a predictor again, in another process or on another machine: plain values and paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.data.files.images import file_state
from segbench.locale import Message
from segbench.predict.journal import journal_key
from segbench.predict.outputs.options import OutputOptions
from segbench.predict.postprocess import Postprocess
from segbench.types import SizePolicy, Tta

if TYPE_CHECKING:
    from segbench.predict.predictor import Predictor


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
        from segbench.predict.runtimes import load_predictor  # torch, which a recipe does not need

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

    def asked(self, options: OutputOptions) -> str:
        """Returns a hash of all that decides what is predicted but the images; empty where a model is not there.

        Of the models it takes sizes and times of files, not what is in them: to see that nothing changed is enough.
        """
        models = [Path(model).resolve() for model in self.models]
        if not all(model.exists() for model in models):
            return ""
        files = [sorted(model.iterdir()) if model.is_dir() else [model] for model in models]
        states = [[str(file), *file_state(file)] for each in files for file in each if file.is_file()]
        return journal_key(self.to_dict(), asdict(options), {"states": states})

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Returns what `to_dict` gave."""
        kept = plain["postprocess"]
        return cls(**{**plain, "postprocess": None if kept is None else Postprocess.from_dict(kept)})
