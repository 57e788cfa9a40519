"""A test that starts a process, trains or takes seconds fails unless it is marked; see tests/_guard.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import _guard

TESTS = """\
import subprocess, sys, time
import pytest, torch

def step():
    weight = torch.zeros(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.SGD([weight], lr=0.1).step()

step()  # the first one imports much of torch

def start():
    subprocess.run([sys.executable, "-c", ""], check=True)

@pytest.fixture(scope="module")
def trained():
    step()

@pytest.fixture(scope="module")
def quiet():
    pass

def test_trains(): step()
def test_starts(): start()
def test_does_both(): step(); start()
def test_gets_a_trained_one(trained): pass
def test_gets_it_too(quiet, trained): pass
def test_imports_what_starts(): import starts
def test_is_long():
    end = time.process_time() + 0.2
    while time.process_time() < end: pass
def test_waits(quiet): time.sleep(0.2)

@pytest.mark.slow
def test_is_marked(trained): start()

def test_fails_by_itself():
    start()
    assert False
"""


class Outcomes:
    """Keeps why each test failed; empty where it passed."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.told[report.nodeid.rpartition("::test_")[2]] = f"\n{report.longrepr or ''}".splitlines()[-1]


@pytest.mark.slow
def test_what_an_unmarked_test_may_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_guard, "SECONDS", 0.1)
    (tmp_path / "starts.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)\n"
    )
    (tmp_path / "test_some.py").write_text(TESTS)
    outcomes = Outcomes()
    arguments = [
        str(tmp_path),
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--import-mode=importlib",
    ]
    pytest.main(arguments, plugins=[_guard.Guard(is_timed=True), outcomes])
    last = outcomes.told.pop("fails_by_itself")
    assert "AssertionError" in last
    mark = ": mark it @pytest.mark.slow"
    assert outcomes.told == {
        "trains": f"this test trains{mark}",
        "starts": f"this test starts a process{mark}",
        "does_both": f"this test starts a process and trains{mark}",
        "gets_a_trained_one": f"this test trains{mark}",
        "gets_it_too": f"this test trains{mark}",
        "imports_what_starts": "",
        "is_long": f"this test takes more than 0.1 s of the processor{mark}",
        "waits": "",
        "is_marked": "",
    }
