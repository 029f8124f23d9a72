"""Try a text and Steer without a model: a stand-in answers for the live model's process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.errors import SAESourceError
from autointerp_core.live import wire
from autointerp_core.live.client import Answer, LiveClient
from autointerp_core.live.encoded import EncodedText
from autointerp_core.live.turns import Continued, Steered, TokenChange
from autointerp_core.progress import ProgressCallback
from tests.pages.conftest import Open, remembered
from ui.try_text.inputs import from_file
from ui.try_text.state import MOST_CHARACTERS, Asked, Reading


def _encoded(text: str) -> EncodedText:
    """Words as tokens; word i makes features 3 and 10 + i fire."""
    pieces = tuple(part for part in text.replace(" ", "\0 ").split("\0") if part)
    n = len(pieces)
    ends = np.cumsum([len(piece) for piece in pieces])
    return EncodedText(
        text=text,
        ids=np.arange(n),
        pieces=pieces,
        spans=np.stack([ends - [len(piece) for piece in pieces], ends], axis=1),
        sequence=np.arange(n) // 50,
        masked=tuple("special" if i == 0 else "" for i in range(n)),
        token=np.repeat(np.arange(n), 2),
        feature=np.stack([np.full(n, 3), 10 + np.arange(n)], axis=1).ravel(),
        activation=np.stack([np.full(n, 1.5), 1.0 + np.arange(n)], axis=1).ravel().astype("f4"),
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, Any]]]:
    """What the pages asked the stand-in."""
    seen: list[tuple[str, Mapping[str, Any]]] = []

    def ask(
        self: LiveClient, what: str, params: Mapping[str, Any], progress: ProgressCallback
    ) -> Answer:
        seen.append((what, params))
        if what == "encode":
            assert self.on_notice is not None
            self.on_notice("It died")
            return Answer({"texts": [_encoded(t).to_json() for t in params["texts"]]})
        if what == "chat":
            return Answer({"text": "user: " + params["messages"][-1]["content"]})
        plain, turned = (Continued(t, (1,), (t,), False) for t in (" sea", " court"))
        change = TokenChange(1, " court", 0.01, 0.4)
        return Answer(Steered(("On",), turned, plain, (change,), (0,)).to_json())

    monkeypatch.setattr(LiveClient, "ask", ask)
    return seen


def _data(app: AppTest, name: str) -> dict[str, Any]:
    found = [e.proto for e in app.get("bidi_component") if e.proto.component_name.endswith(name)]
    data: dict[str, Any] = json.loads(found[0].json)
    return data


def test_an_address_shows_its_text_and_typing_another_reads_it(
    study: Path, open_page: Open, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    app = open_page("try_a_text", study="small", text="the bank of England", pins="3,12")
    assert asked == [("encode", {"texts": ["the bank of England"], "features": None})]
    data = _data(app, "painted")
    tokens = data["texts"][0]["tokens"]
    assert [token["text"] for token in tokens] == ["the", " bank", " of", " England"]
    assert tokens[0]["masked"]
    assert tokens[3]["top"] == [[13, 4.0], [3, 1.5]]
    assert data["features"]["13"]["label"] == "words 13"
    assert [data["features"][name]["pinned"] for name in ("3", "13")] == [True, False]
    table = _data(app, "ranking")
    assert [row["feature"] for row in table["rows"]] == [13, 12, 11, 3]  # BOS does not count
    assert table["rows"][0]["values"][1:] == [4.0, pytest.approx(4 / 3), 1]
    assert [row["pinned"] for row in table["rows"]] == [False, True, False, True]
    assert any("It died." in text.value for text in app.text)

    app.text_area(key="try_text").set_value("a frog")
    app.button(key="try_read").click().run()
    assert not app.exception, app.exception
    assert asked[-1][1]["texts"] == ["a frog"]
    assert app.query_params["text"] == "a frog"
    app.segmented_control(key="try_show").set_value("pinned").run()
    assert len(asked) == 2  # what was read is not read again
    assert [pin["feature"] for pin in _data(app, "painted")["legend"]] == [3, 12]
    assert _data(app, "painted")["texts"][0]["tokens"][1]["fires"][0][0] == 0


def test_two_texts_are_compared_and_a_long_one_is_cut_with_consent_only(
    study: Path, open_page: Open, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    app = open_page("try_a_text", study="small", text="a b c", other="a b c d e")
    rows = _data(app, "ranking")["rows"]
    assert rows[0]["feature"] == 14
    assert rows[0]["values"][1:] == [0.0, 5.0, -5.0]
    long = "word " * (MOST_CHARACTERS // 4)
    app.text_area(key="try_text").set_value(long)
    app.button(key="try_read").click().run()
    assert any(f"{len(long):,} characters" in text.value for text in app.text)
    assert len(asked) == 1
    app.button(key="try_cut_it").click().run()
    assert not app.exception, app.exception
    assert len(asked[-1][1]["texts"][0]) == MOST_CHARACTERS
    assert "text" not in app.query_params  # too long for an address
    assert remembered(app, Reading).asked is not None
    app.text_area(key="try_text").set_value("  ")
    app.button(key="try_read").click().run()
    assert any("The text is empty" in text.value for text in app.text)


def test_a_saved_file_is_opened_again_and_bad_ones_are_told(
    study: Path, open_page: Open, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    saved = json.dumps({"text": "a b", "other": None, "pins": [3, "x", -1, 7]})
    assert from_file(saved.encode()) == Asked("a b", None, (3, 7))
    assert from_file(b"{ plain").text == "{ plain"
    for raw, told in ((b"\xff\xfe", "UTF-8"), (b"  ", "no text"), (b"x" * 20_001, "20,001")):
        with pytest.raises(ValueError, match=told):
            from_file(raw)


def test_steering_shows_both_texts_and_the_address_has_it_all(
    study: Path, open_page: Open, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    app = open_page("steer", study="small", turn="5:clamp:2,9:add:-1", prompt="On", seed="3",
                    tokens="99999", temperature="nan")  # fmt: skip
    assert asked == []  # nothing is loaded until it is asked for
    app.button(key="steer_go").click().run()
    assert not app.exception, app.exception
    what, params = asked[-1]
    assert what == "steer"
    assert [(t["feature"], t["how"], t["strength"]) for t in params["turns"]] == [
        (5, "clamp", 2.0), (9, "add", -1.0),
    ]  # fmt: skip
    assert params["config"] == {
        "prompt": "On", "tokens": 400, "seed": 3, "temperature": 0.7, "at": "generated",
    }  # fmt: skip
    texts = [
        json.loads(e.proto.json)["texts"][0]
        for e in app.get("bidi_component")
        if e.proto.component_name.endswith("painted")
    ]
    assert [text["title"] for text in texts] == ["Unsteered", "Steered"]
    assert texts[1]["tokens"][-1]["text"] == " court"
    assert _data(app, "changes")["rows"][0]["steered"] == 0.4
    assert app.query_params["turn"] == "5:clamp:2,9:add:-1"
    app.text_area(key="steer_prompt").set_value(" ")
    app.button(key="steer_go").click().run()
    assert any("The prompt is empty" in text.value for text in app.text)


def test_the_panel_on_a_feature_and_what_is_gone_is_told(
    study: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> Answer:
        raise SAESourceError("study small cannot be read live: /x is not there")

    monkeypatch.setattr(LiveClient, "ask", gone)
    app = open_page("feature", study="small", feature="5")
    app.session_state["steer_open"] = True
    app.run()
    app.session_state["steer_open"] = True  # AppTest does not send an expander's state back
    app.button(key="steer_here_go").click().run()
    assert not app.exception, app.exception
    assert any("cannot be read live" in text.value for text in app.text)
    assert not wire.place_file(study).exists()
