"""A real server and a real browser; every server is started cold and on a free port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from autointerp_core.labels.scoring.evidence import ProposalRun, write_evidence
from autointerp_core.labels.scoring.sample_windows import Window
from autointerp_core.labels.scoring.scorers import ScorerRun
from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
SAE = "synthetic-sae"


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Debian's chromium; absent, the tests fail and say what to install."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: run  apt-get install chromium")
    return {
        "executable_path": str(CHROMIUM),
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
        ],
    }


@dataclass
class Server:
    """A running app on its own home folder."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        # Jobs outlive the app on purpose; here they would only take the machine's time.
        for state in (self.home / "jobs").glob("*/state.json"):
            state.with_name("cancel").touch()
        # A live model stays for a while as well; without its place it ends at once.
        for place in (self.home / "live").glob("*.json"):
            place.unlink()
        self.process.terminate()
        self.process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int = 0) -> Server:
    """Start the app, on a free port unless one is given, and wait until it answers."""
    port = port or free_port()
    environment = {**os.environ, "AUTOINTERP_HOME": str(home)}
    environment.pop("AUTOINTERP_DB", None)
    log = (home / "server.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
    )
    log.close()
    server = Server(home, port, process)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2) as answer,
        ):
            if answer.status == 200:
                return server
        time.sleep(0.1)
    server.stop()
    raise AssertionError((home / "server.log").read_text())


def seed_labels(home: Path, n_features: int) -> None:
    """A search label for every feature, an LLM label for every third."""
    events = []
    for feature in range(n_features):
        search = f"search words {feature}"
        events.append(NewEvent(SAE, feature, "generated", search, source="search", method="search"))
        if feature % 3 == 0:
            text = f"model words {feature}"
            events.append(
                NewEvent(SAE, feature, "generated", text, source="llm:tiny", method="plain")
            )
    with LabelHistory.open(home / "labels.db") as history:
        history.record_many(events)


def seed_score(home: Path, feature: int, name: str = "detection", study: str = "small") -> None:
    """A scorer's results for every label of a feature, with the judged windows behind them."""
    opened = Study(home / "studies" / study)
    with LabelHistory.open(home / "labels.db") as history:
        for number, proposal in enumerate(history.state(SAE, feature).proposals):
            evidence = f"judged-{proposal.event_id}"
            run = _trial(opened, feature, name)
            write_evidence(opened, evidence, [ProposalRun(proposal.event_id, run)])
            score = {
                "value": 0.8, "floor": 0.5, "low": 0.42 + number / 5, "high": 0.93, "easy": 0.9,
                "hard": 0.7, "shuffled": 0.52, "n": 7, "n_missing": 1, "judge": f"llm:{name}",
                "measure": "balanced accuracy",
            }  # fmt: skip
            details = {
                "scores": {name: score, "embedding": {**score, "low": 0.61}},
                "validate": {name: 0.8 - number / 10},
                "study": study,
                "evidence": evidence,
            }
            history.record(SAE, feature, "scored", source=proposal.source, method=name,
                           parent=proposal.event_id, details=details)  # fmt: skip


def _trial(study: Study, feature: int, name: str) -> ScorerRun:
    found = [(example, "active") for example in study.examples(feature)[:4]]
    found += zip(study.silent_examples(feature, 4), ("easy", "easy", "hard", "hard"), strict=True)
    starts = study.tokens.sequences
    windows = tuple(
        Window(e, kind, int(starts[e.sequence_index]) + e.token_position) for e, kind in found
    )
    marked = tuple((window.example.peak_index,) for window in windows)
    run = ScorerRun(feature, "test", name, name, windows, marked)
    run.said[:] = [0.9, 0.8, 0.7, 0.2, 0.1, 0.95, 0.3, float("nan")]
    run.errors[7] = name
    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with one small study and its labels."""
    write_study(tmp_path / "studies" / "small", 30, 8)
    seed_labels(tmp_path, 30)
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    """Start cold servers; all are stopped at the end."""
    running: list[Server] = []

    def begin(home: Path) -> Server:
        running.append(start(home))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


expect.set_options(timeout=15_000)  # the machine may be busy with other tests
_QUIET = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def settled(page: Page) -> None:
    """Wait until the app has drawn, no script runs, and the browser has had time to listen.

    Between the socket opening and the first run the state is "notRunning" as well, and keys
    are heard only once the buttons are mounted: hence the second look.
    """
    page.wait_for_selector(".st-key-frame", timeout=30_000)
    page.wait_for_selector(_QUIET)
    page.wait_for_timeout(500)
    page.wait_for_selector(_QUIET)


def sign_in(page: Page, url: str, name: str = "Ana") -> None:
    """Let this browser remember an author, as it does after the first decision."""
    page.context.add_cookies([{"name": "autointerp_author", "value": name, "url": url}])
