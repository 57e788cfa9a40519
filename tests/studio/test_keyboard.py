"""The page with the keyboard alone: every screen, the grid, a finding, a mask that is painted, saved and undone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.export.html._chromium import Page
from tests.studio._browser import Start, visit

from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.sources.load import load_sample
from segbench.folders.study import StudyFolder

pytestmark = pytest.mark.slow

CODES = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageDown": 34, "ArrowRight": 39, "ArrowDown": 40}
SHIFT, CTRL = 8, 2
FOCUS = """(() => { const here = document.activeElement, box = here.getBoundingClientRect();
  const style = getComputedStyle(here);
  return { name: (here.ariaLabel || here.textContent || here.title || '').trim(), tag: here.tagName,
    seen: style.outlineStyle !== 'none' || style.boxShadow !== 'none' || here.classList.contains('grid'),
    inside: box.width > 0 && box.right > 0 && box.left < innerWidth }; })()"""


def press(page: Page, key: str, modifiers: int = 0) -> None:
    code = CODES[key] if key in CODES else ord(key.upper())
    text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 and not modifiers & CTRL else "")
    more = {"text": text} if text else {}
    page.call(
        "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, modifiers=modifiers, **more
    )
    page.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=modifiers)


def tab_to(page: Page, element: str) -> None:
    """Goes on with Tab until an element has the focus; what is passed can be seen and is left again."""
    for _ in range(80):
        if page.ask(f"document.activeElement === {element}"):
            assert page.ask(f"{FOCUS}.seen"), f"the focus on {element} cannot be seen"
            return
        press(page, "Tab")
    raise AssertionError(f"{element} is not reached; {page.ask(FOCUS)}")


def saved_mask(tmp_path: Path) -> np.ndarray:
    manifest = Manifest.read(tmp_path / "work" / "corrected" / "lesions" / "manifest.json")
    return load_sample(manifest, manifest.samples[0])[1]


def test_every_screen_is_reached_and_left(start: Start, page: Page, study: StudyFolder) -> None:
    visit(page, start(study.path))
    for number in range(6):
        link = f"document.querySelectorAll('nav a')[{number}]"
        tab_to(page, link)
        press(page, "Enter")
        page.until(f"{link}.ariaCurrent === 'page' || {link}.getAttribute('aria-current') === 'page'")
        page.until("document.querySelector('main .screen, main .scroll, main .told, main .list')")
        passed = []
        for _ in range(120):
            press(page, "Tab")
            here = page.ask(FOCUS)
            if here["tag"] == "BODY" or page.ask("document.activeElement === document.querySelector('nav a')"):
                break
            passed.append(here)
        else:
            raise AssertionError(f"no way out of screen {number}: {passed[-3:]}")
        unseen = [each for each in passed if not each["seen"] or not each["inside"]]
        assert unseen == [], number
    assert page.console == []


def test_a_finding_and_a_mask_without_a_mouse(start: Start, page: Page, lesions: Path, tmp_path: Path) -> None:
    mask = sorted((lesions / "masks").iterdir())[1]
    labels = np.array(Image.open(mask))
    labels[44:46, 60] = labels.max()
    Image.fromarray(labels).save(mask)
    visit(page, start(lesions))
    page.until("document.querySelector('.findings button')", 60)
    speck = (
        "[...document.querySelectorAll('.findings button')].find((each) => each.textContent.includes('fewer than 4'))"
    )
    tab_to(page, speck)
    press(page, "Enter")
    page.until("document.querySelectorAll('.tile').length === 1")
    accept = "document.querySelector('.decide .row button')"
    tab_to(page, accept)
    press(page, "Enter")
    page.until("document.querySelector('.findings .done')")
    assert '"accepted"' in (tmp_path / "lesions.reviewed.json").read_text()
    tab_to(page, "document.querySelector('.stage .bar button')")  # Show all
    press(page, "Enter")
    page.until("document.querySelectorAll('.tile .name').length > 2")
    tab_to(page, "document.querySelector('.grid')")
    press(page, "Enter")
    page.until("document.querySelector('dialog .pixels')")
    tab_to(page, "document.querySelector('dialog a[href^=\"#/correct\"]')")
    press(page, "Enter")
    page.until("document.querySelector('canvas.editor')")
    own = load_sample(manifest := read_dataset(lesions), manifest.samples[0])[1]
    press(page, "f")
    page.until("document.querySelector('.tools [aria-pressed=true]').textContent === 'Fill'")
    tab_to(page, "document.querySelector('.classes [role=radio][tabindex=\"0\"]')")
    press(page, "ArrowRight")
    page.until("document.activeElement.textContent.trim() === 'background'")
    tab_to(page, "document.querySelector('canvas.editor')")
    press(page, "b")
    press(page, "Enter", SHIFT)  # a dab of background at the middle of the view, which is lesion
    saved = "document.querySelector('.tools [aria-live]').textContent"
    page.until(f"{saved}.includes('version 1')")
    dabbed = saved_mask(tmp_path)
    changed = np.argwhere(dabbed != own)
    assert len(changed) > 0
    assert (np.abs(changed - [24, 32]) <= 2).all(), "within the brush around the middle"
    press(page, "z", CTRL)
    page.until(f"{saved}.includes('version 2')")
    assert np.array_equal(saved_mask(tmp_path), own)
    press(page, "PageDown")
    page.until("location.hash === '#/correct/1' && document.querySelector('canvas.editor')")
    assert page.console == []
