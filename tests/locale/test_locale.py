"""Messages, their translation, and numbers as people read them."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass

import pytest

from segbench.locale import (
    Message,
    Numbers,
    OwnWords,
    folded,
    grouped,
    join,
    languages,
    listed,
    localize,
    message,
    plural,
    translate,
)


def test_a_message_is_the_english_sentence_and_keeps_its_parts() -> None:
    told = message("{name} keeps no masks, so its errors cannot be told apart.", name="unet")
    assert told == "unet keeps no masks, so its errors cannot be told apart."
    assert json.loads(json.dumps({"note": told})) == {"note": str(told)}
    assert (told.template, told.values) == (
        "{name} keeps no masks, so its errors cannot be told apart.",
        {"name": "unet"},
    )
    assert translate(told, "ru").startswith("unet не хранит масок")
    assert translate(told, "en") == told


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda told: pickle.loads(pickle.dumps(told))])  # noqa: S301
def test_copies_can_still_be_translated(again) -> None:
    told = plural("{n:,} image", "{n:,} images", n=21)
    made = again(told)
    assert isinstance(made, Message)
    assert translate(made, "ru") == translate(told, "ru") == "21 изображение"


@pytest.mark.parametrize(
    ("n", "english", "russian"),
    [(0, "0 images", "0 изображений"), (1, "1 image", "1 изображение"), (3, "3 images", "3 изображения"),
     (11, "11 images", "11 изображений"), (12345, "12 345 images", "12 345 изображений")],
)  # fmt: skip
def test_the_form_follows_the_number(n: int, english: str, russian: str) -> None:
    told = plural("{n:,} image", "{n:,} images", n=n)
    assert told == english.replace(" ", "\u202f", english.count(" ") - 1)
    assert translate(told, "ru") == russian.replace(" ", "\u202f", russian.count(" ") - 1)


def test_messages_inside_messages_are_translated_names_are_not() -> None:
    told = message(
        "{true} taken for {predicted}: {share} of its pixels", true="yes", predicted=message("yes"), share="{n}"
    )
    assert told == "yes taken for yes: {n} of its pixels"
    assert translate(told, "ru") == "yes принято за да: {n} пикселей класса"
    assert translate("yes", "ru") == "yes"


def test_joined_texts_stay_messages() -> None:
    told = join("; {", [message("yes"), "yes", message("no")])
    assert told == "yes; {yes; {no"
    assert translate(told, "ru") == "да; {yes; {нет"
    assert translate(join(", ", []), "ru") == ""
    assert translate(listed(["a"] * 10), "ru") == "a, a, a, a, a, a, a, a и ещё 2"


def test_everything_in_a_dataclass_is_translated() -> None:
    @dataclass(frozen=True)
    class Row:
        title: str
        cells: tuple[str, ...]
        number: int = 3

    row = Row(message("yes"), (message("no"), "plain"))
    assert localize({"rows": [row]}, "ru") == {"rows": [Row("да", ("нет", "plain"))]}


def test_a_missing_value_and_an_unknown_language_are_errors() -> None:
    with pytest.raises(KeyError):
        message("{name} wins")
    for told in (message("yes"), "plain"):
        with pytest.raises(ValueError, match="expected one of the languages en, ru, got 'xx'"):
            translate(told, "xx")
    assert languages() == ("en", "ru")


def test_numbers_have_the_digits_that_a_reader_needs() -> None:
    numbers = Numbers(2)
    assert numbers.between(0.8612, 0.8421, 0.8801) == "0.86 [0.84, 0.88]"
    assert numbers.signed(-0.012) == "\u22120.01"
    assert [numbers.p_is(p) for p in (0.0001, 0.0123, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.50"]
    assert [numbers.percent(s) for s in (0.0, 0.0001, 0.05, 0.5)] == [
        "0\u00a0%",
        "< 0.1\u00a0%",
        "5.0\u00a0%",
        "50\u00a0%",
    ]
    assert [numbers.score(math.nan), numbers.percent(math.nan), grouped(12345)] == ["–", "–", "12\u202f345"]
    assert translate(numbers.duration(7500.0), "ru") == "2,08\u00a0ч"
    assert [translate(numbers.large(n), "ru") for n in (31_040_000, 1234)] == ["31,0\u00a0млн", "1\u202f234"]


def test_a_number_has_the_mark_of_its_language_also_inside_sentences() -> None:
    numbers = Numbers(3)
    told = message("{name} wins", name=numbers.between(0.861, -0.5, 0.9))
    assert translate(told, "en") == told == "0.861 [\u22120.500, 0.900] wins"
    assert "0,861" in translate(told, "ru")
    assert "." not in translate(told, "ru"), "every number in it"
    assert translate(message("{share:.1f} %", share=0.25), "ru") == "0,2 %", "a float that the template formats"
    assert translate(message("{name}", name="net_0.25"), "ru") == "net_0.25", "a name is no number"
    assert [translate(numbers.p_is(0.04), lang) for lang in ("en", "ru")] == ["p = 0.040", "p = 0,040"]


def test_words_in_several_languages_are_read_in_the_language_of_the_reader() -> None:
    words = OwnWords({"en": "U-Net", "ru": "Сеть U"})
    told = join(": ", [words, message("{n:,} run", n=1)])
    assert (words, told) == ("U-Net", "U-Net: 1 run")
    assert translate(told, "ru").startswith("Сеть U: ")
    assert [translate(OwnWords({"ru": "Сеть"}), lang) for lang in ("en", "ru")] == ["Сеть", "Сеть"], "the only words"
    assert copy.deepcopy(words).texts == words.texts
    padded = OwnWords({"en": "U-Net\n", "ru": "Сеть U\n"})
    assert translate(message("{text}!", text=padded.strip()), "ru") == "Сеть U!"


@pytest.mark.slow
def test_importing_it_is_cheap() -> None:
    """Every module with a sentence imports it."""
    code = "import segbench.locale, sys; print([m for m in ('babel', 'numpy', 'scipy', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_long_list_of_files_is_folded_by_what_differs() -> None:
    names = [f"images/IMG_{number:04d}.jpg" for number in range(1, 757)]
    assert folded(names[:8], 8) == names[:8]
    assert folded(names, 8) == ["images/IMG_0001.jpg ... IMG_0756.jpg (756 files)"]
    mixed = ["a/left.png", *names, "b/IMG_0001.jpg", "b/IMG_0002.jpg", "c/right.png"]
    assert folded(mixed, 3) == [
        "a/left.png",
        "images/IMG_0001.jpg ... IMG_0756.jpg (756 files)",
        "b/IMG_0001.jpg",
        "and 2 more",
    ]
