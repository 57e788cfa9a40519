"""English sentences that other modules make -> the reader's language: definitions, methods, notes, attributes.

They stand in `sentences_ru.SENTENCES`, English template -> Russian template. A sentence that is not among them, such as
a note that the owner of a data set wrote, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from segbench.locale.sentences_ru import SENTENCES
from segbench.locale.words import Words
from segbench.metrics.families import label_of


def translate(sentence: str, words: Words) -> str:
    """Returns a sentence in the reader's language; one that is not known as it is."""
    if words.lang == "en":
        return sentence
    for pattern, template in _rules():
        match = pattern.fullmatch(sentence)
        if match:
            return template.format(**{name: translate(text, words) for name, text in match.groupdict().items()})
    return sentence


def score_words(name: str, words: Words) -> str:
    """Returns a score, or one class of it, in the reader's words: `iou_per_image[car]` -> `IoU per image [car]`."""
    label, bracket, of_class = label_of(name).partition(" [")
    return translate(label, words) + bracket + of_class


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Returns the patterns, the longest first, since a short one may fit what a longer one says better."""
    ordered = sorted(SENTENCES.items(), key=lambda item: -len(re.sub(r"\{\w+\}", "", item[0])))
    return tuple((_pattern(english), russian) for english, russian in ordered)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    texts = [re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts)]
    return re.compile("".join(texts), re.DOTALL)


def definition_sentence(definition: Mapping[str, Any], words: Words) -> str:
    """Returns what a score means in one sentence; `definition` as `Definition.to_dict` gives it."""
    if words.lang == "en":
        return str(definition["sentence"])
    classes, valued = list(definition["classes"]), definition["classes_valued"]
    what = [translate(definition["formula"], words).removesuffix(","), words(f"definition.{definition['level']}")]
    if len(classes) == 1:
        what.append(words("definition.class", name=classes[0]))
    elif classes:
        n = valued if valued is not None else len(classes)
        what.append(words("definition.classes", n=n, total=len(classes), names=words.join(classes)))
    summary = definition["summary"]
    if summary:
        what.append(", ".join(translate(part, words) for part in summary.split(", ")))
    parts = [", ".join(what)]
    if definition["absent"]:
        parts.append(translate(definition["absent"], words))
    parts.append(translate(definition["decision"], words))
    size = definition["resolution"]
    parts.append(words("definition.size", size=translate(size, words)) if size else words("definition.no_size"))
    parts.append(words("definition.ignored", label=definition["ignore_index"]))
    parts.append(words("definition.n", n=definition["n"]))
    return "; ".join(parts) + "."
