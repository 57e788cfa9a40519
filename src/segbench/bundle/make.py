"""Runs -> a bundle: what is said about the model is gathered here, once, so that the file answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.bundle.calibrate import calibrate_on
from segbench.bundle.card import Member, model_card_of
from segbench.bundle.choose import choose_best
from segbench.bundle.data_card import data_card
from segbench.bundle.gain import ensemble_gain
from segbench.data.manifest.manifest import Manifest
from segbench.errors import BundleError
from segbench.folders.run import RunFolder
from segbench.locale import message
from segbench.predict.bundle_file import ModelBundle
from segbench.predict.bundle_members import is_bundle
from segbench.predict.pipeline import agreed_settings
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.train.console import default_callback


def bundle_runs(
    runs: str | Path | Sequence[str | Path],
    *,
    best: bool = False,
    license: str | None = None,  # noqa: A002  # the field's word, in model cards as in packages
    device: str = "auto",
    watch: Callback | None = None,
) -> ModelBundle:
    """Returns a run, or several averaged, as one bundle with its card; `write` puts it into a file or a folder.

    The same runs give the same bytes. Of several runs the card says what averaging gains on the validation part.

    Args:
        runs: run folder, or several that agree in classes, size and bands; a bundle, to write it in its other form; or,
            with `best`, a study folder.
        best: bundle all seeds of the entry that wins the study's verdict; where nobody wins, of the cheapest that is
            not worse. The card's `chosen` says which and why.
        license: of the model, as you pass it on, such as `cc-by-4.0`; None: not said.
        device: where the validation part is scored, of several runs.
        watch: told about progress; None shows it where somebody looks on.
    Raises:
        RunError: no run, no finished epoch, damaged files, weights that are not those which were scored, or no study.
        PredictionError: runs that do not agree (names two, and in what).
        BundleError: no run, one twice, or a damaged bundle.

    Example:
        >>> import segbench
        >>> bundle = segbench.bundle_runs(["runs/seed0", "runs/seed1"])  # doctest: +SKIP
        >>> bundle.write("both.segbench")  # doctest: +SKIP
        >>> bundle.card["gain"]["sentence"]  # doctest: +SKIP
    """
    paths = [Path(each) for each in ([runs] if isinstance(runs, str | Path) else runs)]
    if len(paths) == 1 and is_bundle(paths[0]):
        bundle = ModelBundle.read(paths[0])
        return bundle if license is None else _with_license(bundle, license)
    bundled = [str(path) for path in paths if path.is_file() or is_bundle(path)]
    if bundled:
        told = "is a bundle, which is not put into another one; give the runs that it was made of"
        raise BundleError(told, file=bundled[0])
    if not paths or len({path.resolve() for path in paths}) < len(paths):
        raise BundleError(f"expected run folders, each one once, got {', '.join(map(str, paths)) or 'none'}")
    watch = watch or default_callback()
    try:
        chosen = None
        if best:
            if len(paths) > 1:
                raise BundleError(f"expected one study whose best entry is bundled, got {len(paths)} paths")
            chosen = choose_best(paths[0], watch.progress)
            paths = list(chosen.runs)
        bundle = _bundle_of([RunFolder(path) for path in paths], device, watch)
    finally:
        watch.close()
    if chosen is not None:
        bundle = replace(bundle, card={**bundle.card, "name": chosen.entry, "chosen": chosen.to_dict()})
    return bundle if license is None else _with_license(bundle, license)


def _bundle_of(folders: Sequence[RunFolder], device: str, watch: Callback) -> ModelBundle:
    members = []
    for done, folder in enumerate(folders, start=1):
        members.append(Member.read(folder))
        watch.progress("reading runs", done, len(folders))
    bundles = [member.bundle for member in members]
    settings = agreed_settings({str(each.source): each.settings for each in bundles})
    card: dict[str, Any] = model_card_of(members)
    manifest = Manifest.read(folders[0].manifest_file)
    card["data"] = data_card(manifest, members[0].result, settings.size)
    if len(folders) > 1:
        gain = ensemble_gain(folders, device, watch)
        card |= {**gain.pop("ensemble", {}), "gain": gain}
    predictor = Predictor.of_bundles(bundles, device)
    apart = {folder.read_facts()["manifest_hash"] for folder in folders}
    if len(apart) > 1:  # what one holds back for validation may have been learnt by the other
        manifest = replace(manifest, samples=manifest.split("train"))
    found = calibrate_on(predictor, manifest, watch.progress)
    card["calibration"] = found["calibration"]
    if len(apart) > 1:
        card["calibration"]["sentence"] = message("Not known: the runs hold back different images.")
    card["data"]["image_statistics"] = found["image_statistics"]
    temperature = (found["calibration"].get("temperature") or {}).get("value", 1.0)
    return ModelBundle(
        settings=replace(settings, temperature=temperature),
        networks=tuple(spec for each in bundles for spec in each.networks),
        weight_files=tuple(file for each in bundles for file in each.weight_files),
        card=card,
        source=folders[0].path,
    )


def _with_license(bundle: ModelBundle, text: str) -> ModelBundle:
    licences = {**bundle.card.get("licences", {}), "model": text}
    return replace(bundle, card={**bundle.card, "licences": licences})
