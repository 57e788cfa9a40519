from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.predict.predictor import Predictor


def test_the_models_are_listed(client: Any) -> None:
    found = client.get("/v1/models").json()["models"]
    assert [each["name"] for each in found] == ["lesion", "street"]


def test_areas_are_the_predictors(client: Any, bundles: dict[str, Path], image: np.ndarray, png: bytes) -> None:
    found = client.post("/v1/predict?model=street", content=png).json()["areas"]
    assert found == pytest.approx(Predictor.load(bundles["street"])(image).area_fracs)


def test_many_at_once_are_answered_as_one_by_one(bundles: dict[str, Path], image: np.ndarray) -> None:
    from segbench.serve.models import Models
    from segbench.serve.settings import ServeSettings

    images = [np.roll(image, 3 * shift, axis=0)[: 61 - shift % 2] for shift in range(12)]

    async def ask() -> list[Any]:
        models = Models.open([bundles["street"]], ServeSettings(wait_ms=20))
        models.first.queue.start()
        found = await asyncio.gather(*(models.first.predict(each) for each in images))
        await models.first.stop()
        return found

    predictor = Predictor.load(bundles["street"])
    for each, prediction in zip(images, asyncio.run(ask()), strict=True):
        assert np.array_equal(prediction.mask, predictor(each).mask)


def test_an_unknown_model_is_named(client: Any, png: bytes) -> None:
    answer = client.post("/v1/predict?model=tree", content=png)
    assert answer.status_code == 404
    assert answer.json()["error"] == {"code": "unknown_model", "message": "expected one of lesion, street, got 'tree'"}
