"""What a release must pass: `make release-check`. Needs git, Python with venv, and uv in .tools; installs anew.

1. One version: pyproject.toml, CITATION.cff and the newest heading of CHANGELOG.md say the same.
2. The source distribution and the wheel are built; the wheel is below 5 MB without the runtime of the browser page.
3. The wheel made from the source distribution is installed into an empty environment without extras.
4. The README's quick start runs there, in an empty folder.
5. The licences of everything that was installed are listed, and none is one that forbids what MIT allows.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".tools" / "bin" / "uv"
WHEEL_MB = 5.0
RUNTIME = "/export/html/vendor/ort"  # of the page that runs a model
# Not to be linked into a program under MIT that is passed on whole.
REFUSED = re.compile(r"\b(AGPL|GPL)\b|Affero|(?<!Lesser )General Public License", re.IGNORECASE)
LICENCES = """
import importlib.metadata as m, json
def licence(d):
    text = d.metadata.get("License-Expression") or d.metadata.get("License") or ""
    named = [c.rpartition(" :: ")[2] for c in d.metadata.get_all("Classifier") or () if c.startswith("License")]
    return text.strip().partition("\\n")[0][:60] or ", ".join(named) or "not said"
print(json.dumps(sorted({(d.metadata["Name"], d.version, licence(d)) for d in m.distributions()})))
"""


def main() -> None:
    """Runs every check; the first that fails ends it with a sentence."""
    version = one_version()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = build(work / "dist", version)
        python = installed(wheel, work / "venv")
        quick_start(python.parent, work / "empty")
        licences(python)
    print(f"segbench {version} is ready")


def one_version() -> str:
    """Returns the version that all files say."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    for name, found in (("CITATION.cff", cited), ("CHANGELOG.md", changed)):
        if found is None or found[1] != version:
            sys.exit(f"{name} says {found[1] if found else 'no version'}, pyproject.toml {version}")
    return version


def build(dist: Path, version: str) -> Path:
    """Returns the wheel, built from the source distribution as an installer would."""
    _run([UV, "build", "--quiet", "--out-dir", dist, ROOT])
    wheel = dist / f"segbench-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
    runtime = sum(each.compress_size for each in members if RUNTIME in each.filename)
    size = (wheel.stat().st_size - runtime) / 1e6
    print(f"{wheel.name}: {size:.2f} MB, and {runtime / 1e6:.2f} MB of the browser's runtime; {len(members)} files")
    if size > WHEEL_MB:
        largest = sorted(members, key=lambda each: -each.compress_size)[:5]
        sys.exit(f"expected at most {WHEEL_MB} MB; the largest: {', '.join(each.filename for each in largest)}")
    return wheel


def installed(wheel: Path, venv: Path) -> Path:
    """Returns the Python of a new environment that has the wheel and what it needs, no extras."""
    _run([UV, "venv", "--quiet", "--python", sys.executable, venv])
    python = venv / "bin" / "python"
    _run([UV, "pip", "install", "--quiet", "--python", python, "--compile-bytecode", wheel])
    return python


def quick_start(programs: Path, folder: Path) -> None:
    """Does what the README's first block of shell commands says."""
    folder.mkdir()
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None, "README.md has no block of commands"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SEGBENCH", "VIRTUAL"))}
    environment = {**clean, "PATH": f"{programs}:{os.environ['PATH']}", "SEGBENCH_CACHE": str(folder / "cache")}
    for line in block[1].splitlines():
        command = shlex.split(line, comments=True)
        fine = (0, 1) if command[1:3] == ["data", "check"] else (0,)  # 1: there are warnings
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        print("ok " if done.returncode in fine else "BAD", shlex.join(command))
        if done.returncode not in fine:
            sys.exit(done.stdout + done.stderr)


def licences(python: Path) -> None:
    """Prints the licence of every installed package."""
    found = json.loads(subprocess.run([python, "-c", LICENCES], check=True, capture_output=True, text=True).stdout)
    for name, version, licence in found:
        print(f"{name} {version}: {licence}")
    refused = [name for name, _, licence in found if REFUSED.search(licence)]
    if refused:
        sys.exit(f"licences that a program under MIT cannot take in: {', '.join(refused)}")


def _run(words: list[str | Path]) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, words))}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
