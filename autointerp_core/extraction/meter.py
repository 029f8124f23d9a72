"""Progress over shards: tokens done, tokens per second, time left."""

from __future__ import annotations

import time

from autointerp_core.extraction.firings import Shard
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.tokenstore import TokenStore


class Meter:
    """Counts shards as they are finished; those done by a run before have no part in the rate."""

    def __init__(self, report: ProgressCallback, tokens: TokenStore, todo: list[Shard]):
        self.report, self.tokens = report, tokens
        self.total = tokens.n_tokens
        self.before = self.total - sum(map(self.size, todo))
        self.done = 0
        self.started = time.monotonic()
        self.say()

    def finished(self, shard: Shard, message: str = "") -> None:
        """One more is done."""
        self.done += self.size(shard)
        self.say(message)

    def size(self, shard: Shard) -> int:
        """Tokens of a shard."""
        return int(self.tokens.sequences[shard.last] - self.tokens.sequences[shard.first])

    def say(self, message: str = "") -> None:
        """Report how far it is; ``message`` goes with it."""
        rate = self.done / max(time.monotonic() - self.started, 1e-9) if self.done else None
        done = self.before + self.done
        left = (self.total - done) / rate if rate else None
        self.report(Progress("extracting", done, self.total, "tokens", rate, left, message))
