"""``python -m benchmarks.steering``: does turning a feature up do what its direction says?

On the demo. The feature is found by a rule: the one whose peaks are most often weekdays.
The share of weekdays among generated tokens is counted in 50 texts, one a seed, three times: as the
model writes, with the feature added, and with a random direction of the same length added. The
same seeds in all three; intervals are over seeds (bootstrap, 95 %).

What was looked at before: prompt and strength were chosen on seeds 1000 to 1007; two features of
quotation marks, tried first on seeds 0 to 49, showed no rise (1.16 and 0.52 times, intervals across
1), and weekdays were then seen on seeds 0 to 49. The seeds measured here are others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import torch

from autointerp_core.arrays import Float64Array
from autointerp_core.home import home, studies_dir
from autointerp_core.live import open_live
from autointerp_core.live.answers import max_in
from autointerp_core.live.generate import Sampling
from autointerp_core.live.steering import Steerer, where
from autointerp_core.live.turns import SteerConfig, Turn
from autointerp_core.store.study import Study
from benchmarks.report import Row, publish

SEEDS = 50
FIRST = 100
"""The first seed: those before were looked at."""
TOKENS = 30
STRENGTHS = (1.0,)
PROMPT = "The report says that"
_DAYS = frozenset(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
_DRAWS = 4000


def main() -> int:
    study = Study(studies_dir() / json.loads((home() / "demo.json").read_bytes())["study"])
    feature = weekday_feature(study)
    steerer = Steerer(open_live(study), max_in(study))
    spelled = [steerer.live.pair.tokenizer.decode([i]) for i in range(len(study.tokens.vocab))]
    config = SteerConfig(PROMPT, tokens=TOKENS)
    prompt = steerer.prompt(config)
    at_prompt, at_generated = where(prompt, config)
    how = Sampling(TOKENS, config.temperature, tuple(range(FIRST, FIRST + SEEDS)))

    def shares(change: Callable[[torch.Tensor], torch.Tensor] | None) -> Float64Array:
        """Weekdays a token, of each seed."""
        drawn = steerer.draw(prompt, how, change, at_prompt, at_generated)
        return np.array(
            [sum(spelled[i].strip() in _DAYS for i in ids) / max(len(ids), 1) for ids in drawn.ids]
        )

    plain = shares(None)
    rows = [Row("share_unsteered", float(plain.mean()), repeats=SEEDS)]
    direction = steerer.direction(feature)
    for strength in STRENGTHS:
        added = shares(steerer.change([Turn(feature, strength=strength)]))
        length = strength * study.stats(feature).max * float(direction.norm())
        other = torch.randn(direction.shape, generator=torch.Generator().manual_seed(1))
        vector = (other / other.norm() * length).to(direction.device)
        random = shares(_constant(vector))
        rows.append(Row(f"share_steered_{strength:g}", float(added.mean()), repeats=SEEDS))
        rows.append(Row(f"share_random_{strength:g}", float(random.mean()), repeats=SEEDS))
        for name, base in (("unsteered", plain), ("random", random)):
            value, low, high = factor(added, base)
            told = f"feature {feature}, {strength:g} × its max; 95 %: {low:.1f} to {high:.1f}"
            what = f"factor_over_{name}_{strength:g}"
            rows.append(Row(what, value, repeats=SEEDS, note=told))
            # The claim is made for one strength; the other is told beside it.
            limit = 1.0 if strength == STRENGTHS[-1] else None
            rows.append(Row(f"{what}_low", low, limit, ">=", repeats=SEEDS))
    return publish("steering", rows)


def _constant(vector: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same vector at every position."""
    return lambda x: vector.expand(len(x), -1)


def weekday_feature(study: Study) -> int:
    """The feature with most weekdays among its peak tokens; of equals the stronger."""
    table = study.table
    days = [sum(token.strip() in _DAYS for token in tokens) for tokens in table["top_tokens"]]
    best = table.assign(days=days).sort_values(["days", "max"]).iloc[-1]
    return int(best["feature"])


def factor(one: Float64Array, other: Float64Array) -> tuple[float, float, float]:
    """Mean of ``one`` over that of ``other`` with a 95 % interval over seeds, drawn in pairs.

    Half a weekday is added to either sum: in a bootstrap draw there may be none.
    """
    half = 0.5 / (len(one) * TOKENS)
    generator = np.random.default_rng(0)
    picks = generator.integers(0, len(one), (_DRAWS, len(one)))
    drawn = (one[picks].mean(axis=1) + half) / (other[picks].mean(axis=1) + half)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float((one.mean() + half) / (other.mean() + half)), float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
