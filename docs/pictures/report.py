"""Makes report.png, the first screen of a report: of the page given, or of the demo's.

python docs/pictures/report.py [demo/index.html]        # needs chromium; without a page, the demo runs first
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT, SCALE = 1000, 760, 1.5
MOST_BYTES = 200_000


def main() -> None:
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo/index.html")
    if not page.is_file():
        subprocess.run([sys.executable, "-m", "segbench", "demo", "-o", str(page.parent)], check=True)
    out = Path(__file__).with_name("report.png")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        subprocess.run(
            [
                *(
                    "chromium",
                    "--headless=new",
                    "--no-sandbox",
                    "--hide-scrollbars",
                    f"--user-data-dir={folder}/profile",
                ),
                *(f"--force-device-scale-factor={SCALE}", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"),
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        picture = Image.open(shot).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    picture.save(out, optimize=True)
    size = out.stat().st_size
    print(f"{out}: {picture.width} x {picture.height}, {size} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"expected at most {MOST_BYTES} bytes; take fewer colours or a smaller window")


if __name__ == "__main__":
    main()
