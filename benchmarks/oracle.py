"""Brute-force truth for extraction: no batches, no padding, no truncation, no sparse files.

``make oracle`` checks the demo study on the whole demo corpus; the test suite uses the same
functions on 300 documents. Nothing here shares code with ``autointerp_core.extraction``:
the whole Hugging Face model runs one unpadded sequence at a time, the SAE's reference
library encodes, and plain loops choose examples.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from autointerp_core.store.study import Study

RELATIVE, FLOOR, TRADES = 2e-4, 0.01, 1e-5
"""DESIGN §3: relative difference, its floor as a share of the feature's max, traded firings."""
BEFORE, AFTER, TOP, SINK = 16, 15, 20, 10.0

Encode = Callable[[torch.Tensor], torch.Tensor]
Key = TypeVar("Key", bound=Hashable)


@dataclass
class Truth:
    """Dense activations of chosen features, sequence by sequence.

    ``acts[s]`` is ``[n, features]``, ``counted[s]`` is ``[n]``, ``ids[s]`` is ``[n]``;
    ``texts[s]`` is each token's text.
    """

    features: list[int]
    ids: list[list[int]] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    acts: list[np.ndarray] = field(default_factory=list)
    counted: list[np.ndarray] = field(default_factory=list)


@dataclass
class Report:
    """How far a study is from the truth. Empty ``errors`` means it holds."""

    firings: int = 0
    trades: int = 0
    worst: float = 0.0
    features: int = 0
    examples: int = 0
    errors: list[str] = field(default_factory=list)

    def note(self, message: str) -> None:
        if len(self.errors) < 20:
            self.errors.append(message)


def hidden_states(
    model: Any, tokenizer: Any, texts: Iterable[str], layers: Sequence[int], context: int
) -> Iterable[tuple[int, list[int], list[str], dict[int, torch.Tensor]]]:
    """(document, ids, token texts, residual stream after each of ``layers``) by sequence."""
    blocks = model.model.layers
    places = {layer: (blocks[layer], "output") for layer in layers}
    return values_at(model, tokenizer, texts, places, context)


def values_at(
    model: Any,
    tokenizer: Any,
    texts: Iterable[str],
    places: Mapping[Key, tuple[Any, str]],
    context: int,
) -> Iterable[tuple[int, list[int], list[str], dict[Key, torch.Tensor]]]:
    """(document, ids, token texts, value ``[n, width]`` at each place) by sequence.

    ``places``: a module and its side, ``"input"`` or ``"output"``, by a name of your choice.
    """
    kept: dict[Key, torch.Tensor] = {}

    def keep(key: Key, side: str) -> Callable[..., None]:
        def hook(_module: Any, inputs: Any, output: Any) -> None:
            value = inputs if side == "input" else output
            kept[key] = (value[0] if isinstance(value, tuple) else value)[0].float()

        return hook

    handles = [
        module.register_forward_hook(keep(key, side)) for key, (module, side) in places.items()
    ]
    try:
        for document, text in enumerate(texts):
            encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids, pieces = encoded["input_ids"], _pieces(text, encoded["offset_mapping"])
            for start in range(0, max(len(ids), 1), context):
                part = ids[start : start + context]
                if part:
                    with torch.inference_mode():
                        model(torch.tensor([part]))
                yield document, part, pieces[start : start + context], dict(kept) if part else {}
    finally:
        for handle in handles:
            handle.remove()


def _pieces(text: str, offsets: Sequence[tuple[int, int]]) -> list[str]:
    """Byte-exact text of each token; a split character is in the first of its tokens."""
    out, done = [], 0
    for index, (_, end) in enumerate(offsets):
        end = max(end, done) if index < len(offsets) - 1 else len(text)
        out.append(text[done:end])
        done = end
    return out


def collect(
    stream: Iterable[tuple[int, list[int], list[str], dict[Key, torch.Tensor]]],
    encoders: dict[str, tuple[Key, Encode, list[int]]],
    special: set[int],
) -> dict[str, Truth]:
    """Truth for each encoder: name → (layer or place, encode, features)."""
    truths = {name: Truth(features) for name, (_, _, features) in encoders.items()}
    norms: dict[str, list[np.ndarray]] = {name: [] for name in encoders}
    for document, ids, texts, hidden in stream:
        for name, (layer, encode, features) in encoders.items():
            truth = truths[name]
            truth.documents.append(document)
            truth.ids.append(ids)
            truth.texts.append(texts)
            if ids:
                with torch.inference_mode():
                    truth.acts.append(encode(hidden[layer])[:, features].numpy().copy())
                norms[name].append(hidden[layer].norm(dim=-1).numpy().copy())
            else:
                truth.acts.append(np.zeros((0, len(features)), np.float32))
                norms[name].append(np.zeros(0, np.float32))
    for name, truth in truths.items():
        reference = np.concatenate([n[1:] for n in norms[name][:64]])
        limit = SINK * float(np.median(reference))
        for ids, norm in zip(truth.ids, norms[name], strict=True):
            plain = np.array([i not in special for i in ids], dtype=bool)
            truth.counted.append(plain & (norm <= limit))
    return truths


def compare(study: Study, truth: Truth) -> Report:
    """Every activation, position, token, window, statistic and top list of the features."""
    report = Report(features=len(truth.features))
    lengths = [len(ids) for ids in truth.ids]
    if np.diff(study.tokens.sequences).tolist() != lengths:
        report.note("sequences have other lengths")
        return report
    if study.tokens.ids.tolist() != [i for ids in truth.ids for i in ids]:
        report.note("token ids differ")
    counted = np.concatenate(truth.counted)
    if (study.tokens.counted > 0).tolist() != counted.tolist():
        report.note("counted positions differ")
    acts = np.concatenate(truth.acts)
    for column, feature in enumerate(truth.features):
        _compare_feature(study, truth, report, feature, column, acts[:, column], counted)
    if report.trades > TRADES * max(report.firings, 1):
        report.note(f"{report.trades} of {report.firings} firings in only one of the two")
    return report


def _compare_feature(
    study: Study,
    truth: Truth,
    report: Report,
    feature: int,
    column: int,
    dense: np.ndarray,
    counted: np.ndarray,
) -> None:
    _, token, value = study.firings(feature)
    ours = np.zeros(len(dense), dtype=np.float32)
    ours[token] = value
    both = (ours > 0) & (dense > 0)
    report.firings += int(both.sum())
    trades = int(((ours > 0) != (dense > 0)).sum())
    report.trades += trades
    floor = FLOOR * float(dense.max()) if len(dense) and dense.max() > 0 else 1.0
    difference = np.abs(ours - dense)[both] / np.maximum(np.abs(dense[both]), floor)
    worst = float(difference.max()) if len(difference) else 0.0
    report.worst = max(report.worst, worst)
    if worst > RELATIVE:
        report.note(f"feature {feature}: activations differ by {worst:.1e}")
    stats = study.stats(feature)
    fired = int(((dense > 0) & counted).sum())
    if abs(stats.fired - fired) > trades:
        report.note(f"feature {feature}: fired {stats.fired}, truth {fired}")
    if abs(stats.density - stats.fired / counted.sum()) > 1e-12:
        report.note(f"feature {feature}: density {stats.density} is not its count")
    top = float(dense[counted].max()) if fired else 0.0
    if abs(stats.max - top) > RELATIVE * max(top, floor):
        report.note(f"feature {feature}: max {stats.max}, truth {top}")
    sequences = sum(
        bool((a[:, column][c] > 0).any()) for a, c in zip(truth.acts, truth.counted, strict=True)
    )
    if abs(stats.num_examples - sequences) > trades:
        report.note(f"feature {feature}: {stats.num_examples} sequences, truth {sequences}")
    _compare_examples(study, truth, report, feature, column, floor, trades)


def _compare_examples(
    study: Study,
    truth: Truth,
    report: Report,
    feature: int,
    column: int,
    floor: float,
    trades: int,
) -> None:
    wanted = top_examples(truth, column)
    examples = study.examples(feature, limit=TOP)
    report.examples += len(examples)
    if len(examples) != len(wanted) and not trades:
        report.note(f"feature {feature}: {len(examples)} examples, truth {len(wanted)}")
    for rank, (example, (activation, sequence, position)) in enumerate(
        zip(examples, wanted, strict=False)
    ):
        where = f"feature {feature}, example {rank}"
        same = (example.sequence_index, example.token_position) == (sequence, position)
        # Two peaks closer than rounding may stand in either order.
        if not same and abs(example.activation - activation) > RELATIVE * max(activation, floor):
            report.note(
                f"{where}: at {example.sequence_index}:{example.token_position}, "
                f"truth {sequence}:{position}"
            )
        s, start = example.sequence_index, example.start_position
        stop = start + len(example.tokens)
        low, high = window(truth.texts[s], example.token_position)
        if (start, stop) != (low, high):
            report.note(f"{where}: window {start}–{stop}, truth {low}–{high}")
            continue
        if list(example.tokens) != truth.texts[s][start:stop]:
            report.note(f"{where}: token texts differ")
        if list(example.token_ids) != truth.ids[s][start:stop]:
            report.note(f"{where}: token ids differ")
        dense = truth.acts[s][start:stop, column]
        ours = np.asarray(example.values, dtype=np.float32)
        both = (ours > 0) & (dense > 0)
        gap = np.abs(ours - dense)[both] / np.maximum(np.abs(dense[both]), floor)
        if len(gap) and gap.max() > RELATIVE:
            report.note(f"{where}: window values differ by {gap.max():.1e}")
        if ((ours > 0) != (dense > 0)).any() and not trades:
            report.note(f"{where}: window fires elsewhere")
        if example.activation != example.values[example.peak_index]:
            report.note(f"{where}: activation is not the value at the peak")
        if example.document_index != truth.documents[s]:
            report.note(f"{where}: document {example.document_index}, truth {truth.documents[s]}")


def top_examples(truth: Truth, column: int) -> list[tuple[float, int, int]]:
    """(activation, sequence, position) of the top examples, by DESIGN's rule, the slow way."""
    peaks = []
    for sequence, (acts, counted) in enumerate(zip(truth.acts, truth.counted, strict=True)):
        masked = np.where(counted, acts[:, column], 0.0)
        if len(masked) and masked.max() > 0:
            position = int(masked.argmax())
            peaks.append((float(masked[position]), sequence, position))
    peaks.sort(key=lambda peak: (-peak[0], peak[1], peak[2]))
    seen, kept = set(), []
    for peak in peaks:
        _, sequence, position = peak
        low, high = window(truth.texts[sequence], position)
        content = tuple(truth.ids[sequence][low:high])
        if content not in seen:
            seen.add(content)
            kept.append(peak)
        if len(kept) == TOP:
            break
    return kept


def window(texts: list[str], position: int) -> tuple[int, int]:
    """16 tokens before and 15 after, clipped, widened to whole characters.

    A token with no text of its own continues the character of the token before it (true of
    byte-level tokenizers without a BOS, which the oracle is run on).
    """
    low, high = max(0, position - BEFORE), min(len(texts), position + AFTER + 1)
    while low > 0 and texts[low] == "":
        low -= 1
    while high < len(texts) and texts[high] == "":
        high += 1
    return low, high


def sae_lens_encode(folder: str) -> Encode:
    """The reference library's own load and encode."""
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder, device="cpu", dtype="float32")
    return lambda x: sae.encode(x)


def sparsify_encode(folder: str) -> Encode:
    """EleutherAI's own load and encode, made dense."""
    from sparsify import SparseCoder

    coder = SparseCoder.load_from_disk(folder, device="cpu")

    def encode(x: torch.Tensor) -> torch.Tensor:
        result = coder.encode(x.to(coder.dtype))
        dense = torch.zeros(len(x), coder.num_latents)
        return dense.scatter_(1, result.top_indices, result.top_acts.float())

    return encode


def main() -> int:
    """Check the demo study on the whole demo corpus, 200 features drawn with seed 0."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from autointerp_core.home import studies_dir
    from autointerp_core.sources.demo import demo_sae_path
    from autointerp_core.sources.model import inspect_model
    from autointerp_core.store.studies import list_studies

    infos = [i for i in list_studies().studies if i.sae.path == "demo"]
    if not infos:
        print("no demo study; run: make demo", file=sys.stderr)
        return 2
    study = Study(studies_dir() / infos[0].id)
    path = inspect_model("demo").path
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    features = np.random.default_rng(0).choice(study.features, 200, replace=False)
    layer = int(study.info.hook.split(".")[1])
    texts = [study.tokens.document_text(d) for d in range(study.info.n_documents)]
    stream = hidden_states(model, tokenizer, texts, [layer], study.info.context_size)
    encode = sae_lens_encode(str(demo_sae_folder(str(demo_sae_path()))))
    special = set(study.info.tokenisation.special_ids)
    truths = collect(stream, {"demo": (layer, encode, sorted(map(int, features)))}, special)
    report = compare(study, truths["demo"])
    print(
        f"{report.features} features, {report.firings} firings, {report.examples} examples: "
        f"worst difference {report.worst:.1e} (limit {RELATIVE:.0e}), {report.trades} trades"
    )
    for error in report.errors:
        print(error)
    return 1 if report.errors else 0


def demo_sae_folder(root: str) -> str:
    """The folder under ``root`` (or ``root`` itself) that holds cfg.json."""
    from pathlib import Path

    return str(next(Path(root).rglob("cfg.json")).parent)


if __name__ == "__main__":
    sys.exit(main())
