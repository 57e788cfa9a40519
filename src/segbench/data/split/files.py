"""Parts and groups in files: CSV tables that people read, and what other programs write as JSON or YAML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.tables import read_table
from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, shorten, suggest
from segbench.files import write_csv

_NO_PART = ("", "-", "none")

_Rows = dict[str, str]  # id -> part or group as written


def write_split(manifest: Manifest, path: str | Path) -> None:
    """Writes parts and groups as a CSV table with the columns id, group and split; method `file` reads it.

    Raises:
        DatasetError: the name does not end in .csv.
    """
    if Path(path).suffix.lower() != ".csv":
        raise DatasetError("expected a name that ends in .csv for the table of parts", path=path)
    rows = [(sample.id, sample.group or "", sample.split or "") for sample in manifest.samples]
    write_csv(path, ("id", "group", "split"), rows)


def with_file_groups(manifest: Manifest, name: str) -> Manifest:
    """Returns the manifest with the groups that a CSV table (id, group) gives.

    Raises:
        DatasetError: no such file or column, an id that is not there or there twice, or a sample that is not named.
    """
    path = _found(name, manifest, "group_file")
    groups = _by_id(_column(path, "group"), manifest, path)
    without = [sample.id for sample in manifest.samples if sample.id not in groups]
    if without:
        raise DatasetError(
            f"split.group_file names no group for {len(without)} of {len(manifest)} samples: {shorten(without, 6)}",
            path=path,
        )
    samples = tuple(replace(sample, group=groups[sample.id] or None) for sample in manifest.samples)
    return replace(manifest, samples=samples)


def with_file_parts(manifest: Manifest, name: str) -> Manifest:
    """Returns the manifest with the parts that a table (CSV) or a mapping (JSON, YAML) gives, and groups if it has any.

    Samples that the file does not name are in no part.

    Raises:
        DatasetError: no such file, another kind of content, an unknown id or part, or an id in two parts.
    """
    path = _found(name, manifest, "file")
    table = path.suffix.lower() in (".csv", ".tsv", ".txt")
    parts = _by_id(_column(path, "split") if table else list(_mapped(path)), manifest, path)
    splits = {}
    for sample_id, word in parts.items():
        if word.lower() in _NO_PART:
            continue
        if word.lower() not in SPLIT_WORDS:
            raise DatasetError(f"{sample_id}: there is no split {word!r}; {suggest(word, SPLIT_WORDS)}", path=path)
        splits[sample_id] = SPLIT_WORDS[word.lower()]
    if table and read_table(path).column("group") is not None:
        groups = _by_id(_column(path, "group"), manifest, path)
        samples = (replace(sample, group=groups.get(sample.id) or sample.group) for sample in manifest.samples)
        manifest = replace(manifest, samples=tuple(samples))
    return manifest.with_splits(splits)


def _found(name: str, manifest: Manifest, key: str) -> Path:
    path = Path(name).expanduser()
    for candidate in (path, manifest.folder / path):
        if candidate.is_file():
            return candidate
    raise DatasetError(
        f"expected a file for split.{key}, but there is none, neither here nor in {manifest.folder}", path=path
    )


def _column(path: Path, name: str) -> list[tuple[str, str]]:
    table = read_table(path)
    ids, values = table.need("id", "image", "name", "file"), table.need(name)
    return [(cells[ids].strip(), cells[values].strip()) for _, cells in table.rows]


def _mapped(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (id, part) of `id: part` or `part: [ids]`."""
    plain = _plain(path)
    if not isinstance(plain, Mapping) or not plain:
        raise DatasetError("expected a mapping, id: part or part: [ids], got something else", path=path)
    for key, value in plain.items():
        if isinstance(value, list):
            yield from ((str(name), str(key)) for name in value)
        elif value is None or isinstance(value, str):
            yield str(key), value or ""
        else:
            raise DatasetError(f"{key}: expected a part or a list of ids, got {value!r}", path=path)


def _plain(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix.lower() == ".json" else YAML(typ="safe", pure=True).load(text)
    except (OSError, ValueError, YAMLError) as error:
        raise DatasetError(f"expected a CSV, JSON or YAML file of parts, but: {error}", path=path) from error


def _by_id(rows: list[tuple[str, str]], manifest: Manifest, path: Path) -> _Rows:
    """Returns sample id -> value; rows may also name the image, by path, name or stem, where only one sample has it."""
    known = _aliases(manifest)
    unknown = [name for name, _ in rows if name not in known]
    if unknown:
        raise DatasetError(
            f"{len(unknown)} of {len(rows)} ids are not in the data set: {shorten(unknown, 6)}; ids look like "
            f"{shorten((sample.id for sample in manifest.samples[:3]), 3)}",
            path=path,
        )
    found: dict[str, list[str]] = {}
    for name, value in rows:
        found.setdefault(known[name], []).append(value)
    twice = [f"{name} ({', '.join(values)})" for name, values in found.items() if len(values) > 1]
    if twice:
        raise DatasetError(
            f"{len(twice)} ids are there more than once: {shorten(twice, 6)}; keep one of each", path=path
        )
    return {name: values[0] for name, values in found.items()}


def _aliases(manifest: Manifest) -> dict[str, str]:
    names: list[tuple[str, str]] = []
    for sample in manifest.samples:
        image = PurePosixPath(sample.image)
        names += {(alias, sample.id) for alias in (sample.image, image.name, image.stem)}
    counts = Counter(alias for alias, _ in names)
    unique = {alias: name for alias, name in names if counts[alias] == 1}
    return unique | {sample.id: sample.id for sample in manifest.samples}
