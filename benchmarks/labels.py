"""How good labels are: on planted features, whose meaning is known, and on the demo's own.

    make bench-labels                              (or: python -m benchmarks.labels --no-llm)

Methods: ``naive`` (the three commonest peak words), ``search`` (the search label), ``fitted`` (the
search label whose words the scoring embedder chooses: ``--search-embedder auto``; on a sample of
the demo's features, as it takes ten times as long), and on a smaller sample, by the demo's own
language model, ``words`` (free-form), ``ranked`` (the search
labeller's phrases, the likeliest) and ``chosen`` (``--candidates 3 --scoring embedding``: the
best of these on validate documents). All see documents of the label part alone and are judged on
the test part.

Per method: concept named (the rule of :mod:`benchmarks.planted.concepts`); embedding AUROC,
medians over features, against all, easy and hard silent windows, beside a floor of 0.5: by the
embedder that scores on this machine (MiniLM), and, with ``_wordllama`` behind the name, by the one
that scored before it and that chose no word of ``fitted``;
detection and fuzzing by a judge that knows the planted rules, and by the language model on a
few demo features; labels a minute, tokens and cost.

*At equal word count*: both labels are cut to as many words as the shorter one has.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from autointerp_core.home import home, studies_dir
from autointerp_core.labels.config import LabelConfig
from autointerp_core.labels.document_split import LABEL, TEST, Split, shown_examples
from autointerp_core.labels.embedders import KnownTexts, default_embedder, make_embedder
from autointerp_core.labels.explain.prompts import get_method
from autointerp_core.labels.providers.base import Price
from autointerp_core.labels.providers.local import LocalProvider
from autointerp_core.labels.run import label_features
from autointerp_core.labels.scoring.evidence import FOLDER as EVIDENCE
from autointerp_core.labels.scoring.judge import Judge
from autointerp_core.labels.scoring.llm_judge import LLMJudge
from autointerp_core.labels.scoring.sample_windows import WindowSampler, WindowSet
from autointerp_core.labels.scoring.score_statistics import mean_interval
from autointerp_core.labels.scoring.scorers import SCORERS, ScorerRun, Tools, answer_runs, judged
from autointerp_core.labels.scoring.scorers.embedding import EMBEDDING
from autointerp_core.labels.search.labeler import SearchLabeler
from autointerp_core.labels.search.rank_phrases import PHRASES, RANKED
from autointerp_core.labels.search.record import search_labeler
from autointerp_core.store.event_details import GenerationDetails
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.label_rows import (
    Labels,
    cut_alike,
    difference_rows,
    embedding_values,
    floor,
    median_rows,
    scorers,
    suffix,
)
from benchmarks.planted.build import Planted, build_planted
from benchmarks.planted.concepts import LEXICAL, PATTERN
from benchmarks.planted.judge import PlantedJudge
from benchmarks.ranking import batching_saving, rank_saving
from benchmarks.report import Row, publish

NAIVE, SEARCH, FITTED, WORDS, CHOSEN = "naive", "search", "fitted", "words", "chosen"
TOKENS = ("tokens_in", "tokens_out")
NAIVE_WORDS = 3
EQUAL_WORDS = {"search": 0.0, "fitted": 0.05}
"""AUROC that search labels must have above naive ones of as many words, by the scoring embedder."""
EXAMPLE_PRICE = Price(0.15, 0.60)
"""Dollars a million tokens: what a small hosted model costs; local models have no price."""
MODEL = "demo"


@dataclass(frozen=True)
class Cost:
    """What making some labels took."""

    labels: int
    seconds: float
    tokens_in: int = 0
    tokens_out: int = 0


def naive_labels(
    labeler: SearchLabeler, split: Split, features: Sequence[int], words: int = NAIVE_WORDS
) -> Labels:
    """The commonest words (else marks) that a feature peaks on in the label part."""
    known = labeler.words
    out: Labels = {}
    for feature in features:
        token, _ = split.peaks(feature, LABEL)
        counted = Counter(known.keys[known.key[w]] for w in known.token_word[token] if w >= 0)
        ranked = [key for key, _ in counted.most_common()]
        spoken = [key for key in ranked if any(c.isalnum() for c in key)]
        out[feature] = " ".join((spoken or ranked)[:words]) or None
    return out


def search_labels(labeler: SearchLabeler, features: Sequence[int]) -> tuple[Labels, Cost]:
    """The search labels, timed."""
    begun = time.perf_counter()
    labels = {found.feature: found.text for found in labeler.label_all(features)}
    return labels, Cost(len(labels), time.perf_counter() - begun)


def llm_labels(study: Study, features: Sequence[int]) -> dict[str, tuple[Labels, Cost]]:
    """What ``--candidates 3 --scoring embedding`` makes of features, by method.

    In a history of its own, and beside the study, not in it.
    """
    options = LabelConfig(
        model_path=MODEL, method=WORDS, max_examples=20, candidates=3, scorers=(EMBEDDING,)
    )
    with TemporaryDirectory() as folder:
        copy = Path(folder) / study.id
        copy.mkdir()
        for part in study.folder.iterdir():
            if part.name != EVIDENCE:
                (copy / part.name).symlink_to(part)
        with LabelHistory.open(Path(folder) / "labels.db") as history:
            label_features(Study(copy), features, history, options)
            sae = study.info.sae_fingerprint
            states = history.states(sae, list(features))
            made = {
                method: history.generated_index(sae, method, f"llm:{LocalProvider(MODEL).model}")
                for method in (WORDS, RANKED)
            }
    out: dict[str, tuple[Labels, Cost]] = {}
    for method, events in made.items():
        details = [GenerationDetails.from_json(event.details) for event in events.values()]
        cost = Cost(
            len(events),
            sum(d.seconds for d in details),
            sum(d.tokens_in for d in details),
            sum(d.tokens_out for d in details),
        )
        out[method] = {feature: event.text for (feature, _), event in events.items()}, cost
    costs = [cost for _, cost in out.values()]
    total = Cost(len(features), *(sum(getattr(c, n) for c in costs) for n in ("seconds", *TOKENS)))
    out[CHOSEN] = {feature: states[feature].label for feature in features}, total
    return out


def sample_windows(study: Study, split: Split, features: Sequence[int]) -> dict[int, WindowSet]:
    """Test windows of the features that have enough of them."""
    sampler = WindowSampler(study, split)
    found = {feature: sampler.sample(feature, TEST) for feature in features}
    return {feature: drawn for feature, drawn in found.items() if drawn.problem is None}


def judged_rows(
    name: str, labels: Labels, windows: Mapping[int, WindowSet], judge: Judge
) -> list[Row]:
    """Mean balanced accuracy over features of detection and fuzzing."""
    runs = [
        ScorerRun.of(scorer, text, windows[feature], 0)
        for scorer in judged(SCORERS)
        for feature, text in labels.items()
        if text and feature in windows
    ]
    answer_runs(runs, Tools(KnownTexts(default_embedder()), judge))
    rows = []
    for scorer in judged(SCORERS):
        values = [v for t in runs if t.scorer == scorer and (v := t.value()) is not None]
        found = mean_interval(values)
        if found is not None:
            note = f"interval {found.low:.3f} to {found.high:.3f}, {floor(len(values))}"
            rows.append(Row(f"{name}_{scorer}", found.value, note=note))
    return rows


def named_rows(method: str, labels: Labels, planted: Planted, limits: bool) -> list[Row]:
    """Shares of planted concepts that the labels name, by kind, held-out ones apart."""
    concepts = {f: c for f, c in planted.concepts.items() if f in labels}
    rows = []
    for kind, limit in ((LEXICAL, 0.8), (PATTERN, 0.5), (None, None)):
        chosen = [f for f, c in concepts.items() if kind in (c.kind, None)]
        right = {f: concepts[f].named_by(labels[f]) for f in chosen}
        held = [right[f] for f in chosen if concepts[f].held_out]
        note = f"{len(chosen)} concepts; held-out half {np.mean(held):.3f} of {len(held)}"
        value = float(np.mean(list(right.values())))
        judged = limit if limits else None
        rows.append(Row(f"named_{method}_{kind or 'overall'}", value, judged, ">=", note=note))
    return rows


def cost_rows(method: str, cost: Cost) -> list[Row]:
    """Labels a minute, tokens a label, and dollars a thousand labels at the example price."""
    made = max(cost.labels, 1)
    dollars = EXAMPLE_PRICE.of(cost.tokens_in, cost.tokens_out) / made * 1000
    price = f"at ${EXAMPLE_PRICE.tokens_in} in, ${EXAMPLE_PRICE.tokens_out} out a million tokens"
    rows = [Row(f"labels_per_minute_{method}", cost.labels / max(cost.seconds, 1e-9) * 60)]
    if cost.tokens_in:
        rows += [
            Row(f"tokens_in_per_label_{method}", cost.tokens_in / made),
            Row(f"tokens_out_per_label_{method}", cost.tokens_out / made),
            Row(f"dollars_per_1000_{method}", dollars, note=f"{price}; a local model's is unknown"),
        ]
    return rows


def demo_study() -> Study:
    """The demo study that ``make demo`` built."""
    return Study(studies_dir() / json.loads((home() / "demo.json").read_bytes())["study"])


def _every(items: Sequence[int], wanted: int) -> list[int]:
    """At most ``wanted`` of the items, evenly spread."""
    step: NDArray[np.int64] = np.unique(
        np.linspace(0, len(items) - 1, min(wanted, len(items))).astype(np.int64)
    )
    return [items[i] for i in step.tolist()]


def planted_part(folder: Path, provider: LocalProvider | None, sample: int) -> list[Row]:
    """Everything measured on planted features."""
    planted = build_planted(folder)
    labels: dict[str, Labels] = {
        NAIVE: {},
        SEARCH: {},
        FITTED: {},
        WORDS: {},
        RANKED: {},
        CHOSEN: {},
    }
    own: Labels = {}
    windows: dict[str, dict[int, WindowSet]] = {}
    for study in (planted.lexical, planted.pattern):
        split = Split(study)
        labeler = search_labeler(split)
        features = [int(feature) for feature in study.features]
        labels[NAIVE] |= naive_labels(labeler, split, features)
        labels[SEARCH] |= search_labels(labeler, features)[0]
        labels[FITTED] |= search_labels(search_labeler(split, scorers()[0]), features)[0]
        own |= {feature: planted.concepts[feature].name for feature in features}
        windows[study.id] = sample_windows(study, split, features)
        if provider is not None:
            some = _every(features, sample // 2)
            for method, (made, _) in llm_labels(study, some).items():
                labels[method] |= made
    rows = []
    for method in labels:
        if labels[method]:
            rows += named_rows(method, labels[method], planted, method in (SEARCH, FITTED))
    overall = [row.value for row in rows if row.name.endswith("_overall")]
    rows.append(Row("named_search_minus_naive", overall[1] - overall[0], 0.15, ">="))
    every = {f: found for drawn in windows.values() for f, found in drawn.items()}
    for method in (NAIVE, SEARCH, FITTED, "own_name"):
        made = labels.get(method, own)
        rows += judged_rows(f"planted_{method}", made, every, PlantedJudge())
        for embedder in scorers():
            known = KnownTexts(make_embedder(embedder))
            for kind in (LEXICAL, PATTERN):
                some = {f: text for f, text in made.items() if planted.concepts[f].kind == kind}
                name = f"auroc_planted_{kind}_{method}{suffix(embedder)}"
                rows += median_rows(name, embedding_values(some, every, known))
    return rows


def compared_rows(
    method: str, made: Labels, naive: Labels, windows: Mapping[int, WindowSet]
) -> list[Row]:
    """The demo's labels beside naive ones, alone and at equal word count, by each embedder."""
    rows = []
    for embedder in scorers():
        known, mark = KnownTexts(make_embedder(embedder)), suffix(embedder)
        rows += median_rows(f"auroc_{method}{mark}", embedding_values(made, windows, known))
        cut = [embedding_values(part, windows, known) for part in cut_alike(made, naive)]
        limit = EQUAL_WORDS.get(method) if not mark else None
        name = f"auroc_{method}_minus_naive_equal_words{mark}"
        rows += difference_rows(name, cut[0], cut[1], limit)
    return rows


def demo_part(provider: LocalProvider | None, sample: int, judged: int, fitted: int) -> list[Row]:
    """Everything measured on the demo's live features."""
    study = demo_study()
    split = Split(study)
    labeler = search_labeler(split)
    live = study.table.loc[study.table["num_examples"] > 0, "feature"].tolist()
    naive = naive_labels(labeler, split, live)
    search, cost = search_labels(labeler, live)
    windows = sample_windows(study, split, live)
    rows = cost_rows(SEARCH, cost)
    for embedder in scorers():
        found = embedding_values(naive, windows, KnownTexts(make_embedder(embedder)))
        rows += median_rows(f"auroc_{NAIVE}{suffix(embedder)}", found)
    rows += compared_rows(SEARCH, search, naive, windows)
    fitting = search_labeler(split, scorers()[0])
    chosen_by, cost = search_labels(fitting, _every([f for f in live if f in windows], fitted))
    rows += cost_rows(FITTED, cost) + compared_rows(FITTED, chosen_by, naive, windows)
    if provider is None:
        return rows
    known = KnownTexts(make_embedder(scorers()[0]))
    values = {SEARCH: embedding_values(search, windows, known)}
    some = _every([feature for feature in live if feature in windows], sample)
    made = llm_labels(study, some)
    for method, (labels, cost) in made.items():
        values[method] = embedding_values(labels, windows, known)
        rows += median_rows(f"auroc_{method}", values[method]) + cost_rows(method, cost)
    rows += difference_rows("auroc_ranked_minus_words", values[RANKED], values[WORDS], None)
    rows += difference_rows("auroc_chosen_minus_words", values[CHOSEN], values[WORDS], 0.05)
    rows += difference_rows("auroc_chosen_minus_search", values[CHOSEN], values[SEARCH], None)
    rows += saving_rows(split, labeler, provider, some)
    few = _every(some, judged)
    small = WindowSampler(study, split, per_class=10)
    drawn = {f: found for f in few if (found := small.sample(f, TEST)).problem is None}
    for method, labels in ((NAIVE, naive), (SEARCH, search), (CHOSEN, made[CHOSEN][0])):
        chosen = {feature: labels.get(feature) for feature in few}
        rows += judged_rows(f"demo_{method}_llm", chosen, drawn, LLMJudge(provider))
    return rows


def saving_rows(
    split: Split, labeler: SearchLabeler, provider: LocalProvider, features: Sequence[int]
) -> list[Row]:
    """What encoding a context once saves, as ratios of times taken side by side."""
    asked = []
    for feature in features[:8]:
        examples = shown_examples(split, feature, limit=10)
        prompt = get_method("peaks").build(split.study, feature, examples, None)
        phrases = labeler.candidates(feature, PHRASES)
        if len(phrases) >= 8:
            asked.append((prompt, phrases))
    rank = rank_saving(provider, asked)
    prompts = [
        get_method(WORDS).build(split.study, f, shown_examples(split, f, limit=20), None)
        for f in features[:16]
    ]
    batching = batching_saving(MODEL, prompts)
    return [
        Row(
            "ratio_rank_alone_vs_cached",
            rank.ratio,
            3.0,
            ">=",
            repeats=rank.repeats,
            note=f"worst difference {rank.worst_difference:.1e}, 8 to {PHRASES} phrases",
        ),
        Row(
            "ratio_write_alone_vs_batched",
            batching.ratio,
            repeats=batching.repeats,
            note=f"{batching.worst_difference:.0%} of the answers differ",
        ),
    ]


def main() -> int:
    """Measure, print and write ``benchmarks/out/labels.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-llm", action="store_true", help="leave the language model out")
    parser.add_argument("--sample", type=int, default=60, help="features labelled by the model")
    parser.add_argument("--judged", type=int, default=8, help="features judged by the model")
    parser.add_argument("--fitted", type=int, default=600, help="features for the slower search")
    arguments = parser.parse_args()
    provider = None if arguments.no_llm else LocalProvider(MODEL)
    begun = time.perf_counter()
    with TemporaryDirectory() as folder:
        rows = planted_part(Path(folder), provider, arguments.sample)
    rows += demo_part(provider, arguments.sample, arguments.judged, arguments.fitted)
    rows.append(Row("seconds", time.perf_counter() - begun))
    return publish("labels", rows)


if __name__ == "__main__":
    raise SystemExit(main())
