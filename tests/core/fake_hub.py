"""A Hugging Face hub on 127.0.0.1, as far as downloads go, with its real status codes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves ``repos`` (id → folder); ``gated`` and ``broken`` ids answer 403 and 500."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Path] = {}
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        self.downloads: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(body=True)

    def log_message(self, *a: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        api = parts[0] == "api"
        if api:
            parts = parts[2:]
        elif parts[0] == "datasets":
            parts = parts[1:]
        repo, rest = "/".join(parts[:2]), parts[2:]
        if repo in self.server.gated:
            return self._send(403, b"{}", body, {"X-Error-Code": "GatedRepo"})
        if repo in self.server.broken:
            return self._send(500, b"{}", body)
        folder = self.server.repos.get(repo)
        if folder is None:
            return self._send(401, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        if not api:
            path = folder / "/".join(rest[2:])
            if not path.is_file():
                return self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})
            if body:
                self.server.downloads.append("/".join(rest[2:]))
            return self._send(200, path.read_bytes(), body)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = [
            {
                "type": "file",
                "path": path.relative_to(folder).as_posix(),
                "size": path.stat().st_size,
                "oid": _etag(path.read_bytes()),
            }
            for path in files
        ]
        if rest and rest[0] == "tree":
            return self._send(200, json.dumps(entries).encode(), body)
        info = {
            "_id": "0",
            "id": repo,
            "sha": COMMIT,
            "siblings": [{"rfilename": entry["path"]} for entry in entries],
        }
        return self._send(200, json.dumps(info).encode(), body)

    def _send(
        self, status: int, data: bytes, body: bool, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{_etag(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A running hub, stopped at the end."""
    hub = FakeHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
