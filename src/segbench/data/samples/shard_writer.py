"""Writing shards: every sample decoded once, resized, and packed with others into tar files (see `shards`)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.data.files.images import read_bytes
from segbench.data.files.resize import U8, resize_image, resize_mask
from segbench.data.files.threads import in_order, usual_workers
from segbench.data.manifest.manifest import Manifest, write_listed
from segbench.data.manifest.sample import raise_undecodable
from segbench.data.sources.load import load_sample
from segbench.data.sources.shards import INDEX, MANIFEST, VERSION, Encoding, Shard, ShardSet, read_shards
from segbench.data.sources.table import is_packed, source_of
from segbench.errors import DatasetError, shorten
from segbench.files import locked, replacing, write_text
from segbench.speech import argument, speech
from segbench.types import SPLITS, Progress, Sample, SplitName, Task

_JOURNAL = "shards.jsonl"  # a finished shard a line, as long as there is no index
_BLOCK = 512
_PNG_LEVEL = 6  # smaller than level 1 and decoded no slower; see docs/howto/shards.md
_SPARE_BYTES = 1 << 24


def write_shards(
    manifest: Manifest,
    out: str | Path,
    *,
    size: tuple[int, int] | None = (256, 256),
    encoding: Encoding = "raw",
    samples_per_shard: int = 256,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ShardSet:
    """Writes a manifest's samples as shards; a killed writing goes on, and a changed sample costs one new shard.

    The samples of val and test lie in the order of their ids, as they are scored; those of train, and of data without
    parts, in an order that is random but always the same, so that any shard is a fair draw of them.

    Args:
        manifest: what to pack; its parts become series of shards.
        out: folder, new or with shards written before.
        size: (H, W) of all images; None keeps the original ones.
        encoding: raw reads quickest, png needs a third of the space; original keeps the files' own bytes, where size is
            None.
        samples_per_shard: at most.
        workers: decoding threads; None means one a CPU, at most 8.
        overwrite: replace shards of another data set; without it they are refused.
        progress: called after every sample.
    Raises:
        DatasetError: samples that cannot be decoded (all are tried, up to 10 named), too little free space, or a
            folder that cannot be written or holds something else, shards of another data set among it.
        ValueError: a size, a number or an encoding that does not go with the size.
    """
    if samples_per_shard < 1 or (size is not None and min(size) < 1) or (workers is not None and workers < 1):
        raise ValueError(f"expected positive numbers, got {size}, {samples_per_shard} samples, {workers} workers")
    if (encoding == "original") != (size is None):
        raise ValueError(f"encoding 'original' goes with no size, and the others with one; got {encoding!r} and {size}")
    if not manifest.samples:
        raise ValueError(f"expected at least one sample to pack, got none in {manifest.root}")
    if is_packed(manifest):
        raise DatasetError("these are shards already; write others from the original data set", path=manifest.root)
    writer = _Writer(manifest, Path(out).expanduser().absolute(), size, encoding, samples_per_shard)
    try:
        writer.folder.mkdir(parents=True, exist_ok=True)
        writer.refuse_foreign()
        with locked(writer.folder / ".lock"):
            if not overwrite:
                writer.refuse_other_data()
            writer.write(workers or usual_workers(), progress)
    except OSError as error:
        raise DatasetError(
            f"cannot write the shards ({error}); finished ones are kept. Make room or allow writing, then run the same "
            "command again",
            path=writer.folder,
        ) from error
    return read_shards(writer.folder)


@dataclass(frozen=True)
class _Plan:
    """A shard that is to be there in the end."""

    file: str
    key: str
    samples: tuple[Sample, ...]


class _UnusableError(Exception):
    """A shard was not written: some of its samples cannot be decoded."""


class _Writer:
    def __init__(
        self, manifest: Manifest, folder: Path, size: tuple[int, int] | None, encoding: Encoding, per_shard: int
    ) -> None:
        self.manifest, self.folder, self.size, self.encoding = manifest, folder, size, encoding
        self.plans = list(self._plan(per_shard))
        self.done = 0

    def _plan(self, per_shard: int) -> Iterator[_Plan]:
        classes = self.manifest.class_map.to_dict()
        recipe = [VERSION, self.size, self.encoding, classes, *self.manifest.decoding.values()]
        parts: tuple[SplitName | None, ...] = (*SPLITS, None)
        for part in parts:
            samples = [sample for sample in self.manifest.samples if sample.split == part]
            if part in ("train", None):
                samples.sort(key=lambda sample: hashlib.sha256(sample.id.encode()).digest())
            for number, start in enumerate(range(0, len(samples), per_shard)):
                chunk = tuple(samples[start : start + per_shard])
                content = [[s.id, s.image_hash, s.mask_hash, s.window, s.split, s.group] for s in chunk]
                key = hashlib.sha256(json.dumps([recipe, content], sort_keys=True).encode()).hexdigest()[:32]
                yield _Plan(f"{part or 'all'}-{number:06d}.tar", key, chunk)

    def refuse_foreign(self) -> None:
        """Raises where the folder holds files, and none of them says that they are shards."""
        own = (INDEX, _JOURNAL)
        there = sorted(item.name for item in self.folder.iterdir() if not item.name.startswith("."))
        if there and not any(name in there for name in own):
            raise DatasetError(
                f"expected an empty folder or one with shards, this one holds {shorten(there)}; choose another",
                path=self.folder,
            )

    def refuse_other_data(self) -> None:
        """Raises where the folder holds shards, and all of them are of another data set."""
        before = self._recorded()
        if not before or any(plan.key in before for plan in self.plans):
            return
        if (self.folder / MANIFEST).is_file():
            root = Manifest.read(self.folder / MANIFEST).root
            if root == self.manifest.root:
                return  # the same data in another size, or all of it changed
        else:
            root = None
            ids = {sample.id for sample in self.manifest.samples}
            if any(not ids.isdisjoint(shard.ids) for shard in before.values()):
                return
        raise DatasetError(
            f"this folder holds shards of another data set ({root or 'unfinished'}); choose another folder, or say "
            f"{argument('overwrite', True)} to replace them",
            path=self.folder,
        )

    def write(self, workers: int, progress: Progress | None) -> None:
        before = self._recorded()
        kept = {plan.file: shard for plan in self.plans if (shard := self._kept(plan, before)) is not None}
        missing = [plan for plan in self.plans if plan.file not in kept]
        self.done = len(self.manifest.samples) - sum(len(plan.samples) for plan in missing)
        self._check_space(missing)
        if missing:
            self._start_journal(kept.values())
        problems: list[str] = []
        for plan in missing:
            try:
                shard = self._write_shard(plan, workers, problems, progress)
            except _UnusableError:
                continue
            kept[plan.file] = shard
            _append(self.folder / _JOURNAL, shard)
        raise_undecodable(problems, self.manifest, "shards without them are kept")
        self._finish([kept[plan.file] for plan in self.plans], before)

    def _recorded(self) -> dict[str, Shard]:
        """Returns key -> shard that the index or the journal knows of."""
        lines: list[Any] = []
        try:
            lines += json.loads((self.folder / INDEX).read_text(encoding="utf-8"))["shards"]
        except (OSError, ValueError, KeyError, TypeError):
            lines = []  # none, or damaged: then what it knew is written again
        if (self.folder / _JOURNAL).is_file():
            lines += (self.folder / _JOURNAL).read_text(encoding="utf-8").splitlines()
        found = {}
        for line in lines:
            try:
                shard = Shard.from_dict(json.loads(line) if isinstance(line, str) else line)
            except (ValueError, KeyError, TypeError):
                continue  # cut short when its writer was killed; that shard is simply written again
            found[shard.key] = shard
        return found

    def _kept(self, plan: _Plan, recorded: dict[str, Shard]) -> Shard | None:
        shard, path = recorded.get(plan.key), self.folder / plan.file
        if shard is None or shard.file != plan.file or not path.is_file() or path.stat().st_size != shard.bytes:
            return None
        with path.open("rb") as stream:
            return shard if hashlib.file_digest(stream, "sha256").hexdigest() == shard.sha256 else None

    def _check_space(self, missing: Sequence[_Plan]) -> None:
        if self.encoding != "raw" or self.size is None:
            return  # nobody knows before how well it packs
        class_map = self.manifest.class_map
        planes = 3 + (class_map.num_classes if class_map.task is Task.MULTILABEL else 1)
        needed = sum(len(plan.samples) for plan in missing) * self.size[0] * self.size[1] * planes + _SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DatasetError(
                f"the shards need up to {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free; free some space, "
                f"lower {argument('size')}, or use {_packed('png')}, which needs about a third",
                path=self.folder,
            )

    def _start_journal(self, kept: Iterable[Shard]) -> None:
        """From here on the folder is no finished set of shards: the index goes, the journal knows what is whole."""
        write_text(self.folder / _JOURNAL, "".join(f"{json.dumps(shard.to_dict())}\n" for shard in kept))
        (self.folder / INDEX).unlink(missing_ok=True)

    def _write_shard(
        self,
        plan: _Plan,
        workers: int,
        problems: list[str],
        progress: Progress | None,
    ) -> Shard:
        path = self.folder / plan.file
        places: list[tuple[int, int, int, int, int]] = []
        failed = len(problems)
        with replacing(path) as temporary:
            with temporary.open("wb") as stream:
                tar = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)
                for sample, future in in_order(
                    self._encode, plan.samples, workers=workers, ahead=2 * workers, name="encode"
                ):
                    try:
                        members = future.result()
                    except (DatasetError, OSError) as error:
                        problems.append(str(error))
                    else:
                        places.append(_add(tar, _member_key(sample.id), members))
                    self.done += 1
                    if progress is not None:
                        progress("packing samples", self.done, len(self.manifest.samples))
                tar.close()
            if len(problems) > failed:
                raise _UnusableError
            with temporary.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            size = temporary.stat().st_size
        ids = tuple(sample.id for sample in plan.samples)
        return Shard(file=plan.file, bytes=size, sha256=digest, key=plan.key, ids=ids, places=tuple(places))

    def _encode(self, sample: Sample) -> list[tuple[str, bytes]]:
        """Returns the files of a sample: extension and bytes, the image and the mask last."""
        image, mask = load_sample(self.manifest, sample)
        if self.encoding != "raw" and image.shape[2] != 3:
            raise DatasetError(
                f"PNG holds 3 channels and this image has {image.shape[2]}; leave out {_packed('png')} and "
                f"{_packed('original')}",
                path=self.manifest.image_path(sample),
            )
        about = {"id": sample.id, "split": sample.split, "group": sample.group}
        hashes = {"image_hash": sample.image_hash, "mask_hash": sample.mask_hash}
        if self.size is not None:
            image, mask = resize_image(image, self.size), resize_mask(mask, self.size)
        facts = {**about, "height": image.shape[0], "width": image.shape[1], **hashes}
        planes = np.ascontiguousarray(mask).reshape(-1, mask.shape[-1])  # multilabel: a plane below the other
        if self.encoding == "raw":
            pair = [("image.npy", _npy(image)), ("mask.npy", _npy(mask))]
        elif self.encoding == "png":
            pair = [("png", _png(image)), ("mask.png", _png(planes))]
        else:
            pair = [self._own_bytes(sample, image), ("mask.png", _png(planes))]
        return [("json", json.dumps(facts, ensure_ascii=False).encode()), *pair]

    def _own_bytes(self, sample: Sample, image: U8) -> tuple[str, bytes]:
        """Returns the image file as it is where it is a JPEG or PNG that holds these pixels, else them as PNG."""
        file = source_of(self.manifest, sample).image_file(self.manifest, sample)
        data = b"" if file is None else read_bytes(file)
        if data.startswith(b"\xff\xd8\xff"):
            return "jpg", data
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return "png", data
        return "png", _png(image)

    def _finish(self, shards: Sequence[Shard], before: dict[str, Shard]) -> None:
        self.manifest.write(self.folder / MANIFEST)
        head = {
            "segbench_shards": VERSION,
            "encoding": self.encoding,
            "size": self.size,
            "samples": len(self.manifest.samples),
            "manifest_hash": self.manifest.content_hash,
            "class_map": self.manifest.class_map.to_dict(),
        }
        write_listed(self.folder / INDEX, head, "shards", [shard.to_dict() for shard in shards])
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        for left in {shard.file for shard in before.values()} - {shard.file for shard in shards}:
            (self.folder / left).unlink(missing_ok=True)


def _append(path: Path, shard: Shard) -> None:
    with path.open("a", encoding="utf-8") as journal:
        journal.write(f"{json.dumps(shard.to_dict())}\n")
        journal.flush()
        os.fsync(journal.fileno())


def _member_key(sample_id: str) -> str:
    """Returns the name of a sample's files up to the first dot, which is where WebDataset cuts."""
    if re.fullmatch(r"[\w-]+(/[\w-]+)*", sample_id):
        return sample_id
    return re.sub(r"[^\w-]+", "_", sample_id) + "-" + hashlib.sha256(sample_id.encode()).hexdigest()[:8]


def _add(tar: tarfile.TarFile, key: str, members: Sequence[tuple[str, bytes]]) -> tuple[int, int, int, int, int]:
    """Adds a sample's files, and returns its place (see `Shard`)."""
    starts = []
    for extension, data in members:
        info = tarfile.TarInfo(f"{key}.{extension}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        starts.append(tar.offset - -(-len(data) // _BLOCK) * _BLOCK)
    image, mask = members[-2][1], members[-1][1]
    return starts[-2], len(image), starts[-1] - starts[-2], len(mask), zlib.crc32(mask, zlib.crc32(image))


def _npy(array: U8) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _png(array: U8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", compress_level=_PNG_LEVEL)
    return stream.getvalue()


def _packed(encoding: str) -> str:
    """Returns how one asks for an encoding: the command has an option for each."""
    return argument(encoding, True) if speech() == "shell" else argument("encoding", encoding)
