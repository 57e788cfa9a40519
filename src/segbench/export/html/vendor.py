"""onnxruntime-web as it lies in `vendor/`: the runtime of the page. vendor/README.md says where it comes from."""

from __future__ import annotations

import re
from importlib.resources import files

# SHA-256 of the files of the npm package; a test compares them with what lies there.
HASHES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_EXPORTED = re.compile(r"export\{([^}]*)\};\s*(?://# sourceMappingURL=.*)?\s*$")


def runtime_gz() -> bytes:
    """Returns the WebAssembly program, compressed with gzip."""
    return (files(__package__) / "vendor" / "ort-wasm-simd-threaded.wasm.gz").read_bytes()


def library_text() -> str:
    """Returns the JavaScript that drives it as a plain script, with what the module exports as a constant `ort`.

    Browsers start no worker from a module in memory on a page that was opened as a file, but they do from a script.
    """
    text = (files(__package__) / "vendor" / "ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")
    found = _EXPORTED.search(text)
    if found is None:
        raise ValueError("expected onnxruntime-web to end with what it exports; see vendor/README.md")
    pairs = (pair.split(" as ") for pair in found[1].split(","))
    exported = "const ort={" + ",".join(f"{name}:{local}" for local, name in pairs) + "};\n"
    return '"use strict";\n' + text[: found.start()].replace("import.meta.url", "self.location.href") + exported
