"""The studio's life: its port, its link, and its end."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.serve.run import listening, require_packages, run_app
from segbench.serve.settings import ServeSettings
from segbench.speech import in_shell
from segbench.studio.door import ENTER


def open_studio(
    path: Path | None,
    work: Path,
    say: Callable[[str], None],
    *,
    host: str = "127.0.0.1",
    port: int = 8100,
    hosts: Sequence[str] = (),
    read_only: bool = False,
    browser: bool = True,
    format: str | None = None,  # noqa: A002  # the config's word
    options: Mapping[str, Any] | None = None,
) -> None:
    """Shows a labelled folder, run, study or bundle in a browser until the process is told to stop.

    Args:
        path: what is opened; None: the runs and models in `work`.
        work: folder for new runs, corrected masks and exports.
        say: told the link.
        host, port: where it listens; 0: any port that is free.
        hosts: names under which it is reached, too.
        read_only: nothing is trained, corrected or written; the link then opens it for everyone who has it.
        browser: open the link in the person's browser.
        format, options: of a labelled folder's reader; what stays open is asked on the page.
    Raises:
        ConfigError: a package is missing, or the port is taken.
        DatasetError: see `Place`.
    """
    require_packages()
    link = secrets.token_urlsafe(24)
    settings = ServeSettings(host=host, port=port, token=link)  # which the door asks for
    with listening(settings) as listener:
        from segbench.studio.app import TIMEOUT_S, create_studio
        from segbench.studio.place import Place

        taken = listener.getsockname()[1]
        place = Place(path, work, read_only=read_only, format=format, options=options)
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
        app = create_studio(place, link=link, once=not read_only, port=taken, hosts=(shown, *hosts))
        address = f"http://{shown}:{taken}{ENTER}?key={link}"

        def started() -> None:
            name = in_shell(place.path or place.work)
            say(f"{name} is open at\n  {address}")
            say("the link works for everyone who has it" if read_only else "the link works once, in one browser")
            say("Ctrl-C ends the studio; trainings go on")
            if browser:
                webbrowser.open(address)

        run_app(app, replace(settings, timeout_s=TIMEOUT_S), listener, started)
