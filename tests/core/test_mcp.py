"""The MCP server, asked by the official client: six tools, and nothing that decides."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client, StdioServerParameters

from autointerp_core.agents.server import make_server
from autointerp_core.home import CODE_ROOT
from autointerp_core.live.encoded import EncodedText
from autointerp_core.service.desk import Desk
from autointerp_core.service.library import Library
from autointerp_core.store.events import IMPORTED, SCORED
from autointerp_core.store.history import LabelHistory
from tests.core.exchange_fixtures import SAE, awkward_study
from tests.core.score_fixtures import concept_study

TOOLS = {
    "list_studies",
    "search_features",
    "read_feature",
    "encode_text",
    "propose_label",
    "score_label",
}


@pytest.fixture
def history(own_home: Path) -> Iterator[LabelHistory]:
    with awkward_study(own_home) as (_, found):
        yield found


def talk(desk: Desk, do: Callable[[Client], Awaitable[None]], agent: str | None = None) -> None:
    async def run() -> None:
        async with Client(make_server(desk, agent)) as client:
            await do(client)

    asyncio.run(run())


class Reads:
    """A model that fires feature 3 on every second token."""

    def encode(self, texts: list[str]) -> list[EncodedText]:
        pieces = tuple(texts[0].split(" "))
        n = len(pieces)
        firing = np.arange(0, n, 2)
        return [
            EncodedText(
                texts[0],
                np.arange(n),
                pieces,
                np.zeros((n, 2), np.int64),
                np.zeros(n, np.int64),
                ("special", *[""] * (n - 1)),
                firing,
                np.full(len(firing), 3),
                np.linspace(1, 2, len(firing), dtype=np.float32),
            )
        ]


def test_the_six_tools_run(history: LabelHistory, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(Library(history))
    monkeypatch.setattr("autointerp_core.live.open_live", lambda study: Reads(), raising=False)

    async def do(client: Client) -> None:
        listed = (await client.list_tools()).tools
        assert {tool.name for tool in listed} == TOOLS
        for tool in listed:
            assert tool.description
            assert tool.annotations is not None
            assert tool.annotations.destructive_hint is not True
        studies = (await client.call_tool("list_studies", {})).structured_content
        assert studies is not None
        assert studies["result"][0]["id"] == "awkward"
        found = await _ask(client, "search_features", query="market", by="examples", limit=3)
        feature = found["features"][0]["feature"]
        card = await _ask(client, "read_feature", feature=feature, examples=2)
        assert len(card["examples"]) == 2
        encoded = await _ask(client, "encode_text", text="a b c d e", top=2)
        # The first token is a special one: what fires there does not count.
        assert [[f["feature"] for f in t["features"]] for t in encoded["tokens"]] == [
            [], [], [3], [], [3],
        ]  # fmt: skip
        proposed = await _ask(
            client, "propose_label", feature=6, label="rivers", name="scout", reason="see top"
        )
        assert (proposed["author"], proposed["new"]) == ("scout", True)
        scored = await _ask(client, "score_label", feature=6, label="rivers")
        assert scored["value"] is not None or scored["reason"]

    talk(desk, do)
    event = next(e for e in history.history(SAE, 6) if e.text == "rivers")
    assert (event.kind, event.source, event.author) == (IMPORTED, "agent:scout", "scout")
    assert (event.reason, event.study) == ("see top", "awkward")


async def _ask(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, {"study": "awkward", **given})
    assert not result.is_error, result.content
    assert result.structured_content is not None
    found: dict[str, Any] = result.structured_content
    return found


@pytest.mark.slow
def test_an_agent_starts_it_as_a_process_of_its_own(history: LabelHistory) -> None:
    """``autointerp mcp`` on stdin and stdout: nothing but the protocol is written there."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "autointerp_core", "mcp", "--agent", "nightly"],
        env={**os.environ, "PYTHONPATH": str(CODE_ROOT)},
    )

    async def run() -> None:
        async with Client(command) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
            done = await _ask(client, "propose_label", feature=7, label="rivers", name="x")
            assert done["author"] == "nightly"

    asyncio.run(run())
    assert history.history(SAE, 7)[-1].source == "agent:nightly"


def test_mistakes_are_told_in_words_and_record_nothing(history: LabelHistory) -> None:
    desk = Desk(Library(history))
    before = history.last_event_id(SAE)

    async def do(client: Client) -> None:
        for tool, given, says in (
            ("read_feature", {"study": "none", "feature": 1}, "no study named"),
            ("read_feature", {"study": "awkward", "feature": 99}, "feature 99 is not in study"),
            ("propose_label", {"study": "awkward", "feature": 1, "name": "x",
                               "label": "one two three four five six seven eight nine ten"},
             "10 words"),
            ("propose_label", {"study": "awkward", "feature": 1, "name": " ", "label": "x"},
             "say who proposes"),
            ("search_features", {"study": "awkward", "query": "x", "by": "luck"}, "one of"),
            ("read_feature", {"study": "x" * 500, "feature": 1}, "no study named"),
            ("read_feature", {"study": "a\x00b", "feature": 1}, "no study named"),
            ("read_feature", {"study": "../awkward", "feature": 1}, "no study named"),
            ("search_features", {"study": "awkward", "query": "\x00"}, "to search for"),
            ("encode_text", {"study": "awkward", "text": " "}, "1 to 20,000 characters"),
        ):  # fmt: skip
            result = await client.call_tool(tool, given)
            assert result.is_error
            assert says in str(result.content)

    talk(desk, do)
    assert history.last_event_id(SAE) == before


def test_an_agent_that_is_named_at_the_start_keeps_its_name(history: LabelHistory) -> None:
    async def do(client: Client) -> None:
        done = await _ask(client, "propose_label", feature=2, label="mine", name="a person")
        assert done["author"] == "nightly"

    talk(Desk(Library(history)), do, agent="nightly")


def test_whatever_an_agent_sends_nothing_is_decided(history: LabelHistory) -> None:
    """Every kind of event it could leave behind is a proposal or a score."""
    before = {f: history.state(SAE, f, "awkward") for f in range(12)}
    last = history.last_event_id(SAE)

    async def do(client: Client) -> None:
        for feature in range(12):
            for label in ("accepted", "DELETE FROM events", "</script>"):
                await _ask(client, "propose_label", feature=feature, label=label, name="human")

    talk(Desk(Library(history)), do)
    new = [e for e in history.all_events(SAE) if e.id > last]
    assert len(new) == 36
    assert {e.kind for e in new} <= {IMPORTED, SCORED}
    assert {e.source for e in new} == {"agent:human"}
    for feature, state in before.items():
        after = history.state(SAE, feature, "awkward")
        assert (after.label, after.status, after.flagged) == (
            state.label, state.status, state.flagged,
        )  # fmt: skip


def test_a_score_tells_a_right_label_from_a_wrong_one(own_home: Path) -> None:
    concept_study(own_home / "studies" / "concepts")
    with LabelHistory.open() as history:
        desk = Desk(Library(history))
        right = desk.score("concepts", 0, "monday tuesday friday")
        wrong = desk.score("concepts", 0, "apple cherry plum")
        assert right.value is not None
        assert wrong.value is not None
        assert right.value > 0.9 > wrong.value
        assert history.last_event_id("f" * 64) == 0  # nobody proposed them: no trace
        desk.propose("concepts", 0, "monday tuesday friday", "scout")
        assert desk.score("concepts", 0, "monday tuesday friday").value == right.value
        state = history.state("f" * 64, 0, "concepts")
        assert len(state.proposals) == 1
        # Proposals are compared by fit, on documents of their own.
        desk.propose("concepts", 0, "apple cherry plum", "scout")
        desk.score("concepts", 0, "apple cherry plum")
        right_one, wrong_one = history.state("f" * 64, 0, "concepts").proposals
        assert right_one.validate["embedding"] > wrong_one.validate["embedding"]
        assert state.status == "unreviewed"
