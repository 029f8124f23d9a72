"""Listening: a port of this machine, until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from autointerp_core.api.guard import LOOPBACK
from autointerp_core.errors import BadInput, MissingDependency
from autointerp_core.service.desk import Desk

_TOKEN_BYTES = 24
KEEP_ALIVE = 60
"""Seconds an idle connection stays open: shorter, and a busy server resets its own readers."""


def serve(host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Serve the API until it is stopped.

    Args:
        host: an address of this machine; anything but loopback needs the token for reading, too.
        port: a free port.
        token: what writes must bring; None makes one up.
        say: told the address and the token.

    Raises:
        BadInput: the port is in use, or the address is not this machine's.
        MissingDependency: FastAPI or uvicorn are not installed.
    """
    try:
        import uvicorn

        from autointerp_core.api.app import make_api
    except ImportError as error:
        raise MissingDependency(
            f"the API needs FastAPI and uvicorn ({error.name} is missing); run: "
            "pip install 'fastapi>=0.165' 'uvicorn>=0.54'"
        ) from error
    listening = _listen(host, port)
    secret = token or secrets.token_urlsafe(_TOKEN_BYTES)
    local = host in LOOPBACK
    desk = Desk()
    try:
        made = make_api(desk, secret, every_request=not local)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        say(f"API: {address}/api/studies, described at {address}/ and {address}/docs")
        say(f"token for {'writing' if local else 'every request'}: {secret}")
        config = uvicorn.Config(
            made.app, log_level="warning", access_log=False, timeout_keep_alive=KEEP_ALIVE
        )
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
        desk.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        raise BadInput(
            f"port {port} of {host} cannot be used: {error.strerror}; give another with --port"
        ) from error
    return listening
