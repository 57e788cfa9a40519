"""Studies: expanded into complete runs with stable ids, or refused with the reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from segbench.config.study import expand, load_study, parse_study
from segbench.errors import ConfigError
from segbench.locale import translate

BASE: dict[str, Any] = {"data": {"path": "images", "size": 64}, "epochs": 5}


def study(vary: dict[str, Any], **more: Any) -> Any:
    return parse_study({"study": "s", "base": BASE, "vary": vary, **more})


def test_every_combination_becomes_a_complete_run() -> None:
    plan = expand(
        study({"network": ["segnet", "unet_nearest"], "loss": [{"bce": 1}, {"dice": 0.5, "bce": 0.5}], "seed": [3, 4]})
    )
    assert [run.id for run in plan.runs] == [
        "segnet__bce__seed3",
        "segnet__bce__seed4",
        "segnet__dice+bce__seed3",
        "segnet__dice+bce__seed4",
        "unet_nearest__bce__seed3",
        "unet_nearest__bce__seed4",
        "unet_nearest__dice+bce__seed3",
        "unet_nearest__dice+bce__seed4",
    ]
    assert list(plan.entries) == ["segnet | bce", "segnet | dice+bce", "unet_nearest | bce", "unet_nearest | dice+bce"]
    run = plan.runs[3]
    assert (run.config.network.name, run.config.seed, run.config.epochs) == ("segnet", 4, 5)
    assert [(term.name, term.weight) for term in run.config.loss] == [("dice", 0.5), ("bce", 0.5)]
    assert run.config.run_folder == Path("runs/s/runs/segnet__dice+bce__seed4")
    assert plan.factors == {"network": ("segnet", "unet_nearest"), "loss": ("bce", "dice+bce")}


def test_ids_and_configs_stay_when_a_value_is_added() -> None:
    few = expand(study({"network": ["segnet"], "seed": [0]}))
    more = expand(study({"network": ["unet_nearest", "segnet"], "seed": [0, 1]}))
    known = {run.id: run.config.fingerprint() for run in more.runs}
    assert all(known[run.id] == run.config.fingerprint() for run in few.runs)


def test_a_word_of_ones_own_sets_several_keys() -> None:
    plan = expand(
        study(
            {
                "network.upsampling": ["nearest", "bilinear"],
                "encoder": {"frozen": {"freeze": "encoder"}, "tuned": {"freeze": "none", "optimizer.encoder_lr": 1e-4}},
            }
        )
    )
    frozen, tuned = plan.runs[0].config, plan.runs[1].config
    assert frozen.freeze.part == "encoder"
    assert frozen.optimizer.encoder_lr is None
    assert tuned.optimizer.encoder_lr == 1e-4
    assert tuned.network.options == {"upsampling": "nearest"}
    assert plan.runs[0].entry == "nearest | frozen"


def test_the_keys_of_a_value_may_lie_in_a_file(tmp_path: Path) -> None:
    winner = tmp_path / "winner.yaml"
    winner.write_text("optimizer.lr: 0.003\nnetwork.widths: [4, 8]\n")
    plan = expand(study({"settings": {"default": {}, "tuned": str(winner)}}))
    assert plan.runs[1].config.optimizer.lr == 0.003
    assert plan.runs[1].config.network.options == {"widths": [4, 8]}


def test_exclude_takes_out_what_fits_all_it_names() -> None:
    plan = expand(
        study(
            {"network": ["segnet", "unet_nearest"], "loss": [{"bce": 1}, {"dice": 1}]},
            exclude=[{"network": "segnet", "loss": ["dice"]}],
        )
    )
    assert list(plan.entries) == ["segnet | bce", "unet_nearest | bce", "unet_nearest | dice"]
    assert plan.excluded == 1


@pytest.mark.parametrize(
    ("vary", "more", "text"),
    [
        ({}, {}, "vary is empty"),
        ({"network": []}, {}, "vary.network: has no values"),
        ({"seed": [0, 0]}, {}, "vary.seed: every seed once"),
        ({"seed": 3}, {}, "vary.seed: expected a list of whole numbers"),
        ({"loss": [{"bce": 1}, {"bce": 0.5}]}, {}, "two values are called 'bce'; write a mapping"),
        ({"freeze": [{"until_epoch": 3}]}, {}, "has no name; write a mapping"),
        ({"netwrok": ["segnet"]}, {}, "is no key of a run (did you mean 'network'?"),
        ({"network": "segnet"}, {}, "expected a list of values or a mapping"),
        ({"mine": {"a": 3}}, {}, "vary.mine.a: expected a mapping of dotted keys"),
        ({"mine": {"a b": {}, "a-b": {"epochs": 2}}}, {}, "two runs have one id: 'a b' and 'a-b'"),
        ({"mine": {"a": {}, "b": {}}}, {}, "two runs have one config: 'a' and 'b'"),
        ({"epochs": [3, 0]}, {}, "epochs of 0__seed0: "),
        ({"network": ["segnet"]}, {"exclude": [{"network": "segnet"}]}, "exclude: leaves no run at all"),
        ({"network": ["segnet"]}, {"exclude": [{"network": "unet"}]}, "network has no value 'unet'"),
        ({"network": ["segnet"]}, {"exclude": [{"loss": "bce"}]}, "there is no factor 'loss'"),
        ({"network": ["segnet"]}, {"expected": {"loss": True}}, "expected: there is no factor 'loss'"),
        ({"network": ["segnet"]}, {"expected": {"network": "unet"}}, "expected.network: network has no value 'unet'"),
        ({"network": ["segnet"]}, {"baseline": {"network": "unet"}}, "baseline.network: network has no value 'unet'"),
        ({"mine": {" ": {}}}, {}, "vary.mine: a value has an empty name"),
        ({"network": ["segnet"]}, {"exclude": [{}]}, "exclude: an empty rule fits every run"),
        (
            {"encoder": {"fine": {"optimizer.encoder_lr": 1e-4}}, "optimizer": ["adam", "sgd"]},
            {},
            "encoder and optimizer set optimizer.encoder_lr and optimizer, so one would overwrite the other",
        ),
        (
            {"a": {"x": {"epochs": 2}}, "b": {"y": {"epochs": 3}}},
            {},
            "a and b both set epochs, so one would overwrite the other",
        ),
        ({"mine": {"a": {"seed": 3}}}, {}, "vary.mine: seed cannot be set by a factor: give the seeds as vary.seed"),
        ({"mine": {"a": {"output": "x"}}}, {}, "output cannot be set by a factor: the study names its runs"),
        ({"name": ["a", "b"]}, {}, "vary.name: name cannot be set by a factor"),
        (
            {"a": {"x": {"epochs": 2}, "x | y": {}}, "b": {"y | z": {"batch_size": 2}, "z": {}}},
            {},
            "two entries are called 'x | y | z' (a: x, b: y | z; a: x | y, b: z)",
        ),
        (
            {"network": ["segnet", "unet_nearest"], "loss": ["bce", "dice"]},
            {"baseline": {"network": "segnet"}},
            "baseline: fits 2 entries (segnet | bce, segnet | dice); name a value of loss, too",
        ),
        ({"data.path": ["a", "b"]}, {}, "they would be scored on different images"),
        ({"data.split.seed": [1, 2]}, {}, "they would be scored on different images"),
    ],
)
def test_what_cannot_be_compared_is_refused(vary: dict[str, Any], more: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(study(vary, **more))
    assert text in str(caught.value)


def test_a_budget_that_differs_is_told() -> None:
    plan = expand(study({"epochs": [5, 10]}))
    assert plan.notes == ("epochs differs between runs: 10, 5; the comparison is not at equal terms",)
    assert expand(study({"network": ["segnet", "unet_nearest"]})).notes == ()


def test_one_entry_is_told_to_have_nothing_beside_it() -> None:
    (note,) = expand(study({"network": ["segnet"], "seed": [0, 1]})).notes
    assert note == "there is one entry, 'segnet': its runs can be trained, but there is nothing to compare with"


def test_values_are_named_alike_wherever_they_are_written() -> None:
    vary = {"network.flag": [True, False, None], "optimizer.lr": [0.1, 0.2]}
    rules = [{"network.flag": [True, None], "optimizer.lr": 0.1}]
    plan = expand(study(vary, exclude=rules, baseline={"network.flag": False, "optimizer.lr": 0.1}))
    assert list(plan.entries) == ["true | 0.2", "false | 0.1", "false | 0.2", "none | 0.2"]
    assert study(vary, baseline={"network.flag": False}).baseline == {"network.flag": "false"}


def test_names_in_any_script_give_ids_of_their_own_that_stay() -> None:
    def ids(*names: str) -> list[str]:
        vary = {"size": {name: {"epochs": number} for number, name in enumerate(names, start=1)}}
        return [run.id for run in expand(study(vary)).runs]

    few, more = ids("малая", "большая"), ids("средняя", "малая", "большая")
    assert more[1:] == few
    assert len(set(more)) == 3
    assert all(re.fullmatch(r"x-[0-9a-f]{6}__seed0", found) for found in more)
    assert ids("no dropout") == ["no-dropout__seed0"]


def test_files_of_values_lie_beside_the_study_and_are_kept_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.yaml").write_text("optimizer.lr: 0.003\n")
    file = tmp_path / "there" / "s.yaml"
    file.write_text(
        "study: s\nbase: {data: images}\nvary: {way: {plain: {}, a: a.yaml}}\n"
        "scales: {small: {vary: {way: {a: a.yaml}}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    for scale in ("", "small"):
        found = load_study(file, scale=scale)
        assert found.vary["way"]["a"] == {"optimizer.lr": 0.003}
        assert expand(found).runs[-1].config.optimizer.lr == 0.003
    with pytest.raises(ConfigError, match=r"b\.yaml"):
        load_study(file, overrides=["vary.way={b: b.yaml}"])


def test_a_scale_is_taken_not_written(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    text = "study: s\nbase: {data: images}\nvary: {seed: [0, 1]}\nscales: {small: {set: {epochs: 3}}}\n"
    file.write_text(f"{text}scale: small\n")
    with pytest.raises(ConfigError, match=r"s\.yaml:5: scale: a scale is chosen when the study is run \(--scale\)"):
        load_study(file)
    assert load_study(file, recorded=True).scale == "small"
    with pytest.raises(ConfigError, match="--scale: this is the scale 'small' of a study already"):
        load_study(file, scale="small", recorded=True)
    file.write_text(text)
    with pytest.raises(ConfigError, match="--set scale: a scale is taken with --scale"):
        load_study(file, overrides=["scale=small"])
    with pytest.raises(ConfigError, match=r"--set scales\.small\.set\.epochs: changes nothing, since no scale"):
        load_study(file, overrides=["scales.small.set.epochs=5"])
    changed = ["scales.small.set.data.size=32", "scales.small.vary.seed=[4]"]
    run = expand(load_study(file, scale="small", overrides=changed)).runs[0].config
    assert (run.epochs, run.data.size, run.seed) == (3, (32, 32), 4)


def test_a_factor_with_dots_can_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("study: s\nbase: {data: images}\nvary: {network.upsampling: [nearest, bilinear]}\n")
    changes = ["vary.network.upsampling=[nearest, transposed]", "baseline.network.upsampling=nearest"]
    found = load_study(file, overrides=changes)
    assert found.vary == {"network.upsampling": ["nearest", "transposed"]}
    assert found.baseline == {"network.upsampling": "nearest"}


def test_a_scale_replaces_keys_and_values(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {path: images, size: 128}\nepochs: 40\n")
    file = tmp_path / "study.yaml"
    file.write_text(
        "study: s\nbase: base.yaml\nvary: {network: [segnet, unet_nearest], seed: [0, 1, 2]}\n"
        "scales: {small: {set: {epochs: 3, data.size: 64}, vary: {seed: [0]}}}\n"
    )
    full, small = load_study(file), load_study(file, scale="small", overrides=["base.batch_size=2"])
    assert len(expand(full).runs) == 6
    run = expand(small).runs[0]
    assert len(expand(small).runs) == 2
    assert (run.config.epochs, run.config.data.size, run.config.batch_size) == (3, (64, 64), 2)
    assert (full.study_folder, small.study_folder) == (Path("runs/s"), Path("runs/s-small"))
    with pytest.raises(ConfigError, match=r"there is no scale 'big'; known: small"):
        load_study(file, scale="big")


def test_a_typo_is_found_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("study: s\nbase: {data: images}\nvarry: {network: [segnet]}\n")
    with pytest.raises(ConfigError, match=r"study.yaml:3: varry: there is no such key; did you mean 'vary'"):
        load_study(file)


def test_what_a_verdict_is_made_by_is_checked_when_the_study_is_read() -> None:
    asked = study({"network": ["segnet"]}, practical=0.02, looks=2, absent="left_out", labels={"network": "Network"})
    assert (asked.practical, asked.looks, asked.absent) == (0.02, 2, "left_out")
    plain = study({"network": ["segnet"]})
    assert (plain.practical, plain.looks, plain.absent, plain.labels) == (None, 1, "perfect", {})
    for key, value in (
        ("practical", 0),
        ("practical", ".inf"),
        ("looks", 0),
        ("absent", "zero"),
        ("labels", {"a": ""}),
    ):
        with pytest.raises(ConfigError, match=key):
            study({"network": ["segnet"]}, **{key: value})


def test_a_label_for_nothing_is_told() -> None:
    vary = {"network": ["segnet", "unet_nearest"], "batch_size": [4, 8], "seed": [0]}
    good = {"batch_size": "Batch", "8": "eight", "iou_per_image[car]": "IoU of cars", "segnet | 4": "plain"}
    assert not any(note.startswith("labels") for note in expand(study(vary, labels=good)).notes)
    [note, _] = expand(study(vary, labels={**good, "segnett": "SegNet"})).notes
    assert note.startswith("labels names what is no factor, value, entry or score of this study: segnett; there are")
    small = study(vary, labels={"segnett": "x"}).model_copy(update={"scale": "small"})
    assert not any(note.startswith("labels") for note in expand(small).notes)


def test_folds_are_turns_of_one_cross_validation() -> None:
    base = {**BASE, "data": {**BASE["data"], "split": {"method": "ratios", "seed": 7, "group": "^(p[0-9]+)_"}}}
    asked = study({"network": ["segnet", "unet_nearest"], "seed": [0, 1]}, folds=4, base=base)
    plan = expand(asked)
    assert [run.id for run in plan.runs][:5] == [
        *(f"segnet__seed0__fold{fold}" for fold in range(4)),
        "segnet__seed1__fold0",
    ]
    assert len(plan.entries["segnet"]) == 8
    split = plan.runs[2].config.data.split
    assert (split.method, split.k, split.fold, split.seed, split.group) == ("kfold", 4, 2, 7, "^(p[0-9]+)_")
    assert split.keep_test
    begun = {(run.entry, run.seed, run.fold): f"old_{number}" for number, run in enumerate(plan.runs)}
    assert [run.id for run in expand(asked, begun=begun).runs] == [f"old_{number}" for number in range(16)]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"folds": 2}, "folds: .*greater than or equal to 3"),
        (
            {"folds": 3, "base": {**BASE, "data": {"path": "x", "split": {"method": "file", "file": "s.csv"}}}},
            "folds: divides the data itself, and the parts in data.split.file would not be used",
        ),
        ({"folds": 3, "vary": {"data.split.seed": [1, 2]}}, r"data\.split: .* scored on different images"),
    ],
)
def test_folds_that_cannot_be(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        expand(parse_study({"study": "s", "base": BASE, "vary": {"network": ["segnet", "unet_nearest"]}, **more}))


def test_an_expectation_is_text_or_speaks_of_factors() -> None:
    vary = {"network": ["segnet", "unet_nearest"], "seed": [0, 1]}
    for expected in ("The U-Net.", {"network": True}, {"network": "unet_nearest"}):
        asked = study(vary, expected=expected)
        expand(asked)
        assert asked.expected == expected
    assert study(vary, expected={"network": "no"}).expected == {"network": False}


@pytest.mark.parametrize(
    ("score", "practical", "refused"),
    [
        ("iou_per_image", 2, True),
        ("dice_per_image[lesion]", 1, True),
        ("iou_per_image", 0.5, False),
        ("hd95_per_image_px", 2, False),
    ],
)
def test_a_margin_as_wide_as_the_score_is_refused_before_anything_trains(
    score: str, practical: float, refused: bool
) -> None:
    asked = study({"network": ["segnet", "unet"]}, practical=practical, score=score)
    if not refused:
        assert len(expand(asked).runs) == 2
        return
    with pytest.raises(ConfigError, match=rf"practical: .* lies between 0 and 1, so no difference exceeds {practical}"):
        expand(asked)


def test_words_for_people_may_be_given_in_every_language_of_a_report() -> None:
    words = {"en": "Which one?", "ru": "Какая?"}
    asked = study(
        {"network": ["segnet", "unet_nearest"]},
        title={"ru": "Сети"},
        question=words,
        expected=words,
        labels={"network": words, "segnet": "SegNet"},
    )
    for told in (asked.question, asked.expected, asked.labels["network"]):
        assert isinstance(told, str)
        assert [translate(told, lang) for lang in ("en", "ru")] == list(words.values())
    assert (asked.title, asked.labels["segnet"]) == ("Сети", "SegNet")
    assert parse_study(asked.to_dict()).to_dict() == asked.to_dict()
    assert asked.to_dict()["question"] == words


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"title": {"de": "Netze"}}, "title: there is no report in the language 'de'; there are en, ru"),
        ({"question": 3}, "question: should be a valid string, got 3"),
        ({"labels": {"segnet": ""}}, r"labels\.segnet: a display name must not be empty"),
        ({"labels": {"segnet": {"en": "SegNet", "ru": ""}}}, r"labels\.segnet: a display name must not be empty"),
    ],
)
def test_words_that_cannot_be(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        study({"network": ["segnet", "unet_nearest"]}, **more)
