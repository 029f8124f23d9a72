"""Sending bodies to ``POST /api/feature/upload-batch``, going on where it stopped.

The request is that of the package ``neuronpedia`` 1.2.1 (``requests/feature_request.py``): header
``X-Api-Key``, at most 128 features a body. What was accepted is written down beside the bodies, so
a refusal or a rate limit costs nothing that was sent before.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from autointerp_core.errors import AutointerpError, ProviderSetupError
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.files import write_bytes

if TYPE_CHECKING:
    import httpx

ENDPOINT = "/api/feature/upload-batch"
SENT = ".autointerp-sent.json"
_TRIES = 4
_PAUSE = 1.0
"""Seconds before the second try; before each further one twice as many."""
_LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more is left for later."""
_TIMEOUT = 300.0


def send_bodies(
    folder: Path,
    names: Sequence[str],
    base_url: str,
    key_variable: str,
    progress: ProgressCallback,
) -> str:
    """Send every body that this server has not accepted yet; returns what was done, in a line.

    Args:
        folder: the export's folder.
        names: files of bodies in it, in order.
        base_url: the server, without a path.
        key_variable: the environment variable that holds the key.

    Raises:
        ProviderSetupError: no key, the key is refused, or the server is not one of these.
        AutointerpError: the rate limit, the network or the server stopped it; the same call later
            goes on.
    """
    key = os.environ.get(key_variable, "").strip()
    if not key:
        raise ProviderSetupError(
            f"no API key: the environment variable {key_variable} is not set; get a key from your "
            f"account at {base_url} and run {key_variable}=… with the same command"
        )
    import httpx  # a tenth of a second, and the app lists formats without sending any

    server = _server(base_url)
    sent = _read(folder)
    mine = sent.setdefault(server, {})
    total = len(names)
    new = 0
    with httpx.Client(timeout=_TIMEOUT, headers={"X-Api-Key": key}) as client:
        for number, name in enumerate(names):
            body = (folder / name).read_bytes()
            digest = hashlib.sha256(body).hexdigest()
            if mine.get(name) != digest:
                _post(client, server, body, f"{number} of {total} bodies are sent")
                mine[name] = digest
                write_bytes(folder / SENT, orjson.dumps(sent))
                new += 1
            progress(Progress("upload", number + 1, total, "bodies"))
    before = total - new
    already = f", {before} were there already" if before else ""
    return f"{new} bodies sent to {server}{already}"


def _post(client: httpx.Client, server: str, body: bytes, done: str) -> None:
    import httpx

    later = f"{done}; run the same command again to go on"
    for attempt in range(_TRIES):
        last = attempt == _TRIES - 1
        try:
            answer = client.post(
                server + ENDPOINT, content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            if last:
                raise AutointerpError(f"{server} cannot be reached: {error}; {later}") from error
            time.sleep(_PAUSE * 2**attempt)
            continue
        if answer.is_success:
            return
        if answer.status_code in (401, 403):
            raise ProviderSetupError(
                f"{server} refuses the API key ({answer.status_code}{_said(answer)}); check it, "
                f"and that the source set is yours; {later}"
            )
        if answer.status_code == 429:
            wait = _retry_after(answer, _PAUSE * 2**attempt)
            if last or wait > _LONGEST_WAIT:
                raise AutointerpError(f"{server} is at its rate limit{_said(answer)}; {later}")
            time.sleep(wait)
        elif answer.status_code >= 500:
            if last:
                raise AutointerpError(
                    f"{server} failed ({answer.status_code}{_said(answer)}); {later}"
                )
            time.sleep(_PAUSE * 2**attempt)
        else:
            raise ProviderSetupError(
                f"{server} does not take the features ({answer.status_code}{_said(answer)}): does "
                f"the model, and the source set, exist there? {later}"
            )


def _server(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api')}"


def _said(answer: httpx.Response) -> str:
    text = " ".join(answer.text.split())[:200]
    return f": {text}" if text else ""


def _retry_after(answer: httpx.Response, otherwise: float) -> float:
    try:
        return max(float(answer.headers.get("Retry-After", "")), 0.0)
    except ValueError:
        return otherwise


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        found = orjson.loads((folder / SENT).read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(isinstance(each, dict) for each in found.values())
    return found if whole else {}
