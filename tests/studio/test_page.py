"""The page in a real browser: every screen, a mask painted with the mouse, two who correct one, a killed studio."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as MplPath
from PIL import Image
from scipy import ndimage
from tests.export.html._chromium import Page
from tests.studio._browser import Start, go, paint, press, visit

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.folders.study import StudyFolder

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]


def corrected(tmp_path: Path) -> np.ndarray:
    manifest = Manifest.read(tmp_path / "work" / "corrected" / "lesions" / "manifest.json")
    return load_sample(manifest, manifest.samples[0])[1]


def test_every_screen_opens_without_a_word_in_the_console(start: Start, page: Page, study: StudyFolder) -> None:
    link = start(study.path)
    visit(page, link)
    for screen, ready in (
        ("study", "table.board"),
        ("compare", "canvas"),
        ("data", ".tile img"),
        ("runs", ".curves canvas"),
        ("try", ".told"),
        ("correct/0", "canvas.editor"),
    ):
        for width in (1440, 375):
            page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
            go(page, screen, ready)
            assert page.ask("document.documentElement.scrollWidth") <= width, (screen, width)
    assert page.console == []
    origin = link.partition("/enter")[0]
    assert [each for each in page.requests if not each.startswith(origin)] == []


def test_a_mask_is_painted_saved_and_undone(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    own = load_sample(manifest := read_dataset(lesions), manifest.samples[0])[1]
    visit(page, start(lesions))
    go(page, "correct/0", "canvas.editor")
    page.ask("document.querySelectorAll('.classes [role=radio]')[1].click()")
    paint(page, "document.querySelector('.tools [aria-live]').textContent.includes('version 1')")
    painted = corrected(tmp_path)
    added = (painted == 1) & (own == 0)
    assert added.sum() > 20
    assert ((painted == 0) & (own == 1)).sum() == 0
    rows = np.nonzero(added.any(axis=1))[0]
    assert rows.max() - rows.min() < 12, "a straight line of the brush's width"
    page.call("Input.dispatchKeyEvent", type="keyDown", key="z", code="KeyZ", modifiers=2, windowsVirtualKeyCode=90)
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('version 2')")
    assert np.array_equal(corrected(tmp_path), own)
    assert page.console == []


def test_two_who_correct_one_mask_are_told(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    visit(page, start(lesions))
    go(page, "correct/0", "canvas.editor")
    theirs = """(async () => {
      const labels = new Blob([new Uint8Array(48 * 64)]).stream().pipeThrough(new CompressionStream('gzip'));
      const sent = { method: 'PUT', headers: { 'x-version': '0' }, body: await new Response(labels).blob() };
      return (await fetch('/api/correct/0/labels', sent)).status;
    })()"""
    assert page.ask(theirs) == 200
    paint(page, "document.querySelector('[role=alert]')")
    assert "somebody else saved version 1" in page.ask("document.querySelector('[role=alert]').textContent")
    assert corrected(tmp_path).sum() == 0, "theirs is still there"
    page.ask("document.querySelectorAll('[role=alert] button')[1].click()")
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('version 2')")
    assert corrected(tmp_path).sum() > 0


def test_nothing_is_lost_when_the_studio_is_killed(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    link = start(lesions)
    port = int(link.split(":")[2].partition("/")[0])
    visit(page, link)
    go(page, "correct/0", "canvas.editor")
    process = start.running[-1]  # type: ignore[attr-defined]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    paint(page, "document.querySelector('[role=alert]')")
    assert not (tmp_path / "work" / "corrected").exists()
    visit(page, start(lesions, port=port))
    go(page, "correct/0", "canvas.editor")
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('version 1')")
    own = load_sample(manifest := read_dataset(lesions), manifest.samples[0])[1]
    assert (corrected(tmp_path) != own).sum() > 20


def test_what_changes_labels_is_exact(start: Start, page: Page, lesions: Path) -> None:
    visit(page, start(lesions))
    corners = [(3.2, 4.1), (40.7, 9.3), (30.2, 33.9), (12.4, 20.5)]
    script = f"""(async () => {{
      const {{ Labels }} = await import('/page/js/parts/labels.js');
      const made = () => new Labels(40, 50, new Uint8Array(2000));
      const polygon = made(); polygon.paint(polygon.inside({[list(each) for each in corners]}), 1);
      const line = made(); line.paint(line.line(10, 10, 30, 20, 4), 1);
      const other = made(); other.data.fill(2, 0, 500); other.paint(other.line(10, 10, 30, 20, 4), 1, 0);
      const region = made(); region.paint(region.line(25, 0, 25, 39, 0.5), 1); region.paint(region.region(0), 3);
      const steps = made(), before = [];
      for (let n = 0; n < 105; n++) {{
        before.push([...steps.data]);
        steps.begin();
        steps.paint(steps.line(n % 50, n % 40, n % 50, n % 40, 2), n % 200 + 1);
        steps.end();
      }}
      let undone = 0; while (steps.undo()) undone++;
      const same = [...steps.data].every((value, place) => value === before[5][place]);
      while (steps.redo());
      const plain = (labels) => [...labels.data];
      return {{ polygon: plain(polygon), line: plain(line), other: plain(other), region: plain(region), undone, same }};
    }})()"""
    found: dict[str, Any] = page.ask(script)
    fields = {name: np.array(found[name]).reshape(40, 50) for name in ("polygon", "line", "other", "region")}
    rows, columns = np.mgrid[:40, :50]
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    assert np.array_equal(fields["polygon"] == 1, MplPath(corners).contains_points(centres).reshape(40, 50))
    at = np.clip(((columns - 10) * 20 + (rows - 10) * 10) / 500, 0, 1)
    near = np.hypot(columns - 10 - 20 * at, rows - 10 - 10 * at) <= 4
    assert np.array_equal(fields["line"], near)
    assert np.array_equal(fields["other"] == 1, near & (rows >= 10)), "the other class is kept"
    regions, _ = ndimage.label(fields["region"] != 1)
    assert np.array_equal(fields["region"] == 3, regions == regions[0, 0])
    assert (found["undone"], found["same"]) == (100, True)


def test_a_lost_connection_is_told(start: Start, page: Page, lesions: Path) -> None:
    visit(page, start(lesions))
    start.running[-1].kill()  # type: ignore[attr-defined]
    end = time.monotonic() + 20
    while not page.ask("Boolean(document.querySelector('[role=alert]'))"):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert "does not answer" in page.ask("document.querySelector('[role=alert]').textContent")


def test_a_finding_is_looked_at_by_keyboard_and_decided(
    start: Start, page: Page, lesions: Path, tmp_path: Path
) -> None:
    mask = sorted((lesions / "masks").iterdir())[1]
    labels = np.array(Image.open(mask))
    value = labels.max()
    labels[:] = 0
    labels[10:30, 10:30], labels[44, 60] = value, value
    Image.fromarray(labels).save(mask)
    visit(page, start(lesions))
    go(page, "data?finding=specks", ".told-more button")
    page.until("document.querySelectorAll('.tile').length === 1")
    page.ask("document.querySelector('.grid').focus()")
    press(page, "Enter", 13)
    page.until("document.querySelector('dialog .ring')")
    middle_of = "(({ left, top, width, height }) => [left + width / 2, top + height / 2])"
    ring, viewer = (
        f"{middle_of}(document.querySelector('{each}').getBoundingClientRect())" for each in (".ring", ".viewer")
    )
    page.until(f"(([x, y], [u, v]) => Math.hypot(x - u, y - v) < 60)({ring}, {viewer})", 20)  # the defect in the middle
    page.ask("document.querySelector('dialog .decide button:last-child').click()")
    page.until("document.querySelector('dialog .findings .done')")
    assert '"not_a_problem"' in (tmp_path / "lesions.reviewed.json").read_text()
    press(page, "Escape", 27)
    page.until("!document.querySelector('dialog')")
    page.until("document.querySelectorAll('.tile').length === 0")
    page.ask("location.hash = '#/data?sort=share&down=true'")
    page.until("document.querySelectorAll('.tile .name').length > 2")
    page.ask("document.querySelector('.grid').focus()")
    press(page, "ArrowRight", 39)
    press(page, "Enter", 13)
    page.until("document.querySelector('dialog .pixels')")
    first = page.ask("location.hash")
    press(page, "PageDown", 34)
    page.until(f"location.hash !== {first!r} && document.querySelector('dialog .pixels')")
    press(page, "Escape", 27)
    page.until("!document.querySelector('dialog')")
    assert page.ask("document.activeElement.className") == "grid"
    assert page.console == []
