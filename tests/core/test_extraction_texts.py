"""Extraction of texts, conversations and token ids in every form; what is told before it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp_core.errors import (
    AutointerpError,
    BadInput,
    DatasetSourceError,
    ModelSourceError,
)
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.resolve import resolve
from autointerp_core.extraction.run import extract
from autointerp_core.pipeline import run_labeling
from autointerp_core.progress import Progress
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import Tiny, data_files, make_tiny, tiny_texts
from tests.core.tiny import edit_json, tiny_llama, tiny_tokenizer, tiny_topk_saelens

ODD = ["東京は晴れ 🙂🚀 👩‍👩‍👧", "مرحبا بالعالم", "e\u0301 cafe\u0301", "a\r\nb\u00a0c", "1" * 40]
CHAT = [
    [{"role": "user", "content": "What is a newt?"}, {"role": "assistant", "content": "A frog."}],
    [{"role": "user", "content": "And 東京?"}, {"role": "assistant", "content": "A city 🙂."}],
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), 14)


def rows(folder: Path, column: str, cells: list[Any]) -> str:
    path = folder / f"{column}.jsonl"
    path.write_text("".join(json.dumps({column: cell}) + "\n" for cell in cells))
    return str(path)


def test_no_example_of_any_script_is_without_its_mark(tiny: Tiny, tmp_path: Path) -> None:
    """Case 18 (SAEDashboard 34), on a real study: every example of every feature."""
    study = extract(
        tiny.request(dataset_path=rows(tmp_path, "text", ODD * 2), context_size=7), tmp_path / "s"
    ).study
    seen = 0
    for _, examples in study.iter_examples(study.features.tolist()):
        for example in examples:
            document = study.tokens.document_text(example.document_index)
            assert example.peak_text in document
            assert example.peak_text
            assert example.text in document
            seen += 1
    assert seen > 200
    shown = {text for texts in study.table["top_tokens"] for text in texts}
    assert not any("\ufffd" in text for text in shown)
    # Whole characters, none of them a byte-level spelling such as 'æĿ±'.
    assert shown <= {piece for text in ODD for piece in _pieces(text)}


def _pieces(text: str) -> set[str]:
    return {text[i:j] for i in range(len(text)) for j in range(i + 1, min(i + 9, len(text)) + 1)}


@pytest.mark.slow
def test_packed_is_another_study_of_the_same_tokens(tiny: Tiny, tmp_path: Path) -> None:
    apart = extract(tiny.request(), tmp_path).study
    packed = extract(tiny.request(pack=True), tmp_path).study
    assert packed.id != apart.id
    lengths = np.diff(packed.tokens.sequences)
    assert (lengths[:-1] == 24).all()
    assert packed.info.n_documents == apart.info.n_documents
    assert packed.info.tokenisation.separator_id == 0
    text = {d: packed.tokens.document_text(d) for d in range(packed.info.n_documents)}
    assert list(text.values()) == tiny_texts(14)
    for _, examples in packed.iter_examples(packed.features.tolist()[:20]):
        for example in examples:
            assert example.peak_text in text[example.document_index]
    assert extract(tiny.request(pack=True), tmp_path).computed.tolist() == []


def test_the_identity_of_plain_texts_is_what_it_was(tiny: Tiny) -> None:
    identity = resolve(tiny.request()).identity.to_json()
    assert list(identity) == [
        "model", "tokenizer", "sae", "hook", "dataset", "column", "rows", "context_size",
        "prepend_bos", "masks", "dtype", "schema",
    ]  # fmt: skip
    assert list(resolve(tiny.request(prepend_bos=True)).identity.to_json()) == list(identity)


def test_texts_that_hold_bos_are_another_study_than_those_once_made(
    tiny: Tiny, tmp_path: Path
) -> None:
    path = rows(tmp_path, "text", ["<|bos|>one two", "three"])
    assert resolve(tiny.request(dataset_path=path)).identity.bos_once is None
    found = resolve(tiny.request(dataset_path=path, prepend_bos=True))
    assert found.identity.bos_once is True
    study = extract(tiny.request(dataset_path=path, prepend_bos=True), tmp_path / "s").study
    for sequence in range(study.info.n_sequences):
        low, high = study.tokens.sequences[sequence : sequence + 2]
        assert study.tokens.ids[low:high].tolist().count(0) == 1


def test_conversations(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny.request(dataset_path=rows(tmp_path, "messages", CHAT), column="messages")
    whole = extract(config, tmp_path / "s").study
    assert whole.tokens.document_text(0) == "user: What is a newt?\nassistant: A frog.\n"
    only = replace(config, chat_roles="gpt")
    study = extract(only, tmp_path / "s").study
    assert study.id != whole.id
    assert study.tokens.ids.tolist() == whole.tokens.ids.tolist()
    counted = np.asarray(study.tokens.counted) > 0
    pieces = [study.tokens.pieces(*map(int, study.tokens.sequences[s : s + 2]))
              for s in range(study.info.n_sequences)]  # fmt: skip
    kept = "".join(p for p, c in zip([p for one in pieces for p in one], counted, strict=True) if c)
    assert "".join(kept.split()) == "Afrog.Acity🙂."
    for _, examples in study.iter_examples(study.features.tolist()):
        assert all(example.peak_text in "A frog. A city 🙂." for example in examples)


@pytest.mark.slow
def test_rows_of_ids_give_the_numbers_of_their_texts(tiny: Tiny, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer")
    texts = [text for text in tiny_texts(14) if text]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    by_text = extract(tiny.request(dataset_path=rows(tmp_path, "text", texts)), tmp_path / "s")
    config = tiny.request(dataset_path=rows(tmp_path, "input_ids", ids), column="input_ids")
    by_ids = extract(config, tmp_path / "s")
    assert by_ids.study.id != by_text.study.id
    first, second = data_files(by_text.study.folder), data_files(by_ids.study.folder)
    del first["study.json"], second["study.json"]
    assert first == second


BAD: dict[str, tuple[str, list[Any], type[AutointerpError], str]] = {
    "ids beyond the embedding": ("ids", [[1, 2], [1, 5000]], ModelSourceError, "row 1 .*5000.*400"),
    "a negative id": ("ids", [[1, 2], [-1]], DatasetSourceError, "row 1 .*-1"),
    "a template that fails": (
        "messages",
        [CHAT[0], [{"role": "judge", "content": "a"}]],
        DatasetSourceError,
        "row 1 .*who is that",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_told_before_the_model_is_loaded_and_leave_nothing(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    column, cells, kind, words = BAD[case]
    tiny = make_tiny(tmp_path / "tiny", 2)
    refuse = "{{ raise_exception('who is that') }}"
    edit_json(
        tiny.model / "tokenizer_config.json",
        chat_template=f"{{% for m in messages %}}{{% if m.role == 'judge' %}}{refuse}"
        "{% endif %}{{ m.content }}{% endfor %}",
    )
    for path in tiny.model.glob("*.jinja"):
        path.unlink()
    monkeypatch.setattr(
        "autointerp_core.sources.model.load_truncated", lambda *_, **__: pytest.fail("too late")
    )
    studies = tmp_path / "studies"
    config = tiny.request(dataset_path=rows(tmp_path, column, cells), column=column)
    with pytest.raises(kind, match=words) as caught:
        extract(config, studies)
    assert "\n" not in str(caught.value)
    assert [path for path in studies.iterdir() if not path.name.startswith(".")] == []


def test_a_tokenizer_that_grew_alone(tmp_path: Path) -> None:
    """Case 21 (transformers 12763)."""
    tiny = make_tiny(tmp_path / "tiny", 2)
    grown = tiny_tokenizer(tiny.model)
    grown.add_tokens([f"<extra {i}>" for i in range(400)])
    grown.save_pretrained(tiny.model)
    path = rows(tmp_path, "text", ["fine", "a <extra 399> b"])
    with pytest.raises(ModelSourceError, match=r"row 1 holds the token '<extra 399>'.*400 rows"):
        extract(tiny.request(dataset_path=path), tmp_path / "studies")
    assert extract(tiny.request(dataset_path=rows(tmp_path, "fine", ["fine"]), column="fine"),
                   tmp_path / "studies").study.info.n_documents == 1  # fmt: skip


def test_bos_beyond_the_embedding(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "tiny", 2)
    grown = tiny_tokenizer(tiny.model)
    grown.add_tokens([f"<extra {i}>" for i in range(400)])
    grown.add_special_tokens({"bos_token": "<new bos>"})
    grown.save_pretrained(tiny.model)
    with pytest.raises(ModelSourceError, match=r"BOS is the token '<new bos>'.*400 rows"):
        resolve(tiny.request(prepend_bos=True))
    assert resolve(tiny.request(prepend_bos=False)).tokenisation.bos_id is None


def test_a_model_without_bos(tmp_path: Path) -> None:
    """Case 22 (TransformerLens 1628): EOS is put there, and that is said wherever one looks."""
    tiny = make_tiny(tmp_path / "tiny", 4)
    tiny_tokenizer(tiny.model, bos=False)
    edit_json(tiny.model / "tokenizer_config.json", bos_token=None)
    told: list[Progress] = []
    study = extract(tiny.request(prepend_bos=True), tmp_path / "studies", told.append).study
    assert any("no BOS" in p.message for p in told)
    assert "as TransformerLens does" in study.info.notices[0]
    assert Study(study.folder).info.notices == study.info.notices
    first = study.tokens.sequences[:-1][np.diff(study.tokens.sequences) > 0]
    assert (study.tokens.ids[first] == 1).all()
    assert not study.tokens.counted[first].any()


def test_an_sae_of_one_token_contexts(tmp_path: Path) -> None:
    """Case 17 (SAELens 200)."""
    model = tiny_llama(tmp_path / "model")
    sae = tiny_topk_saelens(tmp_path / "sae", metadata={"context_size": 1, "prepend_bos": True})
    config = ExtractionConfig(str(model), str(sae), rows(tmp_path, "text", ["a b c"]))
    with pytest.raises(BadInput, match="no room for a token"):
        resolve(config)
    assert resolve(ExtractionConfig(str(model), str(sae), config.dataset_path, context_size=8))


def test_a_model_folder_without_a_latin_letter(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "模型"
    folder.symlink_to(tiny.model)
    study_id = resolve(tiny.request(model_path=str(folder))).study_id
    assert study_id.startswith("model-l2-resid-post-")


@pytest.mark.slow
def test_scores_that_belong_to_no_feature_asked_for_are_told(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path / "home"))

    def run(features: Any, scores: Any, **more: Any) -> dict[str, Any]:
        return run_labeling(
            features, str(tiny.model), str(tiny.saelens), str(tiny.dataset),
            "blocks.2.hook_resid_post", tmp_path / "out", 4, label_provider="none",
            feature_scores=scores, context_size=24, device="cpu", **more,
        )  # fmt: skip

    found = run(np.array([3, 7]), {3: np.float32(0.5), 9: 1.0})
    assert found["notices"] == [
        "1 scores are for features that were not asked for, and left out: 9"
    ]
    lines = Path(found["examples_path"]).read_text().splitlines()
    assert [json.loads(line)["score"] for line in lines] == [0.5, None]
    again = run("all", dict.fromkeys(range(60, 70), 1.0))
    assert again["notices"] == [
        "6 scores are for features that this SAE has not (it has 0 to 63), and left out: "
        "64, 65, 66, 67, 68, 69"
    ]
    with pytest.raises(BadInput, match="--chat-roles"):
        run([3], None, chat_roles="user")
