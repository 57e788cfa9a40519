"""`/docs`: every address of the server on one page, made here, that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } h3 { font: bold 16px ui-monospace, monospace; margin: 1.5rem 0 .2rem; }
pre { background: #f4f4f4; padding: .7rem; overflow: auto; } td { padding: 0 1rem .2rem 0; vertical-align: top; }
code { font-family: ui-monospace, monospace; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd; } pre { background: #222; } a { color: #8bf; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'"


def router() -> APIRouter:
    """Returns the route `/docs`."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        page = docs_page(request.app.openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    return routes


def docs_page(description: Mapping[str, Any]) -> str:
    """Returns an OpenAPI description as a page of HTML."""
    groups: dict[str, list[str]] = {}
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            groups.setdefault(next(iter(route.get("tags", ())), "segbench"), []).extend(_route(method, path, route))
    info = description["info"]
    body = "".join(f"<h2>{html.escape(name)}</h2>{''.join(parts)}" for name, parts in groups.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"
        f"<p>{html.escape(info.get('description', ''))} For programs: <a href='openapi.json'>openapi.json</a>.</p>"
        f"{body}</html>"
    )


def _route(method: str, path: str, route: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3>{method.upper()} {html.escape(path)}</h3><p>{html.escape(route.get('summary', ''))}. "
    yield f"{_marked(route.get('description', ''))}</p>"
    rows = [
        f"<tr><td><code>{html.escape(each['name'])}</code></td><td>{html.escape(each.get('description', ''))}</td></tr>"
        for each in route.get("parameters", ())
    ]
    if rows:
        yield f"<table>{''.join(rows)}</table>"
    sent = (route.get("requestBody") or {}).get("content", {})
    if sent:
        yield f"<p>Send: {', '.join(f'<code>{html.escape(kind)}</code>' for kind in sent)}</p>"
        yield from _examples(sent)
    answers = route.get("responses", {}).get("200", {}).get("content", {})
    if answers:
        yield f"<p>Comes back: {', '.join(f'<code>{html.escape(kind)}</code>' for kind in answers)}</p>"
        yield from _examples(answers)


def _examples(content: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for each in content.values():
        if "example" in each:
            yield f"<pre>{html.escape(json.dumps(each['example'], indent=1, ensure_ascii=False))}</pre>"


def _marked(text: str) -> str:
    """Returns a text in which what stands in backticks is code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
