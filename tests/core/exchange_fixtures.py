"""A study whose texts are as awkward as texts get, with labels of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autointerp_core.store.event_details import ScoreDetails
from autointerp_core.store.history import LabelHistory, NewEvent
from autointerp_core.store.score_values import ScorerResult
from autointerp_core.store.study import Study
from benchmarks.synthetic import write_study

SAE = "awkward-sae"
N_FEATURES = 12
AWKWARD = (
    [" say", ' "quoted"', ",", "\n", "\n\n", "\t", " it's", ""],
    [" 日本", "語", " café", " 👩‍🚀", " e\u0301", "<b>", "</script>", "&amp;"],
    [" \\n", " {", "}", " a,b", ";", " NaN", " null", "\u2028"],
    [" plain", " words", " of", " a", " market", " and", " a", " river"],
)
LABELS = {
    0: 'say "yes", or: no',
    1: "日本 & <b>bold</b>",
    2: "back\\slash {braces} 'quotes'",
    3: "=SUM(A1)",
}


@contextmanager
def awkward_study(home: Path) -> Iterator[tuple[Study, LabelHistory]]:
    """A study of 12 features in ``home``, feature 0 decided on, 1 scored, and its history."""
    documents = [row for row in AWKWARD for _ in range(6)]
    folder = home / "studies" / "awkward"
    write_study(folder, N_FEATURES, 16, fingerprint=SAE, documents=documents)
    with LabelHistory.open() as history:
        history.record_many(
            NewEvent(SAE, f, "generated", text, source="llm:x/tiny", method="peaks",
                     study="awkward")
            for f, text in LABELS.items()
        )  # fmt: skip
        history.record_many(
            NewEvent(SAE, f, "generated", f"words {f}", source="search", method="search",
                     study="awkward")
            for f in range(N_FEATURES)
        )  # fmt: skip
        history.override(SAE, 0, 'by hand: "é"', author="Ana")
        proposal = history.state(SAE, 1, "awkward").proposals[0]
        result = ScorerResult(
            "detection", 0.8125, low=0.7, high=0.9, shuffled=0.5, n=40, n_active=20,
            measure="balanced accuracy", judge="llm:x/tiny", floor=0.5,
        )  # fmt: skip
        details = ScoreDetails(
            score=0.8, validate={"detection": 0.8}, scores={"detection": result.to_json()},
            test_score=0.8125, study="awkward", tested=True,
        )  # fmt: skip
        history.record_many(
            [NewEvent(SAE, 1, "scored", source="llm:x/tiny", method="detection",
                      parent=proposal.event_id, details=details.to_json(), study="awkward")]
        )  # fmt: skip
        yield Study(folder), history


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that an export wrote, less what it keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".autointerp-")
    }
