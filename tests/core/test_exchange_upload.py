"""Uploading to a server that refuses, is at its limit, or falls over: nothing is sent twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from autointerp_core.cli import main
from autointerp_core.exchange.neuronpedia import upload
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.exchange_fixtures import awkward_study

KEY = "np-secret"


class Fake:
    """A Neuronpedia that keeps what it accepts, and answers with ``plan`` first."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.plan: list[int] = []
        self.paths: set[str] = set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.paths.add(self.path)
                status = fake.plan.pop(0) if fake.plan else 200
                if self.headers.get("X-Api-Key") != KEY:
                    status = 401
                if status == 200:
                    fake.got.append(json.loads(body))
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                answer = b'{"message": "said so"}'
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()
    monkeypatch.setattr("autointerp_core.exchange.formats.neuronpedia_upload.FEATURES_A_BODY", 4)
    monkeypatch.setattr(upload, "_PAUSE", 0.0)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def awkward(own_home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    with awkward_study(own_home) as found:
        yield found


def run(fake: Fake, out: Path, *more: str) -> int:
    return main(["export", "--study", "awkward", "--format", "neuronpedia-upload",
                 "--output-dir", str(out), "--base-url", fake.url, *more])  # fmt: skip


def test_a_dry_run_sends_nothing_then_all_is_sent_once(
    fake: Fake,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", KEY)
    assert run(fake, tmp_path / "out") == 0
    assert fake.got == []
    assert len(list((tmp_path / "out/bodies").iterdir())) == 3
    assert run(fake, tmp_path / "out", "--send") == 0
    assert "3 bodies sent" in capsys.readouterr().out
    assert fake.paths == {"/api/feature/upload-batch"}
    assert [[f["index"] for f in body["features"]] for body in fake.got] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11],
    ]  # fmt: skip
    assert run(fake, tmp_path / "out", "--send") == 0
    assert "0 bodies sent" in capsys.readouterr().out
    assert len(fake.got) == 3


@pytest.mark.slow
def test_what_stopped_it_is_said_and_it_goes_on_later(
    fake: Fake,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    monkeypatch.delenv("NEURONPEDIA_API_KEY", raising=False)
    for key, plan, status, says in (
        (None, [], 2, "NEURONPEDIA_API_KEY is not set"),
        ("wrong", [], 2, "refuses the API key (401"),
        (KEY, [200, *[429] * 4], 1, 'at its rate limit: {"message": "said so"}; 1 of 3 bodies'),
        (KEY, [*[500] * 4], 1, "failed (500"),
        (KEY, [400], 2, "does not take the features (400"),
    ):
        if key:
            monkeypatch.setenv("NEURONPEDIA_API_KEY", key)
        fake.plan = list(plan)
        assert run(fake, out, "--send") == status
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert says in told
        assert KEY not in told
    fake.plan = [429, 503]  # passes
    assert run(fake, out, "--send") == 0
    assert "2 bodies sent" in capsys.readouterr().out
    assert sorted(b["features"][0]["index"] for b in fake.got) == [0, 4, 8]
    kept = "".join(path.read_text() for path in out.rglob("*") if path.is_file())
    assert KEY not in kept


def test_a_server_that_is_not_there_is_said(
    fake: Fake,
    awkward: tuple[Study, LabelHistory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEURONPEDIA_API_KEY", KEY)
    fake.url = "http://127.0.0.1:9"
    assert run(fake, tmp_path / "out", "--send") == 1
    assert "cannot be reached" in capsys.readouterr().err
