from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.compare._study import write_study

from segbench.compare.gather import judge_evidence, study_evidence
from segbench.compare.runs import compare_runs
from segbench.folders.study import StudyFolder
from segbench.studio.judging import Judge, Judgement, brackets

Open = Callable[..., Any]


def test_watching_is_no_look_at_the_study(open_place: Open, tmp_path: Path) -> None:
    study = write_study(tmp_path, images=12, epochs=2, seeds=(0, 1))
    before = study.looks_file.read_text() if study.looks_file.is_file() else None
    client = open_place(study.path)
    for _ in range(2):
        assert client.get("/api/study/verdict").status_code == 200
    assert (study.looks_file.read_text() if study.looks_file.is_file() else None) == before


def test_the_board_is_the_verdict(open_place: Open, study: StudyFolder) -> None:
    shown = open_place(study.path).get("/api/study/verdict").json()
    verdict = compare_runs(study.path).verdict
    assert [row["name"] for row in shown["entries"]] == [each.name for each in verdict.entries]
    assert [row["mean"] for row in shown["entries"]] == pytest.approx([each.mean.value for each in verdict.entries])
    assert {row["index"] for row in shown["entries"] if row["may_be_best"]} == set(verdict.may_be_best)


def test_a_study_tells_how_far_it_is_in_both_languages(open_place: Open, study: StudyFolder) -> None:
    client = open_place(study.path)
    assert client.get("/api/study").json()["told"] == "all 8 runs are finished"
    assert (
        client.get("/api/study/verdict?lang=ru").json()["answer"] != client.get("/api/study/verdict").json()["answer"]
    )


def test_no_verdict_without_two_approaches(open_place: Open, tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        images=12,
        epochs=2,
        seeds=(0,),
        networks={"segnet": "segnet"},
        losses={"a": {"bce": 1}, "b": {"dice": 1}},
    )
    for run in study.read_plan().runs[1:]:
        (study.run(run.id).path / "result.json").unlink()
    answer = open_place(study.path).get("/api/study/verdict")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_yet")


def test_brackets_join_what_cannot_be_told_apart(study: StudyFolder) -> None:
    evidence = study_evidence(study, noted=False)
    rng = np.random.default_rng(0)
    base = rng.uniform(0.6, 0.7, (2, len(evidence.ids)))
    shifts = (0.2, 0.199, 0.1, 0.0)
    noise = [0.001 * rng.standard_normal(base.shape) for _ in shifts]
    entries = tuple(
        replace(entry, values=base + shift + extra)
        for entry, shift, extra in zip(evidence.entries, shifts, noise, strict=True)
    )
    verdict = judge_evidence(replace(evidence, entries=entries))
    assert brackets(verdict) == [(0, 1)]
    same = tuple(replace(entry, values=base + extra) for entry, extra in zip(evidence.entries, noise, strict=True))
    assert brackets(judge_evidence(replace(evidence, entries=same))) == [(0, 3)]


def test_collapsed_trainings_are_left_out_on_demand(tmp_path: Path) -> None:
    study = write_study(tmp_path, images=12, epochs=2)
    result = study.run(study.read_plan().runs[0].id).result_file
    result.write_text(result.read_text().replace("{", '{"collapsed": true,', 1))
    judge = Judge(study)
    whole, kept = (judge.judgement(without_collapsed=each) for each in (False, True))
    assert isinstance(whole, Judgement)
    assert isinstance(kept, Judgement)
    assert (whole.dropped, kept.dropped) == (0, 1)
    name = study.read_plan().runs[0].entry
    seeds = [next(len(each.runs) for each in every.evidence.entries if each.name == name) for every in (whole, kept)]
    assert seeds == [2, 1]


def test_two_approaches_on_the_same_images(open_place: Open, study: StudyFolder) -> None:
    client = open_place(study.path)
    evidence = study_evidence(study, noted=False)
    pair = client.get("/api/compare/0/3").json()
    differences = [abs(each["first"] - each["second"]) for each in pair["images"]]
    assert differences == sorted(differences, reverse=True)
    assert sum(pair["histogram"]["counts"]) == len(evidence.ids)
    image = pair["images"][0]["id"]
    _, truth = evidence.load(image)
    masks = [evidence.entries[place].masks[0].read(image) for place in (0, 3)]

    def alpha(layer: str) -> np.ndarray:
        answer = client.get(f"/api/compare/0/3/{layer}", params={"image": image})
        return np.asarray(Image.open(io.BytesIO(answer.content)))[..., 3] > 0

    assert np.array_equal(alpha("first"), masks[0] == 1)
    assert np.array_equal(alpha("truth"), truth == 1)
    assert np.array_equal(alpha("only_first"), (masks[0] != truth) & (masks[1] == truth))
    assert np.array_equal(alpha("only_second"), (masks[1] != truth) & (masks[0] == truth))


def test_what_cannot_be_compared_is_told(open_place: Open, study: StudyFolder) -> None:
    client = open_place(study.path)
    for path, code in (
        ("/api/compare/0/0", "one_approach"),
        ("/api/compare/0/9", "unknown_approach"),
        ("/api/compare/0/1/truth?image=nobody", "unknown_image"),
    ):
        assert client.get(path).json()["error"]["code"] == code
