"""The demo and its page: made from real runs, self-contained, right in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from segbench.demo import run_demo
from segbench.errors import RunError
from segbench.report.page import write_page
from segbench.runs import RunFolder
from segbench.train.watcher import Watcher

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, ...]], Path]:
    """Returns table and page of a one-epoch demo; read only."""
    return run_demo(tmp_path_factory.mktemp("demo") / "out", epochs=1, watch=Watcher())


@pytest.mark.slow
def test_the_table_is_ranked_and_the_folder_complete(demo: tuple[list[tuple[str, ...]], Path]) -> None:
    table, page = demo
    assert len(table) == 5
    scores = [float(row[2]) for row in table[1:]]
    assert scores == sorted(scores, reverse=True)
    assert {row[0] for row in table[1:]} == {"unet_nearest", "segnet"}
    folder = page.parent
    assert len(list((folder / "runs").iterdir())) == 4
    assert len(list((folder / "predicted" / "overlays").glob("*.png"))) == 12
    assert page.stat().st_size < 10 * 2**20


@pytest.mark.slow
def test_the_page_holds_everything_itself(demo: tuple[list[tuple[str, ...]], Path]) -> None:
    text = demo[1].read_text()
    sources = re.findall(r"(?:src|href)=\"([^\"]{0,40})", text)
    assert len(sources) >= 4 * 2 + 12
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)
    for name in ("iou_per_image", "thresholded_iou", "IoU = TP / (TP + FP + FN)", "segbench config new"):
        assert name in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_every_picture_without_complaint(
    demo: tuple[list[tuple[str, ...]], Path], tmp_path: Path, width: int
) -> None:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    probe = (
        "<script>window.addEventListener('load', () => { const images = [...document.images];"
        "document.title = 'loaded ' + images.filter(i => i.naturalWidth > 0).length + ' of ' + images.length"
        " + ' overflow ' + Math.max(0, document.documentElement.scrollWidth - window.innerWidth); });</script></body>"
    )
    copy = tmp_path / "page.html"
    copy.write_text(demo[1].read_text().replace("</body>", probe))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path}/profile", f"--window-size={width},900"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<title>loaded (\d+) of (\d+) overflow (\d+)</title>", done.stdout)
    assert found, done.stdout[:500]
    loaded, total, overflow = map(int, found.groups())
    assert loaded == total >= 20
    assert overflow == 0
    assert "CONSOLE" not in done.stderr


@pytest.mark.slow
def test_runs_on_other_data_are_refused(demo: tuple[list[tuple[str, ...]], Path], tmp_path: Path) -> None:
    runs = sorted((demo[1].parent / "runs").iterdir())
    copy = tmp_path / "copy"
    shutil.copytree(runs[0], copy)
    text = (copy / "result.json").read_text()
    (copy / "result.json").write_text(re.sub(r'"manifest_hash": "[^"]+"', '"manifest_hash": "other"', text))
    with pytest.raises(RunError, match="was scored on other data than"):
        write_page(tmp_path / "p.html", [RunFolder(runs[1]), RunFolder(copy)], title="t", question="q")
    (copy / "result.json").unlink()
    with pytest.raises(RunError, match="this run is not finished"):
        write_page(tmp_path / "p.html", [RunFolder(copy)], title="t", question="q")
