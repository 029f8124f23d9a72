"""A dataset's rows, ready to be tokenised: texts, conversations put into text, token ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import DatasetSourceError, ParameterError
from autointerp_core.sources.cells import CHAT, IDS
from autointerp_core.sources.hub import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from autointerp_core.sources.dataset import Rows


@dataclass(frozen=True)
class Document:
    """One document: its text, or the token ids it already is.

    ``kept`` are the character ranges ``[start, stop)`` of the text that count for examples and
    statistics, ascending; None: all of it. The model reads the whole text either way.
    """

    text: str = ""
    ids: tuple[int, ...] | None = None
    kept: tuple[tuple[int, int], ...] | None = None


class Documents:
    """The documents of a dataset's rows, made as they are read.

    Raises:
        DatasetSourceError: conversations, and a tokenizer without a chat template.
        ParameterError: roles for rows that are no conversations.
    """

    def __init__(self, rows: Rows, tokenizer: PreTrainedTokenizerFast, roles: tuple[str, ...] = ()):
        self._rows, self._tokenizer, self._roles = rows, tokenizer, roles
        if roles and rows.kind != CHAT:
            raise ParameterError(
                f"chat roles ({', '.join(roles)}) are for conversations, and column "
                f"{rows.column!r} of {rows.name} holds {rows.kind}; leave --chat-roles away"
            )
        if rows.kind == CHAT and not getattr(tokenizer, "chat_template", None):
            raise DatasetSourceError(
                f"column {rows.column!r} of {rows.name} holds conversations, and this model's "
                "tokenizer has no chat template to put them into text: give a model that has one "
                "(its instruct version), or a column of plain text"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """What a study's identity has to know beside the rows; empty for plain texts."""
        found: dict[str, Any] = {}
        if self._rows.kind == IDS:
            found["rows_are"] = IDS
        elif self._rows.kind == CHAT:
            template = json.dumps(self._tokenizer.chat_template, sort_keys=True)
            digest = hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()
            found = {"rows_are": CHAT, "chat_template": f"sha256:{digest}"}
            if self._roles:
                found["chat_roles"] = ",".join(self._roles)
        return found

    def __iter__(self) -> Iterator[Document]:
        """Every row's document.

        Raises:
            DatasetSourceError: the chat template fails on a row.
        """
        for index, record in enumerate(self._rows.iterate()):
            if not record or self._rows.kind not in (CHAT, IDS):
                yield Document(record)
            elif self._rows.kind == IDS:
                yield Document(ids=tuple(json.loads(record)))
            else:
                yield self._put_into_text(json.loads(record), index)

    def holds(self, text: str) -> bool:
        """Whether ``text`` stands in any of the documents (that are no ids)."""
        return any(text in document.text for document in self if document.ids is None)

    def _put_into_text(self, conversation: dict[str, Any], index: int) -> Document:
        messages, tools = conversation["messages"], conversation["tools"]
        text = self._render(messages, tools, index)
        if not self._roles:
            return Document(text)
        wanted = [message["role"] in self._roles for message in messages]
        # The template once more with marks for contents shows where each content stands.
        marked = [message | {"content": _mark(i)} for i, message in enumerate(messages)]
        frame = self._render(marked, tools, index)
        contents = [message["content"] for message in messages]
        found = _ranges(text, frame, contents) or _in_order(text, contents)
        kept = tuple(
            span for span, keep in zip(found, wanted, strict=True) if keep and span[1] > span[0]
        )
        return Document(text, kept=kept)

    def _render(self, messages: list[dict[str, Any]], tools: Any, index: int) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=False
            )
        # A template is a program of its own: it may fail in any way.
        except Exception as error:
            raise DatasetSourceError(
                f"the chat template fails on row {index} of {self._rows.name}: {one_line(error)}; "
                "leave such rows out, or use another model's tokenizer"
            ) from error
        return str(text)


def _mark(index: int) -> str:
    """A content no conversation has: private-use characters around a number."""
    return f"\ue0f0{index}\ue0f1"


def _ranges(text: str, frame: str, contents: list[str]) -> list[tuple[int, int]] | None:
    """Where each content stands in ``text``, if the template does no more than trim contents."""
    found: list[tuple[int, int]] = []
    at = 0
    for index, content in enumerate(contents):
        before, mark, frame = frame.partition(_mark(index))
        if not mark or not text.startswith(before, at):
            return None
        at += len(before)
        after = frame.partition(_mark(index + 1))[0] if index + 1 < len(contents) else frame
        for form in dict.fromkeys((content, content.strip(), content.rstrip(), content.lstrip())):
            if text.startswith(form, at) and text.startswith(after, at + len(form)):
                found.append((at, at + len(form)))
                at += len(form)
                break
        else:
            return None
    return found if text[at:] == frame else None


def _in_order(text: str, contents: list[str]) -> list[tuple[int, int]]:
    """Where each content stands, looked for one after another; empty where it does not."""
    found = []
    at = 0
    for content in contents:
        plain = content.strip()
        start = text.find(plain, at) if plain else -1
        if start < 0:
            found.append((at, at))
        else:
            at = start + len(plain)
            found.append((start, at))
    return found
