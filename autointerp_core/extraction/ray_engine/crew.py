"""The workers of a run: who is there, who does what, and what is done again when one is lost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autointerp_core.errors import AutointerpError
from autointerp_core.extraction.firings import Shard
from autointerp_core.extraction.meter import Meter
from autointerp_core.extraction.ray_engine.cluster import Cluster, one_line
from autointerp_core.extraction.ray_engine.worker import Setup, Worker
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_shards import ShardFirings
from autointerp_core.store.tokenstore import TokenPart, TokenStore

if TYPE_CHECKING:
    from autointerp_core.extraction.health import Health, Reading
    from autointerp_core.sources.sae import LoadedSAE
    from autointerp_core.store.study_record import Masks

_AT_ONCE = 2
"""Shards a worker has: one it works on, and one so that it never waits."""
_LOOK_EVERY = 0.5
_START_SECONDS = 600.0
"""How long all workers may take to be there, or to come back."""
_LOSSES = 5
"""Workers lost for each one there should be, before the run gives up."""
_RATES_SHOWN = 8


class Made(NamedTuple):
    """A shard's firings, of these features."""

    shard: Shard
    firings: ShardFirings
    features: NDArray[np.int32]


@dataclass(eq=False)
class _Hand:
    """One worker."""

    actor: Any
    host: str = ""
    """Where it is; empty until it has loaded everything."""
    tasks: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(eq=False)
class _Task:
    """Something a worker is asked, again if that worker is lost."""

    ask: Callable[[Any], Any]
    """From an actor to the reference of its answer."""
    shard: Shard | None = None
    features: NDArray[np.int32] | None = None
    n_tokens: int = 0
    hand: _Hand | None = field(default=None)


class Crew:
    """A context: workers are started on entering it, and stopped however it ends."""

    def __init__(
        self,
        cluster: Cluster,
        setup: Setup,
        sae: LoadedSAE,
        size: int,
        features: NDArray[np.int32],
        progress: ProgressCallback,
    ):
        self._ray, self._setup, self._size = cluster.ray, setup, size
        self._progress = progress
        if next(sae.sae.parameters()).device.type != "cpu":
            sae = replace(sae, sae=deepcopy(sae.sae).to("cpu"))
        self._sae = self._ray.put(sae)
        gpu = setup.device == "cuda"
        self._kind = self._ray.remote(
            num_cpus=1 if gpu else setup.threads, num_gpus=1 if gpu else 0, max_restarts=0
        )(Worker)
        self.features = features
        self._hands: list[_Hand] = []
        self._waiting: deque[_Task] = deque()
        self._asked: dict[Any, _Task] = {}
        self._loading: dict[Any, _Hand] = {}
        self._lost = 0
        self._last_loss = ""
        self._alone_since: float | None = time.monotonic()
        self._health_task: _Task | None = None
        self._health: tuple[float, Health] | None = None
        self._median = 0.0
        self._given: tuple[NDArray[np.int32], Any] | None = None

    def __enter__(self) -> Crew:
        for _ in range(self._size):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        for hand in (*self._hands, *self._loading.values()):
            self._ray.kill(hand.actor)

    # -- what is asked of it ----------------------------------------------------------------

    def extract(self, todo: list[Shard], tokens: TokenStore, meter: Meter) -> Iterator[Made]:
        """Every shard's firings, in the order in which they are done.

        No more than a few are on their way at a time, however many there are.

        Raises:
            AutointerpError: a worker said why it cannot, or too many were lost.
            Cancelled: raised by ``meter``'s progress.
        """
        left = deque(todo)

        def next_shard() -> _Task | None:
            if not left:
                return None
            shard = left.popleft()
            features, part = self.features, tokens.part(shard.first, shard.last)
            given = self._put(features)
            return _Task(
                lambda actor: actor.extract.remote(part, given), shard, features, part.n_tokens
            )

        remaining = len(todo)
        while remaining:
            for task, answer in self._answers(next_shard, lambda: meter.say(self.rates())):
                assert task.shard is not None
                assert task.features is not None
                remaining -= 1
                first = int(tokens.sequences[task.shard.first])
                yield Made(task.shard, replace(answer.firings, first_token=first), task.features)

    def measure(self, part: TokenPart, masks: Masks, median: float, reading: Reading) -> None:
        """Begin the health check."""
        self._median = median
        self._health_task = _Task(lambda actor: actor.health.remote(part, masks, median, reading))
        self._waiting.appendleft(self._health_task)

    @property
    def measuring(self) -> bool:
        """Whether the health check was begun."""
        return self._health_task is not None

    def health(self) -> tuple[float, Health]:
        """What it found, with the reference median."""
        told = Progress("health", message="measuring how well the SAE fits")
        while self._health is None:
            for _ in self._answers(lambda: None, lambda: self._progress(told)):
                raise RuntimeError("an answer that nobody waits for")
        return self._health

    # -- the workers ------------------------------------------------------------------------

    def _answers(
        self, more: Callable[[], _Task | None], waiting: Callable[[], None]
    ) -> list[tuple[_Task, Any]]:
        """Hand out work, wait a little, and return what came; ``waiting`` may stop it all."""
        for free in self._hands:
            while free.tasks < _AT_ONCE:
                given = self._waiting.popleft() if self._waiting else more()
                if given is None:
                    break
                self._give(free, given)
        done, _ = self._ray.wait([*self._asked, *self._loading], num_returns=1, timeout=_LOOK_EVERY)
        if not done:
            waiting()
            self._check_alone()
            return []
        reference = done[0]
        if reference in self._loading:
            self._loaded(reference)
            return []
        task = self._asked.pop(reference)
        assert task.hand is not None
        hand = task.hand
        answer = self._get(reference, hand)
        if answer is None:
            self._waiting.appendleft(task)
            return []
        hand.tasks -= 1
        if task is self._health_task:
            self._health = self._median, answer
            return []
        hand.tokens += task.n_tokens
        hand.seconds += answer.seconds
        return [(task, answer)]

    def _give(self, hand: _Hand, task: _Task) -> None:
        task.hand = hand
        hand.tasks += 1
        self._asked[task.ask(hand.actor)] = task

    def _start(self) -> None:
        hand = _Hand(self._kind.remote(self._setup, self._sae))
        self._loading[hand.actor.ready.remote()] = hand

    def _loaded(self, reference: Any) -> None:
        hand = self._loading.pop(reference)
        host = self._get(reference, hand)
        if host is not None:
            hand.host = host
            self._hands.append(hand)
            self._alone_since = None

    def _get(self, reference: Any, hand: _Hand) -> Any:
        """An answer; None where the worker, its machine, or what it sent is lost."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, AutointerpError):
                raise error.cause from error
            raise AutointerpError(
                f"a Ray worker failed: {type(error.cause).__name__}: {one_line(error.cause)}"
            ) from error
        except errors.RayError as error:
            self._lose(hand, error)
            return None

    def _lose(self, hand: _Hand, error: Exception) -> None:
        """Ask for another worker in place of one that is lost; its tasks are done again."""
        self._last_loss = one_line(error)
        for reference, task in [*self._asked.items()]:
            if task.hand is hand:
                del self._asked[reference]
                self._waiting.append(task)
        if hand in self._hands:
            self._hands.remove(hand)
        if not self._hands and self._alone_since is None:
            self._alone_since = time.monotonic()
        self._lost += 1
        if self._lost > _LOSSES * self._size:
            raise AutointerpError(
                f"{self._lost} Ray workers were lost, the last one so: {self._last_loss}; "
                "finished shards are kept: give fewer --workers, or look into Ray's logs"
            )
        self._ray.kill(hand.actor)
        self._start()

    def _check_alone(self) -> None:
        since = self._alone_since
        if since is not None and time.monotonic() - since > _START_SECONDS:
            free = ", ".join(f"{n:g} {k}" for k, n in self._free().items()) or "nothing"
            raise AutointerpError(
                f"no Ray worker was there for {_START_SECONDS / 60:.0f} minutes "
                f"({self._last_loss or 'none could be started'}; the cluster has {free} free); "
                "finished shards are kept"
            )

    def _free(self) -> dict[str, float]:
        found = self._ray.available_resources()
        return {name: found[name] for name in ("CPU", "GPU") if name in found}

    def _put(self, features: NDArray[np.int32]) -> Any:
        """The features in the object store, put there once."""
        if self._given is None or self._given[0] is not features:
            self._given = features, self._ray.put(features)
        return self._given[1]

    def rates(self) -> str:
        """``2 workers: 1,500 (a), 1,450 (b) tokens/s``."""
        rates = [
            f"{hand.tokens / hand.seconds:,.0f} ({hand.host})"
            for hand in self._hands
            if hand.seconds
        ]
        shown = ", ".join(rates[:_RATES_SHOWN]) + (", …" if len(rates) > _RATES_SHOWN else "")
        told = f"{len(self._hands)} of {self._size} workers"
        return f"{told}: {shown} tokens/s" if shown else told
