"""The image of a task, from the one Label Studio that the server was told of; nothing else is fetched or opened."""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from segbench import __version__
from segbench.serve.answers import ServeError
from segbench.serve.settings import ServeSettings, label_studio_home

_FILES = ("/data/", "/storage-data/")  # where Label Studio keeps images; the token is sent nowhere else
_STORAGES = ("s3", "gs", "azure-blob", "azure")
_INSTEAD = "upload it to Label Studio, or predict beforehand (segbench predict --as labelstudio)"
_LOGIN = "/user/login"
_SHOWN = 100  # characters of a foreign address
_SAFE = "/%:@!$&'()*+,;=~-._?"
_MOST_S = 30.0
_CHUNK = 1 << 16
_EARLY_S = 30.0  # an access token is renewed so long before it ends
_MOST_TOKEN_BYTES = 1 << 16


class LabelStudioImages:
    """Fetches images of one Label Studio.

    Args:
        settings: `label_studio`, its address, also with a path; `label_studio_token`, a legacy token or a personal
            access token of a person who may see the project; and the limits.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._home = None if settings.label_studio is None else label_studio_home(settings.label_studio)
        self._token = settings.label_studio_token
        self._most_bytes, self._timeout_s = settings.most_bytes, min(settings.timeout_s, _MOST_S)
        self._opener = urllib.request.build_opener(_StaysAtHome(self._home, self._refused_token))
        self._access, self._access_ends = "", 0.0
        self._lock = threading.Lock()

    def read(self, value: str) -> bytes:
        """Returns the bytes of an image, as a task's data names it.

        Args:
            value: a data address; the path of an uploaded file or of a local storage, by itself or at the address of
                Label Studio.
        Raises:
            ServeError: another place, no such image, too many bytes, a refused token, or nobody there.
        """
        if value[:5].lower() == "data:":
            return self._unpacked(value)
        return self._fetch(self._address(value))

    def _unpacked(self, value: str) -> bytes:
        head, _, body = value.partition(",")
        if not head.lower().endswith(";base64"):
            raise ServeError(422, "expected a data address in base64: data:image/png;base64,...", code="image")
        if len(body) // 4 * 3 > self._most_bytes + 2:
            raise self._too_large(len(body) // 4 * 3)
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ServeError(422, f"the data address is damaged: {error}", code="image") from error

    def _address(self, value: str) -> str:
        """Returns the whole address of a file of Label Studio's own; ServeError for any other place."""
        try:
            parts = urlsplit(f"/data/{value}" if value.startswith("upload/") else value)
        except ValueError as error:  # brackets in a host
            raise self._foreign(value) from error
        if parts.scheme in _STORAGES:
            told = f"images of a cloud storage ({parts.scheme}://) are not fetched; {_INSTEAD}"
            raise ServeError(422, told, code="foreign_image")
        home = self._home
        if home is None:
            told = "the server was told of no Label Studio to fetch images from; start it with --label-studio URL"
            raise ServeError(422, told, code="no_label_studio")
        path = parts.path.removeprefix(home.path)
        plain = unquote(path)
        is_own = not (parts.scheme or parts.netloc) or _origin(parts) == _origin(home)
        is_file = plain.startswith(_FILES) and "\\" not in plain and posixpath.normpath(plain) == plain.rstrip("/")
        if not is_own or not is_file:
            raise self._foreign(value)
        query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        return f"{home.geturl()}{quote(path, safe=_SAFE)}{query}"

    def _foreign(self, value: str) -> ServeError:
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        home = "nowhere" if self._home is None else f"{self._home.geturl()}{_FILES[0]} alone"
        return ServeError(422, f"images are fetched from {home}, got {shown!r}; {_INSTEAD}", code="foreign_image")

    def _fetch(self, address: str) -> bytes:
        request = urllib.request.Request(address, headers={**_headers(), **self._authorization()})
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return self._body(answer, answer.headers.get("Content-Length"))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise self._refused_token() from error
            if error.code in (404, 410):
                told = f"Label Studio has no such image (any more): {urlsplit(address).path}"
                raise ServeError(422, told, code="image_gone") from error
            told = f"Label Studio answered with status {error.code} to {urlsplit(address).path}; is the file there?"
            raise _bad_gateway(told) from error
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, HTTPException) as error:
            if isinstance(error, urllib.error.URLError) and isinstance(error.reason, TimeoutError):
                raise self._late() from error
            raise self._unreachable() from error

    def _body(self, answer: IO[bytes], announced: str | None) -> bytes:
        if announced is not None and announced.isdigit() and int(announced) > self._most_bytes:
            raise self._too_large(int(announced))
        ends, parts, size = time.monotonic() + self._timeout_s, [], 0
        while part := answer.read(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > self._most_bytes:
                raise self._too_large(size)
            if time.monotonic() > ends:
                raise self._late()
        return b"".join(parts)

    def _authorization(self) -> dict[str, str]:
        if not self._token:
            return {}
        kind = _claims(self._token).get("token_type")
        if kind is None:
            return {"Authorization": f"Token {self._token}"}
        return {"Authorization": f"Bearer {self._token if kind == 'access' else self._renewed(self._token)}"}

    def _renewed(self, refresh: str) -> str:
        """Returns the access token that a personal access token stands for, which ends after some minutes."""
        with self._lock:
            if time.time() < self._access_ends - _EARLY_S:
                return self._access
            home = self._home.geturl() if self._home is not None else ""
            headers = {**_headers(), "Content-Type": "application/json"}
            body = json.dumps({"refresh": refresh}).encode()
            request = urllib.request.Request(f"{home}/api/token/refresh/", body, headers)
            try:
                with self._opener.open(request, timeout=self._timeout_s) as answer:
                    access = str(json.loads(answer.read(_MOST_TOKEN_BYTES))["access"])
            except urllib.error.HTTPError as error:
                error.close()
                raise self._refused_token() from error
            except (OSError, HTTPException) as error:
                raise self._unreachable() from error
            except (ValueError, KeyError, TypeError) as error:
                raise _bad_gateway("Label Studio gave no access token for the personal one") from error
            self._access, self._access_ends = access, float(_claims(access).get("exp", 0.0))
            return access

    def _refused_token(self) -> ServeError:
        if not self._token:
            told = "asks for a token; give one with --label-studio-token-file, or in LABEL_STUDIO_API_KEY"
            return _bad_gateway(f"Label Studio {told}")
        return _bad_gateway(
            "Label Studio refused the token or the file: the token must be of a person who may see the project, and "
            "a file of a local storage needs that storage added to the project"
        )

    def _too_large(self, size: int) -> ServeError:
        told = f"expected an image of at most {self._most_bytes:,} bytes, got {size:,}"
        return ServeError(413, told, code="too_large")

    def _late(self) -> ServeError:
        told = f"Label Studio did not send the image within {self._timeout_s:g} s"
        return ServeError(504, told, code="label_studio")

    def _unreachable(self) -> ServeError:
        home = "" if self._home is None else self._home.geturl()
        return _bad_gateway(
            f"Label Studio cannot be reached at {home}; in a container, localhost is the container itself"
        )


class _StaysAtHome(urllib.request.HTTPRedirectHandler):
    """Follows redirects inside of one Label Studio, and to its login page none."""

    def __init__(self, home: SplitResult | None, refused: Any) -> None:
        self._home, self._refused = home, refused

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Returns the next request; ServeError where it would leave, or where a person is asked to log in."""
        parts = urlsplit(newurl)
        if self._home is None or _origin(parts) != _origin(self._home):
            raise _bad_gateway(f"Label Studio sends the image from another host, {parts.netloc}; {_INSTEAD}")
        if _LOGIN in parts.path:
            raise self._refused()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Returns scheme, host and port; a port that is no number is that of nobody."""
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


def _claims(token: str) -> dict[str, Any]:
    """Returns what a JSON web token says of itself; nothing for a token of another kind."""
    try:
        _, body, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _headers() -> dict[str, str]:
    return {"User-Agent": f"segbench/{__version__}", "Accept-Encoding": "identity"}


def _bad_gateway(told: str) -> ServeError:
    return ServeError(502, told, code="label_studio")
