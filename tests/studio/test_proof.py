"""The proof of the studio: a VIA folder, two findings, a training, worst masks corrected, trained again, the gain."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.html._chromium import Page
from tests.studio._browser import Start, go, visit
from tests.studio._proof import choose, click, ended, named, paint_mask, train
from tests.studio._via import EMPTY, PARTS, SHRUNK, SPECK, write_via

from segbench.compare.runs import compare_runs
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.doctor.run import examine
from segbench.folders.run import RunFolder
from segbench.metrics.scores import score_masks
from segbench.predict.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]

TYPED = {
    "network": "{name: unet_nearest, widths: [8, 16, 32]}",
    "weights": "none",
    "optimizer": "{name: adamw, lr: 0.01}",
    "ema_decay": "",
    "data.size": "[48, 64]",
}
FIELDS = {"steps": "160", "batch_size": "8"}
WORST = 10


def test_a_via_folder_becomes_a_better_model_and_the_page_says_by_how_much(
    start: Start, page: Page, tmp_path: Path
) -> None:
    truth = write_via(tmp_path / "drawn", tmp_path / "nevi")
    before = {path: path.read_bytes() for path in (tmp_path / "nevi").rglob("*") if path.is_file()}
    work, manifest = tmp_path / "work", read_dataset(tmp_path / "nevi")
    visit(page, start(tmp_path / "nevi"))
    mend_the_findings(page, manifest, truth)
    train(page, TYPED, FIELDS)
    first = work / "runs" / "nevi"
    corrected = correct_the_worst(page, manifest, truth, first)
    click(page, named("Train again"))
    ended(page, ".bar .task")
    page.until("document.querySelector('.gain')", 60)
    second = work / "runs" / "nevi_corrected"
    told = page.ask("document.querySelector('.gain').textContent")
    assert told == gain(first, second, PARTS["test"])
    kept = Manifest.read(work / "corrected" / "nevi" / "manifest.json")
    check_masks(kept, manifest, corrected, first, second)
    click(page, named("Write the corrected data set"))
    status = "document.querySelector('.bar [role=status]')"
    page.until(f"{status}?.textContent.includes('every pixel is as it was corrected')")
    written = examine(page.ask("document.querySelector('.bar [role=status] code').textContent"))
    assert "empty_masks" not in {each.code for each in written.findings}, "the finding is mended"
    assert {path: path.read_bytes() for path in (tmp_path / "nevi").rglob("*") if path.is_file()} == before
    assert page.console == []


def mend_the_findings(page: Page, manifest: Manifest, truth: dict[str, np.ndarray]) -> None:
    """Paints the mask that is empty, and accepts the speck."""
    go(page, "data", "ul.findings")
    click(page, named("nothing but background"))
    page.until("document.querySelectorAll('.tile').length === 1")
    click(page, "document.querySelector('.tile')")
    click(page, "document.querySelector('dialog a.button')")
    page.until("document.querySelector('canvas.editor')")
    assert page.ask("location.hash") == f"#/correct/{EMPTY}"
    paint_mask(page, truth[Path(manifest.samples[EMPTY].image).name])
    go(page, "data", "ul.findings")
    click(page, named("fewer than 4 pixels in"))
    click(page, named("Accept all"))
    page.until(f"{named('fewer than 4 pixels in')}.textContent.includes('✓')")
    examined = manifest.root.with_name(f"{manifest.root.name}.reviewed.json")
    assert '"accepted"' in examined.read_text()
    assert manifest.samples[SPECK].id


def correct_the_worst(page: Page, manifest: Manifest, truth: dict[str, np.ndarray], run: Path) -> set[str]:
    """Paints those of the ten masks that the model agrees with least which are wrong; returns what is corrected."""
    go(page, "correct/0", "canvas.editor")
    choose(page, "document.querySelector('.queue select')", "score")
    page.until(f"document.querySelectorAll('.queue li').length === {PARTS['train'] + PARTS['val']}", 120)
    rows = page.ask(
        "[...document.querySelectorAll('.queue li')].map((each) => [each.querySelector('b').textContent, "
        "each.querySelector('small').textContent])"
    )
    by_id = {each.id: each for each in manifest.samples}
    predictor, kept = Predictor.load(run), Manifest.read(run.parents[1] / "corrected" / "nevi" / "manifest.json")
    now = {each.id: each for each in kept.samples}
    done = {manifest.samples[EMPTY].id}
    for place, (name, why) in enumerate(rows[:WORST]):
        labels = load_sample(kept, now[name])[1]
        mask = predictor(manifest.image_path(by_id[name])).mask
        value = float(score_masks([mask], [labels], manifest.class_map).image_means("iou")[0])
        assert why.endswith(f"{value:.2f}"), (name, why, value)
        assert by_id[name].split != "test"
        right = truth[Path(by_id[name].image).name]
        if (labels != right).sum() < 0.15 * right.sum():
            continue  # whoever looks sees that the model is wrong here, not the mask
        click(page, f"document.querySelectorAll('.queue li button')[{place}]")
        page.until(f"document.querySelector('.bar strong').textContent === {name!r}")
        page.until("document.querySelector('canvas.editor')")
        paint_mask(page, right)
        done.add(name)
    assert len(done) > SHRUNK // 2, rows[:WORST]
    return done


def gain(first: Path, second: Path, images: int) -> str:
    """Returns what the page should say, from the files of both trainings."""
    pair = compare_runs([second, first]).verdict.pair(0, 1)

    def signed(value: float) -> str:
        return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.3f}"

    low, high = signed(pair.difference.low), signed(pair.difference.high)
    shown = "shown" if pair.significant else "not shown"
    return f"After minus before, on {images} test images: {signed(pair.difference.value)} [{low}, {high}], {shown}"


def check_masks(kept: Manifest, own: Manifest, corrected: set[str], first: Path, second: Path) -> None:
    """The corrected masks are other ones, all others are as they were, and no test mask was touched."""
    changed = {a.id for a, b in zip(kept.samples, own.samples, strict=True) if a.mask_hash != b.mask_hash}
    assert changed == corrected
    assert kept.content_hash != own.content_hash
    parts: list[Any] = [Manifest.read(RunFolder(each).manifest_file) for each in (first, second)]
    assert [each.mask_hash for each in parts[0].split("test")] == [each.mask_hash for each in parts[1].split("test")]
    assert {each.id: each.mask_hash for each in parts[1].samples} == {each.id: each.mask_hash for each in kept.samples}
    before = RunFolder(first).read_config(), RunFolder(second).read_config()
    assert (before[0].network, before[0].seed, before[0].steps) == (before[1].network, before[1].seed, before[1].steps)
    assert re.search("nevi_corrected", str(second))
