"""The process that keeps a model warm: started on demand, shared, replaced, and gone when idle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp_core.errors import Cancelled, LiveError, ParameterError, SAESourceError
from autointerp_core.extraction.run import extract
from autointerp_core.live import open_live, wire
from autointerp_core.live.client import LiveClient
from autointerp_core.live.turns import SteerConfig, Turn
from autointerp_core.progress import Progress
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import make_tiny
from tests.core.tiny import TEXTS

pytestmark = pytest.mark.slow
TURN = Turn(3, units="activation")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with one study, and the sources it was made from."""
    home = tmp_path_factory.mktemp("home")
    extract(make_tiny(home / "sources").request(logits=False), home / "studies")
    return home


@pytest.fixture
def study(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    monkeypatch.setenv("AUTOINTERP_HOME", str(made))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = Study(next((made / "studies").glob("*/")))
    yield found
    LiveClient(found.folder).stop()


def _pid(study: Study) -> int:
    place = wire.read_place(wire.place_file(study.folder))
    assert place is not None
    return place.pid


def _wait(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_process_answers_everybody_is_replaced_and_ends_when_idle(study: Study) -> None:
    """Two at once share it; killed at work and at rest it comes back and says so."""
    told: list[str] = []
    answers = []

    def ask() -> None:
        client = LiveClient(study.folder)
        answers.append(client.encode(TEXTS, progress=lambda report: told.append(report.message)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert {"loading the SAE", "starting a process for the model"} <= set(told)
    expected = open_live(study, device="cpu").encode(TEXTS)
    for answer in answers:
        assert answer.notices == ()
        for ours, theirs in zip(answer.texts, expected, strict=True):
            assert ours.pieces == theirs.pieces
            np.testing.assert_array_equal(ours.spans, theirs.spans)
            np.testing.assert_array_equal(ours.feature, theirs.feature)
            np.testing.assert_allclose(ours.activation, theirs.activation, rtol=2e-4)
    client, first = LiveClient(study.folder, idle_minutes=1 / 60), _pid(study)
    _strangers(study)
    _questions(client)
    assert _pid(study) == first

    # In the middle of an answer: asked once more, with fewer tokens at a time.
    def kill(report: Progress) -> None:
        if report.stage == "generating" and _pid(study) == first:
            os.kill(first, signal.SIGKILL)

    steered = client.steer([TURN], SteerConfig("On", tokens=200, temperature=1.0), kill)
    assert "2,048 tokens at a time" in steered.notices[0]
    assert steered.found.unsteered.ids
    second = _pid(study)
    os.kill(second, signal.SIGKILL)
    _wait(lambda: _gone(second))
    again = client.encode(TEXTS[:1])
    assert "started again" in again.notices[0]
    place = wire.read_place(wire.place_file(study.folder))
    assert place is not None
    assert place.batch_tokens == 2048  # what was learnt is kept
    _wait(lambda: _gone(place.pid))  # nobody asked for a second
    assert not client.running()
    assert not wire.place_file(study.folder).exists()


def _strangers(study: Study) -> None:
    """Who does not know the key is not heard, and nothing is ever unpickled."""
    path = wire.place_file(study.folder)
    assert path.stat().st_mode & 0o077 == 0
    place = wire.read_place(path)
    assert place is not None
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        Client((wire.HOST, place.port), "AF_INET", authkey=b"guessed")
    with Client((wire.HOST, place.port), "AF_INET", authkey=bytes.fromhex(place.key)) as raw:
        raw.send({"a": "pickle"})
        with pytest.raises((EOFError, OSError)):
            raw.recv_bytes()


def _questions(client: LiveClient) -> None:
    with pytest.raises(ParameterError, match="it knows about, chat, encode, steer"):
        client.ask("rm", {})
    assert client.chat_text([{"role": "user", "content": "Hi"}]).startswith("user: Hi")

    def leave(report: Progress) -> None:
        if report.stage == "generating":
            raise Cancelled("enough")

    # Who goes away frees the worker for the next.
    with pytest.raises(Cancelled):
        client.steer([TURN], SteerConfig("On", tokens=200), leave)
    assert client.encode(TEXTS[:1]).notices == ()


def _stand_in(study: Study, answers: Sequence[dict[str, Any]], code: str = "") -> list[Any]:
    """A worker in a thread of this process: hears a question for each answer; {} hangs up."""
    key, heard = b"k" * 32, []
    listener = Listener((wire.HOST, 0), "AF_INET", authkey=key)
    code = code or wire.code_stamp()
    wire.places_dir().mkdir(exist_ok=True)
    place = wire.Place(0, listener.address[1], key.hex(), code, None)
    wire.write_place(wire.place_file(study.folder), place)

    def serve() -> None:
        with listener:
            for answer in answers:
                with listener.accept() as connection:
                    heard.append(wire.receive(connection))
                    if answer:
                        wire.send(connection, answer)

    threading.Thread(target=serve, daemon=True).start()
    return heard


def test_a_worker_of_other_code_is_told_to_end(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = _stand_in(study, [{"result": {}}], code="older")
    begin = partial(_stand_in, study, [{"result": {"text": "read"}}])
    monkeypatch.setattr(LiveClient, "_start", lambda *_: begin())
    answer = LiveClient(study.folder).ask("encode", {})
    assert heard == [{"ask": "stop"}]
    assert (answer.result, answer.notices) == ({"text": "read"}, ())


def test_memory_that_runs_out_is_told_and_smaller_batches_follow(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[int | None] = []
    second: list[dict[str, Any]] = [{"result": {"text": "read"}}]

    def start(self: LiveClient, batch_tokens: int | None) -> None:
        began.append(batch_tokens)
        _stand_in(study, second)

    monkeypatch.setattr(LiveClient, "_start", start)
    error = {"kind": "OutOfMemory", "message": "out of memory on cpu"}
    _stand_in(study, [{"error": error}])
    answer = LiveClient(study.folder).ask("encode", {})
    assert answer.result == {"text": "read"}
    assert "out of memory on cpu" in answer.notices[0]
    assert "2,048 tokens at a time" in answer.notices[0]
    # Ended twice over the same question: told in words, not tried for ever.
    second[:] = [{}]
    _stand_in(study, [{}])
    with pytest.raises(LiveError, match="short of memory"):
        LiveClient(study.folder).ask("encode", {})
    assert began == [2048, 2048]


def test_what_is_gone_is_told_and_the_client_needs_no_torch(
    study: Study, tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(made / "studies", home / "studies")
    monkeypatch.setenv("AUTOINTERP_HOME", str(home))
    folder = next((home / "studies").glob("*/"))
    record = json.loads((folder / "study.json").read_text())
    record["sae"]["path"] = str(tmp_path / "moved")
    (folder / "study.json").write_text(json.dumps(record))
    with pytest.raises(SAESourceError, match="cannot be read live"):
        LiveClient(folder).encode(TEXTS[:1])
    code = "import autointerp_core.live.client, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
