from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.studio.conftest import LINK

Open = Callable[..., Any]


def test_the_link_works_once(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    assert client.get("/api/place").status_code == 200
    client.cookies.clear()
    answer = client.get(f"/enter?key={LINK}")
    assert answer.status_code == 401
    assert "opens the studio once" in answer.text
    assert client.get("/api/place").status_code == 401


def test_whoever_is_in_may_open_the_link_again(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    assert client.get(f"/enter?key={LINK}").status_code == 200, "the history of the browser still leads in"


def test_a_class_shares_one_link(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions, read_only=True)
    client.cookies.clear()
    assert client.get(f"/enter?key={LINK}").status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/place", "/page/js/app.js", "/enter", "/enter?key=", "/enter?key=other"])
def test_nobody_else_sees_anything(open_place: Open, lesions: Path, path: str) -> None:
    assert open_place(lesions, inside=False).get(path).status_code == 401


def test_a_name_that_points_here_is_refused(open_place: Open, lesions: Path) -> None:
    answer = open_place(lesions).get("/api/place", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unknown_host")


def test_a_page_elsewhere_changes_nothing(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions)
    answer = client.post("/api/correct/0/revert", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


def test_what_only_shows_changes_nothing(open_place: Open, lesions: Path) -> None:
    client = open_place(lesions, read_only=True)
    for method, path in (
        ("POST", "/api/correct/0/revert"),
        ("PUT", "/api/correct/0/labels"),
        ("POST", "/api/tasks/x/stop"),
        ("POST", "/api/runs/x/continue"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "read_only"), path


def test_the_page_may_load_nothing_from_elsewhere(open_place: Open, lesions: Path) -> None:
    policy = open_place(lesions).get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
