"""The config of a split: what belongs together, what is refused, and what a run folder keeps."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from segbench.config.run import RunConfig, SplitConfig, parse_config
from segbench.errors import ConfigError


def test_runs_from_before_keep_their_fingerprint() -> None:
    """The keys are those of a config before there were folds, blocks and files; so is the hash over all of them."""
    config = parse_config({"data": "pets"})
    first = {"method", "ratios", "counts", "val_frac", "seed", "stratify"}
    assert set(config.to_dict()["data"]["split"]) == first
    assert config.fingerprint() == "4eef8caa321cca40"


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({"method": "kfold"}, {"k": 5, "fold": 0}),
        ({"method": "kfold", "k": 4, "fold": 3, "stratify_by": "foreground"}, {"k": 4, "fold": 3}),
        ({"method": "kfold", "block": 4, "gap": 1}, {"block": 4, "gap": 1}),
        ({"method": "blocks", "block": 8}, {"block": 8, "gap": 0}),
        ({"method": "file", "file": "split.csv"}, {"file": "split.csv"}),
        ({"method": "ratios", "group": "^(p[0-9]+)_", "stratify_by": "classes"}, {"group": "^(p[0-9]+)_"}),
        ({"group_file": "groups.csv"}, {"group_file": "groups.csv"}),
        ({"group": ""}, {"group": ""}),
    ],
)
def test_what_is_set_is_kept(given: dict[str, Any], more: dict[str, Any]) -> None:
    config = parse_config({"data": {"path": "x", "split": given}})
    plain = config.to_dict()
    for key, value in {**given, **more}.items():
        assert plain["data"]["split"][key] == value
    again = RunConfig.model_validate(plain)
    assert again.data.split == config.data.split
    assert again.fingerprint() == config.fingerprint()
    assert config.fingerprint() != parse_config({"data": "x"}).fingerprint()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "blocks"}, "method blocks needs block, for example block: 10"),
        ({"method": "file"}, "method file needs file, for example file: split.csv"),
        ({"method": "permutation"}, r"method permutation needs counts, for example counts: \[100, 50, 50\]"),
        ({"k": 4}, "k belongs to method kfold, got method auto"),
        ({"method": "ratios", "fold": 1}, "fold belongs to method kfold, got method ratios"),
        ({"method": "ratios", "block": 4}, "block belongs to method blocks or kfold, got method ratios"),
        ({"method": "ratios", "file": "x.csv"}, "file belongs to method file, got method ratios"),
        ({"method": "kfold", "k": 3, "fold": 3}, "folds are counted from 0, so fold of k = 3 is at most 2, got 3"),
        ({"method": "kfold", "k": 2}, "k: should be greater than or equal to 3, got 2"),
        ({"method": "kfold", "k": True}, "expected no true or false here, got True"),
        ({"method": "blocks", "block": 4, "gap": 4}, "gap must be smaller than block, got gap 4 and block 4"),
        ({"method": "kfold", "gap": 1}, "gap must be smaller than block, got gap 1 and block None"),
        ({"group": "("}, r"group is not a regular expression: '\('"),
        ({"group": "abc"}, "group needs one group in the pattern, .* got 0 in 'abc'"),
        ({"group": "(a)", "group_file": "g.csv"}, "group and group_file both say what belongs together"),
        ({"method": "k-fold"}, "should be 'auto', 'official', 'ratios', 'kfold', 'blocks', 'file' or 'permutation'"),
        ({"folds": 4}, "there is no such key; did you mean 'fold'"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"data": {"path": "x", "split": given}})


def test_what_is_alike() -> None:
    assert SplitConfig(method="kfold").by_classes
    assert not SplitConfig(method="kfold", stratify_by="foreground").by_classes
    assert not SplitConfig(method="kfold", stratify=False).by_classes
    assert not SplitConfig().by_classes
    assert SplitConfig(stratify_by="classes").by_classes
    with pytest.raises(ValidationError, match="stratify_by belongs to method"):
        SplitConfig(method="permutation", counts=(1, 1, 1), stratify_by="classes")
