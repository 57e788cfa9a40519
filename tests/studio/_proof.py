"""The way from a labelled folder to a better model, walked with clicks, keys and strokes alone."""

from __future__ import annotations

import json
import time

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tests.export.html._chromium import Page
from tests.studio._browser import drag, go, middle

from segbench.config.text import change_yaml

SAVED = "document.querySelector('.tools [aria-live]')?.textContent.startsWith('Saved')"


def click(page: Page, element: str) -> None:
    """Clicks the middle of an element, which an expression of JavaScript names, once it is there and stays."""
    page.until(element)
    where = (
        f"(() => {{ const it = {element}; it.scrollIntoView({{ block: 'center' }});"
        "const box = it.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; })()"
    )
    before, box = None, page.ask(where)
    while box != before:
        time.sleep(0.2)
        before, box = box, page.ask(where)
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", buttons=1, clickCount=1)


def named(text: str, kind: str = "button") -> str:
    """Returns the expression of the first element that holds a text."""
    return f"[...document.querySelectorAll({kind!r})].find((each) => each.textContent.includes({text!r}))"


def key(page: Page, name: str, code: int, modifiers: int = 0) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, modifiers=modifiers
        )


def write(page: Page, element: str, text: str) -> None:
    """Writes a text into a field in place of what it holds, and leaves the field."""
    click(page, element)
    page.call("Input.dispatchKeyEvent", type="keyDown", key="a", code="KeyA", modifiers=2, commands=["selectAll"])
    page.call("Input.insertText", text=text)
    page.until(f"{element}.value === {json.dumps(text)}", 20)
    key(page, "Tab", 9)


def choose(page: Page, element: str, value: str) -> None:
    """Chooses a value of a list by keyboard."""
    click(page, element)
    key(page, "Escape", 27)
    page.ask(f"{element}.focus()")
    for _ in range(60):
        if page.ask(f"{element}.value") == value:
            return
        key(page, "ArrowDown", 40)
        time.sleep(0.05)
    raise AssertionError(f"{value} cannot be chosen: {page.ask(f'{element}.value')}")


def paint_mask(page: Page, truth: NDArray[np.uint8]) -> None:
    """Paints the object of a mask with the brush as it is, in strokes along rows, and waits until it is saved.

    Args:
        truth: (H, W), 1 where the object is; what is narrower than the brush is left out.
    """
    middle(page)  # the page has settled
    box = page.ask(
        "(({ left, top, width, height }) => [left, top, width, height])"
        "(document.querySelector('canvas.editor').getBoundingClientRect())"
    )
    height, width = truth.shape
    zoom = 0.98 * min(box[2] / width, box[3] / height)
    left, top = box[0] + (box[2] - width * zoom) / 2, box[1] + (box[3] - height * zoom) / 2
    radius = float(page.ask("document.querySelector('.tools input[type=range]').value"))
    inner = ndimage.distance_transform_edt(truth == 1) > radius
    rows = np.flatnonzero(inner.any(axis=1))
    for row in sorted({*rows[:: max(2, round(1.5 * radius))].tolist(), *rows[-1:].tolist()}):
        regions, count = ndimage.label(inner[row])
        for region in range(1, count + 1):
            columns = np.flatnonzero(regions == region)
            y = top + (row + 0.5) * zoom
            drag(page, *((left + (column + 0.5) * zoom, y) for column in (columns[0], columns[-1])))
    page.until(f"document.querySelector('.tools [aria-live]').textContent !== 'Not saved yet' && {SAVED}", 60)


def train(page: Page, typed: dict[str, str], fields: dict[str, str]) -> None:
    """Starts a training from the form, and waits until it has ended.

    Args:
        typed: key -> value, written into the text of the config.
        fields: key -> value, written into fields of the form.
    """
    go(page, "runs", "section.new button")
    click(page, "document.querySelector('section.new button')")
    area = "document.querySelector('.form textarea')"
    page.until(area)
    write(page, area, change_yaml(page.ask(f"{area}.value"), typed))
    page.until("!document.querySelector('.form [type=submit]').disabled", 60)
    for name, value in fields.items():
        write(page, f"document.getElementById('new-{name}')", value)
        page.until(f"{area}.value.includes({f'{name}: {value}'!r})", 60)
    page.until("!document.querySelector('.form [type=submit]').disabled", 60)
    click(page, "document.querySelector('.form [type=submit]')")
    ended(page, "section.new .task")


def ended(page: Page, task: str, seconds: float = 600) -> None:
    """Waits until a command that the page shows is done."""
    page.until(f"document.querySelector('{task} summary span')", 60)
    words = f"document.querySelector('{task} summary span').textContent"
    page.until(f"{words} !== 'running'", seconds)
    assert page.ask(words) == "done", page.ask(f"document.querySelector('{task} pre').textContent")
