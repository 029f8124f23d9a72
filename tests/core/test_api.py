"""The HTTP API: what it answers, what it refuses, and that nothing posted ever decides."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from autointerp_core.api.app import Served, make_api
from autointerp_core.api.serve import KEEP_ALIVE, serve
from autointerp_core.cli import main
from autointerp_core.errors import BadInput
from autointerp_core.service.desk import Desk
from autointerp_core.service.library import Library
from benchmarks.exchange import any_requests
from tests.core.exchange_fixtures import awkward_study

TOKEN = "a-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASE = "http://127.0.0.1:8510"
PROPOSE = "/api/studies/awkward/features/5/proposals"


@pytest.fixture
def served(own_home: Path) -> Iterator[Served]:
    with awkward_study(own_home) as (_, history):
        yield make_api(Desk(Library(history)), TOKEN)


class Asked:
    """The API without a socket, asked synchronously."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())


@pytest.fixture
def ask(served: Served) -> Asked:
    return Asked(served.app)


def test_studies_features_and_a_search_are_read_without_a_token(ask: Asked) -> None:
    (study,) = ask("GET", "/api/studies").json()
    assert (study["id"], study["d_sae"]) == ("awkward", 12)
    card = ask("GET", "/api/studies/awkward/features/0").json()
    assert (card["label"], card["status"]) == ('by hand: "é"', "overridden")
    assert [one["decided"] for one in card["labels"]][:1] == ["overridden"]
    example = card["examples"][0]
    assert example["values"][example["peak"]] == pytest.approx(example["activation"])
    scored = ask("GET", "/api/studies/awkward/features/1").json()["labels"]
    # What choosing documents say; the test documents' 0.8125 is for people.
    assert {one["text"]: one["scores"] for one in scored}["日本 & <b>bold</b>"] == {
        "detection": 0.8
    }
    found = ask("GET", "/api/studies/awkward/features", params={"q": "words 5", "by": "labels"})
    assert [one["feature"] for one in found.json()["features"]] == [5]
    by_text = ask("GET", "/api/studies/awkward/features", params={"q": "market", "by": "examples"})
    assert by_text.json()["total"] > 0
    assert ask("GET", "/docs").status_code == 200
    assert "/api/studies/{study}/encode" in ask("GET", "/").text
    assert "/api/studies" in ask("GET", "/openapi.json").json()["paths"]


def test_a_proposal_waits_for_a_person_and_twice_is_once(ask: Asked, served: Served) -> None:
    body = {"label": "  rivers and   markets ", "author": "claude <b>", "reason": "they fire"}
    assert ask("POST", PROPOSE, json=body).status_code == 401
    first = ask("POST", PROPOSE, json=body, headers=BEARER).json()
    again = ask("POST", PROPOSE, json=body, headers=BEARER).json()
    assert (first["text"], first["author"]) == ("rivers and markets", "claude b")
    assert (first["new"], again["new"], again["event"]) == (True, False, first["event"])
    card = ask("GET", "/api/studies/awkward/features/5").json()
    assert card["status"] == "unreviewed"
    assert ("rivers and markets", "agent:claude b") in {
        (one["text"], one["source"]) for one in card["labels"]
    }
    # A feature that a person decided on keeps its label, whatever is proposed.
    decided = PROPOSE.replace("/5/", "/0/")
    assert ask("POST", decided, json=body, headers=BEARER).json()["status"] == "overridden"
    assert ask("GET", "/api/studies/awkward/features/0").json()["label"] == 'by hand: "é"'


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "says"),
    [
        ("GET", "/api/studies/none/features/1", {}, 404, "no study named 'none'"),
        ("GET", "/api/studies/..%2F..%2Fetc/features/1", {}, 404, ""),
        ("GET", "/api/studies/awkward/features/99", {}, 404, "feature 99 is not in study"),
        ("GET", "/api/studies/awkward/features/-1", {}, 400, "feature"),
        ("GET", "/api/studies/awkward/features?q=", {}, 400, "q: "),
        ("GET", "/api/studies/awkward/features?q=x&by=luck", {}, 400, "by: "),
        ("GET", "/api/studies/awkward/features?q=%20", {}, 400, "to search for"),
        ("POST", PROPOSE, {"json": {"label": " ".join("abcdefghij"), "author": "x"}}, 400,
         "10 words"),
        ("POST", PROPOSE, {"json": {"label": "x", "author": "///"}}, 400, "say who proposes"),
        ("POST", PROPOSE, {"json": {"label": "x", "author": "a", "accept": True}}, 400, "accept"),
        ("POST", PROPOSE, {"content": b"{"}, 400, ""),
        ("DELETE", PROPOSE, {}, 405, ""),
        ("PUT", "/api/studies/awkward/features/1", {}, 405, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    method: str, path: str, given: dict[str, Any], status: int, says: str, ask: Asked
) -> None:
    answer = ask(method, path, headers={**BEARER, "Content-Length": "2"} if method in
                 ("DELETE", "PUT") else BEARER, **given)  # fmt: skip
    assert answer.status_code == status
    line = str(answer.json().get("error") or answer.json().get("detail"))
    assert says in line
    assert "\n" not in line


def test_pages_of_other_origins_and_other_names_are_refused(ask: Asked, served: Served) -> None:
    body = {"label": "planted", "author": "a page"}

    def post(**headers: str) -> int:
        return ask("POST", PROPOSE, json=body, headers={**BEARER, **headers}).status_code

    assert post(Origin="https://evil.example") == 403
    assert post(Origin="http://127.0.0.1:9999") == 403
    assert post(Origin="null") == 403
    assert post(**{"Sec-Fetch-Site": "cross-site"}) == 403
    assert post(Host="evil.example") == 421  # a name rebound to this address
    assert post(Host="127.0.0.1.evil.example:8510") == 421
    rebound = ask("GET", "/api/studies", headers={"Host": "evil.example:8510"})
    assert rebound.status_code == 421
    for wrong in ("Bearer other", "Bearer ", "Basic a-token", TOKEN):
        assert ask("POST", PROPOSE, json=body, headers={"Authorization": wrong}).status_code == 401
    # A form of another page can send this without asking first; it is refused like the rest.
    form = ask("POST", PROPOSE, content=b"label=x", headers={
        "Content-Type": "text/plain", "Origin": "https://evil.example"})  # fmt: skip
    assert form.status_code == 403
    assert "access-control-allow-origin" not in form.headers
    preflight = ask("OPTIONS", PROPOSE, headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 403
    assert post(Origin=BASE) == 200
    labels = ask("GET", "/api/studies/awkward/features/5").json()["labels"]
    assert sum(one["text"] == "planted" for one in labels) == 1
    assert post(**{"Content-Length": "99999999"}) == 413


def test_beyond_this_machine_reading_needs_the_token_too(own_home: Path) -> None:
    with awkward_study(own_home) as (_, history):
        made = make_api(Desk(Library(history)), TOKEN, every_request=True)
        ask = Asked(made.app)
        assert ask("GET", "/api/studies").status_code == 401
        elsewhere = {**BEARER, "Host": "10.0.0.5:8510"}
        assert ask("GET", "/api/studies", headers=elsewhere).status_code == 200


@pytest.mark.slow
def test_any_input_gets_an_answer_and_never_a_500(served: Served) -> None:
    """Requests made from the schema, valid and not; ``make bench-exchange`` makes many more."""
    statuses = any_requests(served, 12, "awkward", 12)
    assert sum(statuses.values()) > 30
    assert statuses[200] > 5, statuses
    assert max(statuses) < 500, statuses


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_200_readers_at_once_while_labels_are_proposed(served: Served) -> None:
    port = _free_port()
    server = uvicorn.Server(
        uvicorn.Config(served.app, port=port, log_level="error", timeout_keep_alive=KEEP_ALIVE)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base, limits=httpx.Limits(max_connections=250)) as client:

            def read(number: int) -> int:
                path = f"/api/studies/awkward/features/{number % 12}"
                return client.get(path, timeout=60).status_code

            def write(number: int) -> int:
                path = f"/api/studies/awkward/features/{number % 12}/proposals"
                body = {"label": f"label {number}", "author": "bot"}
                return client.post(path, json=body, headers=BEARER, timeout=60).status_code

            with ThreadPoolExecutor(220) as pool:
                answers = list(pool.map(read, range(300)))
                wrote = list(pool.map(write, range(20)))
            assert set(answers) == set(wrote) == {200}
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_port_in_use_is_one_line(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match="give another with --port"):
            serve("127.0.0.1", port, None, print)
        assert main(["serve", "--port", str(port)]) == 2
    told = capsys.readouterr().err.strip()
    assert f"port {port} of 127.0.0.1 cannot be used" in told
    assert "\n" not in told


def test_nothing_in_the_desk_can_decide(served: Served) -> None:
    """Whatever it is asked, only proposals and scores are recorded."""
    paths = served.api.openapi()["paths"]
    methods = {(path.rsplit("/", 1)[-1], verb) for path, found in paths.items() for verb in found}
    assert {name for name, verb in methods if verb != "get"} == {"encode", "proposals", "scores"}
    assert {verb for _, verb in methods} == {"get", "post"}
