"""Open Images: masks of single objects, from V5 on (Benenson et al. 2019)."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from segbench.data.files.images import ImageFacts, image_facts
from segbench.data.formats.shared.annotated import AnnotationOptions, build_listing
from segbench.data.formats.shared.image_names import head, no_image, none_found, unlisted_note, with_ids
from segbench.data.formats.shared.layout import SPLIT_WORDS
from segbench.data.formats.shared.listing import Defect, Listing, image_files
from segbench.data.formats.shared.tables import read_rows, read_table
from segbench.data.formats.shared.values import part_of
from segbench.data.shapes.drawing import Drawing, Shape
from segbench.errors import DatasetError, shorten
from segbench.locale import message
from segbench.types import SplitName

_TABLE = "-annotations-object-segmentation.csv"
_NAMES = ("class-descriptions.csv", "oidv6-class-descriptions.csv", "class-descriptions-boxable.csv")
_NAMES_SEGMENTED = "oidv7-class-descriptions-segmentation.csv"


def open_images(root: Path, **shared: Unpack[AnnotationOptions]) -> Listing:
    """Lists Open Images: `images/train/ID.jpg`, `masks/train/*.png`, `annotations/*-object-segmentation.csv`.

    A mask file is one object. Images without any are left out: nobody has outlined the objects in them.

    Args:
        root: the folder that holds `images`, `masks` and `annotations` (or the tables themselves).
        shared: see `AnnotationOptions`.
    Returns:
        Entries with the official part; classes by their names where there is a table of them (class-descriptions.csv).
    Raises:
        DatasetError: no table, a column missing, no image there; masks of another size than their image or lost ones,
            unless `defects: skip` leaves their images out.
        ConfigError: an option's value.
    """
    tables = _tables(root)
    if not tables:
        there = shorten(sorted(path.name for path in root.iterdir() if not path.name.startswith(".")))
        raise DatasetError(f"expected tables *{_TABLE} in annotations/, there are {there or 'no files'}", path=root)
    names = _names(root)
    images, masks = _Files(root / "images"), _Files(root / "masks")
    defects: list[Defect] = []
    found: dict[Path, tuple[Path, SplitName | None, list[tuple[str, Path | None, str]]]] = {}
    lost: dict[str, Path] = {}
    for table in tables:
        split = SPLIT_WORDS.get(table.name.removesuffix(_TABLE).rpartition("-")[2])
        for file, image, label in _rows(table):
            path = images.find(image, split)
            if path is None:
                lost.setdefault(image, table)
                continue
            _, _, objects = found.setdefault(path, (table, split, []))
            objects.append((names.get(label, label), masks.find(Path(file).stem, split), file))
    defects += [no_image(table, image) for image, table in lost.items()]
    if not found:
        raise none_found(root, list(lost), tables[0]) if lost else DatasetError("the tables have no rows", path=root)
    drawings = {path: _drawing(path, table, objects, root, defects) for path, (table, _, objects) in found.items()}
    entries = with_ids(drawings, root, {path: split for path, (_, split, _) in found.items()})
    bare = sorted(path.relative_to(root).as_posix() for path in images.files if path not in found)
    notes = unlisted_note(bare, f"the tables *{_TABLE}")
    return build_listing(root, entries, shared, notes=notes, defects=defects)


def looks_like(root: Path) -> str | None:
    """Returns by what a folder is recognised as Open Images with masks: a table of them, and masks/; or None."""
    tables = [path for path in _tables(root) if "MaskPath" in head(path)]
    return (
        f"Open Images ({tables[0].relative_to(root).as_posix()}, masks/)"
        if tables and (root / "masks").is_dir()
        else None
    )


class _Files:
    """The image files in a folder and below, by the names without suffix that tables give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = image_files(folder) if folder.is_dir() else []
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.files:
            self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, stem: str, split: SplitName | None) -> Path | None:
        """Returns the file in the part's folders, else in those of no part; or None.

        Raises:
            DatasetError: several files could be meant.
        """
        found = self._by_stem.get(stem, [])
        if split is not None:
            parts = {path: part_of(path.relative_to(self.folder).parts[:-1]) for path in found}
            found = [path for path in found if parts[path] == split] or [path for path in found if parts[path] is None]
        if len(found) > 1:
            places = shorten((path.relative_to(self.folder).as_posix() for path in found), 4)
            raise DatasetError(f"{stem!r} could be {len(found)} files ({places}); keep one of them", path=self.folder)
        return found[0] if found else None


def _tables(root: Path) -> list[Path]:
    return sorted([*root.glob(f"*{_TABLE}"), *root.glob(f"annotations/*{_TABLE}")])


def _names(root: Path) -> dict[str, str]:
    """Returns label (/m/01g317) -> name (Person); empty where there is no table of names."""
    for name in (*_NAMES, _NAMES_SEGMENTED):
        for folder in (root / "annotations", root):
            path = folder / name
            if not path.is_file():
                continue
            rows = read_rows(path)
            short = next((line for line, cells in rows if len(cells) != 2), None)
            if short is not None:
                raise DatasetError(f"line {short}: expected LABEL,NAME", path=path)
            return {cells[0].strip(): cells[1].strip() for _, cells in rows if cells[0] != "LabelName"}
    return {}


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """Returns (mask file, image, label) of each row."""
    table = read_table(path)
    columns = [table.need(name) for name in ("MaskPath", "ImageID", "LabelName")]
    return [(cells[columns[0]], cells[columns[1]], cells[columns[2]]) for _, cells in table.rows]


def _drawing(
    image: Path, table: Path, objects: list[tuple[str, Path | None, str]], root: Path, defects: list[Defect]
) -> Drawing:
    size = _size(image_facts(image))
    shapes: list[Shape] = []
    files: dict[str, str] = {}
    for label, mask, name in objects:
        if mask is None:
            text = message("the mask {name} is not below masks/; left out", name=name)
            defects.append(Defect(code="no_image", path=table, where=image.stem, text=text, fatal=True, image=image))
            continue
        facts = image_facts(mask)
        if _size(facts) != size:
            text = message(
                "the mask {name} is {mask} pixels (height, width), its image {size}; take images of that size",
                name=name,
                mask=_size(facts),
                size=size,
            )
            defects.append(Defect(code="wrong_size", path=table, where=image.stem, text=text, fatal=True, image=image))
            continue
        key = mask.relative_to(root).as_posix()
        files[key] = facts.sha256
        shapes.append(Shape(label=label, file=key, coding="nonzero"))
    return Drawing(
        source=table,
        key=image.stem,
        shapes=tuple(shapes),
        height=size[0],
        width=size[1],
        files=tuple(files.items()),
    )


def _size(facts: ImageFacts) -> tuple[int, int]:
    return facts.height, facts.width
