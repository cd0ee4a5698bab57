"""The explorer's server: one page and a few questions to the session, for this machine alone."""

import base64
import contextlib
import json
import sys
import traceback
from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from scaledis.core import UserError, registry
from scaledis.report import template
from scaledis.report.explore.session import LARGEST, Session

HOST = "127.0.0.1"
LARGEST_QUESTION = 1 << 20  # bytes
LARGEST_UNREAD, PATIENCE = 1 << 30, 5.0  # bytes of a refused request that are read nevertheless; seconds between two
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Answer = tuple[str, bytes]  # the kind of content, and the content


class Server(ThreadingHTTPServer):
    """Serves one session on a port of the loopback interface."""

    daemon_threads = True
    request_queue_size = 128  # a browser opens six connections at once

    def __init__(self, session: Session, port: int):
        super().__init__((HOST, port), Handler)
        self.session = session

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A traceback, unless it was the browser that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @cached_property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"

    @cached_property
    def page(self) -> bytes:
        about = {"title": self.session.source.title, "runs": self.session.source.names, "largest": LARGEST}
        assets = resources.files("scaledis.report.explore") / "assets"
        return template.fill(assets, "explore", data=template.as_json(about)).encode()


def make_server(session: Session, port: int = 0) -> Server:
    """A server on `port`, or on a free one. Raises UserError where the port is taken."""
    try:
        return Server(session, port)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port: {port} cannot be used: {error}.") from error


class Handler(BaseHTTPRequestHandler):
    """Answers one browser. A user's mistake is a sentence in {"error": ..}; a bug is that and a traceback here."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold an answer back for 40 ms
    wbufsize = -1  # head and body leave together
    server: Server

    def do_GET(self) -> None:
        self._answer({"/": lambda: ("text/html; charset=utf-8", self.server.page)})

    def do_POST(self) -> None:
        session = self.server.session
        self._answer(
            {
                "/about": lambda: _json(session.about(**self._question("run"))),
                "/random": lambda: _start(session.random(**self._question("run"))),
                "/prior": lambda: _start(session.from_prior(**self._question("run"))),
                "/factors": lambda: _start(session.by_factors(**self._question("run", "values"))),
                "/file": lambda: _start(session.from_file(self._run(), self._body(LARGEST))),
                "/decode": lambda: ("image/png", session.decode(**self._question("run", "values"))),
                "/animation": lambda: ("image/gif", session.animation(**self._question("run", "values", "unit"))),
            }
        )

    def _answer(self, routes: dict[str, Callable[[], Answer]]) -> None:
        self.unread = _length(self.headers.get("Content-Length", "0"))
        try:
            path = self._address().path
            if not self._is_own():
                self._send(HTTPStatus.FORBIDDEN, _error("Only the explorer's own page is answered."))
            elif path not in routes:
                self._send(HTTPStatus.NOT_FOUND, _error(f"{path} is not here: the explorer serves one page."))
            else:
                self._send(HTTPStatus.OK, routes[path]())
        except TooLarge as error:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _error(str(error)))
        except UserError as error:
            self._send(HTTPStatus.BAD_REQUEST, _error(str(error)))
        except ConnectionError:
            self.close_connection = True  # the browser went away
        except Exception:
            traceback.print_exc(file=sys.stderr)
            sentence = "This is a bug of the explorer; the terminal says more."
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _error(sentence))
        if self.close_connection:
            self._pass_over()

    def _address(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise UserError(f"The address {registry.short(self.path)} is none: {error}.") from error

    def _is_own(self) -> bool:
        """Whether a request comes from the page itself, and not from another site that the browser shows."""
        own = {f"{name}:{self.server.server_address[1]}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in own and (origin is None or origin.removeprefix("http://") in own)

    def _question(self, *keys: str) -> dict[str, Any]:
        """The body as a dictionary of these keys. Raises UserError for anything else."""
        try:
            asked = json.loads(self._body(LARGEST_QUESTION))
        except (ValueError, RecursionError) as error:
            raise UserError(f"The question is not JSON: {error}.") from error
        if not isinstance(asked, dict) or set(asked) != set(keys):
            raise UserError(f"The question must be a dictionary of {', '.join(keys)}.")
        return asked

    def _run(self) -> str:
        return parse_qs(self._address().query).get("run", [""])[0]

    def _body(self, largest: int) -> bytes:
        if not self.headers.get("Content-Length", "").isdecimal():
            self.close_connection = True
            raise UserError("The request does not say how long it is.")
        if self.unread > largest:
            raise TooLarge(f"The file has {self.unread / 1e6:.0f} MB; at most {largest >> 20} MB are taken.")
        length, self.unread = self.unread, 0
        return self.rfile.read(length)

    def _pass_over(self) -> None:
        """Reads what is left of a request: a browser that is cut off while it sends never reads the answer."""
        left = min(self.unread, LARGEST_UNREAD)
        self.connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            while left > 0 and (read := self.rfile.read1(min(left, 1 << 20))):
                left -= len(read)

    def _send(self, status: HTTPStatus, answer: Answer) -> None:
        kind, content = answer
        if status != HTTPStatus.OK or self.unread:
            self.close_connection = True  # what is left of the body is no request
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(content))}
        for name, value in (own | HEADERS | ({"Connection": "close"} if self.close_connection else {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for every move of a slider would hide what matters."""


def _length(words: str) -> int:
    """A Content-Length in bytes; one of twenty digits or more is as good as any."""
    return int(words[:20]) if words.isdecimal() else 0


class TooLarge(Exception):
    """A request that is larger than what is taken."""


def _json(value: Any) -> Answer:
    return "application/json", json.dumps(value).encode()


def _error(sentence: str) -> Answer:
    return _json({"error": sentence})


def _start(found: tuple[list[float], bytes]) -> Answer:
    codes, image = found
    return _json({"codes": codes, "image": "data:image/png;base64," + base64.b64encode(image).decode()})
