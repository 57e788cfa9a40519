"""Push and pull, against a hub on this machine; no question leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from tests.bundle._hub import TOKEN, Hub, serving
from tests.predict.test_bundle_file import bundle_of

from segbench import cli
from segbench.bundle.hub import pull_bundle, push_bundle
from segbench.errors import BundleError
from segbench.predict.bundle_file import ModelBundle


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Yields a hub that is asked with the right token, with an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        cli.main([str(each) for each in arguments])
    told = capsys.readouterr()
    return int(end.value.code or 0), " ".join((told.out + told.err).split())


def test_what_is_pushed_is_pulled(hub: Hub, tmp_path: Path) -> None:
    made = bundle_of((0, 1))
    done = push_bundle(made, "me/spots", private=True)
    assert (done.url, done.kept_readme) == (f"{hub.url}/me/spots", False)
    assert hub.commits == 1
    assert hub.private == {"me/spots"}
    assert hub.files["me/spots"]["README.md"].decode() == made.readme()
    got = pull_bundle("me/spots")
    assert got.id == made.id
    got.write(tmp_path / "got.segbench")
    made.write(tmp_path / "made.segbench")
    assert (tmp_path / "got.segbench").read_bytes() == (tmp_path / "made.segbench").read_bytes()


def test_a_card_that_somebody_wrote_stays_and_old_weights_go(hub: Hub) -> None:
    push_bundle(bundle_of((0, 1, 2)), "me/spots")
    hub.files["me/spots"]["README.md"] = b"my own words"
    hub.files["me/spots"]["picture.png"] = b"mine"
    done = push_bundle(bundle_of((3,)), "me/spots")
    assert done.kept_readme
    assert hub.files["me/spots"]["README.md"] == b"my own words"
    assert sorted(hub.files["me/spots"]) == [
        *(".gitattributes", "README.md", "card.json", "model.json", "picture.png"),
        *("segbench.json", "weights_0.safetensors"),
    ]
    assert pull_bundle("me/spots").id == bundle_of((3,)).id
    assert not any("picture" in each for each in hub.asked)
    assert not push_bundle(bundle_of((3,)), "me/spots", new_readme=True).kept_readme
    assert hub.files["me/spots"]["README.md"].startswith(b"---\nlibrary_name: segbench")


def test_a_model_that_was_changed_on_the_hub_is_refused(hub: Hub, tmp_path: Path) -> None:
    push_bundle(bundle_of(), "me/spots")
    weights = hub.files["me/spots"]["weights_0.safetensors"]
    hub.files["me/spots"]["weights_0.safetensors"] = weights[:-1] + bytes([weights[-1] ^ 1])
    with pytest.raises(BundleError, match=r"weights_0\.safetensors: is damaged: its bytes are not those"):
        pull_bundle("me/spots").write(tmp_path / "x.segbench")
    assert not (tmp_path / "x.segbench").exists()


@pytest.mark.parametrize("name", ["spots", "a/b/c", "me/", "", "../x", "me/sp ots"])
def test_a_repository_has_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(BundleError, match="expected a repository as OWNER/NAME, got"):
        push_bundle(bundle_of(), name)
    with pytest.raises(BundleError, match="expected a repository as OWNER/NAME, got"):
        pull_bundle(name)


def test_without_a_token_nothing_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(BundleError, match=r"there is no token to write with; log in with `hf auth login`, or set HF_"):
        push_bundle(bundle_of(), "me/spots")
    assert hub.asked == []
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(BundleError, match="me/spots: the Hub does not know this token; log in with"):
        push_bundle(bundle_of(), "me/spots")


def test_what_the_hub_refuses_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="others/spots: this token may not write there; use one with the right"):
        push_bundle(bundle_of(), "others/spots")
    hub.refuse_card = '"license" must be one of the known ones'
    with pytest.raises(BundleError, match=r"the Hub refuses the card: .*must be one of the known ones"):
        push_bundle(bundle_of(), "me/spots")
    assert hub.commits == 0
    with pytest.raises(BundleError, match="me/nothing: there is no such model repository, or it is private"):
        pull_bundle("me/nothing")
    hub.refuse_card = ""
    with pytest.raises(BundleError, match=r"me/spots: there is no segbench\.json in this repository, so no bundle"):
        pull_bundle("me/spots")
    push_bundle(bundle_of(), "me/spots")
    with pytest.raises(BundleError, match="me/spots: has no such revision; name a branch, a tag or a commit"):
        pull_bundle("me/spots", revision="v9")


def test_offline_is_told_and_what_was_fetched_is_still_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    push_bundle(bundle_of(), "me/spots")
    fetched = pull_bundle("me/spots")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    assert pull_bundle("me/spots").id == fetched.id
    with pytest.raises(BundleError, match="me/other: the Hub was not asked: it cannot be reached; see to the network"):
        pull_bundle("me/other")
    with pytest.raises(BundleError, match="me/spots: the Hub was not asked: it cannot be reached; see to the network"):
        push_bundle(bundle_of(), "me/spots")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="me/other: the Hub was not asked: HF_HUB_OFFLINE is set; unset it"):
        pull_bundle("me/other")


def test_the_commands(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle_of().write("made.segbench")
    code, told = run_cli(capsys, "push", "made.segbench", "me/spots", "-q")
    assert code == 0, told
    assert "me/spots: pushed, commit" in told
    assert "segbench pull me/spots" in told
    code, told = run_cli(capsys, "push", "made.segbench", "me/spots", "-q")
    assert (code, "its README.md stays as it was; --new-readme writes it anew" in told) == (0, True), told
    code, told = run_cli(capsys, "pull", "me/spots")
    assert code == 0, told
    assert "written spots.segbench" in told
    assert ModelBundle.read("spots.segbench").id == bundle_of().id
    code, told = run_cli(capsys, "pull", "me/nothing")
    assert (code, "error: me/nothing: there is no such model repository" in told) == (1, True)
