"""Two studies beside each other, against brute force and hand-made cases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from autointerp_core.cli import main
from autointerp_core.errors import BadInput
from autointerp_core.explore.compare import how_to_compare
from autointerp_core.explore.compare.carry_over import carry_over, what_can_be_carried
from autointerp_core.explore.compare.density_shift import density_shift, false_discovery, shift_of
from autointerp_core.explore.compare.document_counts import DocumentCounts, document_counts
from autointerp_core.explore.compare.matching import match, read_matches, up_to_date
from autointerp_core.explore.feature_index import FeatureIndex
from autointerp_core.store.history import Decision, LabelHistory, NewEvent
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study


def two(tmp_path: Path, *, saes: tuple[str, str] = ("x", "x")) -> tuple[Study, Study]:
    """Two made-up studies: other documents where the SAE is one, the same where there are two."""
    seeds = (0, 1) if saes[0] == saes[1] else (0, 0)
    made = []
    for name, sae, seed in zip("ab", saes, seeds, strict=True):
        folder = write_study(tmp_path / "studies" / name, 40, 12, seed, fingerprint=sae)
        made.append(Study(folder))
    return made[0], made[1]


def dense(study: Study) -> np.ndarray:
    """Every activation on every token, ``[F, T]``, one feature after another."""
    found = np.zeros((len(study.features), study.tokens.n_tokens))
    for row, feature in enumerate(study.features.tolist()):
        _, token, value = study.firings(feature)
        found[row, token] = value
    found[:, np.asarray(study.tokens.counted) == 0] = 0
    return found


def test_document_counts_are_what_counting_by_hand_gives(tmp_path: Path) -> None:
    study, _ = two(tmp_path)
    counts, fires = document_counts(study), dense(study) != 0
    owner = study.tokens.document_of(np.arange(study.tokens.n_tokens))
    counted = np.asarray(study.tokens.counted) > 0
    n = np.array([(counted & (owner == d)).sum() for d in range(study.tokens.n_sequences)])
    f = np.array([[row[owner == d].sum() for d in range(len(n))] for row in fires])
    assert (counts.fired == f.sum(1)).all()
    assert (counts.squares == (f**2).sum(1)).all()
    assert (counts.cross == (f * n).sum(1)).all()
    assert (counts.documents == (f > 0).sum(1)).all()
    assert (counts.tokens, counts.n_documents) == (n.sum(), (n > 0).sum())
    # The variance is that of the residuals f − p n, by document.
    p = f.sum(1) / n.sum()
    expected = ((f - p[:, None] * n) ** 2).sum(1) * len(n) / (len(n) - 1) / n.sum() ** 2
    np.testing.assert_allclose(counts.variance, expected, rtol=1e-9)


def test_a_document_over_two_shards_is_one_document(tmp_path: Path) -> None:
    from autointerp_core.store.feature_shards import ShardFirings, read_shard, write_shard

    study, _ = two(tmp_path)
    whole = document_counts(study)
    path = study.passes[0].shards[0]
    shard = read_shard(path)
    cut = int(study.tokens.sequences[5]) + 30  # inside a document
    row = np.repeat(np.arange(len(shard.indptr) - 1), np.diff(shard.indptr))
    for number, part in enumerate((shard.token < cut, shard.token >= cut)):
        first = number * cut
        counts = np.bincount(row[part], minlength=len(shard.indptr) - 1)
        half = ShardFirings(
            np.concatenate([[0], np.cumsum(counts)]), shard.token[part] - np.uint32(first),
            shard.activation[part], shard.norm, first,
        )  # fmt: skip
        write_shard(path.with_name(f"{number:05d}.safetensors"), half)
    again = document_counts(Study(study.folder))
    for name in ("fired", "squares", "cross", "documents"):
        assert (getattr(again, name) == getattr(whole, name)).all()


def drawn(f: np.ndarray, n: np.ndarray) -> DocumentCounts:
    """Counts of documents with ``n`` tokens, in which features fire ``f[F, D]`` times."""
    return DocumentCounts(
        np.arange(len(f)), f.sum(1).astype(float), (f**2).sum(1).astype(float),
        (f * n).sum(1).astype(float), (f > 0).sum(1).astype(float),
        float(n.sum()), float((n**2).sum()), len(n),
    )  # fmt: skip


def corpus(g: np.random.Generator, documents: int, rate: np.ndarray) -> DocumentCounts:
    """Documents in which features come in bursts: some documents are full of them."""
    n = g.integers(50, 400, documents)
    burst = g.gamma(0.3, 1 / 0.3, (len(rate), documents))
    return drawn(g.poisson(rate[:, None] * burst * n), n)


def test_intervals_hold_what_they_say_and_chance_is_not_called_a_shift() -> None:
    g = np.random.default_rng(5)
    rate = np.full(300, 0.01)
    false, covered = 0, []
    for _ in range(40):
        found = shift_of(corpus(g, 120, rate), corpus(g, 120, rate))
        false += bool((found.q <= 0.05).any())
        covered.append(((found.low <= 0) & (found.high >= 0)).mean())
    assert false <= 4  # of 40 draws; without documents as units nearly all would be
    assert 0.93 <= float(np.mean(covered)) <= 0.99


def test_a_feature_of_one_corpus_is_found_and_its_shift_estimated() -> None:
    g = np.random.default_rng(6)
    rate = np.full(200, 0.004)
    more = rate.copy()
    more[:5] *= 8
    found = shift_of(corpus(g, 300, rate), corpus(g, 300, more))
    assert set(found.order()[:5].tolist()) == set(range(5))
    assert (found.q[:5] < 0.05).all()
    assert (found.low[:5] < 3).all()
    assert (found.high[:5] > 3).all()
    assert (found.sure[:5] > 0).all()


def test_nothing_is_made_of_a_few_documents() -> None:
    n = np.full(50, 100)
    f = np.zeros((3, 50), dtype=int)
    f[0, :2] = 30  # two documents full of it
    f[1] = 1 + np.arange(50) % 2
    found = shift_of(drawn(f, n), drawn(np.zeros_like(f), n))
    assert np.isnan(found.p[0])
    assert found.sure[0] == 0 or found.high[0] > found.low[0]
    assert found.p[1] < 1e-6
    assert found.high[1] < 0
    assert np.isnan(found.log2_ratio[2])


def test_false_discovery_is_the_textbook_procedure() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    q = false_discovery(p)
    # ranks 0.005, 0.01, 0.03, 0.04 of four
    np.testing.assert_allclose(q[[4, 0, 3, 2]], [0.02, 0.02, 0.04, 0.04])
    assert np.isnan(q[1])


def test_the_same_documents_give_no_shift(tmp_path: Path) -> None:
    a, _ = two(tmp_path)
    found = density_shift(a, a)
    live = found.density_a > 0
    assert (found.log2_ratio[live] == 0).all()
    assert (found.q[live] > 0.9).all()


def test_what_cannot_be_compared_is_said_in_one_line(tmp_path: Path) -> None:
    a, b = two(tmp_path, saes=("x", "y"))
    assert how_to_compare(a.info, b.info) == "two_saes"
    assert how_to_compare(a.info, replace(b.info, sae=a.info.sae)) == "one_sae"
    with pytest.raises(BadInput, match="one study"):
        how_to_compare(a.info, a.info)
    other = replace(b.info, model=replace(b.info.model, name="other/model", fingerprint="m"))
    with pytest.raises(BadInput, match="different models"):
        how_to_compare(a.info, other)
    with pytest.raises(BadInput, match="different places"):
        how_to_compare(a.info, replace(b.info, hook="blocks.3.hook_resid_post"))


def quiet(_: object) -> None:
    pass


def test_features_are_matched_by_firings_as_brute_force_matches_them(tmp_path: Path) -> None:
    a, b = two(tmp_path, saes=("x", "y"))
    found = match(a, b, quiet)
    assert found.by_decoder is None  # no weights here
    assert "SAE" in found.why_no_decoder
    partners = found.by_firings
    assert partners is not None
    # The very same firings: each feature is its own partner, at 1.
    live = a.table["fired"].to_numpy() > 0
    assert (partners.partner[live] == a.features[live]).all()
    np.testing.assert_allclose(partners.correlation[live], 1, atol=1e-5)
    np.testing.assert_allclose(partners.jaccard[live], 1, atol=1e-6)
    assert partners.mutual[live].all()
    assert (partners.partner[~live] == -1).all()
    kept = read_matches(a.folder, b.id)
    assert kept is not None
    assert up_to_date(kept, a, b)
    assert not up_to_date(replace(kept, sae_b="z"), a, b)


def test_partners_are_the_best_of_all_pairs(tmp_path: Path) -> None:
    from scipy.sparse import csr_array

    from autointerp_core.explore.compare.matching import by_correlation, by_cosine

    g = np.random.default_rng(2)
    base = g.random((12, 400)) * (g.random((12, 400)) < 0.1)
    other = base[g.permutation(12)][:9] * (g.random((9, 400)) < 0.8)
    best, best_b = by_correlation(csr_array(base), csr_array(other), quiet)
    every = np.array([[pearsonr(x, y)[0] for y in other] for x in base])
    assert (best == every.argmax(1)).all()
    assert (best_b == every.argmax(0)).all()

    import torch

    u, v = (torch.nn.functional.normalize(torch.randn(n, 8), dim=1) for n in (12, 9))
    row, row_b, cosine = by_cosine(u, v, quiet)
    every = (u @ v.T).numpy()
    assert (row == every.argmax(1)).all()
    assert (row_b == every.argmax(0)).all()
    np.testing.assert_allclose(cosine, every.max(1), rtol=1e-5)


def test_labels_are_carried_over_as_proposals_and_taken_back(tmp_path: Path) -> None:
    a, b = two(tmp_path, saes=("x", "y"))
    partners = match(a, b, quiet).by_firings
    assert partners is not None
    with LabelHistory.open(tmp_path / "labels.db") as history:
        history.record_many(
            NewEvent("x", f, "generated", f"words {f}", source="search", method="search")
            for f in range(6)
        )
        history.override("x", 2, "weekdays", author="Ana")
        history.override("y", 3, "decided here", author="Bo")
        one, other = (FeatureIndex(study).refresh(history) for study in (a, b))
        found = what_can_be_carried(partners, one, other, a.info, least=0.9, by="correlation")
        assert [one.feature for one in found] == [0, 1, 2, 4, 5]
        decided = what_can_be_carried(
            partners, one, other, a.info, least=0.9, by="correlation", decided_only=True
        )
        assert [(one.feature, one.label) for one in decided] == [(2, "weekdays")]
        events = carry_over(found, history, "y", "Ana")
        state = history.state("y", 2, b.id)
        assert (state.label, state.status) == ("weekdays", "unreviewed")
        assert state.label_source == "import:a"
        origin = history.history("y", 2)[-1].details["carried_from"]
        assert (origin["study"], origin["feature"], origin["status"]) == ("a", 2, "overridden")
        assert history.state("y", 3).label == "decided here"
        # Again there is nothing left to carry.
        one, other = (FeatureIndex(study).refresh(history) for study in (a, b))
        assert not what_can_be_carried(partners, one, other, a.info, least=0.9, by="correlation")
        # One was accepted meanwhile: withdrawing the proposals leaves that decision.
        history.accept("y", 4, events[3].id, author="Bo")
        undone = history.decide(
            [Decision("undo", "y", e.feature, event=e.id) for e in events], "Ana"
        )
        assert [o.theirs for o in undone] == [None] * 5
        assert history.state("y", 2).label is None
        assert not history.state("y", 2).proposals
        assert history.state("y", 4).label == "words 4"
        # Undo without an event never means a proposal.
        history.undo("y", 4, author="Bo")
        assert history.state("y", 4).label is None


def test_the_command_prints_json_or_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    monkeypatch.delenv("AUTOINTERP_DB", raising=False)
    two(tmp_path)
    write_study(tmp_path / "studies" / "c", 40, 12, fingerprint="y")
    assert main(["compare", "a", "b", "--top", "3", "--output", str(tmp_path / "f.json")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], len(found["features"])) == ("one_sae", 3)
    assert json.loads((tmp_path / "f.json").read_text()) == found
    assert main(["compare", "a", "c", "--by", "firings", "--format", "table", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["feature_a", "feature_b", "cosine"]
    assert len(lines) == 3
    assert main(["compare", "a", "c"]) == 1
    assert "cannot be matched by decoder" in capsys.readouterr().err
    assert main(["compare", "a", "a"]) == 2
    assert main(["compare", "a", "nothing"]) == 1
    assert "there is no study named 'nothing'" in capsys.readouterr().err.splitlines()[-1]
