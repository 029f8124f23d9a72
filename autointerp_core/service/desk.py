"""The questions: list studies, search, read a feature, encode a text, propose and score a label."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np

from autointerp_core.errors import ParameterError
from autointerp_core.exchange.explanations import Explanation, explanations
from autointerp_core.exchange.subject import Labelled
from autointerp_core.explore.feature_index import Snapshot
from autointerp_core.explore.view import MAX_QUERY, View
from autointerp_core.service import answers
from autointerp_core.service.library import Library, OpenStudy
from autointerp_core.service.score_text import score_text
from autointerp_core.store.events import IMPORTED, PROPOSALS
from autointerp_core.store.history import derive
from autointerp_core.store.label_state import LabelState
from autointerp_core.store.neighbours import read_neighbours
from autointerp_core.store.records import TokenLogit
from autointerp_core.store.studies import list_studies
from autointerp_core.store.study import Example
from autointerp_core.store.text_cleaning import clean_label, one_line, safe_text

if TYPE_CHECKING:
    from autointerp_core.live import LiveModel

AGENT = "agent:"
"""How the source of an agent's proposal begins; its name follows."""
BY = ("meaning", "words", "labels", "examples")
"""What a search goes by, and the scope of the features page that it is."""
_SCOPES = dict(zip(BY, ("topic", "all", "labels", "text"), strict=True))
MOST = 200
"""Features in one answer."""
MOST_EXAMPLES = 50
MOST_CHARACTERS = 20_000
_MOST_NAME = 60
_NAME = re.compile(r"[^\w .@()+-]", re.UNICODE)


class Desk:
    """Answers questions about the studies of this installation. Safe to share between threads."""

    def __init__(self, library: Library | None = None) -> None:
        self.library = library or Library()
        self._live: tuple[str, LiveModel] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of what is open."""
        self.library.close()
        self._live = None

    def studies(self) -> list[answers.StudySummary]:
        """Every complete study of this installation."""
        return [
            answers.StudySummary(
                info.id,
                info.model_name,
                info.sae_source,
                info.hook,
                info.dataset_name,
                sum(each.n_features or 0 for each in info.passes) or info.d_sae,
                info.d_sae,
                info.n_counted,
            )
            for info in list_studies().studies
        ]

    def search(
        self, study: str, query: str, by: str = "meaning", limit: int = 20, offset: int = 0
    ) -> answers.Found:
        """Features about something.

        Args:
            study: id of a study.
            query: a word, or a few; a number finds the feature of that number.
            by: ``meaning`` (ranked by the words a feature fires on and by the meaning of its
                label), ``words`` (in labels and top tokens), ``labels``, or ``examples`` (the text
                itself, in top examples).
            limit: how many to give, at most 200.
            offset: how many of the first to pass over.

        Raises:
            StudyError: no such study.
            ParameterError: nothing is searched for, or a value is out of range.
        """
        opened = self.library.open(study)
        asked = safe_text(query).strip()
        if not asked or len(asked) > MAX_QUERY:
            raise ParameterError(f"query: give 1 to {MAX_QUERY} characters to search for")
        if by not in _SCOPES:
            raise ParameterError(f"by is {by!r}; one of: {', '.join(BY)}")
        _within("limit", limit, 1, MOST)
        _within("offset", offset, 0, 2**31)
        snapshot = self.library.snapshot(opened)
        sort = "match" if by == "meaning" else "feature"
        rows = snapshot.order(View(q=asked, scope=_SCOPES[by], sort=sort))
        page = rows[offset : offset + limit].tolist()
        found = [_found(snapshot, at) for at in page]
        return answers.Found(study, asked, by, len(rows), found)

    def feature(self, study: str, feature: int, examples: int = 10) -> answers.FeatureCard:
        """A feature with its strongest examples, its labels, and their scores.

        Raises:
            StudyError: no such study.
            BadInput: the study does not hold the feature.
        """
        opened = self.library.open(study)
        _within("examples", examples, 0, MOST_EXAMPLES)
        _within("feature", feature, 0, 2**31)
        where, row = opened.study.locate(feature)
        stats = opened.study.stats(feature)
        labelled = self._labelled(opened, feature)
        state = labelled.state
        raised, lowered = opened.study.logits(feature)
        shown = opened.study.examples(feature, "top", limit=examples) if examples else []
        return answers.FeatureCard(
            study,
            feature,
            state.label,
            state.status,
            state.flagged,
            stats.fired,
            stats.density,
            stats.max,
            stats.mean,
            [_example(example) for example in shown],
            _logits(raised),
            _logits(lowered),
            [
                answers.SaidLabel(
                    one.text, one.source, one.method, one.current, one.decided, _chosen_by(one)
                )
                for one in explanations(labelled)
            ],
            [near.feature for near in read_neighbours(where.folder, row) or ()],
        )

    def encode(self, study: str, text: str, top: int = 10) -> answers.Encoded:
        """What fires on each token of a text; the study's model and SAE read it.

        The first call loads them, which takes seconds; they stay loaded for the next.

        Raises:
            StudyError: no such study.
            BadInput: the text is empty or too long, or model or SAE are gone.
        """
        opened = self.library.open(study)
        text = safe_text(text)
        if not text.strip() or len(text) > MOST_CHARACTERS:
            raise ParameterError(f"text: give 1 to {MOST_CHARACTERS:,} characters")
        _within("top", top, 1, MOST)
        with self._lock:  # one text at a time, and one model in memory
            encoded = self._live_model(opened).encode([text])[0]
        snapshot = self.library.snapshot(opened)
        tokens = []
        bounds = np.searchsorted(encoded.token, np.arange(encoded.n_tokens + 1))
        for at, piece in enumerate(encoded.pieces):
            span = slice(int(bounds[at]), int(bounds[at + 1]))
            feature, value = encoded.feature[span], encoded.activation[span]
            best = np.argsort(-value, kind="stable")[: top if encoded.counted[at] else 0]
            tokens.append(
                answers.EncodedToken(
                    piece,
                    [
                        answers.ActiveFeature(
                            int(feature[i]), float(value[i]), snapshot.state(int(feature[i])).label
                        )
                        for i in best
                    ],
                )
            )
        return answers.Encoded(study, text, tokens)

    def propose(
        self, study: str, feature: int, text: str, agent: str, reason: str = ""
    ) -> answers.Proposed:
        """Propose a label. It waits for a person: nothing is accepted, nothing overridden.

        Args:
            agent: who proposes; shown to people beside the text.
            reason: why, in a sentence; kept with the proposal.

        Raises:
            StudyError: no such study.
            LabelRejected: the text is empty, or has more than 9 words.
            BadInput: the study does not hold the feature, or nobody proposes.
        """
        opened = self.library.open(study)
        _within("feature", feature, 0, 2**31)
        opened.study.locate(feature)  # raises
        name, label = named(agent), clean_label(text)
        info, history = opened.study.info, self.library.history
        source = AGENT + name
        with self._lock:
            for event in history.history(info.sae_fingerprint, feature):
                same = event.kind in PROPOSALS and event.source == source and event.text == label
                if same and event.study in (None, opened.study.id):
                    status = self._labelled(opened, feature).state.status
                    return answers.Proposed(study, feature, label, name, event.id, False, status)
            event = history.record(
                info.sae_fingerprint,
                feature,
                IMPORTED,
                label,
                source=source,
                method="agent",
                author=name,
                reason=one_line(reason)[:1000] or None,
                study=opened.study.id,
            )
        status = self._labelled(opened, feature).state.status
        return answers.Proposed(study, feature, label, name, event.id, True, status)

    def score(self, study: str, feature: int, text: str) -> answers.LabelScore:
        """Score a label on *validate* documents by the offline embedding scorer.

        Where the text is a proposal of the feature, its score is recorded, and people see it.

        Raises:
            StudyError: no such study.
            LabelRejected: the text is empty, or has more than 9 words.
            BadInput: the study does not hold the feature.
        """
        opened = self.library.open(study)
        _within("feature", feature, 0, 2**31)
        opened.study.locate(feature)  # raises
        label = clean_label(text)
        with self._lock:
            return score_text(opened.study, self.library.history, feature, label)

    def _labelled(self, opened: OpenStudy, feature: int) -> Labelled:
        events = self.library.history.history(opened.study.info.sae_fingerprint, feature)
        state: LabelState = derive(feature, events, opened.study.id)
        return Labelled(state, tuple(events))

    def _live_model(self, opened: OpenStudy) -> LiveModel:
        key = f"{opened.study.id}:{opened.stamp}"
        if self._live is None or self._live[0] != key:
            self._live = None  # first let the other one's memory go
            from autointerp_core.live import open_live

            # Over MCP stdout is the protocol's, and libraries print while they load.
            with redirect_stdout(sys.stderr):
                self._live = (key, open_live(opened.study))
        return self._live[1]


def named(agent: str) -> str:
    """The name of an agent as events have it: one line of letters, digits and a few signs.

    Raises:
        ParameterError: nothing of it is left, or it is too long.
    """
    name = " ".join(_NAME.sub(" ", one_line(agent)).split())
    if not name or len(name) > _MOST_NAME:
        raise ParameterError(
            f"agent: say who proposes, in 1 to {_MOST_NAME} letters or digits; people see it "
            "beside the label"
        )
    return name


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ParameterError(f"{name} is {value}; give {low} to {high:,}")


def _found(snapshot: Snapshot, at: int) -> answers.FoundFeature:
    row = snapshot.row(at)
    return answers.FoundFeature(
        row.feature,
        row.state.label,
        row.state.status,
        row.density,
        row.max,
        list(row.top_tokens),
        row.state.score,
    )


def _example(example: Example) -> answers.ExampleText:
    whole = example.whole
    return answers.ExampleText(
        example.activation,
        example.document_index,
        example.token_position,
        list(whole.tokens),
        list(whole.values),
        whole.peak_index,
    )


def _chosen_by(one: Explanation) -> dict[str, float]:
    """Scores on the documents that choose; of a text from elsewhere, what came with it."""
    return one.numbers_of(one.validate or one.scores)


def _logits(side: Sequence[TokenLogit]) -> list[answers.Logit]:
    return [answers.Logit(one.text, one.logit) for one in side]
