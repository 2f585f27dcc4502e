"""The server over HTTP: who is let in, under which name, for how long, and how many at once.

Beside the protocol's own rules, every request has to carry a token that is made for this process alone.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.authentication import AuthenticationError
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from acs_gym.tools.mcp import NAME

PATH = "/mcp"
# Enough for the clients of one person. A session has one connection that stays, and some that pass.
MAX_SESSIONS = 16
_MAX_CONNECTIONS = 4 * MAX_SESSIONS
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = ("0.0.0.0", "[::]")
_NO_TOKEN = (
    "this server answers requests with the header 'Authorization: Bearer TOKEN' alone; it printed its "
    "token, and what to paste into a client's configuration, to standard error when it started"
)


def new_token() -> str:
    """256 random bits, as text that a header can hold."""
    return secrets.token_urlsafe(32)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OSError saying why there is none."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family)


def url_of(host: str, listening: socket.socket) -> str:
    """Where clients find what is served at a socket that `listen` made."""
    name = _in_url(host)
    if name in _ANY_ADDRESS:
        name = socket.gethostname()
    return f"http://{name}:{listening.getsockname()[1]}{PATH}"


def client_config(url: str, token: str) -> dict[str, Any]:
    """What most clients take as their configuration."""
    entry = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}
    return {"mcpServers": {NAME: entry}}


def serve_http(
    server: Server,
    host: str,
    listening: socket.socket,
    *,
    token: str,
    idle_s: float,
    left: Callable[[], None],
) -> None:
    """Talk to clients over streamable HTTP, until the process ends.

    Args:
        idle_s: seconds without a request or an open stream after which a client's session is closed.
        left: called when a client has ended its session.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH, host=host, transport_security=security(host),
        session_idle_timeout=idle_s, max_sessions=MAX_SESSIONS,
    )  # fmt: skip
    guarded = AuthenticationMiddleware(
        _saying_who_left(app, left), backend=_Bearer(_OneToken(token)), on_error=_unauthorized
    )
    config = uvicorn.Config(
        guarded, log_config=None, access_log=False, lifespan="on",
        limit_concurrency=_MAX_CONNECTIONS,
    )  # fmt: skip
    anyio.run(uvicorn.Server(config).serve, [listening])


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a server at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def security(host: str) -> TransportSecuritySettings:
    """Answer only requests that call this machine by a name of its own.

    A web page whose own name is made to resolve to this machine (DNS rebinding) would otherwise reach
    the server through its visitor's browser.
    """
    hosts = [form for name in names(host) for form in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{h}" for h in hosts],
    )


def names(host: str) -> tuple[str, ...]:
    """What a request to a server at `host` may call it; the machine's name too beyond loopback."""
    own = () if is_loopback(host) else (socket.gethostname(),)
    every = dict.fromkeys((*_LOOPBACK_NAMES, _in_url(host), *own))
    return tuple(n for n in every if n not in _ANY_ADDRESS)


class _OneToken:
    """The token that there is, verified without saying by the time it takes how much of it was right."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        if not secrets.compare_digest(token.encode(), self._token):
            return None
        return AccessToken(token=token, client_id=NAME, scopes=[])


class _Bearer(BearerAuthBackend):
    """Refuses where the library's own would let a request through as nobody's.

    The library's own refusal is that of an OAuth server, which there is none of.
    """

    async def authenticate(self, conn: HTTPConnection) -> Any:
        found = await super().authenticate(conn)
        if found is None:
            raise AuthenticationError(_NO_TOKEN)
        return found


def _unauthorized(_: HTTPConnection, error: AuthenticationError) -> Response:
    said = types.ErrorData(code=types.INVALID_REQUEST, message=str(error))
    body = types.JSONRPCError(jsonrpc="2.0", id=None, error=said)
    return Response(
        body.model_dump_json(by_alias=True, exclude_unset=True),
        status_code=401,
        headers={"WWW-Authenticate": f'Bearer realm="{NAME}"'},
        media_type="application/json",
    )


def _saying_who_left(app: ASGIApp, left: Callable[[], None]) -> ASGIApp:
    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "DELETE":
            left()

    return watched


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
