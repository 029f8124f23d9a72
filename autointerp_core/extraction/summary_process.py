"""Blocks of features summarised by several processes, each block into a file of its own.

The parent writes what is to be done into a folder, starts this module a few times, and reads a
line for each block that is finished.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from safetensors.numpy import load_file, save

from autointerp_core.children import check_ended, children
from autointerp_core.extraction.merge_runs import FileRun, Run, ShardRun, firings_of
from autointerp_core.progress import Progress, ProgressCallback
from autointerp_core.store.feature_shards import Pass
from autointerp_core.store.feature_summary import ChosenPeaks, Summary, summarise_rows
from autointerp_core.store.files import write_bytes, write_json
from autointerp_core.store.tokenstore import TokenStore

_LOOK_EVERY = 1.0
_PEAKS = ("row", "token", "value", "group", "per_row")


@dataclass(frozen=True)
class Work:
    """What is summarised."""

    tokens: TokenStore
    found: Pass
    runs: Sequence[Run]
    n_counted: int
    n_examples: int

    def block(self, first: int, last: int) -> Summary:
        """Of rows ``[first, last)``."""
        row, token, value = firings_of(self.runs, first, last)
        return summarise_rows(
            self.tokens, row - first, token, value, last - first, self.n_counted, self.n_examples
        )

    def to_json(self) -> dict[str, Any]:
        places = [
            {"shard": run.shard} if isinstance(run, ShardRun) else {"file": str(run.place)}
            for run in self.runs
            if isinstance(run, ShardRun | FileRun)
        ]
        return {
            "tokens": str(self.tokens.folder),
            "folder": str(self.found.folder),
            "source": str(self.found.source),
            "runs": places,
            "n_counted": self.n_counted,
            "n_examples": self.n_examples,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Work:
        folder, source = Path(raw["folder"]), Path(raw["source"])
        found = Pass(folder, None if source == folder else source)
        runs: list[Run] = [
            FileRun(Path(place["file"])) if "file" in place else ShardRun(found, place["shard"])
            for place in raw["runs"]
        ]
        tokens = TokenStore(Path(raw["tokens"]))
        return cls(tokens, found, runs, raw["n_counted"], raw["n_examples"])


def summarise_in_processes(
    work: Work,
    blocks: Sequence[tuple[int, int]],
    folder: Path,
    processes: int,
    progress: ProgressCallback,
) -> list[Path]:
    """Every block's file, in order; see :func:`read_part`.

    Args:
        folder: for these files; whoever calls this removes it.

    Raises:
        AutointerpError: a process failed.
        Cancelled: raised by ``progress``; the processes are ended.
    """
    write_json(folder / "work.json", {**work.to_json(), "blocks": [list(b) for b in blocks]})
    with children(__name__, folder, processes) as started:
        _follow(started, blocks, progress)
        for child in started:
            check_ended(child, "summarising")
    return [_part(folder, first) for first, _ in blocks]


def _follow(
    started: Sequence[subprocess.Popen[str]],
    blocks: Sequence[tuple[int, int]],
    progress: ProgressCallback,
) -> None:
    """Report features done until every child has ended what it says."""
    done, total = 0, blocks[-1][1]
    with selectors.DefaultSelector() as waiting:
        for child in started:
            assert child.stdout is not None
            waiting.register(child.stdout, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select(_LOOK_EVERY):
                line = key.fileobj.readline() if hasattr(key.fileobj, "readline") else ""
                if line:
                    done += int(line)
                else:
                    waiting.unregister(key.fileobj)
            progress(Progress("summarising", done, total, "features"))


def _part(folder: Path, first: int) -> Path:
    return folder / f"part-{first}"


def _write_part(path: Path, made: Summary) -> None:
    peaks = {f"peaks.{name}": getattr(made.peaks, name) for name in _PEAKS}
    write_bytes(path.with_suffix(".tokens"), orjson.dumps(made.top_tokens))
    write_bytes(path.with_suffix(".safetensors"), save({**made.statistics, **peaks}))


def read_part(path: Path) -> Summary:
    """A block's summary, as a process left it."""
    arrays = load_file(path.with_suffix(".safetensors"))
    peaks = ChosenPeaks(**{name: arrays.pop(f"peaks.{name}") for name in _PEAKS})
    return Summary(arrays, peaks, orjson.loads(path.with_suffix(".tokens").read_bytes()))


def main(arguments: Sequence[str]) -> int:
    """Do every so manieth block of the work in a folder."""
    folder, number, step = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    raw = json.loads((folder / "work.json").read_bytes())
    work = Work.from_json(raw)
    for first, last in raw["blocks"][number::step]:
        _write_part(_part(folder, first), work.block(first, last))
        print(last - first, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
