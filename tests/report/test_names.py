"""Display names: in the verdict, in what factors do, and nowhere where the study's file has none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from segbench.compare.evidence import Entry
from segbench.report.names import entry_name, name_factors, name_verdict
from segbench.statistics.decide import decide
from segbench.statistics.factors import factor_view

LABELS = {"network": "Network", "unet": "U-Net", "segnet": "SegNet", "unet | dice": "ours"}


def entry(network: str, loss: str, values: Any) -> Entry:
    factors = {"network": network, "loss": loss}
    return Entry(name=f"{network} | {loss}", factors=factors, runs=(), seeds=(), values=values)


def test_verdict_and_factors_say_what_people_say() -> None:
    rng = np.random.default_rng(0)
    means = {("unet", "bce"): 0.8, ("unet", "dice"): 0.8, ("segnet", "bce"): 0.6, ("segnet", "dice"): 0.6}
    entries = [entry(*pair, mean + rng.normal(0.0, 0.02, (3, 60))) for pair, mean in means.items()]
    values = [each.values for each in entries]
    names = ["U-Net | bce", "ours", "SegNet | bce", "SegNet | dice"]
    assert [entry_name(each, LABELS) for each in entries] == names
    assert [entry_name(each, {}) for each in entries] == [each.name for each in entries]

    evidence: Any = SimpleNamespace(entries=entries, labels=LABELS)
    verdict = name_verdict(decide([each.name for each in entries], values, score="IoU"), evidence)
    assert verdict.names == tuple(names)
    told = " ".join(verdict.sentences())
    assert "ours" in told
    assert "segnet" not in told

    view = name_factors(factor_view(values, [each.factors for each in entries]), LABELS)
    sentences = " ".join(view.sentences())
    assert sentences.startswith("Network matters: U-Net minus SegNet is +0.")
    assert "Network and loss" in sentences
    assert "unet" not in sentences
