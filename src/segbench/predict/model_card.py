"""A bundle's README.md: what is in its card, as people read it, and as the Hugging Face Hub sorts models.

Always English, like the Hub's own words; made of the bundle alone, so that it never says something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from segbench.config.text import write_yaml
from segbench.metrics.families import label_of, with_labels
from segbench.predict.pipeline import PipelineSettings
from segbench.types import ORIGINAL, SPLITS, Task

# What people compare; `card.json` holds all scores, each with its definition.
_SHOWN = (
    *("iou_per_image", "iou_pooled", "dice_per_image", "dice_pooled", "precision_per_image", "recall_per_image"),
    *("pixel_accuracy", "iou_per_image_worst5"),
)
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # as the Hub writes them


def model_card(settings: PipelineSettings, networks: Sequence[str], card: Mapping[str, Any], bundle_id: str) -> str:
    """Returns Markdown after a block of YAML.

    Args:
        settings: how an image goes through.
        networks: names of the networks.
        card: of the bundle; what it does not hold is left out.
        bundle_id: see `ModelBundle.id`.
    """
    name = card.get("name") or "model"
    parts = [
        f"---\n{write_yaml(_front_matter(name, networks, card), flow=False)}---\n",
        f"# {_cell(name)}\n\n{_about(settings, networks, card)}\n",
        _USE,
        *(_section(title, lines) for title, lines in _sections(settings, card)),
        f"Made by segbench {card.get('versions', {}).get('segbench', '')}; bundle `{bundle_id[:16]}`.\n",
    ]
    return "\n".join(part for part in parts if part)


_USE = """## Use

```sh
segbench predict PATH_OF_THIS_FOLDER photos/ -o predicted
```

```python
import segbench

predictor = segbench.Predictor.load("PATH_OF_THIS_FOLDER")
predictor("photo.jpg").mask  # class indices at the photo's own size
```

Opening it runs no code: the files are JSON and safetensors, and their SHA-256 are checked.
"""


def _sections(settings: PipelineSettings, card: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        ("Scores", _scores(card)),
        ("What goes in and what comes out", _settings(settings)),
        ("Trained on", _data(card.get("data") or {})),
        ("Licences", _licences(card)),
    ]


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) + "\n" if lines else ""


def _front_matter(name: str, networks: Sequence[str], card: Mapping[str, Any]) -> dict[str, Any]:
    licence = card.get("licences", {}).get("model")
    known = licence is not None and _LICENCE_ID.fullmatch(licence) is not None
    said = {"license": licence} if known else {"license": "other", "license_name": licence} if licence else {}
    values: dict[str, Any] = {
        "library_name": "segbench",
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", *dict.fromkeys(networks)],
        **said,
    }
    split = next((each for each in reversed(SPLITS) if each in card.get("scores", {})), None)
    if split is not None:
        values["model-index"] = [{"name": name, "results": [_result(split, card)]}]
    return values


def _result(split: str, card: Mapping[str, Any]) -> dict[str, Any]:
    data = card.get("data") or {}
    kind = data.get("format") or "own data"
    scores = {key: value for key in _SHOWN if (value := card["scores"][split].get(key)) is not None}
    return {
        "task": {"type": "image-segmentation", "name": "Semantic segmentation"},
        "dataset": {"name": (data.get("licence") or {}).get("set", kind), "type": kind, "split": split},
        "metrics": [
            {"type": key, "name": str(label_of(key)), "value": round(float(value), 6)} for key, value in scores.items()
        ],
    }


def _about(settings: PipelineSettings, networks: Sequence[str], card: Mapping[str, Any]) -> str:
    classes = ", ".join(_cell(name) for name in settings.class_map.names)
    kinds = ", ".join(f"`{each}`" for each in dict.fromkeys(networks))
    made = kinds if len(networks) == 1 else f"{len(networks)} networks whose probabilities are averaged ({kinds})"
    chosen = card.get("chosen", {})
    told = [f"Semantic segmentation into {classes}: {made}."]
    told += [f"{chosen['why']}.", *chosen["notes"]] if chosen else []
    if card.get("unfinished"):
        told.append(f"**Not trained to the end, and not scored: {', '.join(card['unfinished'])}.**")
    if card.get("collapsed"):
        told.append(f"**{', '.join(card['collapsed'])} collapsed: it predicts one class only.**")
    return " ".join(told)


def _scores(card: Mapping[str, Any]) -> list[str]:
    scores = card.get("scores", {})
    splits = [split for split in SPLITS if split in scores]
    lines = []
    if "main" in card:
        lines += [f"**{card['main']['sentence']}.**", ""]
    if "gain" in card:
        lines += [f"{card['gain']['sentence']}.", ""]
    if splits:
        counts = card.get("n", {})
        heads = [f"{split} (n = {counts[split]})" if split in counts else split for split in splits]
        lines += [_row(["score", *heads]), _row(["---"] * (1 + len(splits)))]
        for key in (each for each in _SHOWN if each in scores[splits[-1]]):
            lines.append(_row([str(label_of(key)), *(_number(scores[split].get(key)) for split in splits)]))
        if "footnote" in card:
            lines += ["", f"Of these numbers: {with_labels(card['footnote'])}."]
        lines += ["", "`card.json` has more scores, each with its definition."]
    expected = (card.get("calibration") or {}).get("expected_score")
    if expected:
        rank = expected["rank_correlation"]  # None where all images have one score, or one confidence
        told = "" if rank is None else f"rank correlation {rank:.2f}, "
        lines += [
            "",
            f"Of a new image, the network's own confidence tells the IoU with a mean error of "
            f"{expected['mean_absolute_error']:.3f} ({told}{expected['n']} validation images). `segbench predict` "
            "writes it with an interval into `areas.csv`, and "
            "names images that are unlike the training part.",
        ]
    lines += _temperature(card)
    if card.get("test_uses"):
        times = "1 time" if card["test_uses"] == 1 else f"{card['test_uses']} times"
        lines += ["", f"The test part was scored {times} in all."]
    return lines


def _temperature(card: Mapping[str, Any]) -> list[str]:
    found = (card.get("calibration") or {}).get("temperature")
    if not found or "note" not in found:  # a bundle of an earlier version does not say why
        return []
    if found["note"] is not None:
        return ["", f"Probabilities are the network's own; no temperature was fitted to them: {found['note']}."]
    return [
        "",
        f"Logits are divided by {found['value']:.2f} before they become probabilities, fitted to {found['n']} "
        f"validation images: the calibration error falls from {found['before']:.4f} to {found['after']:.4f} (95 % "
        f"interval of the difference {found['low']:+.4f} to {found['high']:+.4f}).",
    ]


def _settings(settings: PipelineSettings) -> list[str]:
    classes = settings.class_map
    size = "its own size" if settings.size == ORIGINAL else f"{settings.size[0]} x {settings.size[1]} (height x width)"
    bands = "RGB" if settings.bands is None else f"bands {', '.join(map(str, settings.bands.numbers))} of the file"
    lines = [f"- An image of any size, {settings.channels} channels ({bands}); the network sees it at {size}."]
    if settings.policy is not None:
        lines.append(f"- Images of another size: `{settings.policy}`.")
    if settings.tta != "none":
        lines.append(f"- Looks at the image that are averaged: `{settings.tta}`.")
    if classes.task is not Task.MULTICLASS:
        lines.append(f"- Threshold of the probability: {settings.threshold:g}.")
    if not settings.postprocess.is_off:
        lines.append(f"- Masks are cleaned: {settings.postprocess.to_dict()}.")
    lines += ["", _row(["index", "class", "colour"]), _row(["---"] * 3)]
    for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True)):
        of = " (the background)" if index == classes.background and name != "background" else ""
        lines.append(_row([str(index), f"{_cell(name)}{of}", "#{:02x}{:02x}{:02x}".format(*color)]))
    return lines


def _data(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return []
    parts = ", ".join(f"{split} {each['images']}" for split, each in data["parts"].items() if each["images"])
    lines = [f"- Images: {parts}."]
    sizes = data["image_px"]
    if sizes["height"] is not None:
        told = " x ".join(_from_to(sizes[side]["smallest"], sizes[side]["largest"]) for side in ("height", "width"))
        lines.append(f"- Their size in pixels, height x width: {told}.")
    scale = data["scale"]
    if scale["image_px_per_network_px"] is not None:
        metres = scale["metres_per_network_px"]
        lines.append(
            f"- Scale: a pixel of the network stands for {scale['image_px_per_network_px']:g} of the image"
            + (f", {metres:g} m on the ground." if metres is not None else ".")
        )
    if data["classes"]:
        shares = ", ".join(f"{_cell(each['name'])} {each['share']:.2%}" for each in data["classes"])
        lines.append(f"- Share of the training pixels: {shares}.")
    return lines


def _licences(card: Mapping[str, Any]) -> list[str]:
    licences = card.get("licences", {})
    lines = [f"- Model: {licences.get('model', 'not said')}."]
    for each in licences.get("starting_weights", []):
        if each.get("part") not in (None, "nothing"):
            terms = each.get("license") or "licence not known"
            trained = f", trained on {each['trained_on']}" if each.get("trained_on") else ""
            lines.append(f"- Starting weights ({each.get('provider') or each.get('source')}{trained}): {terms}.")
    data = (card.get("data") or {}).get("licence")
    if data:
        lines.append(f"- Data, if they are the published [{data['set']}]({data['page']}): {data['licence']}.")
    else:
        lines.append("- Data: no licence known.")
    return lines


def _from_to(smallest: float, largest: float) -> str:
    return f"{smallest:g}" if smallest == largest else f"{smallest:g} to {largest:g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Returns a person's text so that no Markdown or HTML comes of it."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "–" if value is None else str(value)
