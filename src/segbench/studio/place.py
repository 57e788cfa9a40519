"""What the studio was opened on: a labelled folder, a run, a study, a bundle; and the runs and models around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from segbench.data.manifest.manifest import Manifest
from segbench.errors import DatasetError, SegbenchError
from segbench.folders.run import RunFolder
from segbench.folders.study import StudyFolder
from segbench.predict.bundle_members import SUFFIX
from segbench.studio.reading import Reading
from segbench.studio.ways import Way

Kind: TypeAlias = Literal["data", "run", "study", "bundle", "work"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Attributes: key, unique in this place, in addresses; name, for people; path, of the run or the bundle."""

    key: str
    name: str
    path: Path


class Place:
    """What there is to see.

    Args:
        path: labelled folder, run, study or bundle; None: what lies in `work`.
        work: folder of new runs (`runs/`) and corrected masks (`corrected/`).
        read_only: nothing is trained, corrected or written.
        format, options: of the labelled folder's reader; None recognises it.

    Attributes:
        kind: of `path`.
        reading: of the data set, in the background.
    Raises:
        DatasetError: there is nothing at `path`, or what is there needs no reader.
    """

    def __init__(
        self,
        path: Path | None,
        work: Path,
        *,
        read_only: bool = False,
        format: str | None = None,  # noqa: A002  # the config's word
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = None if path is None else path.expanduser().absolute()
        self.work, self.read_only = work.expanduser().absolute(), read_only
        self.kind: Kind = _kind(self._path)
        if (format or options) and self.kind != "data":
            raise DatasetError("format and options are for a labelled folder, and this is none", path=path or work)
        data = self._data()
        self.reading = Reading(None if data is None else Way(path=data, format=format, options=options or {}))

    @property
    def path(self) -> Path | None:
        """What is open: what was named, or the folder in it that was chosen on the page."""
        return self.reading.way.path if self.kind == "data" and self.reading.way is not None else self._path

    @property
    def name(self) -> str:
        """What people call it."""
        return (self.path or self.work).name

    @property
    def manifest(self) -> Manifest:
        """The data set.

        Raises:
            ServeError: it is not read yet, or cannot be.
        """
        return self.reading.manifest

    @cached_property
    def study(self) -> StudyFolder | None:
        """The study, where one was opened."""
        return StudyFolder(self.path) if self.kind == "study" and self.path is not None else None

    @property
    def runs_folder(self) -> Path:
        """Where new runs go."""
        return self.work / "runs"

    @property
    def corrected_folder(self) -> Path:
        """Where corrected masks of this data set go."""
        return self.work / "corrected" / self.name

    def runs(self) -> list[RunFolder]:
        """Returns the runs that belong to what was opened: those of the study, or of this data set in `runs_folder`."""
        if self.study is not None:
            found = [self.study.run(each.id) for each in self.study.read_plan().runs]
            return [run for run in found if run.is_run]
        if self.kind == "run" and self.path is not None:
            return [RunFolder(self.path)]
        return [run for run in self._runs_beside() if self.path is None or self._is_of_this_data(run)]

    def studies(self) -> list[StudyFolder]:
        """Returns the studies in `runs_folder`."""
        if not self.runs_folder.is_dir():
            return []
        found = [StudyFolder(each) for each in sorted(self.runs_folder.iterdir()) if each.is_dir()]
        return [study for study in found if study.is_study]

    def models(self) -> list[Model]:
        """Returns what can predict: runs with a finished epoch, and bundles in `work`; what was opened first."""
        paths = [run.path for run in self.runs() if run.best_file.is_file()]
        paths += sorted(self.work.glob(f"*{SUFFIX}")) if self.work.is_dir() else []
        if self.kind == "bundle" and self.path is not None:
            paths = [self.path, *(path for path in paths if path != self.path)]
        return [Model(key=str(number), name=path.name, path=path) for number, path in enumerate(paths)]

    def _data(self) -> Path | None:
        """Returns what the data set is read from: a folder, or the manifest of a run or study."""
        if self._path is None or self.kind in ("bundle", "work"):
            return None
        if self.kind == "run":
            return RunFolder(self._path).manifest_file
        return StudyFolder(self._path).manifest_file if self.kind == "study" else self._path

    def _runs_beside(self) -> Iterator[RunFolder]:
        if self.runs_folder.is_dir():
            for each in sorted(self.runs_folder.iterdir()):
                run = RunFolder(each)
                if each.is_dir() and run.is_run:
                    yield run

    def _is_of_this_data(self, run: RunFolder) -> bool:
        try:
            return Path(run.read_config().data.path).expanduser().absolute() == self.path
        except SegbenchError:
            return False  # its own page says what is wrong with it


def _kind(path: Path | None) -> Kind:
    if path is None:
        return "work"
    if not path.exists():
        raise DatasetError("there is no such file or folder", path=path)
    if path.suffix == SUFFIX or (path / "segbench.json").is_file():
        return "bundle"
    if StudyFolder(path).is_study:
        return "study"
    return "run" if RunFolder(path).is_run else "data"
