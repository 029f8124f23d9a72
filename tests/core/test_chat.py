"""Conversations in every shape, put into text by the tokenizer's own template; rows of ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autointerp_core.errors import DatasetSourceError, ModelSourceError, ParameterError
from autointerp_core.extraction.tokens import Tokenisation, write_tokens
from autointerp_core.progress import silent
from autointerp_core.sources.chat import parse_roles
from autointerp_core.sources.dataset import open_dataset
from autointerp_core.sources.documents import Document, Documents
from autointerp_core.store.tokenstore import OUTSIDE, SPECIAL, TokenStore
from tests.core.tiny import tiny_tokenizer
from tests.core.tokenizer_kinds import kind_of_tokenizer

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a newt?"},
    {"role": "assistant", "content": " An amphibian. "},
]
EXPECTED = "<|bos|>system: Be brief.\nuser: What is a newt?\nassistant: An amphibian.\n"
TEMPLATE = (
    "{{ bos_token }}"
    "{% for t in tools or [] %}tool {{ t.function.name }}{{ '\\n' }}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}"
    "{% for c in m.tool_calls or [] %}call {{ c.function.name }}"
    "({{ c.function.arguments | tojson }}){% endfor %}{{ '\\n' }}{% endfor %}"
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    made = tiny_tokenizer(tmp_path / "tokenizer")
    made.chat_template = TEMPLATE
    return made


def written(tmp_path: Path, *cells: Any, column: str = "messages", **others: Any) -> str:
    path = tmp_path / "data.jsonl"
    rows = [{column: cell, **others} for cell in cells]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def documents(
    tokenizer: Any, path: str, column: str = "messages", roles: tuple[str, ...] = ()
) -> list[Document]:
    return list(Documents(open_dataset(path, column), tokenizer, roles))


SHAPES: dict[str, Any] = {
    "messages": MESSAGES,
    "ShareGPT": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "What is a newt?"},
        {"from": "gpt", "value": " An amphibian. ", "weight": None},
    ],
    "content in parts": [
        {"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in MESSAGES
    ],
    "an object with messages": {"messages": MESSAGES, "id": 3},
    "an object with conversations": {"conversations": MESSAGES},
    "messages one level deeper": [{"message": message} for message in MESSAGES],
    "author and parts": [
        {"author": {"role": m["role"]}, "content": {"type": "text", "parts": [m["content"]]}}
        for m in MESSAGES
    ],
    "columns of fields": {
        "role": [m["role"] for m in MESSAGES],
        "content": [m["content"] for m in MESSAGES],
    },
    "JSON text": json.dumps(MESSAGES),
    "roles in capitals": [{**m, "role": m["role"].title()} for m in MESSAGES],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_the_same_conversation(tokenizer: Any, tmp_path: Path, shape: str) -> None:
    path = written(tmp_path, SHAPES[shape], None)
    assert documents(tokenizer, path) == [Document(EXPECTED), Document("")]
    assert open_dataset(path, "messages").kind == "conversations"


def test_the_template_is_the_tokenizers_own(tmp_path: Path) -> None:
    """The oracle: transformers' apply_chat_template, on the messages as they are."""
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer")
    (found,) = documents(tokenizer, written(tmp_path, MESSAGES))
    assert found.text == tokenizer.apply_chat_template(MESSAGES, tokenize=False)


def test_parquet_fills_in_fields_that_are_not_there(tokenizer: Any, tmp_path: Path) -> None:
    calls = [{"type": "function", "function": {"name": "look", "arguments": '{"what": "newt"}'}}]
    messages = [
        *MESSAGES[:2],
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "amphibian", "name": "look"},
    ]
    tools = [{"type": "function", "function": {"name": "look"}}]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{"messages": messages, "tools": tools, "n": 1}]), path)
    (found,) = documents(tokenizer, str(path))
    assert found.text == (
        "<|bos|>tool look\nsystem: Be brief.\nuser: What is a newt?\n"
        'assistant: call look({"what": "newt"})\ntool: amphibian\n'
    )
    (again,) = documents(tokenizer, written(tmp_path, messages, tools=json.dumps(tools)))
    assert again == found


def stored(folder: Path, tokenizer: Any, items: list[Document], **how: Any) -> TokenStore:
    made = Tokenisation.of(tokenizer, 64, how.pop("bos", True), **how)
    write_tokens(folder / "tokens", items, len(items), tokenizer, made, silent)
    return TokenStore(folder / "tokens")


def test_a_template_that_writes_bos_gets_no_second_one(tokenizer: Any, tmp_path: Path) -> None:
    """Case 23 (TransformerLens 369)."""
    found = stored(tmp_path, tokenizer, documents(tokenizer, written(tmp_path, MESSAGES)))
    assert found.ids.tolist() == tokenizer(EXPECTED, add_special_tokens=False)["input_ids"]
    assert found.ids.tolist().count(0) == 1


def kept_text(store: TokenStore) -> list[str]:
    """Runs of the text of tokens that are not left out."""
    pieces = store.pieces(0, store.n_tokens)
    marked = "".join(
        piece if not flag & OUTSIDE else "\0"
        for piece, flag in zip(pieces, store.flags.tolist(), strict=True)
    )
    return [run for run in marked.split("\0") if run]


@pytest.mark.parametrize("roles", ["user", "assistant", "system,assistant", ["human", "gpt"]])
def test_only_messages_of_the_roles_asked_for_count(
    tokenizer: Any, tmp_path: Path, roles: Any
) -> None:
    wanted = parse_roles(roles)
    path = written(tmp_path, MESSAGES)
    store = stored(tmp_path, tokenizer, documents(tokenizer, path, roles=wanted))
    assert "".join(store.pieces(0, store.n_tokens)) == EXPECTED
    expected = [m["content"].strip() for m in MESSAGES if m["role"] in wanted]
    runs = [run.strip() for run in kept_text(store)]
    assert [run for run in runs if run] == expected
    assert store.flags[0] & OUTSIDE  # BOS is no part of a message


def test_a_short_message_is_not_found_in_the_markup(tokenizer: Any, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "s"}, {"role": "assistant", "content": "t"}]
    path = written(tmp_path, messages)
    (found,) = documents(tokenizer, path, roles=("assistant",))
    assert found.kept is not None
    assert [found.text[a:b] for a, b in found.kept] == ["t"]
    assert found.text[: found.kept[0][0]].endswith("assistant: ")


def test_a_template_that_leaves_thoughts_out(tokenizer: Any, tmp_path: Path) -> None:
    line = "[{{ m.role }}] {{ m.content.split('</think>')[-1] }}{{ '\\n' }}"
    tokenizer.chat_template = f"{{% for m in messages %}}{line}{{% endfor %}}"
    messages = [
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": "<think>so</think>A newt."},
        {"role": "user", "content": "Thanks a lot"},
    ]
    (found,) = documents(tokenizer, written(tmp_path, messages), roles=("user",))
    assert found.kept is not None
    assert [found.text[a:b] for a, b in found.kept] == ["Hello there", "Thanks a lot"]


def test_roles_that_no_message_has(tokenizer: Any, tmp_path: Path) -> None:
    path = written(tmp_path, MESSAGES)
    with pytest.raises(ParameterError, match="no message of the roles"):
        stored(tmp_path, tokenizer, documents(tokenizer, path, roles=("tool",)))
    assert not (tmp_path / "tokens").exists()


def test_roles_are_for_conversations(tokenizer: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "a text", column="text")
    with pytest.raises(ParameterError, match="--chat-roles"):
        documents(tokenizer, path, "text", roles=("user",))
    assert parse_roles(None) == ()
    with pytest.raises(ParameterError, match="no role"):
        parse_roles("user,,")


def test_conversations_without_a_template(tmp_path: Path) -> None:
    tokenizer = kind_of_tokenizer("byte-level")
    with pytest.raises(DatasetSourceError, match="no chat template"):
        documents(tokenizer, written(tmp_path, MESSAGES))


def test_a_template_that_fails_on_a_row(tokenizer: Any, tmp_path: Path) -> None:
    refuse = "{{ raise_exception('must begin with user') }}"
    tokenizer.chat_template = f"{{% if messages[0].role != 'user' %}}{refuse}{{% endif %}}"
    with pytest.raises(DatasetSourceError) as caught:
        documents(tokenizer, written(tmp_path, MESSAGES[1:], MESSAGES))
    assert "row 1" in str(caught.value)
    assert "must begin with user" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ([{"content": "a"}], ["row 1", "message 0", "no role", "content"]),
        ([{"role": "user"}], ["row 1", "message 0 (user)", "no content"]),
        ([{"role": "user", "content": 3}], ["message 0", "int"]),
        (
            [{"role": "user", "content": [{"type": "image", "url": "x"}]}],
            ["message 0", "no text", "image"],
        ),
        ({"question": "a"}, ["row 1", "without messages", "question"]),
        ([{"role": "user", "content": "a"}, {"role": 3, "content": "a"}], ["message 1", "no role"]),
        ("plain text", ["row 1", "text", "row 0", "conversations"]),
        ([1, 2], ["row 1", "token ids", "row 0", "conversations"]),
        ([[1], [2]], ["row 1", "list"]),
        ([1.5], ["row 1", "list"]),
    ],
)
def test_cells_that_are_no_conversation(tmp_path: Path, cell: Any, words: list[str]) -> None:
    with pytest.raises(DatasetSourceError) as caught:
        open_dataset(written(tmp_path, MESSAGES, cell), "messages")
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_rows_of_ids(tokenizer: Any, tmp_path: Path) -> None:
    texts = ["One two three", "東京 🙂", "a"]
    ids = [[0, *tokenizer(text, add_special_tokens=False)["input_ids"]] for text in texts]
    path = written(tmp_path, *ids, [], column="input_ids")
    rows = open_dataset(path, "input_ids")
    assert rows.kind == "token ids"
    store = stored(tmp_path, tokenizer, list(Documents(rows, tokenizer)))
    assert store.ids.tolist() == [i for one in ids for i in one]  # BOS once, as it stands there
    assert store.n_sequences == len(ids) + 1
    for document, text in enumerate(texts):
        assert store.document_text(document) == f"<|bos|>{text}"
    assert (store.flags[store.ids == 0] & SPECIAL).all()


def test_half_a_character_in_a_row_of_ids(tokenizer: Any, tmp_path: Path) -> None:
    whole = tokenizer("a東b", add_special_tokens=False)["input_ids"]
    cut = [*whole[:2], whole[-1]]
    store = stored(tmp_path, tokenizer, [Document(ids=tuple(cut))], bos=False)
    assert store.pieces(0, 3) == ["a", "\ufffd", "b"]
    assert store.document_text(0) == "a\ufffdb"


@pytest.mark.parametrize(
    ("ids", "words"),
    [([1, 400], ["row 1", "id 400", "400 rows"]), ([1, -1], ["row 1", "-1"])],
)
def test_ids_beyond_the_vocabulary(
    tokenizer: Any, tmp_path: Path, ids: list[int], words: list[str]
) -> None:
    rows = open_dataset(written(tmp_path, [1, 2], ids, column="ids"), "ids")
    with pytest.raises((ModelSourceError, DatasetSourceError)) as caught:
        stored(tmp_path, tokenizer, list(Documents(rows, tokenizer)), embedding_rows=400)
    for word in words:
        assert word in str(caught.value)


def test_what_a_studys_identity_has_to_know(tokenizer: Any, tmp_path: Path) -> None:
    plain = open_dataset(written(tmp_path, "a", column="text"), "text")
    assert Documents(plain, tokenizer).identity == {}
    chat = open_dataset(written(tmp_path, MESSAGES), "messages")
    first = Documents(chat, tokenizer).identity
    with_roles = Documents(chat, tokenizer, ("user",)).identity
    assert with_roles == {**first, "chat_roles": "user"}
    tokenizer.chat_template += " "
    assert Documents(chat, tokenizer).identity != first
    ids = open_dataset(written(tmp_path, [1], column="ids"), "ids")
    assert Documents(ids, tokenizer).identity == {"rows_are": "token ids"}


def test_no_window_leaves_the_messages_asked_for_uncounted(tokenizer: Any, tmp_path: Path) -> None:
    from autointerp_core.extraction.summary import counted_positions
    from autointerp_core.store.study_record import Masks

    path = written(tmp_path, MESSAGES)
    store = stored(tmp_path, tokenizer, documents(tokenizer, path, roles=("assistant",)))
    norms = np.ones(store.n_tokens, dtype=np.float32)
    counted = counted_positions(np.asarray(store.flags), norms, Masks(special=False), 1.0)
    text = "".join(
        piece for piece, c in zip(store.pieces(0, store.n_tokens), counted, strict=True) if c
    )
    assert text.strip() == "An amphibian."
