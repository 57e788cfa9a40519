"""onnxruntime-web is what it says it is."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files

from segbench.export.html.vendor import HASHES, library_text, runtime_gz


def test_the_files_are_those_of_the_package() -> None:
    folder = files("segbench.export.html") / "vendor"
    library = (folder / "ort.wasm.bundle.min.mjs").read_bytes()
    found = {
        "ort.wasm.bundle.min.mjs": hashlib.sha256(library).hexdigest(),
        "ort-wasm-simd-threaded.wasm": hashlib.sha256(gzip.decompress(runtime_gz())).hexdigest(),
    }
    assert found == HASHES
    about = (folder / "README.md").read_text(encoding="utf-8")
    assert all(each in about for each in HASHES.values())
    assert "MIT" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert b"onnxruntime-web 1.30.0" in about.encode()
    assert b'"1.30.0"' in library


def test_the_library_is_a_plain_script() -> None:
    text = library_text()
    assert "import.meta" not in text
    assert "InferenceSession:" in text.rsplit("const ort={", 1)[1]
    assert "export{" not in text
    assert "</" not in text
