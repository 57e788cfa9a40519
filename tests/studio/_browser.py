"""What a person does with the page in a real browser: opens screens, presses keys, paints with the mouse."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from tests.export.html._chromium import Page

Start: TypeAlias = Callable[..., str]


def visit(page: Page, address: str, *, width: int = 1440, height: int = 900) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    page.call("Page.navigate", url=address)
    page.until("document.querySelector('main > *')")


def go(page: Page, screen: str, ready: str) -> None:
    page.ask(f"location.hash = '#/{screen}'")
    page.until(f"document.querySelector({ready!r})")


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Presses the mouse at the first point of the window, moves it over the others, lets go."""
    for kind, (x, y) in [
        ("mousePressed", points[0]),
        *[("mouseMoved", each) for each in points],
        ("mouseReleased", points[-1]),
    ]:
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


def middle(page: Page) -> tuple[float, float]:
    """Returns the middle of the editor, once the page around it has settled."""
    ask = (
        "(() => { const box = document.querySelector('canvas.editor').getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]; })()"
    )
    before, box = None, page.ask(ask)
    while box != before:
        time.sleep(0.5)
        before, box = box, page.ask(ask)
    return box[0], box[1]


def paint(page: Page, sign: str) -> None:
    """Paints a line above the middle until a sign is true; again where the page moved below the mouse."""
    for _ in range(4):
        x, y = middle(page)
        drag(page, (x - 200, y - 100), (x + 200, y - 100))
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if page.ask(f"Boolean({sign})"):
                return
            time.sleep(0.1)
    raise AssertionError(f"never true: {sign}; {page.console}")


def state(page: Page) -> str:
    return str(page.ask("document.querySelector('.tools [aria-live]').textContent"))


def press(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
