"""The catalogues: every sentence of the source is there in every language, with its values, and nothing else."""

from __future__ import annotations

import re
import string
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.locale.english import english_in

from segbench.explain.attributes import ATTRIBUTES
from segbench.explain.claims import FINDINGS
from segbench.explain.error_types import ERROR_TYPES
from segbench.folders.study import State
from segbench.locale import Message, languages, translate
from segbench.locale.translation import catalogue_path
from segbench.metrics import score_masks
from segbench.metrics.definitions import OWN_SIZE, size_text
from segbench.metrics.families import SCORES, label_of
from segbench.metrics.surface import SurfaceCollector
from segbench.metrics.surface_scores import score_surfaces
from segbench.plots.panels import ERROR_COLORS
from segbench.report import labels
from segbench.statistics.decide import decide
from segbench.statistics.factors import factor_view
from segbench.types import ClassMap, Task

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import catalogue

FOREIGN = [lang for lang in languages() if lang != "en"]


def placeholders(template: str) -> set[tuple[str, str | None]]:
    return {(name, how) for _, name, how, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("lang", FOREIGN)
def test_every_sentence_has_its_translation_and_no_other_is_there(lang: str) -> None:
    translated = {entry.id: entry for entry in catalogue.read_catalogue(catalogue_path(lang), lang) if entry.id}
    wanted = {found if len(found) == 2 else found[0]: name for found, name in catalogue.templates()}
    missing = [
        f"{name}: {key!r}"
        for key, name in wanted.items()
        if key not in translated or not all(catalogue.forms(translated[key].string))
    ]
    assert missing == [], "run `python tools/catalogue.py`, then translate"
    assert set(translated) - set(wanted) == set(), "run `python tools/catalogue.py`"
    assert [entry.id for entry in translated.values() if entry.fuzzy] == []


@pytest.mark.parametrize("lang", FOREIGN)
def test_translations_have_the_placeholders_of_their_templates(lang: str) -> None:
    for entry in catalogue.read_catalogue(catalogue_path(lang), lang):
        if entry.id:
            templates = catalogue.forms(entry.id)  # "one mask" may do without the number, 21 masks may not
            assert placeholders(templates[0]) <= placeholders(templates[-1])
            for form in catalogue.forms(entry.string):
                assert placeholders(form) == placeholders(templates[-1]), entry.id


def test_templates_that_cannot_be_found_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('x = "a {b}"\nmessage(x, b=1)\n')
    with pytest.raises(ValueError, match=r"a\.py:2: message\(\) needs literal templates"):
        list(catalogue.templates(tmp_path))
    (tmp_path / "a.py").write_text('message("a {b}" " c", b=1)\nwatch.message(text)\nplural("x", "y", n=2)\n')
    assert [found for found, _ in catalogue.templates(tmp_path)] == [("a {b} c",), ("x", "y")]


def test_the_command_adds_and_removes_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SOURCE", tmp_path)
    monkeypatch.setattr(catalogue.extracted, "__defaults__", (tmp_path,))
    (tmp_path / "segbench" / "locale").mkdir(parents=True)
    code, file = tmp_path / "segbench" / "a.py", tmp_path / "segbench" / "locale" / "de" / "LC_MESSAGES" / "segbench.po"
    code.write_text('message("yes {n}", n=1)\nplural("{n} run", "{n} runs", n=2)\n')
    catalogue.main(["de"])
    begun = file.read_text(encoding="utf-8")
    assert 'msgid "yes {n}"\nmsgstr ""' in begun
    file.write_text(begun.replace('msgid "yes {n}"\nmsgstr ""', 'msgid "yes {n}"\nmsgstr "ja {n}"'), encoding="utf-8")
    code.write_text('message("yes {n}", n=1)\nmessage("no")\n')
    catalogue.main([])
    text = file.read_text(encoding="utf-8")
    assert 'msgstr "ja {n}"' in text
    assert 'msgid "no"' in text
    assert "run" not in text
    assert "segbench/a.py" in text


def is_russian(text: str) -> bool:
    """Tells whether a message is translated: Russian words and no English sentence."""
    assert isinstance(text, Message)
    told = translate(text, "ru")
    return bool(re.search("[а-яё]", told)) and not english_in(told) and not re.search(r"\b(the|of|are|is|with)\b", told)


def test_everything_that_is_named_elsewhere_has_a_name() -> None:
    assert set(ATTRIBUTES) <= set(labels.ATTRIBUTE)
    assert set(ERROR_TYPES) == set(labels.ERROR) == set(labels.error_meanings("1 %"))
    assert set(ERROR_COLORS) | {"right"} == set(labels.PIXEL)
    assert set(Task) == set(labels.TASK)
    assert set(State.__args__) == set(labels.STATE)
    assert {"low", "middle", "high", "no", "yes"} == set(labels.SLICE)
    assert {"supported", "not shown", "too few images"} == set(labels.ANSWER)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_are_explained_in_russian(name: str) -> None:
    assert is_russian(ATTRIBUTES[name].sentence)


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_are_said_in_russian(name: str) -> None:
    assert is_russian(FINDINGS[name].sentence)


def test_scores_have_russian_names() -> None:
    """Abbreviations such as IoU stay; a class in brackets, too."""
    for name, score in SCORES.items():
        assert is_russian(score.label)
        assert translate(label_of(f"{name}[car]"), "ru") == f"{translate(score.label, 'ru')} [car]"


@pytest.mark.parametrize("classes", [["skin", "lesion"], ["sky", "road", "car"]])
def test_definitions_of_scores_are_russian(classes: list[str]) -> None:
    mask = np.array([[0, 1], [1, 0]])
    class_map = ClassMap(
        names=tuple(classes),
        values=tuple((value,) for value in range(len(classes))),
        task=Task.BINARY if len(classes) == 2 else Task.MULTICLASS,
    )
    scores = score_masks([mask], [mask], class_map, threshold=0.5, resolution=size_text((2, 2)))
    collector = SurfaceCollector(class_map)
    collector.add("a", mask.astype(np.uint8), mask.astype(np.uint8))
    surfaces = score_surfaces(collector.values(), class_map, threshold=0.5, resolution=OWN_SIZE)
    for definition in (*scores.definition_of.values(), *surfaces.definition_of.values()):
        assert is_russian(definition.sentence), translate(definition.sentence, "ru")
        assert ",," not in translate(definition.sentence, "ru")


@pytest.mark.parametrize("seeds", [(1, 1, 1), (3, 3, 3), (1, 2, 2), (2, 2)])
@pytest.mark.parametrize("grouped", [False, True])
def test_verdicts_warnings_and_methods_are_russian(seeds: tuple[int, ...], grouped: bool) -> None:
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.4, 0.9, (count, 24)) for count in seeds]
    values[0] = values[0] + np.linspace(-0.3, 0.3, seeds[0])[:, None]
    groups = np.repeat(np.arange(6), [19, 1, 1, 1, 1, 1]) if grouped else None
    names = [f"net{index}" for index in range(len(seeds))]
    costs = {"training_s": [1.0, *[float("nan")] * (len(seeds) - 1)]}
    verdict = decide(names, values, groups=groups, costs=costs, baseline="net0", score=label_of("iou_per_image"))
    view = factor_view(values, [{"network": name} for name in names], groups=groups)
    said = (*verdict.sentences(), *verdict.method, *view.sentences(), *view.method)
    assert len(said) >= 12
    for sentence in said:
        assert is_russian(sentence), translate(sentence, "ru")


def test_reasons_for_entries_left_out_are_russian() -> None:
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.4, 0.9, (2, 12)) for _ in range(3)]
    for factors in (
        [{"a": "x", "b": "u"}, {"a": "x", "b": "v"}, {"a": "y", "b": "u"}],
        [{"a": "x"}, {"a": "x"}, {"a": "x"}],
    ):
        reason = factor_view(values, factors).reason
        assert is_russian(reason)


def test_english_is_found_where_it_should_not_be() -> None:
    page = '<p>Лучшее: unet, segnet, fcn</p><code>run it now</code><b title="of one image">IoU</b><i>It is done</i>'
    assert english_in(page) == ["of one image", "It is done"]
    assert english_in(page, own=("of one", "It is")) == []
