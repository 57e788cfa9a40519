from __future__ import annotations

import io
import json
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.data_shard import data_shard
from segbench.data.manifest.manifest import Manifest
from segbench.data.manifest.read import read_dataset
from segbench.data.samples import shard_writer
from segbench.data.samples.cache import build_cache, class_pixel_counts
from segbench.data.samples.shard_cache import ShardCache
from segbench.data.samples.shard_writer import write_shards
from segbench.data.sources.load import load_sample
from segbench.data.sources.shards import ShardReader, ShardSet, is_shards, open_shards, read_shards
from segbench.errors import ConfigError, DatasetError
from segbench.types import SplitName

SIZE = (24, 32)


def in_parts(manifest: Manifest, sizes: tuple[int, int, int] = (14, 6, 4)) -> Manifest:
    """Returns the manifest with its samples given to train, val and test in turn."""
    parts: list[SplitName] = [*["train"] * sizes[0], *["val"] * sizes[1], *["test"] * sizes[2]]  # type: ignore[list-item]
    return manifest.with_splits(dict(zip((sample.id for sample in manifest.samples), parts, strict=True)))


@pytest.fixture(scope="module")
def manifest(three_class_pairs: Path) -> Manifest:
    return in_parts(read_dataset(three_class_pairs))


@pytest.fixture(scope="module")
def shards(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Read only."""
    return write_shards(manifest, tmp_path_factory.mktemp("shards"), size=SIZE, samples_per_shard=5)


def pixels(shards: ShardSet, sample_id: str) -> tuple[Any, Any]:
    with ShardReader(shards) as reader:
        return shards.decode(sample_id, reader.blob(sample_id), None)


# ---- what is written -------------------------------------------------------------------------------------------------


def test_every_sample_is_in_one_shard_of_its_part(shards: ShardSet, manifest: Manifest) -> None:
    assert [shard.file for shard in shards.shards] == [
        *(f"train-{number:06d}.tar" for number in range(3)),
        *(f"val-{number:06d}.tar" for number in range(2)),
        "test-000000.tar",
    ]
    assert Counter(name for shard in shards.shards for name in shard.ids) == Counter(s.id for s in manifest.samples)
    for part in ("train", "val", "test"):
        there = [name for shard in shards.shards if shard.file.startswith(part) for name in shard.ids]
        assert set(there) == {sample.id for sample in manifest.split(part)}  # type: ignore[arg-type]
        assert (there == sorted(there)) == (part != "train"), "val and test in order, train not"


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_pixels_are_those_of_the_cache(manifest: Manifest, tmp_path: Path, encoding: Any) -> None:
    shards = write_shards(manifest, tmp_path / "s", size=SIZE, encoding=encoding)
    cache = build_cache(manifest, SIZE)
    mine = ShardCache.of(shards.manifest, SIZE)
    rows, others = cache.rows_of(manifest.samples), mine.rows_of(shards.manifest.samples)
    assert mine.size == cache.size == SIZE
    np.testing.assert_array_equal(mine.images[others], cache.images[rows])
    np.testing.assert_array_equal(mine.masks[others], cache.masks[rows])
    np.testing.assert_array_equal(class_pixel_counts(mine, others), class_pixel_counts(cache, rows))
    assert mine.images[3].shape == mine.images.shape[1:]


def test_planes_of_multilabel_tasks(multilabel_pairs: Path, tmp_path: Path) -> None:
    manifest = read_dataset(multilabel_pairs, task="multilabel")
    for encoding, size in (("raw", SIZE), ("png", SIZE), ("original", None)):
        shards = write_shards(manifest, tmp_path / encoding, size=size, encoding=encoding)  # type: ignore[arg-type]
        mine, cache = ShardCache.of(shards.manifest, SIZE), build_cache(manifest, SIZE)
        np.testing.assert_array_equal(mine.masks[np.arange(24)], cache.masks[cache.rows_of(manifest.samples)])
        assert mine.masks.shape == (24, 2, *SIZE)


def test_original_files_are_kept_byte_for_byte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "d" / "images").mkdir(parents=True)
    (tmp_path / "d" / "masks").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    for name, size in (("a.jpg", (20, 30)), ("b.png", (17, 9)), ("c.bmp", (12, 12)), ("turned.jpg", (8, 24))):
        image = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        image.save(tmp_path / "d" / "images" / name, **({"exif": exif} if name == "turned.jpg" else {}))
        mask = rng.choice(np.array([0, 255], dtype=np.uint8), size[::-1] if name == "turned.jpg" else size)
        Image.fromarray(mask).save(tmp_path / "d" / "masks" / f"{Path(name).stem}.png")
    manifest = read_dataset(tmp_path / "d")
    shards = write_shards(manifest, tmp_path / "s", size=None, encoding="original")
    with tarfile.open(tmp_path / "s" / "all-000000.tar") as tar:
        names = tar.getnames()
        stored = tar.extractfile("a.jpg")
        assert stored is not None
        assert stored.read() == (tmp_path / "d" / "images" / "a.jpg").read_bytes()
    assert {name for name in names if not name.endswith(("json", "mask.png"))} == {
        "a.jpg",
        "b.png",
        "c.png",
        "turned.jpg",
    }
    for sample, there in zip(manifest.samples, shards.manifest.samples, strict=True):
        for one, other in zip(load_sample(manifest, sample), load_sample(shards.manifest, there), strict=True):
            np.testing.assert_array_equal(one, other)
    mine, cache = ShardCache.of(shards.manifest, (16, 16)), build_cache(manifest, (16, 16))
    np.testing.assert_array_equal(mine.images[np.arange(4)], cache.images[cache.rows_of(manifest.samples)])


def test_other_tools_can_read_them(shards: ShardSet, manifest: Manifest) -> None:
    """By WebDataset's rule: files that share the name up to the first dot are a sample, and lie next to each other."""
    groups: dict[str, dict[str, bytes]] = {}
    last = ""
    for shard in shards.shards:
        with tarfile.open(shards.folder / shard.file) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                assert key == last or key not in groups
                stream = tar.extractfile(member)
                assert stream is not None
                groups.setdefault(key, {})[extension] = stream.read()
                last = key
    assert len(groups) == len(manifest)
    for files in groups.values():
        assert set(files) == {"json", "image.npy", "mask.npy"}
        about = json.loads(files["json"])
        image, mask = (np.load(io.BytesIO(files[name])) for name in ("image.npy", "mask.npy"))
        for one, other in zip((image, mask), pixels(shards, about["id"]), strict=True):
            np.testing.assert_array_equal(one, other)
        assert (about["height"], about["width"]) == SIZE


def test_ids_with_dots_and_folders_stay_apart(tmp_path: Path) -> None:
    names = ["frame.001", "frame.002", "frame_001", "a b", "größe"]
    keys = [shard_writer._member_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all("." not in key and " " not in key for key in keys)
    assert shard_writer._member_key("city/frame_1") == "city/frame_1"


def test_the_manifest_is_the_original_one_elsewhere(shards: ShardSet, manifest: Manifest) -> None:
    there = shards.manifest
    assert there.content_hash == manifest.content_hash
    assert there.class_map == manifest.class_map
    assert (there.root, there.format) == (shards.folder, "shards")
    assert {(sample.height, sample.width) for sample in there.samples} == {SIZE}
    assert str(manifest.root) in there.notes[-1]
    assert [sample.split for sample in there.samples] == [sample.split for sample in manifest.samples]


def test_the_folder_may_be_moved(shards: ShardSet, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(shards.folder, tmp_path / "elsewhere"))
    assert read_shards(moved / "shards.json").manifest.root == moved
    assert is_shards(moved / "shards.json")
    assert not is_shards(moved)


def test_the_same_bytes_from_any_number_of_threads(shards: ShardSet, manifest: Manifest, tmp_path: Path) -> None:
    for workers in (1, 3):
        again = write_shards(manifest, tmp_path / str(workers), size=SIZE, samples_per_shard=5, workers=workers)
        assert [shard.sha256 for shard in again.shards] == [shard.sha256 for shard in shards.shards]


# ---- resuming --------------------------------------------------------------------------------------------------------


def counting(monkeypatch: pytest.MonkeyPatch, fail_after: int | None = None) -> list[str]:
    """Returns the ids that are encoded from now on; with `fail_after`, the writer is killed after so many."""
    done: list[str] = []
    encode, lock = shard_writer._Writer._encode, threading.Lock()

    def spy(self: Any, sample: Any) -> Any:
        with lock:
            if fail_after is not None and len(done) >= fail_after:
                raise KeyboardInterrupt
            done.append(sample.id)
        return encode(self, sample)

    monkeypatch.setattr(shard_writer._Writer, "_encode", spy)
    return done


def test_a_killed_writing_goes_on(
    manifest: Manifest, shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Any = {"size": SIZE, "samples_per_shard": 5, "workers": 1}
    with monkeypatch.context() as patched:
        counting(patched, fail_after=12)
        with pytest.raises(KeyboardInterrupt):
            write_shards(manifest, tmp_path, **options)
    assert sorted(item.name for item in tmp_path.iterdir() if item.suffix == ".tar") == [
        "train-000000.tar",
        "train-000001.tar",
    ]
    with pytest.raises(DatasetError, match=r"cannot read the index"):
        read_shards(tmp_path)
    done = counting(monkeypatch)
    again = write_shards(manifest, tmp_path, **options)
    assert len(done) == 24 - 10
    assert [shard.sha256 for shard in again.shards] == [shard.sha256 for shard in shards.shards]
    assert not list(tmp_path.glob("*.jsonl"))


def test_whole_shards_are_kept_and_damaged_ones_written_again(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_shards(manifest, tmp_path, size=SIZE, samples_per_shard=5)
    done = counting(monkeypatch)
    write_shards(manifest, tmp_path, size=SIZE, samples_per_shard=5)
    assert not done
    damaged = tmp_path / "val-000000.tar"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    (tmp_path / "test-000000.tar").unlink()
    again = write_shards(manifest, tmp_path, size=SIZE, samples_per_shard=5)
    assert set(done) == {*first.shards[3].ids, *first.shards[5].ids}
    assert [shard.sha256 for shard in again.shards] == [shard.sha256 for shard in first.shards]


def test_another_size_replaces_everything(manifest: Manifest, tmp_path: Path) -> None:
    write_shards(manifest, tmp_path, size=SIZE, samples_per_shard=5)
    again = write_shards(manifest, tmp_path, size=(8, 8), samples_per_shard=12)
    assert again.size == (8, 8)
    assert {item.name for item in tmp_path.glob("*.tar")} == {shard.file for shard in again.shards}


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_samples_that_cannot_be_decoded_are_all_named(tmp_path: Path, three_class_pairs: Path) -> None:
    data = Path(shutil.copytree(three_class_pairs, tmp_path / "data"))
    manifest = in_parts(read_dataset(data))
    for name in ("img_003", "img_016"):
        (data / "images" / f"{name}.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="2 of 24 samples cannot be decoded") as caught:
        write_shards(manifest, tmp_path / "s", size=SIZE, samples_per_shard=5)
    assert "img_003" in caught.value.reason
    assert "img_016" in caught.value.reason
    assert len(list((tmp_path / "s").glob("*.tar"))) == 4
    assert not (tmp_path / "s" / "shards.json").exists()


def test_more_channels_than_png_holds(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = shard_writer.load_sample

    def five_channels(*given: Any) -> Any:
        image, mask = load(*given)
        return np.concatenate([image, image[:, :, :2]], axis=2), mask

    monkeypatch.setattr(shard_writer, "load_sample", five_channels)
    monkeypatch.setattr(shard_writer, "resize_image", lambda image, size: image[: size[0], : size[1]])
    with pytest.raises(DatasetError, match="PNG holds 3 channels and this image has 5"):
        write_shards(manifest, tmp_path / "png", size=SIZE, encoding="png")
    shards = write_shards(manifest, tmp_path / "raw", size=SIZE)
    assert ShardCache.of(shards.manifest, SIZE).images.shape == (24, *SIZE, 5)


def test_a_folder_with_something_else_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match=r"holds thesis\.tex; choose another"):
        write_shards(manifest, tmp_path)


def test_shards_of_another_data_set_are_replaced_only_when_asked(manifest: Manifest, tmp_path: Path) -> None:
    first = write_shards(manifest, tmp_path / "s", size=SIZE)
    other = replace(manifest, root=tmp_path / "other", samples=manifest.samples[:4])
    changed = replace(other, samples=tuple(replace(sample, image_hash="0" * 64) for sample in other.samples))
    with pytest.raises(DatasetError, match=rf"shards of another data set \({manifest.root}\).*--overwrite"):
        write_shards(changed, tmp_path / "s", size=SIZE)
    assert read_shards(tmp_path / "s").shards == first.shards
    shutil.copytree(manifest.root, tmp_path / "other")
    again = write_shards(other, tmp_path / "s", size=(8, 8), overwrite=True)
    assert [s.id for s in read_shards(tmp_path / "s").manifest.samples] == [s.id for s in other.samples]
    assert {item.name for item in (tmp_path / "s").glob("*.tar")} == {shard.file for shard in again.shards}


def test_wrong_use(manifest: Manifest, shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes with no size"):
        write_shards(manifest, tmp_path, size=None)
    with pytest.raises(ValueError, match="positive"):
        write_shards(manifest, tmp_path, samples_per_shard=0)
    with pytest.raises(DatasetError, match="shards already"):
        write_shards(shards.manifest, tmp_path)
    with pytest.raises(ConfigError, match=r"data\.size: .*24 x 32.*got 16 x 16.*set data\.size: \[24, 32\]"):
        ShardCache.of(shards.manifest, (16, 16))


def test_too_little_space(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = len(manifest) * SIZE[0] * SIZE[1] * 4 + shard_writer._SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": needed - 1}))
    with pytest.raises(DatasetError, match="are free; free some space"):
        write_shards(manifest, tmp_path, size=SIZE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": needed}))
    write_shards(manifest, tmp_path, size=SIZE)


def spoil(folder: Path, how: str) -> None:
    index, shard = folder / "shards.json", folder / "train-000001.tar"
    plain = json.loads(index.read_text())
    if how == "missing":
        shard.unlink()
    elif how == "cut":
        shard.write_bytes(shard.read_bytes()[:-512])
    elif how == "json":
        index.write_text(index.read_text()[:-30])
    elif how == "other":
        index.write_text("{}")
    elif how == "version":
        index.write_text(json.dumps({**plain, "segbench_shards": 99}))
    elif how == "key":
        index.write_text(json.dumps({name: value for name, value in plain.items() if name != "class_map"}))
    elif how == "manifest":
        index.write_text(json.dumps({**plain, "manifest_hash": "0" * 64}))
    elif how == "samples":
        plain["shards"] = plain["shards"][1:]
        index.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "1 of 6 shards: train-000001.tar is missing; copy it again, or run"),
        ("cut", r"train-000001.tar has \d+ bytes instead of \d+"),
        ("json", "the index of the shards is damaged"),
        ("other", "got other JSON"),
        ("version", "version 99"),
        ("key", r"damaged \(KeyError: 'class_map'\)"),
        ("manifest", "belong to different data"),
        ("samples", "belong to different data"),
    ],
)
def test_damaged_sets(shards: ShardSet, tmp_path: Path, how: str, words: str) -> None:
    folder = Path(shutil.copytree(shards.folder, tmp_path / "copy"))
    spoil(folder, how)
    with pytest.raises(DatasetError, match=words):
        read_shards(folder)


def test_damage_within_a_shard_is_found_when_its_sample_is_read(shards: ShardSet, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shards.folder, tmp_path / "copy"))
    copied = read_shards(folder)
    shard = copied.shards[1]
    file = folder / shard.file
    data = bytearray(file.read_bytes())
    data[shard.places[2][0] + 200] ^= 1
    file.write_bytes(data)
    for position, name in enumerate(shard.ids):
        if position != 2:
            pixels(copied, name)
            continue
        with pytest.raises(DatasetError, match=f"sample '{name}' have another checksum") as caught:
            pixels(copied, name)
        assert caught.value.path == str(file)
        assert "segbench data shard" in caught.value.reason
    file.unlink()
    with pytest.raises(DatasetError, match="cannot read the shard: No such file"):
        pixels(copied, shard.ids[0])


def test_a_manifest_of_other_samples(shards: ShardSet, manifest: Manifest) -> None:
    first, *rest = shards.manifest.samples
    changed = replace(shards.manifest, samples=(replace(first, image_hash="0" * 64), *rest))
    with pytest.raises(DatasetError, match=f"1 samples of the manifest are not.*{first.id}"):
        open_shards(changed)
    with pytest.raises(DatasetError, match="there is no sample 'nobody'"):
        load_sample(shards.manifest, replace(first, id="nobody"))


# ---- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reader"), [("oxford_pets_original", "oxford_pets"), ("camvid_original/CamVid", "camvid")]
)
def test_real_sets(real_data: Callable[[str], Path], tmp_path: Path, name: str, reader: str) -> None:
    manifest = read_dataset(real_data(name.partition("/")[0]) / name.partition("/")[2], reader)
    cache = build_cache(manifest, (64, 80), folder=tmp_path / "cache")
    rows: Sequence[int] = cache.rows_of(manifest.samples).tolist()
    for encoding, size in (("raw", (64, 80)), ("png", (64, 80)), ("original", None)):
        shards = write_shards(manifest, tmp_path / encoding, size=size, encoding=encoding)  # type: ignore[arg-type]
        mine = ShardCache.of(shards.manifest, (64, 80))
        for row, other in enumerate(rows):
            np.testing.assert_array_equal(mine.images[row], cache.images[other])
            np.testing.assert_array_equal(mine.masks[row], cache.masks[other])


# ---- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(data_shard)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command(three_class_pairs: Path, tmp_path: Path) -> None:
    result = run(three_class_pairs, tmp_path / "s", "--size", "24x32", "--samples-per-shard", "10", "--quiet")
    assert result.exit_code == 0, result.output
    shards = read_shards(tmp_path / "s")
    assert (shards.size, shards.encoding, len(shards.shards)) == (SIZE, "raw", 3)
    assert "24 samples in 3 shards" in result.output
    assert f"data.path: {tmp_path}/s/shards.json and data.size: [24, 32]" in result.output
    assert run(three_class_pairs, tmp_path / "o", "--original", "-q").exit_code == 0
    assert read_shards(tmp_path / "o").encoding == "original"
    assert run(three_class_pairs, tmp_path / "p", "--png", "--size", "16", "-q").exit_code == 0
    assert (read_shards(tmp_path / "p").encoding, read_shards(tmp_path / "p").size) == ("png", (16, 16))
    assert "read as folder" in result.output


def test_the_command_recognises_the_format_and_asks_before_replacing(three_class_pairs: Path, tmp_path: Path) -> None:
    from segbench.data.writers.convert import convert

    convert(read_dataset(three_class_pairs), "coco", tmp_path / "coco")
    result = run(tmp_path / "coco", tmp_path / "s", "--size", "16", "-q")
    assert "read as coco" in result.output
    assert len(read_shards(tmp_path / "s").manifest) == 24
    refused = run(three_class_pairs, tmp_path / "s", "--size", "16", "-q")
    assert isinstance(refused.exception, DatasetError)
    assert run(three_class_pairs, tmp_path / "s", "--size", "16", "-q", "--overwrite").exit_code == 0
    assert read_shards(tmp_path / "s").manifest.class_map == read_dataset(three_class_pairs).class_map


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--size", "big"], "--size"),
        (["--size", "1x2x3"], "--size"),
        (["--size", "0"], "--size"),
        (["--png", "--original"], "--png"),
        (["--option", "border"], "--option"),
    ],
)
def test_wrong_arguments(three_class_pairs: Path, tmp_path: Path, arguments: list[str], key: str) -> None:
    result = run(three_class_pairs, tmp_path / "s", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert result.exception.key == key
    assert not (tmp_path / "s").exists()
