"""The servers that benchmarks/serve_load.py compares `segbench serve` with.

python benchmarks/serve_load_servers.py naive|litserve MODEL PORT
"""

from __future__ import annotations

import base64
import importlib.util
import io
import sys

import numpy as np
import torch
from fastapi import FastAPI, Request, Response
from PIL import Image

from segbench.predict.predictor import Predictor

BATCH, WAIT_S = 16, 0.002


def as_png(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return stream.getvalue()


class Plain:
    """Images in, masks out, as one writes it: the network as it was trained, float32."""

    def __init__(self, path: str) -> None:
        predictor = Predictor.load(path, device="cpu")
        self.network, self.settings = predictor.network.eval(), predictor.pipeline.settings
        normal = predictor.normalization
        self.mean, self.std = (torch.tensor(each).view(3, 1, 1) for each in (normal.mean, normal.std))

    def read(self, data: bytes) -> tuple[torch.Tensor, tuple[int, int]]:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        height, width = self.settings.size
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, (image.height, image.width)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.network(images).sigmoid()

    def written(self, probs: torch.Tensor, size: tuple[int, int]) -> bytes:
        large = torch.nn.functional.interpolate(probs[None], size=size, mode="bilinear", align_corners=False)
        return as_png((large[0, 0] >= self.settings.threshold).byte().numpy())


def be_naive(path: str, port: int) -> None:
    import uvicorn

    app, plain = FastAPI(), Plain(path)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        image, size = plain.read(await request.body())
        return Response(plain.written(plain.probabilities(image[None])[0], size), media_type="image/png")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if importlib.util.find_spec("litserve"):
    import litserve

    class Masks(litserve.LitAPI):  # types are left out where the library would take them for those of a body
        def setup(self, device):
            self.plain = Plain(sys.argv[2])

        def decode_request(self, request):
            return self.plain.read(base64.b64decode(request["image"]))

        def batch(self, inputs):
            return torch.stack([image for image, _ in inputs]), [size for _, size in inputs]

        def predict(self, x):
            return list(zip(self.plain.probabilities(x[0]), x[1], strict=True))

        def unbatch(self, output):
            return output

        def encode_response(self, output):
            return Response(self.plain.written(*output), media_type="image/png")


def be_litserve(path: str, port: int) -> None:
    api = Masks(max_batch_size=BATCH, batch_timeout=WAIT_S)
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=port, generate_client_file=False)


if __name__ == "__main__":
    {"naive": be_naive, "litserve": be_litserve}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
