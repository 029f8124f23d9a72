"""What goes over the wire: the request a server is sent, and what its reply says.

Servers that speak this protocol differ in what they take. A :class:`Dialect` says what one was
found to take; a refusal that names a parameter makes it smaller. A refused request produced
nothing and costs nothing, so the prompt may be sent again without it. What was answered
never is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
import regex

from autointerp_core.labels.providers.base import ChatPrompt, Settings, read_yes_no

REASONING_ROOM = 1024
"""Tokens more for models that count hidden reasoning as part of the answer: those that want
``max_completion_tokens``."""
JSON_ROOM = 16
"""Tokens more for the braces and the name around an answer in JSON."""
TOP = 20
"""Likeliest tokens asked for; what OpenAI and vLLM give at most."""
FEWER = 5
"""What a server is asked for that refused :data:`TOP`."""


@dataclass(frozen=True)
class Dialect:
    """What a server takes, as far as is known; the most until it refuses something."""

    json_schema: bool = True
    top_logprobs: int = TOP
    """0: it gives no probabilities."""
    completion_limit: bool = False
    """It wants ``max_completion_tokens`` in place of ``max_tokens``."""
    temperature: bool = True
    seed: bool = True

    def bare(self, judged: bool) -> Dialect:
        """Without what a request holds that only some servers take."""
        return replace(self, top_logprobs=0) if judged else replace(self, json_schema=False)

    def request(self, prompt: ChatPrompt, settings: Settings, judged: bool) -> dict[str, Any]:
        """The arguments of one request; ``judged`` asks for the next token's probabilities."""
        room = settings.max_new_tokens
        sent: dict[str, Any] = {
            "messages": [{"role": m.role, "content": sendable(m.content)} for m in prompt.messages]
        }
        if self.temperature:
            sent["temperature"] = settings.temperature
        if self.seed:
            sent["seed"] = settings.seed
        if judged and self.top_logprobs:
            room = 1
            sent |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        else:
            room += REASONING_ROOM if self.completion_limit else 0
            if settings.json_field is not None and self.json_schema:
                room += JSON_ROOM
                sent["response_format"] = _one_string(settings.json_field)
        sent["max_completion_tokens" if self.completion_limit else "max_tokens"] = room
        return sent

    def asks_extra(self, settings: Settings, judged: bool) -> bool:
        """Whether a request holds anything that :meth:`bare` leaves out."""
        return bool(
            (judged and self.top_logprobs) or (settings.json_field is not None and self.json_schema)
        )

    def without(self, name: str) -> Dialect:
        """The same, with less of what a server refused under ``name``."""
        if name == "json_schema":
            return replace(self, json_schema=False)
        if name == "logprobs":
            return replace(self, top_logprobs=0)
        if name == "top_logprobs":
            return replace(self, top_logprobs=FEWER if self.top_logprobs > FEWER else 0)
        if name == "completion_limit":
            return replace(self, completion_limit=True)
        return replace(self, **{name: False})

    def same(self, other: Dialect, name: str) -> bool:
        """Whether both agree in what ``name`` is about."""
        field = "top_logprobs" if name == "logprobs" else name
        return bool(getattr(self, field) == getattr(other, field))


SAID_ONCE = {
    "json_schema": "{model}: the server forces no answer format; answers are read from its text",
    "top_logprobs": "{model}: the server gives no probabilities; judgements are plain yes or no",
    "temperature": "{model} takes no temperature; its own is used",
    "seed": "{model} takes no seed; a second run may answer differently",
}
"""What a person is told where something was left out."""


def changed(before: Dialect, after: Dialect) -> list[str]:
    """Keys of :data:`SAID_ONCE` that tell one from the other."""
    lost = {
        "json_schema": before.json_schema and not after.json_schema,
        "top_logprobs": bool(before.top_logprobs) and not after.top_logprobs,
        "temperature": before.temperature and not after.temperature,
        "seed": before.seed and not after.seed,
    }
    return [name for name, is_lost in lost.items() if is_lost]


def _one_string(name: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"}},
        "required": [name],
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }


# The order matters: a refusal of max_tokens names both limits.
_NAMES = (
    ("json_schema", r"response_format|json_schema|structured output|grammar"),
    ("top_logprobs", r"top_logprobs"),
    ("logprobs", r"logprobs"),
    ("completion_limit", r"max_tokens"),
    ("temperature", r"temperature"),
    ("seed", r"seed"),
)
_UNWELCOME = regex.compile(
    r"support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|unavailable"
    r"|not available|invalid|only the default|deprecated|must be|less than|at most|not implemented",
    regex.IGNORECASE,
)


def refused(sent: Mapping[str, Any], parameter: str | None, said: str) -> str | None:
    """What a refusal is about, as :meth:`Dialect.without` takes it, or None.

    Args:
        sent: arguments of the refused request.
        parameter: what the server's error names, if it does.
        said: the server's message.
    """
    for field, names in _NAMES:
        pattern = rf"\b(?:{names})\b"
        named = bool(parameter and regex.search(pattern, parameter))
        if not named and not (regex.search(pattern, said) and _UNWELCOME.search(said)):
            continue
        present = {
            "json_schema": "response_format",
            "top_logprobs": "logprobs",
            "completion_limit": "max_tokens",
        }.get(field, field)
        if present in sent:
            return field
    return None


_FULL = regex.compile(
    r"context.{0,60}(?:length|size|window|limit|long|exceed|full)"
    r"|(?:length|size|window|limit).{0,30}\bcontext"
    r"|(?:prompt|input|message|request)s?\b.{0,40}too (?:long|large|many tokens)"
    r"|(?:prompt|input|message|request)s?\b.{0,40}exceeds?\b.{0,40}token"
    r"|too many (?:input )?tokens|reduce the length|exceed_context_size",
    regex.IGNORECASE,
)


def is_too_long(status: int, code: str, said: str) -> bool:
    """Whether an error means that the prompt does not fit the model's context."""
    if code in ("context_length_exceeded", "exceed_context_size_error"):
        return True
    if status >= 500:
        return bool(regex.search(r"context (?:size|length|window)", said, regex.IGNORECASE))
    return status in (400, 413, 422) and bool(_FULL.search(said))


def sendable(text: str) -> str:
    """``text`` without halves of surrogate pairs, which neither JSON nor a file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def content(reply: Any) -> str | None:
    """The text of a reply; empty where the model said nothing, None where it is no reply."""
    try:
        message = reply.choices[0].message
        return sendable(str(message.content or getattr(message, "refusal", None) or ""))
    except (AttributeError, IndexError, TypeError):
        return None


def has_words(reply: Any) -> bool:
    """Whether the model wrote anything as its answer; a refusal in its own field is none."""
    try:
        return bool(str(reply.choices[0].message.content or "").strip())
    except (AttributeError, IndexError, TypeError):
        return False


def unwrap(text: str, field: str | None) -> str:
    """The string that an answer in JSON holds; any other text as it is."""
    if field is None:
        return text
    bare = regex.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip())
    if not bare.startswith(("{", '"')):
        return text
    try:
        found = orjson.loads(bare)
    except orjson.JSONDecodeError:
        # Cut off at the token limit: what was written of the string so far.
        start = regex.match(rf'\{{\s*"{regex.escape(field)}"\s*:\s*"((?:[^"\\]|\\.)*+)', bare)
        if start is None:
            return text
        return str(orjson.loads(f'"{start[1]}"')) if _is_json(f'"{start[1]}"') else start[1]
    if isinstance(found, str):
        return found
    if isinstance(found, dict):
        strings = [value for value in found.values() if isinstance(value, str)]
        if isinstance(found.get(field), str):
            return str(found[field])
        if len(strings) == 1:
            return strings[0]
    return text


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def chance_of_yes(reply: Any) -> tuple[float | None, bool]:
    """Probability of yes against no as the first token of a reply.

    Returns:
        The probability, None where no spelling of either is among the likeliest tokens; and
        whether the server gave probabilities at all.
    """
    try:
        first = reply.choices[0].logprobs.content[0]
        likeliest = list(first.top_logprobs or [])
    except (AttributeError, IndexError, TypeError):
        return None, False
    if not likeliest:
        return None, False
    mass = {True: 0.0, False: 0.0}
    for entry in likeliest:
        said = _word(entry.token)
        # Servers write -9999 for "not at all", and some write null.
        if said is not None and isinstance(entry.logprob, int | float):
            mass[said] += math.exp(min(0.0, entry.logprob))
    total = mass[True] + mass[False]
    return (mass[True] / total if total > 0 else None), True


def _word(token: str) -> bool | None:
    """Whether a token is yes or no, however spelt; None where it is neither."""
    bare = token.strip(" ▁Ġ\t\n\r\"'*.,")
    return read_yes_no(bare) if bare.isalpha() else None
