"""Bundles on the Hugging Face Hub: the folder form in a model repository, with the README.md that it shows as card."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from segbench.errors import BundleError
from segbench.predict.bundle_file import README, ModelBundle
from segbench.predict.bundle_members import INDEX

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_WEIGHTS = re.compile(r"weights_\d+\.safetensors")
_OURS = (INDEX, "model.json", "card.json", "weights_*.safetensors", README)
# What no answer raises: of httpx or of httpx2, whichever the client is made with.
_NO_ANSWER: type[Exception] = HfHubHTTPError.__bases__[0]
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class Pushed:
    """Attributes: url, of the repository; commit, its new state; kept_readme, whether the README.md there stayed."""

    url: str
    commit: str
    kept_readme: bool


def push_bundle(bundle: ModelBundle, repository: str, *, private: bool = False, new_readme: bool = False) -> Pushed:
    """Puts a bundle into a model repository, which is made where there is none, in one commit: all of it or nothing.

    The token is that of `hf auth login`, or `HF_TOKEN`; the place is `HF_ENDPOINT`, where it is set.

    Args:
        bundle: see `ModelBundle`.
        repository: OWNER/NAME.
        private: of a repository that is made; one that is there stays as it is.
        new_readme: also replace the README.md there, which somebody may have edited; else it stays.
    Raises:
        BundleError: no token, no right to write there, no such owner, or the Hub cannot be reached.
    """
    _require_name(repository)
    if get_token() is None:
        raise BundleError(f"there is no token to write with; {_LOGIN}", file=repository)
    api = HfApi(endpoint=_endpoint(), library_name="segbench")
    with tempfile.TemporaryDirectory() as folder, _told(repository):
        bundle.write(Path(folder) / "bundle")
        url = api.create_repo(repository, private=private, exist_ok=True)
        there = set(api.list_repo_files(repository))
        files = sorted((Path(folder) / "bundle").iterdir())
        kept_readme = README in there and not new_readme
        added = [file for file in files if not (kept_readme and file.name == README)]
        gone = sorted(name for name in there - {file.name for file in files} if _WEIGHTS.fullmatch(name))
        done = api.create_commit(
            repository,
            [
                *(CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in added),
                *(CommitOperationDelete(path_in_repo=name) for name in gone),
            ],
            commit_message=f"bundle {bundle.id[:16]} of segbench",
        )
    return Pushed(str(url), done.oid, kept_readme)


def pull_bundle(repository: str, *, revision: str | None = None) -> ModelBundle:
    """Returns the bundle in a model repository; its files lie in the Hub's cache, and nothing else is fetched.

    Args:
        repository: OWNER/NAME.
        revision: branch, tag or commit; None: the newest.
    Raises:
        BundleError: no such repository or revision, no bundle in it, a damaged one, or the Hub cannot be reached and
            nothing was fetched before.
    """
    _require_name(repository)
    with _told(repository):
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(_OURS),
                endpoint=_endpoint(),
                library_name="segbench",
            )
        )
    if not (folder / INDEX).is_file():
        raise BundleError(f"there is no {INDEX} in this repository, so no bundle of segbench", file=repository)
    return ModelBundle.read(folder)


def _endpoint() -> str | None:
    """Returns where the Hub is asked for now; None: where it always is."""
    return os.environ.get("HF_ENDPOINT") or None


def _require_name(repository: str) -> None:
    if not _REPOSITORY.fullmatch(repository):
        raise BundleError(f"expected a repository as OWNER/NAME, got {repository!r}")


@contextmanager
def _told(repository: str) -> Iterator[None]:
    """Turns what the Hub's client raises into one sentence."""
    try:
        yield
    except HFValidationError as error:
        raise BundleError(f"is no name of a repository: {error}", file=repository) from error
    except GatedRepoError as error:
        raise BundleError(f"asks for your consent first, on its page; then {_LOGIN}", file=repository) from error
    except RepositoryNotFoundError as error:
        told = f"there is no such model repository, or it is private and this token may not read it; {_LOGIN}"
        raise BundleError(told, file=repository) from error
    except RevisionNotFoundError as error:
        raise BundleError("has no such revision; name a branch, a tag or a commit", file=repository) from error
    except HfHubHTTPError as error:
        raise BundleError(_refusal(error), file=repository) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, IncompleteSnapshotError, _NO_ANSWER) as error:
        offline = isinstance(error.__cause__ or error, OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set; unset it" if offline else "it cannot be reached; see to the network and try again"
        raise BundleError(f"the Hub was not asked: {why}", file=repository) from error
    except ValueError as error:
        if "metadata" not in str(error):
            raise
        told = f"the Hub refuses the card: {' '.join(str(error).split())}"
        raise BundleError(told, file=repository) from error


def _refusal(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    if status == 401:
        return f"the Hub does not know this token; {_LOGIN}"
    if status == 403:
        return "this token may not write there; use one with the right to write, or another OWNER"
    return f"the Hub refuses it ({status}: {error.server_message or str(error).splitlines()[0]})"
