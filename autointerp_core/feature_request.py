"""Which features were asked for: the many ways to say it, read into one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import FeatureRequestError

_WAYS = 'give numbers (11,313,251), a JSON file {"feature_indices": [...], "scores": [...]}, or all'


@dataclass(frozen=True)
class FeatureRequest:
    """``indices`` in the order asked, without repeats; None means all. Scores by feature."""

    indices: tuple[int, ...] | None
    scores: Mapping[int, float]

    @classmethod
    def parse(
        cls,
        given: int | str | Path | Sequence[int],
        scores: Sequence[float] | Mapping[int, float] | None = None,
    ) -> FeatureRequest:
        """Read ``given``: list of int, ``"11,313"``, path of a JSON file, or ``"all"``.

        ``scores`` (a list beside the indices, or a mapping) wins over those of a file.

        Raises:
            FeatureRequestError: it is none of these; says what is wrong.
        """
        from_file: Any = None
        if isinstance(given, str | Path):
            text = str(given).strip()
            if text.lower() == "all":
                return cls(None, _scores(None, scores))
            if text.lower().endswith(".json") or Path(text).is_file():
                indices, from_file = _read(Path(text).expanduser())
            else:
                indices = list(text.replace(",", " ").split())
        elif isinstance(given, Sequence):
            indices = list(given)
        else:
            indices = [given]
        numbers = [_index(value) for value in indices]
        if not numbers:
            raise FeatureRequestError(f"the list of features is empty; {_WAYS}")
        found = _scores(numbers, scores if scores is not None else from_file)
        return cls(tuple(dict.fromkeys(numbers)), found)


def _read(path: Path) -> tuple[list[Any], Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise FeatureRequestError(f"no features file at {path}; {_WAYS}") from error
    except (OSError, ValueError) as error:
        raise FeatureRequestError(f"{path} is not a readable JSON file: {error}") from error
    if isinstance(loaded, list):
        return loaded, None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("feature_indices"), list):
        keys = ", ".join(map(str, loaded)) if isinstance(loaded, dict) else type(loaded).__name__
        raise FeatureRequestError(
            f'{path} has no list "feature_indices" (it holds: {keys or "nothing"}); '
            'expected {"feature_indices": [...], "scores": [...]}, scores optional'
        )
    return loaded["feature_indices"], loaded.get("scores")


def _index(value: Any) -> int:
    if isinstance(value, str):
        if re.fullmatch(r"\s*-?\d+\s*", value):
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    elif hasattr(value, "__index__") and not isinstance(value, bool):  # numpy integers
        return int(value.__index__())
    raise FeatureRequestError(f"{value!r} is not a feature number; {_WAYS}")


def _scores(numbers: list[int] | None, given: Any) -> dict[int, float]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif not isinstance(given, Sequence) or isinstance(given, str):
        raise FeatureRequestError(f"scores are {type(given).__name__}; give a list of numbers")
    elif numbers is None:
        pairs = list(enumerate(given))
    elif len(given) != len(numbers):
        raise FeatureRequestError(
            f"{len(numbers)} feature indices but {len(given)} scores; give one score a feature"
        )
    else:
        pairs = list(zip(numbers, given, strict=True))
    found: dict[int, float] = {}
    for feature, score in pairs:
        if score is None:
            continue
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise FeatureRequestError(f"score {score!r} of feature {feature} is not a number")
        if not math.isfinite(score):
            raise FeatureRequestError(f"score {score!r} of feature {feature} is not finite")
        found.setdefault(_index(feature), float(score))
    return found
