"""Makes what the site shows as it is: a report, a doctor's page, a page that runs a model. `docs/build.py` calls it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageOps

NAMES = ("report_en.html", "report_ru.html", "doctor.html", "model.html")


def make(folder: Path) -> None:
    """Makes every page of `NAMES` that a folder lacks, in minutes; what it needs stays in `folder/work`.

    Raises:
        CalledProcessError: a command failed; it has printed why.
    """
    if all((folder / name).exists() for name in NAMES):
        return
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    _segbench("demo", "-o", work / "demo", "--epochs", 8, "--quiet")
    for lang in ("en", "ru"):
        _segbench("report", work / "demo" / "study_8_epochs", "-o", folder / f"report_{lang}.html", "--lang", lang)
    _segbench("data", "check", _mistaken(work), "-o", folder / "doctor.html", expected=(0, 1))
    # Who reads the site knows no folder of the machine that built it; long names may be broken anywhere.
    place = "(?:<wbr>)?".join(map(re.escape, f"{work.resolve()}/"))
    page = (folder / "doctor.html").read_text(encoding="utf-8")
    (folder / "doctor.html").write_text(re.sub(place, "", page), encoding="utf-8")
    _segbench("bundle", work / "demo" / "study_8_epochs", "--best", "-o", work / "demo.segbench")
    _segbench("export", work / "demo.segbench", "--format", "html", "-o", folder / "model.html")


def _segbench(*words: object, expected: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([sys.executable, "-m", "segbench", *map(str, words)], stdout=subprocess.DEVNULL)
    if done.returncode not in expected:
        raise subprocess.CalledProcessError(done.returncode, words)


def _mistaken(work: Path) -> Path:
    """Returns a drawn data set with mistakes that people make: an empty mask, one turned inside out, an image twice."""
    target = work / "my_images"
    shutil.rmtree(target, ignore_errors=True)
    _segbench("data", "make", "lesions", target, "--count", 40)
    masks = sorted((target / "masks").iterdir())
    with Image.open(masks[8]) as mask:
        Image.new("L", mask.size).save(masks[8])
    with Image.open(masks[12]) as mask:
        ImageOps.invert(mask.convert("L")).save(masks[12])
    shutil.copy(next((target / "images").glob(f"{masks[30].stem}.*")), target / "images" / "copy_of_it.png")
    shutil.copy(masks[30], target / "masks" / "copy_of_it.png")
    return target
