"""Semantic regexes of search labels, as they were recorded with them.

A label's form says what kind of thing each of its parts is (field, lexeme, symbol, context); its
prose does not. It belongs to the event that made the label, in the study it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autointerp_core.store.events import GENERATED, LabelEvent
from autointerp_core.store.history import LabelHistory, LabelState

_SEARCH, _FORM = "search", "form"


def search_forms(
    history: LabelHistory, sae: str, states: Mapping[int, LabelState], study: str
) -> dict[int, str]:
    """Form of the search label in each state, by feature; none where it has none."""
    labelled = [feature for feature, state in states.items() if state.label_search is not None]
    return forms_in(history.generated_by(sae, _SEARCH, labelled, study), states, study)


def forms_in(
    events: Iterable[LabelEvent], states: Mapping[int, LabelState], study: str
) -> dict[int, str]:
    """:func:`search_forms`, from events (oldest first) that were read already."""
    found: dict[int, str] = {}
    for event in events:
        state = states.get(event.feature)
        made = event.kind == GENERATED and event.source == _SEARCH and event.study in (None, study)
        if state is None or not made or event.text != state.label_search:
            continue
        form = event.details.get(_FORM)
        if isinstance(form, str) and form:
            found[event.feature] = form
        else:
            found.pop(event.feature, None)  # made anew by a method that gives none
    return found
