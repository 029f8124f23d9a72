"""Replies and refusals written down by somebody who had not read what reads them.

``data/replies_by_others.jsonl`` holds one shape a line: what it was seen in (``source``), what was
asked (a label, or yes or no), the server's status and body, and what a person expects: the label,
yes, no, a missing judgement, or an error with some of the server's words. Where a server refuses a
parameter (``refused``), it answers as usual once that is left out. The shapes of batch 2 are
relatives of those that were read wrongly at first. ``first_expected`` and ``note`` tell where the
standing corpus had decided otherwise.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import regex

from autointerp_core.errors import ProviderError
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.base import ChatPrompt, Completion, Message
from autointerp_core.labels.providers.openai_api import OpenAIProvider
from autointerp_core.labels.providers.openai_server import Limits
from tests.core.fake_chat_server import Raw, chat_server

LINES = (Path(__file__).parent / "data" / "replies_by_others.jsonl").read_text("utf-8")
SHAPES: dict[str, dict[str, Any]] = {s["name"]: s for s in map(json.loads, LINES.splitlines())}
ASK = METHODS["peaks"]
USUAL = "months in calendar dates"


def body_of(shape: dict[str, Any]) -> object:
    """What the server of a shape sends."""
    body = shape["body"]
    if isinstance(body, dict) and "__text__" in body:
        return Raw(body["__text__"], body["__type__"])
    return body


def usual_reply() -> object:
    message = {"role": "assistant", "content": USUAL}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def error_for(shape: dict[str, Any], request: dict[str, Any]) -> tuple[int, object] | None:
    """What a request is turned down with, if it is."""
    refused = shape.get("refused")
    if refused is None:
        return (shape["status"], body_of(shape)) if shape["status"] != 200 else None
    if refused == "system role":
        meant = any(message["role"] == "system" for message in request["messages"])
    else:
        meant = refused in request
    return (shape["status"], body_of(shape)) if meant else None


def prompt(name: str) -> ChatPrompt:
    return ChatPrompt((Message("system", "Name it."), Message("user", name)))


def asked(url: str) -> OpenAIProvider:
    return OpenAIProvider("m", base_url=url, limits=Limits(attempts=1, first_wait=0.01))


def read(answer: Completion) -> tuple[str | None, str | None]:
    """The label in an answer, and what the run that asked would report where there is none."""
    if answer.error is not None:
        return None, answer.error
    label = ASK.parse(answer.text, prompt(""))
    return label, None if label else (answer.text or "").strip() or "empty answer"


def alone(shape: dict[str, Any]) -> tuple[str | None, str | None]:
    """What comes of a shape whose server is asked nothing else."""
    reply = usual_reply() if "refused" in shape else body_of(shape)
    refuse = partial(error_for, shape)
    with chat_server(recorded=lambda name, n: reply, refuse=refuse) as server:
        provider = asked(server.url)
        try:
            if shape["asks"] == "yes/no":
                (verdict,) = provider.yes_no([prompt("x")])
                if verdict.probability is None:
                    return None, verdict.error
                return "yes" if verdict.probability > 0.5 else "no", None
            return read(next(provider.complete([prompt("x")], ASK.settings)))
        except ProviderError as error:
            return None, str(error)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str | None, str | None]]:
    """Label (or yes, no) and error of every shape; what can be asked together is, for speed."""
    together = [
        name
        for name, shape in SHAPES.items()
        if shape["status"] == 200 and shape["asks"] == "label" and "refused" not in shape
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        patch.setenv("AUTOINTERP_HOME", str(tmp_path_factory.mktemp("home")))
        with chat_server(recorded=lambda name, n: body_of(SHAPES[name])) as server:
            answers = asked(server.url).complete([prompt(n) for n in together], ASK.settings)
            outcomes = {together[answer.index]: read(answer) for answer in answers}
        for name in SHAPES.keys() - outcomes.keys():
            # Of its own, so that no answer is known from another server at the same port.
            patch.setenv("AUTOINTERP_HOME", str(tmp_path_factory.mktemp("home")))
            outcomes[name] = alone(SHAPES[name])
    return outcomes


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 150
    assert all(shape["source"] for shape in SHAPES.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_comes_out_as_a_person_expects(
    name: str, found: dict[str, tuple[str | None, str | None]]
) -> None:
    expected = SHAPES[name]["expect"]
    label, error = found[name]
    if "label" in expected:
        assert label in [*expected["label"], *([None] if expected["or_error"] else [])], error
    elif "answer" in expected:
        answers = expected["answer"]
        assert (label or "missing") in ([answers] if isinstance(answers, str) else answers), error
    else:
        assert label is None
        assert all(regex.search(words, error or "", regex.I) for words in expected["error"]), error
