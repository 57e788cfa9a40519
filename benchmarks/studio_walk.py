"""A first-time user's two ways through the studio, walked in a real browser with a stopwatch, on any labelled folders.

python benchmarks/studio_walk.py FOLDER [FOLDER ...]

From the command `segbench studio FOLDER` on: until an image is seen large with its mask, and until a mask corrected by
hand is saved. Everything is done with the mouse, on what can be seen. Printed are the steps, the clicks, the seconds of
the machine, and those of a person with 2.65 s a click or stroke (to think 1.35, to point 1.1, to press 0.2; Card, Moran
and Newell 1980, the keystroke-level model). Where the folder can be read in several ways, the first is chosen. Needs
Chromium.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.export.html._chromium import Page, chromium  # noqa: E402

from segbench.data.manifest.manifest import Manifest  # noqa: E402
from segbench.data.manifest.read import read_dataset  # noqa: E402
from segbench.data.sources.load import load_sample  # noqa: E402

A_PERSONS_S = 2.65  # a click or a stroke
PATIENCE_S = 120
SEEN_LARGE = "document.querySelector('dialog .viewer canvas') && document.querySelector('dialog .pixels')"
READY = "document.querySelector('.tile img')?.complete || document.querySelector('section.told button')"
SAVED = "document.querySelector('.tools [aria-live]')?.textContent.includes('version 1')"


@dataclass
class Walk:
    """Attributes: page; start, by the clock; clicks; steps, with when each was done."""

    page: Page
    start: float
    clicks: int = 0
    steps: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Remembers a step."""
        self.steps.append(f"{time.monotonic() - self.start:6.1f} s  {what}")

    def until(self, sign: str) -> None:
        """Waits until a sign is there."""
        self.page.until(sign, PATIENCE_S)

    def press(self, *points: tuple[float, float]) -> None:
        """Presses the mouse at the first point, moves it over the others, lets go."""
        self.clicks += 1
        for kind, (x, y) in [("mousePressed", points[0]), *[("mouseMoved", each) for each in points[1:]]]:
            self.page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        x, y = points[-1]
        self.page.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    def click(self, element: str, what: str) -> None:
        """Clicks the middle of an element that can be seen there."""
        x, y, is_seen = self.page.ask(
            f"(() => {{ const element = {element}, box = element.getBoundingClientRect();"
            "const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];"
            "return [x, y, element.contains(document.elementFromPoint(x, y))]; })()"
        )
        assert is_seen, f"{element} cannot be seen"
        self.press((x, y))
        self.note(what)


def walk(folder: Path, work: Path) -> None:
    """Walks both ways on one folder, and prints them."""
    start = time.monotonic()
    with (work / "log").open("wb") as log:
        command = [sys.executable, "-m", "segbench", "studio", str(folder), "--no-browser", "--port", "0"]
        studio = subprocess.Popen([*command, "--work", str(work)], stdout=log, stderr=subprocess.STDOUT)
    try:
        while (link := re.search(r"http://\S+", (work / "log").read_text())) is None:
            assert studio.poll() is None, (work / "log").read_text()
            time.sleep(0.05)
        with chromium(work / "browser") as page:
            one = Walk(page, start)
            page.call("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
            page.call("Page.navigate", url=link[0])
            one.note("the page is open")
            look(one)
            told(folder, "my image with its mask", one)
            correct(one)
            told(folder, "my corrected mask saved", one)
            assert not page.console, page.console
    finally:
        studio.terminate()
        studio.wait(20)
    pixels = changed_pixels(folder, work)
    print(f"  {pixels} pixels of the saved mask differ from the data set's own\n")


def look(one: Walk) -> None:
    """Opens the first image large."""
    one.until(READY)
    if one.page.ask("Boolean(document.querySelector('section.told button'))"):
        one.note("the page asks: " + one.page.ask("document.querySelector('section.told p').textContent"))
        one.click("document.querySelector('section.told button')", "the first answer")
        one.until("document.querySelector('.tile img')?.complete")
    one.note("the grid with masks is there")
    one.click("document.querySelector('.tile')", "an image of the grid")
    one.until(SEEN_LARGE)
    one.note("it is seen large, with its mask")


def correct(one: Walk) -> None:
    """Paints a stroke over the image, and waits until it is saved."""
    one.click("document.querySelector('dialog a[href^=\"#/correct\"]')", "Correct")
    one.until("document.querySelector('canvas.editor') && document.querySelector('.tools [aria-live]')")
    box = None
    while box != (
        now := one.page.ask("Object.values(document.querySelector('canvas.editor').getBoundingClientRect().toJSON())")
    ):
        box = now
        time.sleep(0.3)
    x, y, width, height = now[:4]
    one.note("the image with tools is there, the brush chosen")
    for share in (0.5, 0.3, 0.7, 0.2, 0.8):  # where the mask holds the class already, nothing changes
        one.press(*[(x + width * (0.4 + 0.02 * step), y + height * share) for step in range(11)])
        one.note("a stroke of the brush")
        try:
            one.page.until(SAVED, 6)
            break
        except AssertionError:
            continue
    one.until(SAVED)
    one.note("saved: " + one.page.ask("document.querySelector('.tools [aria-live]').textContent"))


def told(folder: Path, goal: str, one: Walk) -> None:
    """Prints how it went so far."""
    machine = time.monotonic() - one.start
    person = machine + one.clicks * A_PERSONS_S
    print(f"{folder.name}: {goal}: {one.clicks} clicks, {machine:.0f} s, {person:.0f} s by hand")
    print("\n".join(f"  {step}" for step in one.steps), flush=True)


def changed_pixels(folder: Path, work: Path) -> int:
    """Returns how many pixels of the corrected mask differ from the data set's own."""
    manifest = Manifest.read(work / "corrected" / folder.name / "manifest.json")
    changed = next(each for each in manifest.samples if str(work) in str(each.mask))
    own = read_dataset(folder, manifest.format, **manifest.options)
    before = load_sample(own, next(each for each in own.samples if each.id == changed.id))[1]
    return int((load_sample(manifest, changed)[1] != before).sum())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        with tempfile.TemporaryDirectory() as work:
            walk(folder.resolve(), Path(work))


if __name__ == "__main__":
    main()
