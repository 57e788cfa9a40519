"""Folders that people name."""

from __future__ import annotations

from pathlib import Path

from segbench.errors import DatasetError, suggest


def existing_folder(path: str | Path) -> Path:
    """Returns a data set's folder, absolute and without links; DatasetError where there is none, with names like it."""
    root = Path(path).expanduser().absolute()
    if root.is_dir():
        return root.resolve()
    if root.exists():
        raise DatasetError(
            "expected a data set's folder, an archive or a manifest (.json), got another file; name the folder that "
            "it is in",
            path=root,
        )
    there = [item.name for item in root.parent.iterdir()] if root.parent.is_dir() else []
    near = suggest(root.name, there).partition("known:")[0] if there else ""
    raise DatasetError(f"expected a data set's folder, but there is no such folder; {near}check the path", path=root)
