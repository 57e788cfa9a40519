"""`segbench data ...` as a person types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.cli.main import main
from segbench.config.run import load_config
from segbench.data.manifest.read import read_dataset
from segbench.data.split.divide import split_manifest
from segbench.types import SPLITS


def run_cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def via_project(root: Path, *, with_class: bool = True) -> Path:
    root.mkdir(parents=True)
    content = {}
    for number in range(8):
        name = f"photo{number}.png"
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(root / name)
        ring = {"name": "polygon", "all_points_x": [5, 40, 40, 5], "all_points_y": [5, 5, 30, 30 + number]}
        attributes = {"kind": "leaf"} if with_class else {}
        regions = [{"shape_attributes": ring, "region_attributes": attributes}]
        content[f"{name}1"] = {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
    (root / "via_region_data.json").write_text(json.dumps(content))
    return root


def test_detect_says_format_reason_classes_and_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run_cli(capsys, "data", "detect", via_project(tmp_path / "set"))
    assert code == 0
    assert "via: VGG Image Annotator (via_region_data.json)" in out
    assert "8 labelled images, 2 classes: background, leaf" in out
    assert "format: via" in out


def test_detect_asks_where_two_folders_could_hold_the_masks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, binary_pairs: Path
) -> None:
    root = shutil.copytree(binary_pairs, tmp_path / "set")
    (root / "annotations").mkdir()
    for path in (root / "masks").iterdir():
        (root / "annotations" / path.name).write_bytes(path.read_bytes())
    code, out, _ = run_cli(capsys, "data", "detect", root)
    assert code == 1
    assert "2 ways to read this folder, choose: " in out
    assert "--option masks=annotations" in out


def test_detect_knows_manifests_and_shards(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = via_project(tmp_path / "set")
    run_cli(capsys, "data", "index", root, "-o", tmp_path / "m.json")
    code, out, _ = run_cli(capsys, "data", "detect", tmp_path / "m.json")
    assert code == 0
    assert "a manifest of 8 samples, read as via" in out
    run_cli(capsys, "data", "shard", root, tmp_path / "shards", "--size", "32", "--format", "via")
    for path in (tmp_path / "shards", tmp_path / "shards" / "shards.json"):
        code, out, _ = run_cli(capsys, "data", "detect", path)
        assert code == 0
        assert "packed by `segbench data shard`" in out


def test_check_tells_by_its_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fine = via_project(tmp_path / "fine")
    code, out, _ = run_cli(capsys, "data", "check", fine, "--json", tmp_path / "found.json")
    plain = json.loads((tmp_path / "found.json").read_text())
    assert (code, plain["exit_code"], plain["samples"]) == (0, 0, 8)
    assert "read as via" in out
    code, out, _ = run_cli(capsys, "data", "check", via_project(tmp_path / "nameless", with_class=False))
    assert code == 1
    assert "warning: images with regions without a class: 8" in out
    (fine / "photo3.png").write_bytes((fine / "photo3.png").read_bytes()[:200])
    code, out, _ = run_cli(capsys, "data", "check", fine)
    assert code == 2
    assert "photo3.png" in out
    code, out, _ = run_cli(capsys, "data", "check", tmp_path / "missing")
    assert code == 2
    assert "no such folder" in out


def test_check_writes_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    code, out, _ = run_cli(capsys, "data", "check", via_project(tmp_path / "set"), "--report", page, "--quiet")
    assert code == 0
    assert f"written: {page}" in out
    assert "<html" in page.read_text()


def test_an_archive_is_read_as_its_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = via_project(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in root.iterdir():
            archive.write(path, f"set/{path.name}")
    code, out, _ = run_cli(capsys, "data", "index", tmp_path / "set.zip")
    assert code == 0
    assert "8 samples, binary: background, leaf" in out


def test_a_config_is_written_for_what_was_recognised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    code, _, _ = run_cli(capsys, "config", "new", via_project(tmp_path / "set"), "-o", config)
    assert code == 0
    assert "format: via" in config.read_text()
    assert "augment: strong   # 6 images to learn from are few" in config.read_text()


def test_show_writes_sheets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = via_project(tmp_path / "set")
    code, _, _ = run_cli(capsys, "data", "show", root, "-o", tmp_path / "a.png", "--samples", "3")
    assert code == 0
    whole = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert whole.std() > 10
    code, _, _ = run_cli(capsys, "data", "show", root, "-o", tmp_path / "b.png", "--per-class")
    assert code == 0
    assert (tmp_path / "b_leaf.png").is_file()
    code, _, _ = run_cli(capsys, "data", "show", root, "-o", tmp_path / "c.png", "--augment", "flips", "--samples", "2")
    assert code == 0
    assert (tmp_path / "c.png").is_file()
    code, _, err = run_cli(capsys, "data", "show", root, "--class", "leave")
    assert code == 2
    assert "expected background, leaf, got 'leave'" in err
    code, _, err = run_cli(capsys, "data", "show", root, "--split", "test")
    assert code == 1
    assert "has no test part" in err


def test_convert_reads_back_what_it_wrote(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run_cli(capsys, "data", "convert", via_project(tmp_path / "set"), tmp_path / "out", "--to", "coco")
    assert code == 0
    assert "read back: identical" in out
    code, _, err = run_cli(capsys, "data", "convert", tmp_path / "set", tmp_path / "out", "--to", "coco")
    assert code != 0
    assert "out" in err


@pytest.mark.parametrize("command", ["detect", "check", "show", "convert", "get", "split", "shard", "index", "make"])
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run_cli(capsys, "data", command, "--help")
    assert code == 0
    assert f"segbench data {command}" in out


@pytest.mark.slow
def test_the_commands_import_no_torch() -> None:
    code = "import sys, segbench.cli.main; assert not {'torch', 'scipy', 'matplotlib'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_set_without_a_test_part_gets_a_config_that_trains(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for part in ("train", "val"):
        via_project(tmp_path / "set" / part)
    config = tmp_path / "mine.yaml"
    code, _, _ = run_cli(capsys, "config", "new", tmp_path / "set", "-o", config)
    assert code == 0
    assert "has train, val but no test part" in config.read_text()
    loaded = load_config(config)
    assert loaded.data.split.method == "ratios"
    divided = split_manifest(read_dataset(loaded.data.path, loaded.data.format), loaded.data.split)
    assert all(divided.split(name) for name in SPLITS)


def test_colours_are_written_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((40, 40, 3), dtype=np.uint8)
        mask[5:20, 5:20] = (0, 255, 0)
        Image.fromarray(np.full((40, 40, 3), number, dtype=np.uint8)).save(tmp_path / "set/images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "set/masks" / f"{number}.png")
    config = tmp_path / "mine.yaml"
    code, out, _ = run_cli(capsys, "config", "new", tmp_path / "set", "-o", config)
    assert code == 0
    assert "rename them in `classes`" in out
    assert "background: [0, 0, 0]" in config.read_text()
