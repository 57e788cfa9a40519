"""The report's texts: both languages complete, and sentences of other modules known in Russian."""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
import pytest

import segbench
from segbench.explain.attributes import ATTRIBUTES
from segbench.explain.error_types import ERROR_TYPES
from segbench.explain.overfitting import VERDICTS
from segbench.explain.slices import FINDINGS
from segbench.locale import texts, texts_ru
from segbench.locale.sentences_ru import SENTENCES
from segbench.locale.translate import definition_sentence, score_words, translate
from segbench.locale.words import LANGUAGES, Words, form_of
from segbench.metrics import score_masks
from segbench.metrics.definitions import size_text
from segbench.metrics.families import SCORES
from segbench.metrics.surface import SurfaceCollector
from segbench.metrics.surface_scores import score_surfaces
from segbench.plots.panels import ERROR_COLORS
from segbench.statistics.factors import factor_view
from segbench.statistics.verdict import judge
from segbench.types import ClassMap, Task

SOURCE = Path(segbench.__file__).parent
RUSSIAN = Words("ru")


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def is_russian(text: str) -> bool:
    """Tells whether a text has Russian words and no English sentence."""
    return bool(re.search("[а-яё]{2}", text)) and not re.search(r"\b(the|of|are|is|and|mean over|with)\b", text)


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    assert list(texts.TEXTS) == list(texts_ru.TEXTS)
    assert list(texts.COUNTED) == list(texts_ru.COUNTED)
    for key, english in texts.TEXTS.items():
        assert placeholders(english) == placeholders(texts_ru.TEXTS[key]), key
        same = english == texts_ru.TEXTS[key]
        assert not same or not re.search(r"[a-z]{4}", re.sub(r"\{\w+\}|Python", "", english)), key
    assert {len(forms) for forms in texts.COUNTED.values()} == {2}
    assert {len(forms) for forms in texts_ru.COUNTED.values()} == {3}


def test_every_text_that_the_report_asks_for_is_there_and_no_other() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if not path.name.startswith("texts")
    )
    asked = set(re.findall(r"""words\(\s*"([^"]+)\"""", code)) | set(re.findall(r'"((?:verdict|axis)\.\w+)"', code))
    assert asked <= set(texts.TEXTS)
    patterns = {re.sub(r"\{[^}]*\}", "*", key) for key in re.findall(r"""words\(\s*f"([^"]+)\"""", code)}
    patterns |= {re.sub(r"\{[^}]*\}", "*", key) for key in re.findall(r"""self\(f['"]([^'"]+)['"]""", code)}
    for pattern in patterns:
        assert any(re.fullmatch(re.escape(pattern).replace(r"\*", ".+"), key) for key in texts.TEXTS), pattern
    literals = set(re.findall(r"""['"]([\w.]+)['"]""", code))
    unused = {
        key
        for key in texts.TEXTS
        if key not in literals
        and not any(re.fullmatch(re.escape(pattern).replace(r"\*", ".+"), key) for pattern in patterns)
    }
    assert unused == set()
    assert set(re.findall(r'words\.count\(\s*"(\w+)"', code)) | {"group", "image"} == set(texts.COUNTED)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_everything_that_is_named_elsewhere_has_a_name(lang: str) -> None:
    words = Words(lang)  # type: ignore[arg-type]
    keys = [f"attribute.{name}" for name in ATTRIBUTES]
    keys += [f"error.{kind}" for kind in ERROR_TYPES] + [f"error.{kind}.what" for kind in ERROR_TYPES]
    keys += [f"overfit.{kind}.{verdict}" for kind in ("word", "count") for verdict in VERDICTS]
    keys += [f"picture.error.{name}" for name in ERROR_COLORS] + [f"task.{task}" for task in Task]
    keys += [f"state.{state}" for state in ("finished", "running", "stopped", "failed", "waiting")]
    keys += [f"slice.{name}" for name in ("low", "middle", "high", "no", "yes")]
    keys += [f"finding.answer.{answer}" for answer in ("supported", "not shown", "too few images")]
    assert [key for key in keys if not words.has(key)] == []


def test_russian_templates_use_only_what_the_english_ones_have() -> None:
    for english, russian in SENTENCES.items():
        assert placeholders(russian) <= placeholders(english), english
        filled = english.format(**dict.fromkeys(placeholders(english), "12"))
        assert translate(filled, RUSSIAN) == russian.format(**dict.fromkeys(placeholders(english), "12"))
        assert translate(filled, Words("en")) == filled


def test_what_nobody_translated_stays() -> None:
    assert translate("a note of the owner of the data", RUSSIAN) == "a note of the owner of the data"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_are_explained_in_russian(name: str) -> None:
    assert is_russian(translate(ATTRIBUTES[name].sentence, RUSSIAN))


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_are_said_in_russian(name: str) -> None:
    assert is_russian(translate(FINDINGS[name].sentence, RUSSIAN))


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
    surfaces = score_surfaces(collector.values(), class_map, threshold=0.5, resolution="each image's own size")
    for definition in (*scores.definition_of.values(), *surfaces.definition_of.values()):
        sentence = definition_sentence(definition.to_dict(), RUSSIAN)
        assert is_russian(sentence.replace("is_", "")), sentence
        assert definition.name.split("_")[0].lower() in sentence.lower() or "пикс" in sentence or "площад" in sentence
    example = definition_sentence(scores.definition_of["iou_per_image"].to_dict(), Words("en"))
    assert example == scores.definition_of["iou_per_image"].sentence


@pytest.mark.parametrize("seeds", [(1, 1, 1), (3, 3, 3), (1, 2, 2), (2, 2)])
@pytest.mark.parametrize("grouped", [False, True])
def test_warnings_and_methods_are_russian(seeds: tuple[int, ...], grouped: bool) -> None:
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.4, 0.9, (count, 24)) for count in seeds]
    values[0] = values[0] + np.linspace(-0.3, 0.3, seeds[0])[:, None]
    groups = np.repeat(np.arange(6), [19, 1, 1, 1, 1, 1]) if grouped else None
    names = [f"net {index}" for index in range(len(seeds))]
    costs = {"training_s": [1.0, *[float("nan")] * (len(seeds) - 1)]}
    verdict = judge(names, values, groups=groups, costs=costs)
    view = factor_view(values, [{"network": name} for name in names], groups=groups)
    said = (*verdict.warnings, *verdict.method, verdict.ranks.method, *view.method)
    assert len(said) >= 6
    for sentence in said:
        assert is_russian(translate(sentence, RUSSIAN)), sentence


def test_reasons_for_entries_left_out_are_russian() -> None:
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.4, 0.9, (2, 12)) for _ in range(3)]
    for factors in (
        [{"a": "x", "b": "u"}, {"a": "x", "b": "v"}, {"a": "y", "b": "u"}],
        [{"a": "x"}, {"a": "x"}, {"a": "x"}],
    ):
        reason = factor_view(values, factors).reason
        assert reason
        assert is_russian(translate(reason, RUSSIAN)), reason


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [(0, "runs", "запусков"), (1, "run", "запуск"), (2, "runs", "запуска"), (5, "runs", "запусков"),
     (11, "runs", "запусков"), (14, "runs", "запусков"), (21, "runs", "запуск"), (104, "runs", "запуска")],
)  # fmt: skip
def test_nouns_agree_with_their_numbers(number: int, english: str, russian: str) -> None:
    assert Words("en").count("run", number) == f"{number} {english}"
    assert RUSSIAN.count("run", number) == f"{number} {russian}"
    assert form_of("ru", number, ("запуск", "запуска", "запусков")) == russian


def test_numbers_have_sensible_digits() -> None:
    words = Words("en")
    nan = float("nan")
    assert [words.score(0.86149), words.signed(-0.01), words.score(nan)] == ["0.861", "\u22120.010", "–"]
    assert [words.p_is(0.0004), words.p_is(0.2)] == ["p < 0.001", "p = 0.20"]
    assert [words.p(0.0004), words.p(0.0124), words.p(0.434), words.p(nan)] == ["< 0.001", "0.012", "0.43", "–"]
    shares = [words.percent(share) for share in (0.0, 0.0001, 0.0312, 0.28, 1.0, nan)]
    assert shares == ["0\u00a0%", "< 0.1\u00a0%", "3.1\u00a0%", "28\u00a0%", "100\u00a0%", "–"]
    times = [words.duration(seconds) for seconds in (0.0, 34.2, 119.0, 600.0, 9000.0, nan)]
    assert times == ["0\u00a0s", "34.2\u00a0s", "119\u00a0s", "10.0\u00a0min", "2.50\u00a0h", "–"]
    assert [words.large(931_969), words.large(14_641_777)] == ["931\u202f969", "14.6\u00a0M"]
    assert RUSSIAN.duration(600.0) == "10.0\u00a0мин"
    assert words.join(["a", "b", "c"], 2) == "a, b and 1 more"


@pytest.mark.parametrize(
    "sentence",
    [
        "3 of 9 test images have no value of IoU per image in any run and count nowhere here: a, b",
        "2 of 9 test images hold none of the classes of IoU per image [dog], and only some runs predict one there: the "
        "others are right and count as 1 there",
        "a class absent from truth and prediction is left out; where they are absent from the truth of an image and "
        "only some of the compared approaches predict them, those that do not count as perfect there (1)",
        "unet has a value of recall per image on 2 of the images left out",
        "m: 2 masks belong to no test image and were left out: x",
        "m: the masks were read as class indices 0 to 3",
        "m: the masks were read by the colours of their palettes",
        "threads differs between runs: 1, 2; times cannot be compared",
        "What is said of masks holds for these masks alone, whatever made them.",
        "training_s: not known of masks, which therefore cannot be the cheapest.",
    ],
)
def test_notes_of_a_comparison_have_a_translation(sentence: str) -> None:
    assert is_russian(translate(sentence, RUSSIAN)), translate(sentence, RUSSIAN)


def test_every_score_has_words_in_every_language() -> None:
    """Abbreviations such as IoU stay; the words around them, and a class in brackets, are looked after."""
    for name, score in SCORES.items():
        words = score_words(name, RUSSIAN)
        assert re.search("[а-я]", words), words
        assert score_words(f"{name}[car]", RUSSIAN) == f"{words} [car]" == translate(f"{score.label} [car]", RUSSIAN)
        assert score_words(name, Words("en")) == score.label


def test_means_of_counts_are_readable() -> None:
    assert [Words("en").mean_count(value) for value in (0.0, 14.5, 99.96, 7972.5)] == ["0", "14.5", "100", "7\u202f972"]
