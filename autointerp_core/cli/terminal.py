"""What a command tells a person on stderr: progress, and one line for an error."""

from __future__ import annotations

import re
import sys
import time

from autointerp_core.progress import Progress

_QUIET_SECONDS = 5.0
"""Seconds between progress lines when stderr is no terminal."""


class Terminal:
    """Progress as one rewritten line on a terminal, else as a line now and then."""

    def __init__(self) -> None:
        self.rewrites = sys.stderr.isatty()
        self.stage = ""
        self.width = 0
        self.said = 0.0
        self.told = ""

    def report(self, progress: Progress) -> None:
        if progress.stage == "done":
            self.finish()
            return
        now = time.monotonic()
        complete = progress.total > 0 and progress.done >= progress.total
        # "40 of 360 judgements" after "20 of 360" is no news, only a count.
        kind = re.sub(r"\d+", "", progress.message)
        news = bool(kind) and kind != self.told
        fresh = progress.stage != self.stage or news or (complete and not kind)
        self.told = kind
        pause = 0.1 if self.rewrites else _QUIET_SECONDS
        if not fresh and now - self.said < pause:
            return
        stays = bool(progress.message) and not progress.rate
        if stays or (self.rewrites and progress.stage != self.stage):
            self.finish()
        self.stage, self.said = progress.stage, now
        line = describe(progress)
        if self.rewrites and not stays:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self.width:
            print(file=sys.stderr, flush=True)
            self.width = 0


def describe(progress: Progress) -> str:
    """One report as a line: stage, share, rate, time left."""
    if progress.message and not progress.rate:
        return f"{progress.stage}: {progress.message}"
    parts = [f"{progress.stage}:"]
    if progress.total:
        share = 100 * progress.done / progress.total
        parts.append(f"{progress.done:,}/{progress.total:,} {progress.unit} ({share:.0f} %)")
    if progress.rate:
        parts.append(f"{progress.rate:,.0f} {progress.unit}/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(int(progress.seconds_left + 0.5), 60)
        hours, minutes = divmod(minutes, 60)
        left = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        parts.append(f"{left} left")
    if progress.message:  # who works at it, and how fast
        parts.append(f"· {progress.message}")
    return " ".join(parts)


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


TERMINAL = Terminal()
"""The terminal of this process."""
