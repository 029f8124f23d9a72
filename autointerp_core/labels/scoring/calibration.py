"""What is known of a judge's errors, measured where the right answers are known, and kept.

``judges.json`` in the home folder holds, by judge and scorer, how many questions with a known yes
and a known no it was asked and answered rightly. ``make bench-judges`` asks them of planted
features; any other set of known answers will do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.home import home
from autointerp_core.labels.scoring.proportions import Count, JudgeSkill, corrected_accuracy
from autointerp_core.labels.scoring.score_statistics import Interval
from autointerp_core.store.files import write_json
from autointerp_core.store.score_values import ScorerResult, number

FILE_NAME = "judges.json"


@dataclass(frozen=True)
class Calibrations:
    """Skills by judge and scorer."""

    skills: Mapping[tuple[str, str], JudgeSkill]

    def of(self, judge: str, scorer: str) -> JudgeSkill | None:
        """The skill of a judge at a scorer's questions; None where it was not measured."""
        return self.skills.get((judge, scorer))

    def corrected(self, result: ScorerResult) -> Interval | None:
        """A balanced accuracy as it would be had its judge not erred; None where unknown.

        From the result's own shares of yes, which it keeps as ``hit`` and ``rejected``.
        """
        return self.corrected_together([result])

    def corrected_together(self, results: Sequence[ScorerResult]) -> Interval | None:
        """The same of all windows of several results by one judge taken together."""
        counted = [r for r in results if r.hit is not None and r.rejected is not None]
        asked = {(result.judge, result.name) for result in counted}
        skill = self.of(*asked.pop()) if len(asked) == 1 else None
        if skill is None:
            return None
        active, silent = Count(0, 0), Count(0, 0)
        for result in counted:
            n_active = result.n_active or 0
            n_silent = (result.n_easy or 0) + (result.n_hard or 0)
            active += Count((result.hit or 0.0) * n_active, n_active)
            silent += Count((1 - (result.rejected or 0.0)) * n_silent, n_silent)
        return corrected_accuracy(active, silent, skill)


def read_calibrations(path: Path | None = None) -> Calibrations:
    """What was measured of judges; nothing where nothing was, or the file is damaged."""
    try:
        raw = json.loads((path or home() / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        raw = {}
    found: dict[tuple[str, str], JudgeSkill] = {}
    for judge, scorers in _mapping(raw).items():
        for scorer, counts in _mapping(scorers).items():
            yes, no = (_count(_mapping(counts).get(name)) for name in ("yes", "no"))
            if yes is not None and no is not None:
                found[str(judge), str(scorer)] = JudgeSkill(yes, no)
    return Calibrations(found)


def keep_calibration(
    judge: str, skills: Mapping[str, JudgeSkill], path: Path | None = None
) -> None:
    """Write down a judge's skills by scorer, in place of what was known of them.

    Raises:
        OutputError: the home folder cannot be written.
    """
    place = path or home() / FILE_NAME
    known = dict(read_calibrations(place).skills)
    known |= {(judge, scorer): skill for scorer, skill in skills.items()}
    content: dict[str, dict[str, Any]] = {}
    for (name, scorer), skill in sorted(known.items()):
        content.setdefault(name, {})[scorer] = {
            "yes": [skill.yes.right, skill.yes.n],
            "no": [skill.no.right, skill.no.n],
        }
    write_json(place, content)


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _count(raw: Any) -> Count | None:
    if not isinstance(raw, list) or len(raw) != 2:
        return None
    right, n = (number(value) for value in raw)
    if right is None or n is None or not 0 <= right <= n or n < 1:
        return None
    return Count(right, int(n))
