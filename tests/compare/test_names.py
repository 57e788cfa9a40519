"""Display names: in the verdict, in what factors do, and nowhere where the study's file has none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from segbench.compare.evidence import Entry, Evidence
from segbench.compare.gather import judge_evidence, judge_factors
from segbench.folders.run import RunFolder

LABELS = {"network": "Network", "unet": "U-Net", "segnet": "SegNet", "unet | dice": "ours"}


def entry(network: str, loss: str, values: Any) -> Entry:
    factors = {"network": network, "loss": loss}
    return Entry(
        name=f"{network} | {loss}", factors=factors, runs=(RunFolder(Path("run")),) * 3, seeds=(0, 1, 2), values=values
    )


def evidence_of(entries: list[Entry], labels: dict[str, str]) -> Any:
    return Evidence(
        entries=tuple(entries),
        ids=tuple(f"image {number}" for number in range(60)),
        groups=None,
        score="iou_per_image",
        definition={"better": "higher", "range": [0.0, 1.0]},
        manifest=SimpleNamespace(samples=()),  # type: ignore[arg-type]
        size=None,
        labels=labels,
    )


def test_verdict_and_factors_say_what_people_say() -> None:
    rng = np.random.default_rng(0)
    means = {("unet", "bce"): 0.8, ("unet", "dice"): 0.8, ("segnet", "bce"): 0.6, ("segnet", "dice"): 0.6}
    entries = [entry(*pair, mean + rng.normal(0.0, 0.02, (3, 60))) for pair, mean in means.items()]
    named, plain = evidence_of(entries, LABELS), evidence_of(entries, {})
    assert named.names == ("U-Net | bce", "ours", "SegNet | bce", "SegNet | dice")
    assert plain.names == tuple(each.name for each in entries)
    alike = evidence_of(entries, {"unet": "net", "segnet": "net"})
    assert alike.names == plain.names, "two that are called the same keep their names"

    verdict = judge_evidence(named, baseline="segnet | bce")
    assert verdict.names == named.names
    assert verdict.baseline == 2
    told = " ".join((*verdict.sentences(), *verdict.warnings))
    assert "ours" in told
    assert "segnet" not in told

    view = judge_factors(named)
    assert view is not None
    sentences = " ".join(view.sentences())
    assert sentences.startswith("Network matters: U-Net minus SegNet is +0.")
    assert "Network and loss" in sentences
    assert "unet" not in sentences
