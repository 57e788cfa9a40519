"""What changes a mask of several tiles in the page, against NumPy; and the forms of sentences that count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as MplPath
from scipy import ndimage
from tests.export.html._chromium import Page
from tests.studio._browser import Start, visit

from segbench.studio.texts import TEXTS, texts_in

HEIGHT, WIDTH = 150, 210
CORNERS = [(10.2, 8.1), (190.7, 20.3), (120.2, 140.9), (30.4, 90.5)]


@pytest.mark.slow
def test_masks_of_several_tiles_are_exact(start: Start, page: Page, lesions: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (HEIGHT // 10, WIDTH // 10)).repeat(10, 0).repeat(10, 1)
    visit(page, start(lesions))
    script = f"""(async () => {{
      const {{ Labels }} = await import('/page/js/parts/labels.js');
      const made = () => new Labels({HEIGHT}, {WIDTH}, Uint8Array.from({noise.ravel().tolist()}));
      const other = Uint8Array.from({{ length: {noise.size} }}, (_, place) => place % 7);
      const step = (labels, act) => (labels.begin(), act(labels), labels.end());
      const lasso = made(); step(lasso, (it) => it.copy(it.inside({[list(each) for each in CORNERS]}), other));
      const line = made(); step(line, (it) => it.paint(it.line(5, 5, 200, 140, 12.5), 9, 0));
      const fill = made(); step(fill, (it) => it.paint(it.region(0), 8));
      const dirty = fill.takeDirty();
      const steps = made(), before = [];
      for (let n = 0; n < 120; n++) {{
        before.push(steps.data.slice());
        const ends = [n, (n * 7) % 150, 200 - n, (n * 13) % 150];
        step(steps, (it) => it.paint(it.line(...ends, 6), (n % 200) + 3));
      }}
      const last = steps.data.slice(), equal = (one, two) => one.every((value, place) => value === two[place]);
      let undone = 0, same = true;
      while (steps.undo()) same &&= equal(steps.data, before[119 - undone++]);
      while (steps.redo());
      const redone = equal(steps.data, last), there = last[5 * {WIDTH} + 5];
      const nothing = step(steps, (it) => it.paint(it.line(5, 5, 6, 6, 3), there, there));
      const fields = {{ lasso: [...lasso.data], line: [...line.data], fill: [...fill.data] }};
      return {{ ...fields, dirty, undone, same, redone, nothing }};
    }})()"""
    found = page.ask(script)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    inside = MplPath(CORNERS).contains_points(centres).reshape(HEIGHT, WIDTH)
    other = (np.arange(noise.size) % 7).reshape(HEIGHT, WIDTH)
    assert np.array_equal(np.reshape(found["lasso"], noise.shape), np.where(inside, other, noise))
    dx, dy = 195, 135
    at = np.clip(((columns - 5) * dx + (rows - 5) * dy) / (dx**2 + dy**2), 0, 1)
    near = np.hypot(columns - 5 - dx * at, rows - 5 - dy * at) <= 12.5
    assert np.array_equal(np.reshape(found["line"], noise.shape), np.where(near & (noise == 0), 9, noise))
    regions, _ = ndimage.label(noise == noise[0, 0])
    region = regions == regions[0, 0]
    assert np.array_equal(np.reshape(found["fill"], noise.shape), np.where(region, 8, noise))
    [high, wide] = ndimage.find_objects(region.astype(int))[0]
    assert found["dirty"] == [wide.start, high.start, wide.stop, high.stop]
    assert (found["undone"], found["same"], found["redone"]) == (100, True, True)
    assert found["nothing"] is False, "what changes nothing is no step"


def test_sentences_that_count_have_every_form_of_a_language() -> None:
    english, russian = texts_in("en"), texts_in("ru")
    counting = {key for key, text in TEXTS.items() if text.n is not None}
    assert {"samples", "corrected_n", "gain", "test_left_out"} <= counting
    for key in counting:
        assert set(english[key]) == {"one", "other"}, key
        assert set(russian[key]) == {"one", "few", "many"}, key
        assert all("{n}" in form for texts in (english, russian) for form in texts[key].values()), key
    assert english["samples"] == {"one": "{n} sample", "other": "{n} samples"}
