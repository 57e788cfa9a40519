"""A model in one file: what goes in comes out, and whatever is wrong with the file is one clear error."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

import segbench
from segbench.errors import BundleError, PredictionError, RunError
from segbench.predict.bundle_file import ModelBundle, NetworkSpec
from segbench.predict.bundle_members import FORMAT, Member, members_id
from segbench.predict.pipeline import PipelineSettings
from segbench.predict.predictor import Predictor
from segbench.train.callback import Callback
from segbench.types import ClassMap, Normalization, Task

BINARY = ClassMap(names=("skin", "lesion"), values=((0,), (255,)), task=Task.BINARY, colors=((0, 0, 0), (9, 8, 7)))
GREY = Normalization(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))


def bundle_of(seeds: tuple[int, ...] = (0,), **settings: Any) -> ModelBundle:
    """Returns a bundle of small random networks, one a seed."""
    spec = NetworkSpec(
        name="unet_nearest", options={"widths": [2, 4]}, in_channels=3, out_channels=1, normalization=GREY
    )
    weights = []
    for index, seed in enumerate(seeds):
        torch.manual_seed(seed)
        tensors = {name: tensor.contiguous() for name, tensor in spec.build().state_dict().items()}
        weights.append(Member.of_bytes(f"weights_{index}.safetensors", save(tensors)))
    return ModelBundle(
        settings=PipelineSettings(class_map=BINARY, size=(40, 48), normalization=GREY, threshold=0.45, **settings),
        networks=(spec,) * len(seeds),
        weight_files=tuple(weights),
        card={"scores": {"test": {"iou_per_image": 0.5}}, "versions": {"segbench": "0.1.0"}},
        source=Path("made"),
    )


def read_all(path: Path) -> tuple[Any, ...]:
    """Returns everything that a bundle says, or raises what opening and building it raises."""
    bundle = ModelBundle.read(path)
    tensors = [bundle.weights(index) for index in range(len(bundle.networks))]
    for index in range(len(bundle.networks)):
        bundle.build(index)
    plain = [{name: tensor.tolist() for name, tensor in each.items()} for each in tensors]
    return bundle.settings, bundle.networks, bundle.card, plain


def read_or_error(path: Path) -> tuple[Any, ...] | BundleError:
    try:
        return read_all(path)
    except BundleError as error:
        return error


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["x.segbench", "folder"])
def test_what_goes_in_comes_out(tmp_path: Path, name: str) -> None:
    made = bundle_of((0, 1), tta="flips", policy="whole", temperature=1.5)
    made.write(tmp_path / name)
    again = ModelBundle.read(tmp_path / name)
    assert (again.settings, again.networks, again.card) == (made.settings, made.networks, made.card)
    assert again.id == made.id
    assert len(again.id) == 64
    for index in range(2):
        for key, tensor in made.weights(index).items():
            assert torch.equal(again.weights(index)[key], tensor)


def test_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    bundle_of().write(tmp_path / "a.segbench")
    os.utime(tmp_path / "a.segbench", (0, 0))
    ModelBundle.read(tmp_path / "a.segbench").write(tmp_path / "folder")
    ModelBundle.read(tmp_path / "folder").write(tmp_path / "b.segbench")
    assert (tmp_path / "a.segbench").read_bytes() == (tmp_path / "b.segbench").read_bytes()
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        *("README.md", "card.json", "model.json", "segbench.json", "weights_0.safetensors"),
    ]


def test_a_changed_threshold_is_another_id(tmp_path: Path) -> None:
    assert bundle_of().id == bundle_of().id
    assert bundle_of().id != bundle_of(tta="hflip").id != bundle_of((1,)).id


@pytest.mark.slow
def test_no_flipped_bit_goes_unnoticed_and_none_is_a_traceback(tmp_path: Path) -> None:
    bundle_of().write(tmp_path / "x.segbench")
    right, content = read_all(tmp_path / "x.segbench"), (tmp_path / "x.segbench").read_bytes()
    members = zipfile.ZipFile(tmp_path / "x.segbench").infolist()
    inside = {
        place
        for each in members
        for place in range(each.header_offset + 30 + len(each.filename), each.header_offset + 30 + each.file_size)
    }
    damaged, noticed = tmp_path / "damaged.segbench", set()
    # Every byte of the zip's own structure, and a sample of the members' (all of them would take minutes).
    chosen = [place for place in range(len(content)) if place not in inside]
    chosen += random.Random(0).sample(sorted(inside), 400)
    for place in chosen:
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        damaged.write_bytes(flipped)
        found = read_or_error(damaged)
        if isinstance(found, BundleError):
            assert found.file == str(damaged)
            noticed.add(place)
        else:
            assert found == right, place  # a date or a right of the zip, which means nothing
    assert noticed >= set(chosen) & inside


@pytest.mark.parametrize("name", ["card.json", "model.json", "segbench.json", "weights_0.safetensors"])
def test_a_flipped_bit_in_a_folder_names_its_member(tmp_path: Path, name: str) -> None:
    bundle_of().write(tmp_path / "folder")
    right, file = read_all(tmp_path / "folder"), tmp_path / "folder" / name
    content = file.read_bytes()
    step = max(1, len(content) // 300)
    for place in range(0, len(content), step):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        found = read_or_error(tmp_path / "folder")
        if isinstance(found, BundleError):
            assert (found.file, found.member) == (str(tmp_path / "folder"), name)
        else:
            assert name == "segbench.json"  # a blank that became another blank
            assert found == right
            assert chr(content[place]).isspace()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_bundle_says_so(tmp_path: Path, share: float) -> None:
    path = tmp_path / "x.segbench"
    bundle_of().write(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    told = "cut short" if share > 0.0 else "is no bundle of segbench"
    with pytest.raises(BundleError, match=told):
        ModelBundle.read(path)


def rezipped(path: Path, change: Callable[[dict[str, bytes]], None], **options: Any) -> Path:
    """Returns a bundle whose members were changed and zipped again."""
    bundle_of().write(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def listed(members: dict[str, bytes]) -> None:
    """Lists members anew, as somebody would who changes them on purpose."""
    every = [Member.of_bytes(name, content) for name, content in members.items() if name != "segbench.json"]
    entries = {each.name: {"size": each.size, "sha256": each.sha256} for each in every}
    index = {"format": FORMAT, "id": members_id(every), "members": entries}
    members["segbench.json"] = json.dumps(index).encode()


def replaced(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], None]:
    """Returns a change of one member's JSON, after which the list is right again."""

    def changed(members: dict[str, bytes]) -> None:
        members[name] = json.dumps(change(json.loads(members[name]))).encode()
        listed(members)

    return changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda members: members.pop("segbench.json"), "no segbench.json in it, only model.json, card.json"),
        (lambda members: members.pop("card.json"), "card.json: is missing, though segbench.json lists it"),
        (lambda members: members.update({"extra.py": b"print()"}), "extra.py: is not in the list"),
        (lambda members: members.update({"../up.json": b"{}"}), r"\.\./up\.json: is not in the list"),
        (lambda members: members.update({"segbench.json": b"[]"}), "segbench.json: should hold a JSON object, found"),
        (lambda members: members.update({"segbench.json": b"[" * 99999}), "segbench.json: cannot be read as JSON"),
        (
            lambda members: members.update({"segbench.json": b'{"format": 9}'}),
            "is of format 9, and this segbench reads formats up to 1; install a newer segbench",
        ),
        (lambda members: (members.update({"../up.json": b"{}"}), listed(members)), "is no list of members"),
        (lambda members: (members.pop("card.json"), listed(members)), "card.json: is missing; this is no bundle"),
        (replaced("model.json", lambda plain: {}), "model.json: is not what segbench writes .KeyError: 'settings'."),
        (replaced("model.json", lambda plain: [1]), "model.json: should hold a JSON object, found list"),
        (
            replaced("model.json", lambda plain: {**plain, "networks": plain["networks"] * 2}),
            "model.json: is for the members weights_0.safetensors, weights_1.safetensors, and the bundle has",
        ),
        (
            replaced(
                "model.json", lambda plain: {**plain, "networks": [{**plain["networks"][0], "name": "os:system"}]}
            ),
            r"cannot build \(.*there is no network 'os:system'.*\); it was made by segbench 0\.1\.0",
        ),
        (
            replaced(
                "model.json",
                lambda plain: {**plain, "networks": [{**plain["networks"][0], "options": {"widths": [3]}}]},
            ),
            "weights_0.safetensors: holds another network's weights",
        ),
        (
            lambda members: (members.update({"weights_0.safetensors": pickle.dumps([1])}), listed(members)),
            "weights_0.safetensors: holds no tensors",
        ),
    ],
)
def test_a_changed_bundle_is_one_clear_error(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        read_all(rezipped(tmp_path / "x.segbench", change))


def test_a_zip_that_would_grow_is_not_read(tmp_path: Path) -> None:
    bomb = rezipped(
        tmp_path / "x.segbench",
        lambda members: members.update({"card.json": b"\0" * 10**8}),
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(BundleError, match="is compressed or encrypted: another program packed this again"):
        ModelBundle.read(bomb)
    huge = rezipped(tmp_path / "y.segbench", lambda members: members.update({"card.json": b" " * (64 * 2**20 + 1)}))
    with pytest.raises(BundleError, match=r"card\.json: has 67,108,865 bytes, more than any of segbench's"):
        ModelBundle.read(huge)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!doctype html>", "is no bundle of segbench; make one with `segbench bundle RUN`"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "is a pointer of Git LFS"),
        (save({"a": torch.zeros(1)}), "holds weights alone, without classes, normalisation and size"),
    ],
)
def test_another_file_is_told_apart(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=told):
        Predictor.load(path)


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "trapped"),))

    torch.save({"state_dict": Trap()}, tmp_path / "x.pt")
    with pytest.raises(BundleError, match=r"is a checkpoint of PyTorch: it lacks classes, .* opening it can run code"):
        Predictor.load(tmp_path / "x.pt")
    assert not (tmp_path / "trapped").exists()


def test_a_folder_whose_weights_git_did_not_fetch(tmp_path: Path) -> None:
    bundle_of().write(tmp_path / "folder")
    (tmp_path / "folder" / "README.md").write_text("notes of a person")
    (tmp_path / "folder" / "weights_0.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BundleError, match=r"weights_0\.safetensors: is a pointer of Git LFS, .* `git lfs pull`"):
        Predictor.load(tmp_path / "folder")
    (tmp_path / "folder" / "weights_0.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights_0\.safetensors: cannot be read \(No such file"):
        Predictor.load(tmp_path / "folder")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(BundleError, match="this exists already; name a new folder"):
        bundle_of().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_another_suffix_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"x\.zip: expected a name that ends in \.segbench, or one without a suffix"):
        bundle_of().write(tmp_path / "x.zip")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"x\.segbench: there is no such file or folder"):
        Predictor.load(tmp_path / "x.segbench")
    with pytest.raises(RunError, match="this is no run folder"):
        Predictor.load(tmp_path)
    with pytest.raises(RunError, match=r"there is no such run or bundle here; .* comes with `segbench pull me/spots`"):
        Predictor.load("me/spots")
    with pytest.raises(RunError, match=r"gone: there is no such run or bundle here$"):
        Predictor.load(tmp_path / "gone")
    (tmp_path / "study.yaml").touch()
    with pytest.raises(
        RunError, match=r"this is a study with many runs; name one of its runs, or .* --best`; .* --entry"
    ):
        Predictor.load(tmp_path)


def test_one_network_does_not_count_twice(tmp_path: Path) -> None:
    bundle_of().write(tmp_path / "x.segbench")
    bundle_of((0, 1)).write(tmp_path / "folder")
    with pytest.raises(
        PredictionError, match=r"x\.segbench and .*folder hold the same network, which would count twice"
    ):
        Predictor.load([tmp_path / "x.segbench", tmp_path / "folder"], device="cpu")


def test_a_study_in_a_folder_with_spaces_is_told_what_can_be_typed(tmp_path: Path) -> None:
    (tmp_path / "my study").mkdir()
    (tmp_path / "my study" / "study.yaml").touch()
    with pytest.raises(RunError, match=r"`segbench bundle '[^']*/my study' --best`"):
        Predictor.load(tmp_path / "my study")


def test_a_card_tells_of_confidences_that_say_nothing() -> None:
    expected = {"mean_absolute_error": 0.1, "rank_correlation": None, "n": 24}
    made = replace(bundle_of(tta="rotations"), card={"calibration": {"expected_score": expected}})
    assert "with a mean error of 0.100 (24 validation images)" in made.readme()
    assert "Looks at the image that are averaged: `rotations`" in made.readme()


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("4 independent images are too few", "no temperature was fitted to them: 4 independent images are too few."),
        (None, "Logits are divided by 1.40 before they become probabilities, fitted to 12 validation images: the "),
    ],
)
def test_a_card_tells_of_the_temperature_and_of_images_of_one_size(note: str | None, told: str) -> None:
    found = {"value": 1.4, "n": 12, "before": 0.05, "after": 0.01, "low": -0.05, "high": -0.03, "note": note}
    side = {"smallest": 48, "largest": 48}
    data = {
        "parts": {"train": {"images": 3}},
        "image_px": {"height": side, "width": {"smallest": 56, "largest": 60}},
        "scale": {"image_px_per_network_px": None, "metres_per_network_px": None},
        "classes": [],
    }
    readme = replace(bundle_of(), card={"calibration": {"temperature": found}, "data": data}).readme()
    assert told in readme
    assert "height x width: 48 x 56 to 60." in readme


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle_of().write(tmp_path / "x.segbench")
    before = (tmp_path / "x.segbench").read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "writestr", full)
        with pytest.raises(OSError, match="No space left on device"):
            bundle_of((1,)).write(tmp_path / "x.segbench")
    assert [path.name for path in tmp_path.iterdir()] == ["x.segbench"]
    assert (tmp_path / "x.segbench").read_bytes() == before


def test_a_predictor_of_a_bundle_averages_its_networks(tmp_path: Path, image: np.ndarray) -> None:
    bundle_of((0,)).write(tmp_path / "a.segbench")
    bundle_of((1,)).write(tmp_path / "b.segbench")
    bundle_of((0, 1)).write(tmp_path / "both.segbench")
    one, other = (Predictor.load(tmp_path / f"{name}.segbench", device="cpu") for name in "ab")
    assert one.card == bundle_of().card
    assert one.normalization == GREY
    both = Predictor.load(tmp_path / "both.segbench", device="cpu")
    expected = (one(image).network_probs + other(image).network_probs) / 2
    np.testing.assert_allclose(both(image).network_probs, expected, atol=1e-6)
    listed = Predictor.load([tmp_path / "a.segbench", tmp_path / "b.segbench"], device="cpu")
    np.testing.assert_array_equal(listed(image).network_probs, both(image).network_probs)
    assert listed.card is None
    with pytest.raises(PredictionError, match="each one once"):
        Predictor.load([tmp_path / "a.segbench", tmp_path / "a.segbench"])
    assert Predictor.load(tmp_path / "a.segbench", threshold=0.1, tta="hflip", policy="whole").threshold == 0.1


def test_everything_in_the_settings_reaches_the_predictor(tmp_path: Path) -> None:
    made = bundle_of(policy="tiles", temperature=2.0, depth_range=(0.0, 9.0), tta="flips")
    made.write(tmp_path / "x.segbench")
    assert Predictor.load(tmp_path / "x.segbench", device="cpu").pipeline.settings == made.settings
    told = Predictor.load(tmp_path / "x.segbench", device="cpu", threshold=0.2, tta="none", policy="resize")
    settings = told.pipeline.settings
    assert (settings.threshold, settings.tta, settings.policy) == (0.2, "none", "resize")


@pytest.mark.slow
def test_a_run_and_its_bundle_predict_alike(binary_pairs: Path, tmp_path: Path, image: np.ndarray) -> None:
    config = {
        "data": {"path": str(binary_pairs), "size": [40, 48]},
        "network": {"name": "unet_nearest", "widths": [4, 8]},
        "epochs": 1,
        "device": "cpu",
        "output": str(tmp_path / "run"),
    }
    run = Path(segbench.fit(config, watch=Callback()).run)
    made = ModelBundle.of_run(run)
    made.write(tmp_path / "x.segbench")
    for model in (run, tmp_path / "x.segbench"):
        predictor = Predictor.load(model, device="cpu")
        np.testing.assert_array_equal(predictor(image).network_probs, Predictor.from_run(run)(image).network_probs)
    (run / "best.safetensors").write_bytes(save({"a": torch.zeros(1)}))
    with pytest.raises(RunError, match=r"best\.safetensors changed meanwhile"):
        made.write(tmp_path / "y.segbench")
    (run / "best.safetensors").unlink()
    with pytest.raises(RunError, match=r"there are no weights at best\.safetensors"):
        ModelBundle.of_run(run).write(tmp_path / "y.segbench")
    assert not (tmp_path / "y.segbench").exists()
