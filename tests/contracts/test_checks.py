"""What every check of the doctor promises: each mistake has a code of the table, and a test that makes it."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.doctor._sets import flawed_sets

from segbench.doctor import Finding, Severity
from segbench.doctor.checks import CHECKS, READING, Check, all_codes
from segbench.doctor.code import Code
from segbench.doctor.reading import Reading
from segbench.locale import Message, translate

CODES = {name: code for name, (_, code) in all_codes().items()}
every_code = pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))


def made_by_tests() -> set[str]:
    """Returns the codes for which a test of the doctor asks `finding(checkup, "code")`, which fails without it."""
    asked: set[str] = set()
    for path in (REPOSITORY / "tests/doctor").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "finding":
                asked |= {arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)}
    return asked


def test_a_code_stands_for_one_mistake() -> None:
    for check in (Check(module=READING), *CHECKS.values()):
        assert check.codes, f"{check.module} may find nothing"
        for code in check.codes:
            assert CODES[code.name] is code, f"{code.name} has two rows"


@every_code
def test_a_test_makes_it(code: Code) -> None:
    assert code.name in made_by_tests(), f'no test in tests/doctor asks finding(checkup, "{code.name}")'


@every_code
def test_it_says_what_it_means_and_what_to_do(code: Code) -> None:
    assert code.name.isidentifier()
    assert code.name == code.name.lower()
    assert (code.otherwise is None) == (code.when is None)
    assert code.otherwise is not code.severity
    assert not code.before_training or {code.severity, code.otherwise} & {Severity.ERROR, Severity.WARNING}
    assert code.means.endswith("."), "what it means is a sentence"
    assert code.advice
    assert not code.advice.endswith("."), "what to do stands inside of a sentence"
    for text in (code.means, code.advice, *([code.when] if code.when else [])):
        assert isinstance(text, Message)
        assert translate(text, "ru") != text, f"no translation: {text}"


@every_code
def test_the_documentation_has_it(code: Code) -> None:
    assert f"\n### {code.name}\n" in (REPOSITORY / "docs/reference/checks.md").read_text(encoding="utf-8")


def test_the_documentation_is_as_the_table_makes_it() -> None:
    spec = importlib.util.spec_from_file_location("make_checks", REPOSITORY / "docs/make_checks.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = (REPOSITORY / "docs/reference/checks.md").read_text(encoding="utf-8")
    assert written == maker.page(), "run python docs/make_checks.py"


def test_findings_are_those_of_their_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[Check, Finding]] = []
    ask = Check.__call__

    def recorded(self: Check, reading: Reading) -> list[Finding]:
        findings = ask(self, reading)
        found.extend((self, finding) for finding in findings)
        return findings

    monkeypatch.setattr(Check, "__call__", recorded)
    checkups = flawed_sets(tmp_path)
    assert len({finding.code for _, finding in found}) >= 40
    for check, finding in found:
        assert finding.code in {code.name for code in check.codes}, f"{check.module} does not declare {finding.code}"
    for finding in (finding for checkup in checkups for finding in checkup.findings):
        assert finding.code != "check_failed", finding.detail
        code = CODES[finding.code]
        assert finding.severity in (code.severity, code.otherwise)
        assert isinstance(finding.title, Message)
        assert finding.title.template == code.title.template
        assert finding.detail.startswith(code.means)
        assert finding.advice
        assert finding.count > 0
