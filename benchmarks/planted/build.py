"""Studies whose features fire on known concepts, on the demo's own text and tokens.

*Lexical*: an SAE whose encoder separates the concept's token embeddings from all others of the
corpus (a regularised least-squares hinge), saved in SAELens' layout and run through the real
extraction at ``blocks.0.hook_resid_pre``. *Pattern*: firings written where the rule holds in
the document's text, on the same tokens, in the study's layout; no SAE has such features at
layer 0, and a later layer's would be a guess.

Feature numbers do not overlap: the lexical study holds ``0 … n-1``, the pattern study the rest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from autointerp_core.arrays import Float32Array, Int64Array
from autointerp_core.extraction.config import ExtractionConfig
from autointerp_core.extraction.run import extract
from autointerp_core.extraction.summary import summarise
from autointerp_core.home import home
from autointerp_core.progress import silent
from autointerp_core.sources.demo import DEMO, demo_corpus_path, prepare_demo_model
from autointerp_core.store.feature_shards import ShardFirings, write_shard
from autointerp_core.store.files import write_json
from autointerp_core.store.study import SPECIAL, Pass, Study, TokenStore
from autointerp_core.store.study_record import HealthRecord, PassRecord, SAERecord, write_record
from benchmarks.planted.brown import write_passages
from benchmarks.planted.concepts import LEXICAL_CONCEPTS, Concept, spellings
from benchmarks.planted.guards import guards
from benchmarks.planted.patterns import PATTERN_CONCEPTS
from benchmarks.planted.ruled import ruled

HOOK = "blocks.0.hook_resid_pre"
PATTERN_STUDY, RULED_STUDY, GUARD_STUDY = "planted-patterns", "planted-ruled", "planted-guards"
STEPS = 80
"""L-BFGS iterations of the separation; the margin hardly moves after that."""


class Planted(NamedTuple):
    """The two studies, and the concept of every feature in either."""

    lexical: Study
    pattern: Study
    concepts: Mapping[int, Concept]

    def study_of(self, feature: int) -> Study:
        """The study a feature is in."""
        return self.lexical if feature in self.lexical.features else self.pattern


def build_planted(
    folder: Path, n_documents: int | None = None, model: Path | None = None
) -> Planted:
    """Build both studies in ``folder`` (opened as they are where they were built before).

    Args:
        n_documents: the demo corpus' first so many documents; None: all 1,178. With few of
            them some concepts never fire, and their features are dead.
        model: folder of the prepared demo model; None: the one in ``AUTOINTERP_HOME``.
    """
    rows = n_documents or _corpus_rows()
    record = folder / "planted.json"
    if not record.exists():
        model = model or prepare_demo_model(home())
        sae = _write_sae(folder / "sae" / HOOK, model, rows)
        config = ExtractionConfig(str(model), str(sae), DEMO, n_rows=rows, logits=False)
        lexical = extract(config, folder / "studies").study
        _write_pattern_study(folder / "studies" / PATTERN_STUDY, lexical)
        write_json(record, {"lexical": lexical.id, "rows": rows})
    made = json.loads(record.read_bytes())
    if made["rows"] != rows:
        raise ValueError(f"{folder} holds {made['rows']} documents, not {rows}")
    concepts = dict(enumerate((*LEXICAL_CONCEPTS, *PATTERN_CONCEPTS)))
    studies = folder / "studies"
    return Planted(Study(studies / made["lexical"]), Study(studies / PATTERN_STUDY), concepts)


def build_ruled(folder: Path, model: Path | None = None) -> Study:
    """The study of the concepts of :mod:`.ruled`, in their order, on the Brown corpus.

    It is kept in ``folder``; its tokens are cut by the demo's model.
    """
    made = folder / "studies" / RULED_STUDY
    if not made.exists():
        model = model or prepare_demo_model(home())
        sae = folder / "sae" / HOOK
        if not sae.exists():
            sae = _write_sae(sae, model, _corpus_rows())
        texts = folder / "brown.parquet"
        rows = write_passages(texts)
        # Any SAE of the first layer does: what is wanted of it are the tokens.
        config = ExtractionConfig(str(model), str(sae), str(texts), n_rows=rows, logits=False)
        tokens = extract(config, folder / "studies").study
        write_planted(made, tokens, [one.concept for one in ruled()])
    return Study(made)


def build_guards(ruled_study: Study) -> Study:
    """The study of :func:`.guards.guards`, in their order, on the same tokens."""
    made = ruled_study.folder.with_name(GUARD_STUDY)
    if not made.exists():
        write_planted(made, ruled_study, [one.concept for one in guards()])
    return Study(made)


def _corpus_rows() -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(demo_corpus_path()).num_rows)


# -- lexical -----------------------------------------------------------------------------------


def member_tokens(concept: Concept, vocab: Sequence[str]) -> list[int]:
    """Ids of the tokens that are a member's whole word.

    Without a leading space only capitalised ones (at the start of a line, in quotation marks):
    in lower case such a token is nearly always a piece of another word ("ants" of "variants").
    """
    forms = {form for member in concept.members for form in spellings(member)}
    ids = []
    for index, text in enumerate(vocab):
        bare = text.removeprefix(" ")
        if bare in forms and (bare != text or (bare[0].isupper() and len(bare) > 1)):
            ids.append(index)
    return ids


def _write_sae(folder: Path, model: Path, rows: int) -> Path:
    """An SAE of one latent a lexical concept, in SAELens' layout."""
    from transformers import AutoTokenizer

    from autointerp_core.extraction.tokens import vocabulary
    from autointerp_core.sources.dataset import open_dataset

    tokenizer = AutoTokenizer.from_pretrained(model)
    vocab = vocabulary(tokenizer)
    texts = list(open_dataset(DEMO, "text", rows).iterate())
    used = np.unique(
        np.concatenate(
            [np.asarray(x) for x in tokenizer(texts, add_special_tokens=False).input_ids]
        )
    )
    member = np.zeros((len(vocab), len(LEXICAL_CONCEPTS)), dtype=np.float32)
    for column, concept in enumerate(LEXICAL_CONCEPTS):
        member[member_tokens(concept, vocab), column] = 1.0
    with safe_open(model / "model.safetensors", framework="pt") as handle:
        embedding = handle.get_tensor("model.embed_tokens.weight").float()
    # Members are learnt even where this slice of the corpus lacks them.
    learnt = torch.as_tensor(np.union1d(used, np.flatnonzero(member.any(1))))
    weight, bias = separate(embedding[learnt], torch.as_tensor(member)[learnt])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            "W_enc": weight.numpy().copy(),
            "b_enc": bias.numpy().copy(),
            "W_dec": (weight / weight.norm(dim=0)).T.contiguous().numpy().copy(),
            "b_dec": np.zeros(embedding.shape[1], dtype=np.float32),
        },
        folder / "sae_weights.safetensors",
    )
    config = {
        "architecture": "standard",
        "d_in": embedding.shape[1],
        "d_sae": len(LEXICAL_CONCEPTS),
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "model_name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "hook_name": HOOK,
            "context_size": 512,
            "prepend_bos": False,
        },
    }
    (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder


def separate(vectors: torch.Tensor, member: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hyperplanes that part each concept's vectors from the others.

    Args:
        vectors: ``[n, d]``.
        member: ``[n, c]``, 1 where the vector belongs to the concept.

    Returns:
        ``W [d, c]`` and ``b [c]``: ``relu(x W + b)`` is above 0 for members, scaled so that the
        median member has activation 1.
    """
    # Whitened, the problem is well conditioned, and a few dozen steps settle it.
    mean = vectors.mean(0)
    centred = vectors - mean
    values, basis = torch.linalg.eigh(centred.T @ centred / len(vectors))
    whiten = basis / values.clamp(min=1e-8 * float(values.max())).sqrt()
    x = centred @ whiten
    sign = 2 * member - 1
    # A concept has a few dozen members among thousands: together they weigh a twentieth.
    cost = torch.where(member > 0, 0.05 * len(x) / member.sum(0).clamp(min=1), 1.0) / len(x)
    weight = torch.zeros(x.shape[1], member.shape[1], requires_grad=True)
    bias = torch.full((member.shape[1],), -1.0, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        slack = (1 - sign * (x @ weight + bias)).clamp(min=0)
        value = (cost * slack**2).sum() + 1e-5 * weight.square().sum()
        value.backward()
        done: torch.Tensor = value
        return done

    step: Callable[[Callable[[], torch.Tensor]], object] = solver.step
    step(loss)
    with torch.no_grad():
        score = x @ weight + bias
        scale = torch.stack(
            [
                (score[member[:, c] > 0, c].median() if member[:, c].any() else torch.ones(()))
                for c in range(member.shape[1])
            ]
        ).clamp(min=1e-3)
        full = whiten @ weight / scale
        return full, bias / scale - mean @ full


# -- patterns ----------------------------------------------------------------------------------


def _write_pattern_study(folder: Path, like: Study) -> None:
    write_planted(folder, like, PATTERN_CONCEPTS, first=len(LEXICAL_CONCEPTS))


def write_planted(folder: Path, like: Study, concepts: Sequence[Concept], first: int = 0) -> None:
    """A study on the same tokens whose features, ``first`` and on, fire where a concept holds."""
    write_firings(folder, like, planted_firings(like.tokens, concepts), first)


def write_firings(folder: Path, like: Study, firing: Sequence[Int64Array], first: int = 0) -> None:
    """A study on the same tokens whose features, ``first`` and on, fire on these (ascending)."""
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    shutil.copytree(like.tokens.folder, making / "tokens")
    _write_pass(making, TokenStore(making / "tokens"), firing, first, "000")
    record = replace(
        like.info,
        id=folder.name,
        sae=SAERecord(source="planted", fingerprint=folder.name, d_sae=first + len(firing)),
        passes=(PassRecord(name="000", n_features=len(firing), n_shards=1, n_examples=20),),
        health=HealthRecord(warnings=()),
    )
    write_record(making, record)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)


def plant(
    study: Path, tokens: TokenStore, concepts: Sequence[Concept], first: int, name: str
) -> None:
    """Write a pass of a study whose features, from ``first`` on, fire where the concepts hold."""
    _write_pass(study, tokens, planted_firings(tokens, concepts), first, name)


def _write_pass(
    study: Path, tokens: TokenStore, firing: Sequence[Int64Array], first: int, name: str
) -> None:
    folder = study / "passes" / name
    (folder / "shards").mkdir(parents=True)
    features = first + np.arange(len(firing), dtype=np.int32)
    np.save(folder / "features.npy", features)
    strengths = [_strength(int(f), token) for f, token in zip(features, firing, strict=True)]
    write_shard(
        folder / "shards" / "00000.safetensors",
        ShardFirings(
            indptr=np.cumsum([0, *(len(token) for token in firing)]).astype(np.int64),
            token=np.concatenate(firing).astype(np.uint32),
            activation=np.concatenate(strengths),
            norm=np.ones(tokens.n_tokens, dtype=np.float32),
            first_token=0,
        ),
    )
    summarise(tokens, Pass(folder), int(np.asarray(tokens.counted).sum()), 20, silent)


def planted_firings(tokens: TokenStore, concepts: Sequence[Concept]) -> list[Int64Array]:
    """Tokens, ascending, of every place a concept holds for in the documents' text."""
    end = np.asarray(tokens.ends)
    counted = np.asarray(tokens.counted) > 0
    bounds = np.asarray(tokens.sequences)
    found: list[list[int]] = [[] for _ in concepts]
    for document in range(len(tokens.documents) - 1):
        text = tokens.document_text(document)
        at = _byte_offsets(text) + int(tokens.documents[document])
        sequences = tokens.document_sequences(document)
        low, high = int(bounds[sequences.start]), int(bounds[sequences.stop])
        ends = end[low:high]
        for concept, into in zip(concepts, found, strict=True):
            for first, last in concept.fires(text):
                # Tokens with a byte in the span; a leading space alone is none.
                start = int(np.searchsorted(ends, at[first], "right"))
                stop = int(np.searchsorted(ends, at[last], "left")) + 1
                into += range(low + start, min(low + stop, high))
    special = np.asarray(tokens.flags) & SPECIAL > 0
    every = [np.unique(np.asarray(each, dtype=np.int64)) for each in found]
    return [token[counted[token] & ~special[token]] for token in every]


def _byte_offsets(text: str) -> Int64Array:
    width = [len(character.encode()) for character in text]
    return np.cumsum([0, *width])


def _strength(feature: int, token: Int64Array) -> Float32Array:
    """Activations between 2 and 4 that look drawn but follow from feature and token alone."""
    mixed = (token.astype(np.uint64) + np.uint64(feature) * np.uint64(0x9E3779B9)) * np.uint64(
        0xBF58476D1CE4E5B9
    )
    return (2.0 + 2.0 * ((mixed >> np.uint64(40)).astype(np.float64) / 2**24)).astype(np.float32)


# -- check -------------------------------------------------------------------------------------


def agreement(planted: Planted, feature: int) -> tuple[float, float]:
    """Precision and recall of a feature's firing tokens against the concept's rule on the text."""
    study, concept = planted.study_of(feature), planted.concepts[feature]
    fired = study.firings(feature).token
    fired = fired[np.asarray(study.tokens.counted)[fired] > 0]
    truth = planted_firings(study.tokens, [concept])[0]
    both = len(np.intersect1d(fired, truth))
    return both / max(len(fired), 1), both / max(len(truth), 1)


def main() -> None:
    """Build and print how well every feature fires on its concept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    planted = build_planted(arguments.folder, arguments.documents)
    print(f"{time.perf_counter() - begun:.1f} s")
    for feature, concept in planted.concepts.items():
        precision, recall = agreement(planted, feature)
        examples = planted.study_of(feature).stats(feature).num_examples
        print(f"{feature:>3} {concept.name:<40} {precision:6.3f} {recall:6.3f} {examples:>5}")


if __name__ == "__main__":
    main()
