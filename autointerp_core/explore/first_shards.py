"""How far a very large study is read, where reading all its firings would take too long."""

from __future__ import annotations

from autointerp_core.store.study import Study

MOST_COMPARED = 60_000_000
"""Firings of a pass that comparisons of studies read."""
MOST_LOOKED_UP = 40_000_000
"""Firings of a pass that are read while somebody waits on a feature's page."""


def tokens_read(study: Study, most: int) -> int:
    """The token up to which every pass has about ``most`` firings at most, at a shard's end.

    What is counted up to there is an estimate for the study, and whoever shows it says so.
    """
    stop: int = study.tokens.n_tokens
    for found in study.passes:
        read = 0
        for shard, offset in enumerate(found.shard_offsets()):
            if read > most:
                stop = min(stop, offset)
                break
            read += int(found.counts_in(shard).sum())
    return stop


def share_read(study: Study, most: int) -> float:
    """:func:`tokens_read` as a share of the study's tokens; 1 where all are read."""
    return tokens_read(study, most) / max(study.tokens.n_tokens, 1)
