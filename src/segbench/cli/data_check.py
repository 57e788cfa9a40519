"""`segbench data check | show`: what is wrong with a data set, and how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli._common import Quiet, console, make_callback, require
from segbench.cli.data import DataFormat, DataPath, ReaderOptions, read_any, read_options
from segbench.data.files.hints import yaml_value
from segbench.errors import ConfigError, DatasetError
from segbench.files import write_json
from segbench.locale import folded, languages
from segbench.types import ORIGINAL, SPLITS, Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from segbench.data.manifest.manifest import Manifest
    from segbench.doctor import Checkup, Finding

_FILES_SHOWN = 4


def data_check(
    data: DataPath,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    report: Annotated[Path | None, typer.Option("--report", "-o", help="Write a page with pictures (HTML).")] = None,
    fix: Annotated[Path | None, typer.Option("--fix", help="Write a corrected copy into this new folder.")] = None,
    plain: Annotated[Path | None, typer.Option("--json", help="Write everything that was found (JSON).")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Side in pixels at which objects have to survive; default: what config new begins with."
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Headers and masks only: no damaged pixels, copies or objects.")
    ] = False,
    reviewed: Annotated[
        bool, typer.Option("--all", help="Also what was reviewed in the studio and is left out otherwise.")
    ] = False,
    language: Annotated[str, typer.Option("--lang", help="Of the page: en or ru.")] = "en",
    quiet: Quiet = False,
) -> None:
    """Look for mistakes before anything is trained. Exit code 0: none, 1: warnings, 2: errors.

    Example: segbench data check my_images --report check.html --fix my_images_fixed
    """
    require("--lang", language, languages())
    from segbench.doctor.dataset import check_dataset

    watch = make_callback(quiet)
    try:
        given = read_options(options)
        image_size = None if size is None else (size, size)
        checkup = check_dataset(
            data,
            data_format,
            fast=fast,
            image_size=image_size,
            reviewed=reviewed,
            progress=watch.progress,
            **given,
        )
    except (DatasetError, ConfigError) as error:
        console.print(f"error: {error}")
        raise typer.Exit(2) from error
    finally:
        watch.close()
    _print_checkup(checkup, quiet)
    if plain is not None:
        write_json(plain, checkup.to_dict())
        console.print(f"written: {plain}")
    if report is not None:
        from segbench.report.doctor_page.page import write_data_page

        write_data_page(checkup, report, language=language)
        console.print(f"written: {report}")
    if fix is not None:
        _fix(checkup, fix, quiet)
    raise typer.Exit(checkup.exit_code)


def data_show(
    data: DataPath,
    data_format: DataFormat = None,
    options: ReaderOptions = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write (PNG).")] = Path("sheet.png"),
    samples: Annotated[int, typer.Option(min=1, max=400, help="How many images.")] = 24,
    split: Annotated[str | None, typer.Option(help="Only train, val or test.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="Images with most of this class.")] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="One sheet for every class.")] = False,
    augment: Annotated[str | None, typer.Option(help="Show what this preset does to the images.")] = None,
    patch: Annotated[
        int | None,
        typer.Option(min=32, help="With --augment: windows of so many pixels a side, as data.patch cuts them."),
    ] = None,
    versions: Annotated[int, typer.Option(min=1, max=12, help="With --augment: versions of each image.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of images.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Draw a contact sheet: images with their labels drawn over them.

    Example: segbench data show my_images --per-class, segbench data show my_images --augment strong --patch 256
    """
    if split is not None:
        require("--split", split, SPLITS)
    require("--out", out.suffix.lower() or ".png", (".png",))
    from segbench.data.samples.gallery import choose_samples, samples_with

    manifest = read_any(data, data_format, options, quiet=quiet)
    if class_name is not None and class_name not in manifest.class_map.names:
        require("--class", class_name, manifest.class_map.names)
    from segbench.plots.contact_sheet import save_sheet

    part: Any = split
    if augment is not None:
        from segbench.config.augment import parse_augment
        from segbench.data.augment.preview import augmented_versions
        from segbench.plots.augment_preview import augment_preview

        shown = augmented_versions(
            manifest,
            parse_augment(augment),
            samples=min(samples, 12),
            versions=versions,
            seed=seed,
            size=(256, 256) if patch is None else ORIGINAL,
            patch=None if patch is None else (patch, patch),
        )
        sheet = augment_preview(shown.images, shown.masks, manifest.class_map, titles=shown.ids)
        console.print(f"written: {save_sheet(sheet, out)}")
        return
    if not per_class and class_name is None:
        chosen = choose_samples(manifest, samples, seed=seed, split=part)
        console.print(f"written: {save_sheet(_sheet(manifest, chosen, ''), out)}")
        return
    for index, name in enumerate(manifest.class_map.names):
        if name != class_name and not (per_class and index != manifest.class_map.background):
            continue
        chosen = samples_with(manifest, index, samples, split=part)
        if not chosen:
            console.print(f"no image has {name}")
            continue
        title = f"{name}: the {len(chosen)} images with most of it"
        path = out.with_stem(f"{out.stem}_{_file_name(name)}") if per_class else out
        console.print(f"written: {save_sheet(_sheet(manifest, chosen, title), path)}")


def _sheet(manifest: Manifest, chosen: Sequence[Sample], title: str) -> Figure:
    from segbench.data.samples.gallery import load_small
    from segbench.plots.contact_sheet import Labelled, contact_sheet

    loaded = load_small(manifest, chosen)
    titles = [_title(sample) for sample in chosen]
    shown = [Labelled(text, image, mask) for text, (image, mask) in zip(titles, loaded, strict=True)]
    return contact_sheet(shown, manifest.class_map, title=title)


def _title(sample: Sample) -> str:
    share = "" if sample.foreground_frac is None else f"  {sample.foreground_frac:.0%}"
    return f"{sample.id}{share}"


def _print_checkup(checkup: Checkup, quiet: bool) -> None:
    why = f" ({checkup.why})" if checkup.why else ""
    console.print(f"read as {checkup.format}{why}: {checkup.samples} labelled images")
    for finding in checkup.findings:
        _print_finding(finding, quiet)
    if checkup.reviewed_file is not None:
        findings = "1 finding was" if checkup.reviewed == 1 else f"{checkup.reviewed} findings were"
        console.print(f"{findings} reviewed and accepted: {checkup.reviewed_file} (--all shows them)")
    for what, lines in (("suggestion", checkup.suggestions), ("your choice", checkup.choices)):
        for key, value, reason in () if quiet else lines:
            console.print(f"{what}: {key}: {yaml_value(value)}\n    {reason}")
    number = {
        kind: sum(finding.severity == kind for finding in checkup.findings) for kind in ("error", "warning", "info")
    }
    told = ", ".join(
        f"{count} {kind}{'s' * (count != 1 and kind != 'info')}" for kind, count in number.items() if count
    )
    console.print(f"{told or 'nothing found'}, in {checkup.seconds:.1f} s")


def _print_finding(finding: Finding, quiet: bool) -> None:
    console.print(f"{finding.severity}: {finding.title}")
    if quiet:
        return
    lines: list[Any] = [finding.detail, ", ".join(folded(finding.files, _FILES_SHOWN))]
    lines += [f"to do: {finding.advice}" if finding.advice else ""]
    lines += [f"--fix mends {len(finding.fixes)} file{'s' * (len(finding.fixes) != 1)}" if finding.fixes else ""]
    for line in lines:
        if line:
            console.print(f"    {line}")


def _fix(checkup: Checkup, target: Path, quiet: bool) -> None:
    from segbench.doctor.fix.corrected_copy import write_fixed

    watch = make_callback(quiet)
    try:
        done = write_fixed(checkup, target, progress=watch.progress)
    finally:
        watch.close()
    console.print(f"written: {target}, a copy with {len(done.changes)} changes; each is listed in {done.listing}")
    if done.not_done:
        console.print(f'{len(done.not_done)} could not be made; see "Not done" there')


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
