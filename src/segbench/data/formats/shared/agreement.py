"""Whether several annotation files, as of tasks in folders of their own, are one data set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from segbench.data.files.hints import set_option, yaml_text
from segbench.errors import DatasetError, shorten
from segbench.locale import Message, message


def check_agreement(classes: Mapping[Path, Collection[str]], root: Path) -> None:
    """Asks whether files are one set, unless the classes of each are among those of the file that has the most.

    Args:
        classes: file -> the names that it declares; none where it declares nothing.
        root: of the data set.
    Raises:
        DatasetError: a file has classes of its own, and another one, too.
    """
    most = max(classes, key=lambda path: len(classes[path]))
    for path, names in classes.items():
        if set(names) <= set(classes[most]):
            continue
        one, other = (item.relative_to(root).as_posix() for item in (most, path))
        raise DatasetError(
            message(
                "{one} has the classes {classes}, {other} has {others}: these are rather two data sets; choose one "
                "with {choice}, or read them as one set with {all}",
                one=one,
                classes=shorten(sorted(classes[most]), 4),
                other=other,
                others=shorten(sorted(names), 4),
                choice=set_option("annotations", yaml_text(one)),
                all=set_option("annotations", yaml_text(_pattern(classes, root))),
            ),
            path=root,
        )


def read_together(paths: Collection[Path], root: Path) -> Message:
    """Returns the note on files that were read as one set."""
    names = [path.relative_to(root).as_posix() for path in paths]
    return message("{n} files were read as one set: {files}", n=len(names), files=shorten(names, 6))


def _pattern(paths: Collection[Path], root: Path) -> str:
    """Returns a pattern below the root that matches these files."""
    names = [PurePosixPath(path.relative_to(root).as_posix()) for path in paths]
    tails = {PurePosixPath(*name.parts[1:]).as_posix() for name in names}
    if len(tails) == 1 and all(len(name.parts) > 1 for name in names):
        return f"*/{tails.pop()}"
    parents = {name.parent.as_posix() for name in names}
    below = "" if parents == {"."} else f"{parents.pop()}/" if len(parents) == 1 else "**/"
    return f"{below}*{names[0].suffix}"
