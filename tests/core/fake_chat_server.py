"""A local HTTP server that speaks the chat-completions protocol, with failures on order."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[int, str], str]
"""From (number of the request, prompt) to ok, empty, garbage (no JSON, nor said to be), broken
(no JSON), bare (JSON without an answer), error (one, as if it were a success), cut, 429, quota,
path (nothing at this address), full (context too long) or a status."""
ANSWERED = ("ok", "empty", "garbage", "broken", "bare")


@dataclass(frozen=True)
class Offers:
    """What a server takes: "yes", "no" (refused by name), "vague" (refused) or "ignored"."""

    response_format: str = "yes"
    logprobs: str = "yes"
    max_tokens: str = "yes"
    temperature: str = "yes"
    seed: str = "yes"
    most_logprobs: int = 20
    counts_tokens: bool = True
    status: int = 400
    """Of a refusal."""

    def refusal(self, body: Mapping[str, Any]) -> str | None:
        """The message of one, None where all is taken."""
        for name in ("response_format", "max_tokens", "temperature", "seed", "logprobs"):
            if name in body and getattr(self, name) == "no":
                return f"Unsupported parameter: '{name}' is not supported with this model."
            if name in body and getattr(self, name) == "vague":
                return "Bad request"
        if self.logprobs == "yes" and body.get("top_logprobs", 0) > self.most_logprobs:
            return f"top_logprobs must be at most {self.most_logprobs}"
        return None


@dataclass(frozen=True)
class Raw:
    """A body that is not a JSON object and nothing else: a page, an event stream, a BOM."""

    text: str
    kind: str = "application/json"


@dataclass
class ChatServer:
    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(prompt text, what the reply was) of every request, in order of arrival; the reply to
    a request with a parameter that is not taken is ``refused``."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    busiest: int = 0
    """The most requests under way at one time."""

    def complete_replies(self) -> Counter[str]:
        """How often each prompt got a reply that was received completely."""
        return Counter(p for p, kind in self.asked if kind in ANSWERED)

    def kinds(self) -> Counter[str]:
        return Counter(kind for _, kind in self.asked)


def label_of(prompt: str) -> str:
    return f"label of {prompt.splitlines()[-1]}"


@contextmanager
def chat_server(
    fault: Fault = lambda number, prompt: "ok",
    *,
    seconds: float = 0.0,
    retry_after: float = 0.05,
    offers: Offers | None = None,
    answer: Callable[[str], str] = label_of,
    chances: Callable[[str], Mapping[str, float]] = lambda prompt: {},
    echo: str = "",
    recorded: Callable[[str, int], object] | None = None,
    refuse: Callable[[dict[str, Any]], tuple[int, object] | None] = lambda body: None,
) -> Iterator[ChatServer]:
    """Run a server on a free port.

    Args:
        fault: what becomes of each request.
        seconds: how long each reply takes.
        retry_after: what a 429 asks for.
        offers: which parameters are taken; None: all.
        answer: the text of a reply, from the prompt's last message.
        chances: the likeliest first tokens, where probabilities are asked for and given.
        echo: added to every error message.
        recorded: bodies of replies, from a prompt and how many replies it had before.
        refuse: status and body of an error, from the body of a request; None: it is taken.
    """
    takes = offers or Offers()
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
            refusal = takes.refusal(body)
            error = refuse(body)
            with lock:
                replied = [p for p, kind in state.asked if kind == "ok"] if recorded else []
                before = replied.count(prompt)
                refused = refusal or error
                kind = "refused" if refused else fault(len(state.asked), prompt)
                state.asked.append((prompt, kind))
                state.bodies.append(body)
                state.keys.add(self.headers.get("authorization", ""))
                busy += 1
                state.busiest = max(state.busiest, busy)
            try:
                if refusal:
                    self._error(takes.status, refusal)
                elif error:
                    self._send(*error)
                elif kind == "ok" and recorded is not None:
                    self._send(200, recorded(prompt, before))
                else:
                    time.sleep(seconds)
                    self._reply(kind, prompt, body)
            finally:
                with lock:
                    busy -= 1

        def _reply(self, kind: str, prompt: str, body: dict[str, Any]) -> None:
            if kind == "429":
                self._error(429, "slow down", wait=retry_after)
            elif kind == "quota":
                self._error(429, "insufficient_quota")
            elif kind == "404":
                self._error(404, f"The model `{body['model']}` does not exist", "model_not_found")
            elif kind == "path":
                self._raw(404, b"404 page not found", "text/plain")
            elif kind == "full":
                self._error(
                    400,
                    "This model's maximum context length is 8 tokens. However, you requested 9 "
                    "tokens (5 in the messages, 4 in max_tokens).",
                    "context_length_exceeded",
                )
            elif kind.isdigit():
                self._error(int(kind), f"fault {kind}")
            elif kind == "garbage":
                self._raw(200, b"<html>not what you asked for", "text/html")
            elif kind == "broken":
                self._raw(200, b'{"choices": [', "application/json")
            elif kind == "bare":
                self._send(200, {"id": "x", "object": "chat.completion", "choices": []})
            elif kind == "error":
                self._send(200, {"error": {"message": "no upstream", "code": 502}})
            elif kind == "cut":
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [{"mess')
                self.close_connection = True
            else:
                self._send(200, self._completion(prompt, body, empty=kind == "empty"))

        def _completion(self, prompt: str, body: dict[str, Any], *, empty: bool) -> object:
            text = "" if empty else answer(prompt)
            shape = body.get("response_format")
            if shape is not None and takes.response_format == "yes" and not empty:
                (name,) = shape["json_schema"]["schema"]["properties"]
                text = json.dumps({name: text})
            choice: dict[str, Any] = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
            if body.get("logprobs") and takes.logprobs == "yes" and not empty:
                top = [
                    {"token": token, "logprob": math.log(chance), "bytes": None}
                    for token, chance in chances(prompt).items()
                ][: body["top_logprobs"]]
                choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
                choice["message"]["content"] = top[0]["token"]
            usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
            return {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [choice],
                **({"usage": usage} if takes.counts_tokens else {}),
            }

        def _error(
            self, status: int, message: str, code: str | None = None, wait: float | None = None
        ) -> None:
            error = {"message": f"{message} {echo}".strip(), "code": code, "param": None}
            self._send(status, {"error": error}, wait)

        def _send(self, status: int, body: object, wait: float | None = None) -> None:
            if isinstance(body, Raw):
                self._raw(status, body.text.encode(), body.kind, wait)
                return
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
