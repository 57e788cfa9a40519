"""Tells what a built site links to and does not have, and what it would fetch from elsewhere.

Run as `python tools/check_site.py docs/_build`; `docs/build.py` asks the same functions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser fetch something by itself; a link that a person follows may lead anywhere.
_FETCHED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("link", "href")}
_FETCHING_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch"}


class _Page(HTMLParser):
    """Links, fetched addresses and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.words = 0
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._silent += tag in ("script", "style")
        self.anchors |= {value for key in ("id", "name") if (value := given.get(key))}
        for key, value in attrs:
            if not value:
                continue
            if (tag, key) in _FETCHED:
                relations = set((given.get("rel") or "").split())
                if tag != "link" or relations & _FETCHING_RELATIONS:
                    self.fetched.append(value)
            elif key == "href" and tag == "a":
                self.links.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words += len(data.split())


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _pages(site: Path) -> list[Path]:
    ours = (path for path in site.rglob("*.html") if not {"_static", "embedded", "_downloads"} & set(path.parts))
    return sorted(ours)


def problems(site: Path, *, unbuilt: Sequence[str] = ()) -> list[str]:
    """Returns a sentence for every link, anchor and picture that is not there, and for every request outside.

    Args:
        site: its folder.
        unbuilt: folders of it that were left out on purpose; what leads there is not asked.
    """
    found = []
    for path in _pages(site):
        page, name = _read(path), path.relative_to(site)
        found += [f"{name} fetches {url} from elsewhere" for url in page.fetched if _elsewhere(url)]
        for link, target in _broken(path, page):
            if not any(target.is_relative_to(site.resolve() / folder) for folder in unbuilt):
                found.append(f"{name} leads to {link}, which is not there")
    return found


def _elsewhere(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https") or url.startswith("//")


def _broken(path: Path, page: _Page) -> Iterator[tuple[str, Path]]:
    for link in dict.fromkeys([*page.links, *page.fetched]):
        parts = urlsplit(link)
        if parts.scheme or link.startswith("//"):
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.exists() or not _has(target, unquote(parts.fragment)):
            yield link, target


def _has(target: Path, anchor: str) -> bool:
    return not anchor or target.suffix != ".html" or anchor in _read(target).anchors


def summary(site: Path) -> str:
    """Returns how many pages, words and links the site has."""
    pages = [_read(path) for path in _pages(site)]
    links = sum(len(page.links) for page in pages)
    return f"{len(pages)} pages, {sum(page.words for page in pages):,} words, {links:,} links, none broken"


if __name__ == "__main__":
    site = Path(sys.argv[1])
    told = problems(site)
    print(*told or [summary(site)], sep="\n")
    sys.exit(bool(told))
