"""How a run's result looks: one number first, every class, what went wrong, and the rest only when asked for."""

from __future__ import annotations

from typing import Any

import pytest

from segbench.cli.scores import print_run
from segbench.types import RunResult


def result(**more: Any) -> RunResult:
    """Returns a made-up result of a binary task; `more` stands in its `result.json`."""
    scores = {"iou_per_image": 0.5, "dice_pooled": 0.6}
    ratios = {f"{key}_{kind}": 0.25 for key in ("iou", "dice", "recall") for kind in ("per_image", "pooled")}
    absent = {f"precision_{kind}": float("nan") for kind in ("per_image", "pooled")}
    rows = [
        {"class": "skin", "scored": False, "pixels": 900, "absent": 0, **ratios, **absent},
        {"class": "lesion", "scored": True, "pixels": 100, "absent": 1, **ratios, **absent},
    ]
    main = {"name": "iou_per_image", "value": 0.5, "low": 0.4, "high": 0.6, "n_images": 4, "split": "test"}
    plain = {
        "name": "mine",
        "best_epoch": 3,
        "scored_at": "32x32 pixels",
        "n": dict.fromkeys(("train", "val", "test"), 4),
        "per_class": dict.fromkeys(("train", "val", "test"), rows),
        "footnote": "dice_pooled: pooled",
        "main": {**main, "sentence": "test IoU per image 0.5000, 95 % interval 0.400 to 0.600, over 4 images"},
    }
    return RunResult(run="runs/x", scores=dict.fromkeys(("train", "val", "test"), scores), result={**plain, **more})


def printed(capsys: pytest.CaptureFixture[str], run: RunResult, *, everything: bool = False) -> str:
    print_run(run, everything=everything)
    return capsys.readouterr().out


def test_one_number_then_every_class_then_where_it_lies(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, result()).splitlines()
    assert lines[:2] == [
        "test IoU per image 0.5000, 95 % interval 0.400 to 0.600, over 4 images",
        "mine, epoch 3; scored at 32x32 pixels",
    ]
    assert "skin (not scored)  0.2500  0.2500          –  0.2500   90.0%       4" in lines
    assert "lesion             0.2500  0.2500          –  0.2500   10.0%       3" in lines
    assert "everything    runs/x/result.json" in lines
    assert not any("all scores" in line for line in lines)


def test_all_of_it_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, result(), everything=True)
    assert ["Dice", "pooled", "0.6000", "0.6000", "0.6000"] in [line.split() for line in text.splitlines()]
    assert "test: Dice pooled: pooled" in text


def test_what_was_chosen_at_scoring_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    flips = {"name": "flips", "val": {"score": "iou_per_image", "value": 0.6, "without": 0.58, "gain": 0.02}}
    choice = {"threshold": 0.35, "score": "iou_per_image", "test": {"gain": -0.01}}
    text = printed(capsys, result(tta=flips, threshold_choice=choice))
    assert "tta flips: +0.0200 IoU per image on the validation part\n" in text
    assert (
        "threshold 0.35, chosen on the validation part, instead of 0.5: -0.0100 IoU per image on the test part\n"
        in text
    )
    assert "tta" not in printed(capsys, result(tta={"name": "none"}))


def test_what_went_wrong_is_said_here_and_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    alert = {"code": "one_class", "epoch": 2, "sentence": "only <skin> is predicted", "advice": "lower optimizer.lr"}
    run = result(collapsed=True, alerts=[alert])
    text = printed(capsys, run)
    assert "warning: this run collapsed: it predicts one class only; its score says nothing about the network\n" in text
    assert "epoch 2: only <skin> is predicted. To do: lower optimizer.lr\n" in text
    page = run._repr_html_()
    assert (
        page.index("0.5000, 95 %") < page.index("collapsed") < page.index("only &lt;skin&gt;") < page.index("<table>")
    )
    assert "collapsed" not in result()._repr_html_()
