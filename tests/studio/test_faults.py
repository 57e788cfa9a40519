"""What goes wrong around a page, in a browser: a killed studio, a full disk, two tabs, wrong files, hostile names."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.export.html._chromium import Page
from tests.studio._browser import Start, drag, go, middle, paint, state, visit
from tests.studio._proof import click, named

from segbench.config.text import change_yaml
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.data.writers.convert import convert_dataset

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs POSIX signals and limits")]

ALERT = "document.querySelector('[role=alert]')"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    'quo\'te "two" `three`',
    "rtl \u202egnp.exe",
    "n" * 180,
    "..%2f..\\up",
    "a\u2028b",
]
CLASSES = ["<b onmouseover=alert(2)>", "line\nbreak", "</script><script>alert(3)</script>"]


def port_of(link: str) -> int:
    return int(link.split(":")[2].partition("/")[0])


def kill(start: Start) -> None:
    process = start.running[-1]  # type: ignore[attr-defined]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)


def until(ask: Callable[[], Any], wanted: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while (found := ask()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.1)


def saved(tmp_path: Path) -> np.ndarray:
    manifest = Manifest.read(tmp_path / "work" / "corrected" / "lesions" / "manifest.json")
    return load_sample(manifest, manifest.samples[0])[1]


def test_a_page_goes_on_when_its_studio_was_killed_and_started_again(
    start: Start, page: Page, lesions: Path, tmp_path: Path
) -> None:
    link = start(lesions)
    visit(page, link)
    go(page, "correct/0", "canvas.editor")
    kill(start)
    paint(page, f"{ALERT} && document.body.textContent.includes('does not answer')")
    again = start(lesions, port=port_of(link))
    page.until("document.body.textContent.includes('The studio was started again')", 30)
    second = page.call("Target.createTarget", browserLevel=True, url=again)["targetId"]
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('version 1')", 60)
    own = load_sample(manifest := read_dataset(lesions), manifest.samples[0])[1]
    assert (saved(tmp_path) != own).sum() > 20, "nothing is lost"
    page.until(f"!{ALERT}", 30)
    page.call("Target.closeTarget", browserLevel=True, targetId=second)


def test_a_correction_waits_while_the_disk_is_full(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    visit(page, start(lesions))
    go(page, "correct/0", "canvas.editor")
    pid = start.running[-1].pid  # type: ignore[attr-defined]
    free = resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    paint(page, f"{ALERT}?.textContent.includes('cannot be saved')")
    assert state(page) in ("Not saved yet", "Saving ...")
    assert not (tmp_path / "work" / "corrected" / "lesions" / "corrections.json").exists()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('version 1')", 30)
    own = load_sample(manifest := read_dataset(lesions), manifest.samples[0])[1]
    assert (saved(tmp_path) != own).sum() > 20
    assert page.ask(f"!{ALERT}")


def test_two_tabs_keep_both_drafts(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    link = start(lesions)
    visit(page, link)
    go(page, "correct/0", "canvas.editor")
    home = link.partition("/enter")[0]
    first = page._session
    target = page.call("Target.createTarget", browserLevel=True, url=f"{home}/#/correct/0")["targetId"]
    second = page.call("Target.attachToTarget", browserLevel=True, targetId=target, flatten=True)["sessionId"]
    drafts = """new Promise((done) => { const asked = indexedDB.open('segbench-studio', 1); asked.onsuccess = () => {
      const all = asked.result.transaction('drafts').objectStore('drafts').getAll();
      all.onsuccess = () => done(all.result.length); }; })"""
    page._session = second
    page.until("document.querySelector('canvas.editor')")
    kill(start)
    for number, session in enumerate((first, second), 1):
        page._session = session
        page.call("Page.bringToFront")
        page.call("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
        page.until("document.querySelector('canvas.editor')")
        x, y = middle(page)
        drag(page, (x - 200, y - 100 * number), (x + 200, y - 100 * number))
        until(lambda: page.ask(drafts), number)
    page._session = first


def test_wrong_and_huge_files_are_told(start: Start, page: Page, model: Path, tmp_path: Path) -> None:
    visit(page, start(model))
    go(page, "try", "input[type=file]")
    small = io.BytesIO()
    Image.new("RGB", (16, 16)).save(small, "JPEG")
    claims = small.getvalue().replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 30000, 30000))
    (tmp_path / "claims.jpg").write_bytes(claims)
    (tmp_path / "text.png").write_text("this is no image")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.jpg").write_bytes(small.getvalue()[: len(small.getvalue()) // 2])
    with (tmp_path / "large.png").open("wb") as stream:
        stream.truncate(300 << 20)
    before = ""
    for name, told in (
        ("claims.jpg", "at most 50,000,000 pixels"),
        ("text.png", "not an image segbench can read"),
        ("empty.png", "an empty body"),
        ("half.jpg", "damaged or cut off"),
        ("large.png", "at most"),
    ):
        began = time.monotonic()
        page.give([tmp_path / name], inside="document.querySelector('input[type=file]')")
        page.until(f"({ALERT}?.textContent ?? {before!r}) !== {before!r}", 30)
        before = page.ask(f"{ALERT}.textContent")
        assert told in before, (name, before)
        assert "does not answer" not in before, name
        assert time.monotonic() - began < 20, name
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "good.png")
    page.give([tmp_path / "good.png"], inside="document.querySelector('input[type=file]')")
    page.until("document.querySelector('.stage .viewer')", 60)


def hostile(folder: Path, lesions: Path) -> Path:
    """Returns a VIA folder whose file and class names are made to harm."""
    convert_dataset(lesions, "via", folder)
    (project,) = folder.glob("*.json")
    plain = json.loads(project.read_text(encoding="utf-8"))
    images = list(plain["_via_img_metadata"].values())
    for image, name in zip(images, HOSTILE, strict=False):
        (file,) = folder.rglob(image["filename"].rpartition("/")[2])
        file.rename(file.with_name(f"{name}.png".replace("/", "_")))
        image["filename"] = f"{name}.png".replace("/", "_")
    for image, name in zip(images, CLASSES * 10, strict=False):
        for region in image["regions"]:
            region["region_attributes"] = {"class": name}
    plain["_via_attributes"] = {}
    project.write_text(json.dumps(plain), encoding="utf-8")
    return folder


def test_hostile_names_are_shown_and_do_nothing(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    folder = hostile(tmp_path / "<b onclick=alert(4)>", lesions)
    ids = [each.id for each in read_dataset(folder).samples]
    visit(page, start(folder))
    page.ask("window.executed = []; window.alert = (what) => executed.push(what); 0")
    go(page, "data", ".tile .name")
    page.until(f"document.querySelectorAll('.tile .name').length >= {min(8, len(ids))}")
    for index in range(len(HOSTILE)):
        go(page, f"data/{index}", "dialog .pixels")
        page.until(f"document.querySelector('dialog strong').textContent === {json.dumps(ids[index])}")
        assert page.ask("document.querySelectorAll('dialog .pixels tbody tr').length") >= 2
        go(page, f"correct/{index}", "canvas.editor")
    paint(page, "document.querySelector('.tools [aria-live]')?.textContent.includes('version 1')")
    for screen, ready in (("runs", "main button"), ("try", ".told"), ("data?finding=specks", "main")):
        go(page, screen, ready)
    assert page.ask("executed") == []
    assert page.ask("[...document.querySelectorAll('img')].every((each) => each.src.startsWith(location.origin))")
    kept = sorted(each for each in (tmp_path / "work" / "corrected").rglob("*") if each.is_file())
    assert len([each for each in kept if each.suffix == ".png"]) == 1
    assert {each.name for each in tmp_path.iterdir()} >= {"work", folder.name}
    assert page.console == []


def test_a_training_is_watched_over_a_lost_connection(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    link = start(lesions)
    visit(page, link)
    go(page, "runs", "section.new button")
    click(page, "document.querySelector('section.new button')")
    page.until("document.querySelector('.form textarea')")
    text = page.ask("document.querySelector('.form textarea').value")
    small = {
        "network": "{name: unet_nearest, widths: [4, 8]}",
        "weights": "none",
        "optimizer.encoder_lr": "",
        "ema_decay": "",
        "steps": "40",
        "data.size": "[32, 32]",
        "output": "runs/small",
    }
    sent = json.dumps({"yaml": change_yaml(text, small)})
    begun = page.ask(
        f"fetch('/api/new/start', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }}, "
        f"body: {json.dumps(sent)} }}).then((answer) => answer.json())"
    )
    assert begun["running"]
    page.until("document.querySelector('td.state')", 60)
    kill(start)
    page.until("document.body.textContent.includes('does not answer')", 30)
    again = start(lesions, port=port_of(link))
    page.call("Target.createTarget", browserLevel=True, url=again)
    page.until("document.querySelector('td.state')?.textContent.trim() === 'finished'", 120)
    page.until(f"!{ALERT}", 30)
    told = page.ask("fetch('/api/tasks').then((answer) => answer.json())")
    assert [(each["running"], each["failed"], each["killed"]) for each in told] == [(False, False, False)]


def test_a_visitor_writes_nothing(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    visit(page, start(lesions, "--read-only"))
    go(page, "correct/0", "canvas.editor")
    x, y = middle(page)
    drag(page, (x - 200, y - 100), (x + 200, y - 100))
    page.until("document.querySelector('.tools [aria-live]').textContent.includes('not kept')")
    assert page.ask("indexedDB.databases().then((all) => all.length)") <= 1
    assert not page.ask(f"Boolean({named('Train again')})")
    for screen, ready in (("data", ".tile img"), ("runs", "main p"), ("try", ".told")):
        go(page, screen, ready)
    assert not (tmp_path / "work" / "corrected").exists()
    assert not (tmp_path / "lesions.reviewed.json").exists()
    assert page.console == []
