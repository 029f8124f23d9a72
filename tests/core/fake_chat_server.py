"""A local HTTP server that speaks the chat-completions protocol, with failures on order."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[int, str], str]
"""From (number of the request, prompt) to ok, 429, 500, 401, 404, quota, cut, garbage or empty."""


@dataclass
class ChatServer:
    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(prompt text, what the reply was) of every request, in order of arrival."""
    keys: set[str] = field(default_factory=set)
    busiest: int = 0
    """The most requests under way at one time."""

    def complete_replies(self) -> Counter[str]:
        """How often each prompt got a reply that was received completely."""
        return Counter(p for p, kind in self.asked if kind in ("ok", "empty", "garbage"))


@contextmanager
def chat_server(
    fault: Fault = lambda number, prompt: "ok", *, seconds: float = 0.0, retry_after: float = 0.05
) -> Iterator[ChatServer]:
    """Run a server on a free port; answers ``label of <last line of the prompt>``."""
    lock = threading.Lock()
    state = ChatServer("")
    busy = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on stderr."""

        def do_POST(self) -> None:
            nonlocal busy
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = body["messages"][-1]["content"]
            with lock:
                kind = fault(len(state.asked), prompt)
                state.asked.append((prompt, kind))
                state.keys.add(self.headers.get("authorization", ""))
                busy += 1
                state.busiest = max(state.busiest, busy)
            try:
                time.sleep(seconds)
                self._reply(kind, prompt)
            finally:
                with lock:
                    busy -= 1

        def _reply(self, kind: str, prompt: str) -> None:
            if kind == "429":
                self._send(429, {"error": {"message": "slow down"}}, retry_after)
            elif kind in ("500", "401", "404"):
                self._send(int(kind), {"error": {"message": f"fault {kind}"}})
            elif kind == "quota":
                self._send(429, {"error": {"message": "insufficient_quota"}})
            elif kind == "400":
                self._send(400, {"error": {"message": "the context is too long"}})
            elif kind == "garbage":
                self._raw(200, b"<html>not what you asked for", "text/html")
            elif kind == "cut":
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [{"mess')
                self.close_connection = True
            else:
                text = "" if kind == "empty" else f"label of {prompt.splitlines()[-1]}"
                self._send(
                    200,
                    {
                        "id": "x",
                        "object": "chat.completion",
                        "created": 0,
                        "model": "m",
                        "choices": [
                            {
                                "index": 0,
                                "finish_reason": "stop",
                                "message": {"role": "assistant", "content": text},
                            }
                        ],
                        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
                    },
                )

        def _send(self, status: int, body: object, wait: float | None = None) -> None:
            self._raw(status, json.dumps(body).encode(), "application/json", wait)

        def _raw(self, status: int, body: bytes, kind: str, wait: float | None = None) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if wait is not None:
                self.send_header("retry-after", str(wait))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away in the middle is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
