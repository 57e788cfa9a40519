"""One model on the machines of a Ray cluster: python ray_serve.py model.segbench (needs ray[serve]).

Every machine must see the model under the same path. The mask (class indices; not for a multilabel model) is asked for
with: curl --data-binary @photo.jpg http://127.0.0.1:8000 > mask.png
"""

import io
import os
import sys
from pathlib import Path

from PIL import Image
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

import segbench


@serve.deployment(num_replicas=2, max_ongoing_requests=32, max_queued_requests=256)
class Segmenter:
    """A replica: images that come together, and that the network sees at one size, go through it together."""

    def __init__(self, model: str) -> None:
        self.predictor = segbench.Predictor.load(model)

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def probabilities(self, seen: list) -> list:
        found = {}
        for first in seen:
            alike = [each for each in seen if id(each) not in found and first.together(each)]
            if alike:
                found |= dict(zip(map(id, alike), self.predictor.pipeline.probabilities_of(alike), strict=True))
        return [found[id(each)] for each in seen]

    async def __call__(self, request: Request) -> Response:
        pipeline = self.predictor.pipeline
        try:
            image, nodata = pipeline.read(await request.body())
        except segbench.SegbenchError as error:
            return Response(str(error), status_code=422)
        prediction = self.predictor.prediction(image, nodata, await self.probabilities(pipeline.seen(image)))
        png = io.BytesIO()
        Image.fromarray(prediction.mask).save(png, "PNG")  # class indices
        return Response(png.getvalue(), media_type="image/png")


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ.get("PORT", "8000"))})
    serve.run(Segmenter.bind(str(Path(sys.argv[1]).resolve())), blocking=True)
