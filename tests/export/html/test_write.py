"""A run becomes a page, alone and inside a report, and says what its files say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.export.html._chromium import chromium

from segbench.bundle.make import bundle_runs
from segbench.cli import main
from segbench.errors import ConfigError, PredictionError
from segbench.export.html.write import write_page
from segbench.folders.run import RunFolder
from segbench.predict.predictor import Predictor
from segbench.report.runs import report_runs
from segbench.train.callback import Callback

pytestmark = pytest.mark.slow


def test_the_page_of_a_run_and_of_its_bundle(runs: Path, tmp_path: Path) -> None:
    run = runs / "a_seed0"
    bundle_runs(run, watch=Callback()).write(tmp_path / "a.segbench")
    of_run = write_page(run, tmp_path / "run.html").read_text(encoding="utf-8")
    assert write_page(tmp_path / "a.segbench", tmp_path / "bundle.html").read_text(encoding="utf-8") == of_run
    main, definitions = RunFolder(run).read_result().result["main"], RunFolder(run).read_result().result["definitions"]
    shown = re.sub(r"<[^>]*>", " ", of_run[: of_run.index('id="settings"')])
    assert f"{main['value']:.3f} on {main['n_images']} images of the test part" in shown
    assert f"95 % interval {main['low']:.3f} to {main['high']:.3f}" in shown
    assert definitions[main["name"]] in shown.replace("&gt;", ">").replace("&#39;", "'")
    assert "The network learnt from" in shown
    assert 5e6 < len(of_run) < 7e6
    assert "<img" not in of_run  # images may be private


def test_samples_are_drawn_anew(runs: Path, tmp_path: Path) -> None:
    page = write_page(runs / "a_seed0", tmp_path / "run.html", samples=2).read_text(encoding="utf-8")
    plain = json.loads(re.findall(r'id="settings">(.*?)</script>', page)[0])
    assert len(plain["samples"]) == page.count("<img") == 2
    with pytest.raises(ConfigError, match="0 to 4 images, got 5"):
        write_page(runs / "a_seed0", tmp_path / "run.html", samples=5)
    bundle_runs(runs / "a_seed0", watch=Callback()).write(tmp_path / "a.segbench")
    with pytest.raises(PredictionError, match="a bundle holds no images; name the run folder"):
        write_page(tmp_path / "a.segbench", tmp_path / "run.html", samples=1)


def test_what_it_does_not_write(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.html, got 'a\.onnx'"):
        write_page(runs / "a_seed0", tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="one of the languages en, ru, got 'xx'"):
        write_page(runs / "a_seed0", tmp_path / "a.html", lang="xx")
    assert list(tmp_path.iterdir()) == []


def test_the_command(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*options: str | Path) -> tuple[object, str]:
        with pytest.raises(SystemExit) as end:
            main(["export", str(runs / "a_seed0"), *map(str, options)])
        heard = capsys.readouterr()
        return end.value.code, " ".join((heard.out + heard.err).split())

    code, told = run("--format", "html", "--samples", "1", "-o", tmp_path / "a.html")
    assert code == 0
    assert "MB, with 1 images of the validation part inside: pass it on only where they may be seen" in told
    assert run("--format", "html", "--int8")[1] == "error: --int8, --images, --form: go with other formats than html"
    assert run("--samples", "1")[1] == "error: --samples, --lang: go with --format html alone"


def test_a_report_runs_its_best_model(runs: Path, tmp_path: Path) -> None:
    paths = [runs / "a_seed0", runs / "b_seed0"]
    plain = report_runs(paths, tmp_path / "plain.html").html.read_text(encoding="utf-8")
    assert "wasm" not in plain
    files = report_runs(paths, tmp_path / "report.html", try_it=True)
    size = files.html.stat().st_size
    assert f"It takes {size / 1e6:.0f} MB" in files.html.read_text(encoding="utf-8")
    image = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 53, 3), dtype=np.uint8)).save(image)
    inside = "document.querySelector('iframe').contentDocument"
    with chromium(tmp_path / "browser") as tab:
        tab.open(files.html)
        tab.ask("document.getElementById('try-open').click()")
        tab.until(f"document.querySelector('iframe') && {inside}.body?.dataset.ready !== undefined")
        tab.give([image], inside=f"{inside}.getElementById('choose')")
        tab.until(f"{inside}.body.classList.contains('idle') && !{inside}.getElementById('save-grey').disabled")
        mask = Predictor.load(files.analysis.best.runs[0].path, device="cpu")(image).mask
        shown = tab.ask(f"{inside}.getElementById('px-1').textContent").replace(",", "")
        assert int(shown) == int(mask.sum())
        assert (tab.requests, tab.console) == ([], [])
