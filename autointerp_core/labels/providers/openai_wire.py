"""What goes over the wire: the request a server is sent, and what its reply says.

Servers that speak this protocol differ in what they take. A :class:`Dialect` says what one was
found to take; a refusal that names a parameter makes it smaller. A refused request produced
nothing and costs nothing, so the prompt may be sent again without it. What was answered
never is, with one exception: a thought that the token limit cut off is given more room once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import regex

from autointerp_core.labels.providers.base import THINKING_ROOM, ChatPrompt, Message, Settings
from autointerp_core.labels.providers.json_reply import read_json
from autointerp_core.labels.providers.yes_no_chance import Chance, weigh

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
    limit: bool = True
    """It takes a bound on the answer's tokens under either name."""
    temperature: bool = True
    seed: bool = True
    system: bool = True
    """It takes a system turn; else that text stands before the first question."""
    least_tokens: int = 1
    """The fewest tokens that it lets an answer be bounded to."""
    thinks: bool = False
    """The model thinks before it answers, and needs room for that."""

    def bare(self, judged: bool) -> Dialect:
        """Without what a request holds that only some servers take."""
        return replace(self, top_logprobs=0) if judged else replace(self, json_schema=False)

    def room(self, settings: Settings, judged: bool) -> int:
        """The most tokens that an answer may have."""
        if judged and self.top_logprobs:
            return max(1, self.least_tokens)
        room = settings.max_new_tokens
        if self.thinks:
            room += THINKING_ROOM
        elif self.completion_limit:
            room += REASONING_ROOM
        if settings.json_field is not None and self.json_schema:
            room += JSON_ROOM
        return max(room, self.least_tokens)

    def request(self, prompt: ChatPrompt, settings: Settings, judged: bool) -> dict[str, Any]:
        """The arguments of one request; ``judged`` asks for the next token's probabilities."""
        messages = prompt.messages if self.system else merged(prompt.messages)
        sent: dict[str, Any] = {
            "messages": [{"role": m.role, "content": sendable(m.content)} for m in messages]
        }
        if self.temperature:
            sent["temperature"] = settings.temperature
        if self.seed:
            sent["seed"] = settings.seed
        if judged and self.top_logprobs:
            sent |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        elif settings.json_field is not None and self.json_schema:
            sent["response_format"] = _one_string(settings.json_field)
        if self.limit:
            name = "max_completion_tokens" if self.completion_limit else "max_tokens"
            sent[name] = self.room(settings, judged)
        return sent

    def asks_extra(self, settings: Settings, judged: bool) -> bool:
        """Whether a request holds anything that :meth:`bare` leaves out."""
        return bool(
            (judged and self.top_logprobs) or (settings.json_field is not None and self.json_schema)
        )

    def without(self, name: str) -> Dialect:
        """The same, with less of what a server refused under ``name``."""
        if name == "logprobs":
            return replace(self, top_logprobs=0)
        if name == "top_logprobs":
            return replace(self, top_logprobs=FEWER if self.top_logprobs > FEWER else 0)
        if name == "completion_limit":
            # Refused under both names, it is left out.
            both = self.completion_limit
            return replace(self, limit=False) if both else replace(self, completion_limit=True)
        return replace(self, **{name: False})

    def same(self, other: Dialect, name: str) -> bool:
        """Whether both agree in what ``name`` is about."""
        if name == "completion_limit":
            return (self.completion_limit, self.limit) == (other.completion_limit, other.limit)
        field = "top_logprobs" if name == "logprobs" else name
        return bool(getattr(self, field) == getattr(other, field))


SAID_ONCE = {
    "json_schema": "{model}: the server forces no answer format; answers are read from its text",
    "top_logprobs": "{model}: the server gives no probabilities; judgements are plain yes or no",
    "limit": "{model}: the server takes no bound on the length of an answer",
    "temperature": "{model} takes no temperature; its own is used",
    "seed": "{model} takes no seed; a second run may answer differently",
    "system": "{model} takes no system turn; that text stands before the first question",
    "thinks": "{model} thinks before it answers: it is given "
    f"{THINKING_ROOM:,} tokens more, which are paid for",
}
"""What a person is told where something was left out or added."""


def changed(before: Dialect, after: Dialect) -> list[str]:
    """Keys of :data:`SAID_ONCE` that tell one from the other."""
    lost = {name: bool(getattr(before, name)) and not getattr(after, name) for name in SAID_ONCE}
    lost["thinks"] = after.thinks and not before.thinks
    return [name for name, is_lost in lost.items() if is_lost]


def merged(messages: Sequence[Message]) -> list[Message]:
    """The same turns without a system turn: what it said stands before the first question."""
    first, *rest = messages
    if first.role != "system":
        return list(messages)
    if not rest or rest[0].role != "user":
        return [Message("user", first.content), *rest]
    return [Message("user", f"{first.content}\n\n{rest[0].content}"), *rest[1:]]


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
    ("json_schema", r"response_format|json_schema|structured outputs?|json mode|grammar"),
    ("top_logprobs", r"top_logprobs"),
    ("logprobs", r"logprobs?|log probabilities"),
    ("completion_limit", r"max_tokens|max_completion_tokens"),
    ("temperature", r"temperature"),
    ("seed", r"seed"),
)
_UNWELCOME = regex.compile(
    r"support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|unavailable"
    r"|not available|invalid|only the default|deprecated|must be|less than|at most|not implemented"
    r"|forbidden|disallow|reject|incompatible|no longer|does(?: not|n['’]t)|do(?: not|n['’]t)"
    r"|can(?:not|['’]t)|is(?: not|n['’]t)|no such|illegal|bad value|wrong"
    r"|不支持|不允许|无效|非法|未知|不能|不可|サポート|無効"
    r"|지원|nicht|inconnu|inválid|no se admite",
    regex.IGNORECASE,
)
_SYSTEM_ROLE = regex.compile(
    r"system.{0,30}\b(?:role|message|prompt|instruction|turn)|\brole.{0,60}\bsystem"
    r"|roles? must alternate|raise_exception|jinja|template.{0,3}error|chat.?template"
    r"|developer instruction|系统(?:角色|消息|提示)|system\s*角色"
    r"|(?:only|should be|expected).{0,20}['\"`]?user['\"`]?.{0,12}['\"`]?assistant",
    regex.IGNORECASE | regex.DOTALL,
)
_LIMITS = r"max_(?:completion_|output_)?tokens"
_LEAST = r"(?:at least|minimum|>=|≥|greater than or equal to)"
_TOO_FEW = regex.compile(
    rf"{_LIMITS}.{{0,80}}?{_LEAST}\D{{0,20}}(\d{{1,5}})"
    rf"|{_LEAST}\D{{0,20}}(\d{{1,5}}).{{0,60}}{_LIMITS}",
    regex.IGNORECASE | regex.DOTALL,
)


def refused(sent: Mapping[str, Any], parameter: str | None, said: str) -> str | None:
    """What a refusal is about, as :meth:`Dialect.without` takes it, or None.

    Args:
        sent: arguments of the refused request.
        parameter: what the server's error names, if it does.
        said: the server's message.
    """
    if _has_system(sent) and _is_about_roles(parameter, said):
        return "system"
    for field, names in _NAMES:
        pattern = rf"(?<![\w-])(?:{names})(?![\w-])"
        named = bool(parameter and regex.search(pattern, parameter))
        if not named and not _complains(pattern, said):
            continue
        present = {
            "json_schema": ("response_format",),
            "top_logprobs": ("logprobs",),
            "completion_limit": ("max_tokens", "max_completion_tokens"),
        }.get(field, (field,))
        if any(name in sent for name in present):
            return field
    return None


def fewest_tokens(said: str) -> int | None:
    """The least bound on an answer that a refusal names, or None."""
    found = _TOO_FEW.search(said)
    return int(found[1] or found[2]) if found else None


_TOO_MUCH = regex.compile(r"most|less|larg|exceed|maximum|max\b|<=|≤|high|big", regex.IGNORECASE)


def is_too_much_room(dialect: Dialect, said: str) -> bool:
    """Whether a refusal is of the room that a model was given to think, not of its name."""
    return dialect.thinks and bool(_TOO_MUCH.search(said))


def _complains(pattern: str, said: str) -> bool:
    """Whether a message speaks of a parameter as of something it will not have."""
    found = regex.search(pattern, said)
    if found is None:
        return False
    quoted = said[: found.start()][-1:] in "'\"`“‘«「" and said[found.end() :][:1] in "'\"`”’»」"
    return bool(found.start() and quoted) or bool(_UNWELCOME.search(said))


def _has_system(sent: Mapping[str, Any]) -> bool:
    return any(message["role"] == "system" for message in sent.get("messages", ()))


def _is_about_roles(parameter: str | None, said: str) -> bool:
    if parameter and regex.search(r"messages?\W.*\brole\b", parameter):
        return True
    return bool(_SYSTEM_ROLE.search(said))


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
        choice = reply.choices[0]
        message = getattr(choice, "message", None) or getattr(choice, "delta", None)
        if isinstance(message, Mapping):  # what the SDK has no type for
            return sendable(_text(message.get("content")))
        if message is None:
            return sendable(_text(choice.text))  # the protocol for plain completions
    except (AttributeError, IndexError, TypeError):
        return None
    said = _text(getattr(message, "content", None)) or _called_with(message)
    return sendable(said or _text(getattr(message, "refusal", None)))


def _called_with(message: Any) -> str:
    """Arguments of a call: how some servers force the shape of an answer."""
    try:
        return str(message.tool_calls[0].function.arguments or "")
    except (AttributeError, IndexError, TypeError):
        return ""


def _text(part: Any) -> str:
    """Text in content: a string, or the text parts of a list; thoughts are no text."""
    if part is None or isinstance(part, bool | int | float):
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, Sequence):
        return "".join(_text(inner) for inner in part)
    part = part if isinstance(part, Mapping) else vars(part)
    kind = str(part.get("type") or "text").casefold()
    if regex.search("think|thought|reason|image|audio|tool|function|file|reference", kind):
        return ""
    for name in ("text", "content", "refusal", "value"):
        inner = part.get(name)
        if inner is not None:
            return _text(inner)
    # An answer in JSON that the server has read already.
    return "" if "type" in part or not part else json.dumps(dict(part), default=str)


def finish(reply: Any) -> str:
    """Why an answer ended: ``stop``, ``length`` (the token limit), ``filter``, ``broken`` (by the
    server, midway) or another."""
    try:
        said = str(reply.choices[0].finish_reason or "").casefold()
    except (AttributeError, IndexError, TypeError):
        return ""
    if said in ("length", "max_tokens", "max_length", "max_output_tokens", "model_length"):
        return "length"
    if regex.search(r"error|abort|cancel|fail|timeout|interrupt", said):
        return "broken"
    return "filter" if regex.search("filter|safety|moderat|blocklist|prohibited", said) else said


def why_broken(reply: Any) -> Any:
    """The error that a choice holds, as the server wrote it; None where it gives none."""
    try:
        return getattr(reply.choices[0], "error", None)
    except (AttributeError, IndexError, TypeError):
        return None


def has_words(reply: Any) -> bool:
    """Whether the model wrote anything as its answer; a refusal in its own field is none."""
    try:
        return bool(_text(reply.choices[0].message.content).strip())
    except (AttributeError, IndexError, TypeError):
        return False


def unwrap(text: str, field: str | None) -> str:
    """The string that an answer in JSON holds; any other text as it is."""
    if field is None:
        return text
    found = read_json(text, field)
    return text if found is None or found.text is None else found.text


def chance_of_yes(reply: Any) -> Chance:
    """Probability of yes against no as the first token of a reply.

    See :func:`~autointerp_core.labels.providers.yes_no_chance.weigh` for what a judgement is.
    """
    try:
        first = reply.choices[0].logprobs.content[0]
        likeliest = list(first.top_logprobs or [])
    except (AttributeError, IndexError, TypeError):
        return Chance(None, False)
    if not likeliest:
        return Chance(None, False)
    return weigh(str(getattr(first, "token", "") or ""), _probabilities(likeliest))


def _probabilities(likeliest: Sequence[Any]) -> Iterator[tuple[str, float]]:
    for entry in likeliest:
        # Servers write -9999 for "not at all", and some write null.
        if isinstance(entry.logprob, int | float):
            yield str(entry.token), math.exp(min(0.0, entry.logprob))
