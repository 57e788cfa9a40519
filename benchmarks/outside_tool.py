"""A network that segbench did not train, judged beside one that it did, by the same rules.

python benchmarks/outside_tool.py PATH_OF_PH2 [--epochs 40] [--out runs/outside]

segbench trains benchmarks/configs/ph2_homework.yaml. Then a U-Net of segmentation_models.pytorch is trained by a plain
loop below: its own reading, resizing, augmentation, loss and optimiser; of segbench it takes the list of files alone.
Its masks go to a folder at each photo's own size, and `segbench compare RUN FOLDER` judges both. A finished part is not
done again.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image

import segbench
from _machine import machine_line
from segbench.config.run import load_config
from segbench.data.manifest.manifest import Manifest
from segbench.folders.run import RunFolder

ROOT = Path(__file__).resolve().parent.parent
SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/outside"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    own = ["threads=1", f"epochs={given.epochs}"]
    file = ROOT / "benchmarks" / "configs" / "ph2_homework.yaml"
    config = load_config(file, [f"data.path={given.data}", f"output={given.out}/own", *own])
    segbench.fit(config)
    masks = given.out / "smp_unet_resnet18"
    manifest = Manifest.read(RunFolder(given.out / "own").manifest_file)
    if len(list(masks.glob("*.png"))) < len(manifest.split("test")):
        predict(train(manifest, given.epochs), manifest, masks)
    words = [sys.executable, "-m", "segbench", "compare", str(given.out / "own"), str(masks)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.replace(str(given.out), "OUT")
    text = f"{machine_line()}. {given.epochs} epochs each, one seed each.\n\n"
    text += f"    segbench compare OUT/own OUT/{masks.name}\n\n"
    text += "\n".join(f"    {line}".rstrip() for line in said.splitlines()) + "\n"
    (ROOT / "benchmarks" / "results" / "outside_tool.md").write_text(text, encoding="utf-8")
    print(text)


def read(manifest: Manifest, split: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns (image, mask) pairs, (3, H, W) and (1, H, W) float32 in 0 to 1."""
    pairs = []
    for sample in manifest.split(split):  # type: ignore[arg-type]
        image = Image.open(manifest.image_path(sample)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        mask = Image.open(manifest.mask_paths(sample)[0]).convert("L").resize((SIZE, SIZE), Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        pairs.append((pixels, torch.from_numpy(np.array(mask) > 127).float()[None]))
    return pairs


def train(manifest: Manifest, epochs: int) -> torch.nn.Module:
    """Returns smp's U-Net after a plain training; the last epoch, no validation."""
    torch.manual_seed(0)
    random.seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=1)
    loss = smp.losses.DiceLoss("binary")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    pairs = read(manifest, "train")
    for epoch in range(epochs):
        random.shuffle(pairs)
        network.train()
        for start in range(0, len(pairs), 10):
            batch = [
                (i.flip(-1), m.flip(-1)) if random.random() < 0.5 else (i, m) for i, m in pairs[start : start + 10]
            ]
            images, targets = (torch.stack(list(each)) for each in zip(*batch, strict=True))
            value = loss(network(images), targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        print(f"smp, epoch {epoch + 1}/{epochs}: loss {value.item():.4f}", flush=True)
    return network.eval()


@torch.inference_mode()
def predict(network: torch.nn.Module, manifest: Manifest, folder: Path) -> None:
    """Writes 0/255 masks at each photo's own size."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample, (image, _) in zip(manifest.split("test"), read(manifest, "test"), strict=True):
        logits = network(image[None])
        large = torch.nn.functional.interpolate(logits, (sample.height, sample.width), mode="bilinear")[0, 0]
        Image.fromarray((large > 0).numpy().astype(np.uint8) * 255).save(folder / f"{sample.id}.png")


if __name__ == "__main__":
    main()
