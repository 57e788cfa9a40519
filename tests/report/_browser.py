"""Opens a page in a headless Chromium and asks it what a person would see."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_PROBE = """<script>window.addEventListener('load', () => {
  const images = [...document.images], root = document.documentElement;
  const all = selector => [...document.querySelectorAll(selector)];
  const head = document.querySelector('table.sortable thead').rows[0].cells[%(column)d];
  const read = () => [...head.closest('table').tBodies[0].rows].map(row => row.cells[0].textContent);
  const before = read();
  head.querySelector('button').click();
  const down = read();
  head.querySelector('button').click();
  const wide = all('.scroll, .tiles').filter(box => box.scrollWidth > box.clientWidth + 1);
  const picture = all('.layers')[0], size = picture.getBoundingClientRect().width;
  picture.click();
  const zoomed = document.querySelector('dialog .layers').getBoundingClientRect().width;
  document.querySelector('dialog').click();
  document.querySelector('.switch').click();
  const shown = name => all(name).filter(image => getComputedStyle(image).display !== 'none').length;
  parent.document.body.dataset.found = JSON.stringify({
    narrowest: Math.min(...all('.layers').map(each => each.getBoundingClientRect().width).filter(side => side > 0)),
    picture: size,
    zoomed,
    areas: shown('.area'),
    outlines: shown('.outline'),
    switched: all('.outline').length,
    hidden: wide.length,
    edged: wide.filter(box => parseFloat(getComputedStyle(box).borderRightWidth) >= 3).length,
    sticky: wide.filter(box => {
      const head = box.querySelector('tbody th'), left = () => head.getBoundingClientRect().left;
      const before = head && left();
      box.scrollLeft = 60;
      return head && Math.abs(left() - before) < 1;
    }).length,
    images: images.length,
    loaded: images.filter(image => image.naturalWidth > 0).length,
    width: window.innerWidth,
    overflow: Math.max(0, root.scrollWidth - window.innerWidth),
    requests: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !/^data:/.test(name)),
    ground: getComputedStyle(document.body).backgroundColor,
    drawings: all('.drawing svg').filter(svg => svg.getBoundingClientRect().width > 100).length,
    twice: all('[id]').length - new Set(all('[id]').map(element => element.id)).size,
    order: {before, down, up: read()},
  });
});</script></body>"""


def look(page: Path, folder: Path, *, width: int, dark: bool = False, column: int = 0) -> dict[str, Any]:
    """Returns what a page shows at a width; skips the test where there is no Chromium.

    Args:
        page: HTML file.
        folder: for the browser's own files.
        width: of the window, px.
        dark: the reader prefers a dark page.
        column: of the first sortable table, which is clicked twice.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    # The page forbids every request itself; without that, one would be seen here.
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
    text = text.replace("</body>", _PROBE % {"column": column})
    # A window is never narrower than 500 px, a frame is as narrow as a phone.
    frame = f'<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{html.escape(text)}"></iframe>'
    copy = folder / f"probe_{width}_{dark}.html"
    copy.write_text(f'<!doctype html><meta charset="utf-8"><body>{frame}</body>', encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--enable-logging=stderr", f"--user-data-dir={folder}/profile", f"--window-size={width + 20},900"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<body data-found="([^"]*)"', done.stdout)
    assert found, done.stdout[:500] + done.stderr[-500:]
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    result["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return result
