"""Which features were asked for: the many ways to say it, read into one."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import FeatureRequestError

_WAYS = (
    "give numbers and ranges (11,313,5-9), a JSON file "
    '{"feature_indices": [...], "scores": [...]}, or all'
)
_MOST = 10_000_000
"""No SAE has more latents; a range that goes further is a slip of the pen."""
_SHOWN = 10

# An en dash is what editors make of a hyphen.
_RANGE = re.compile(r"(\d+)\s*[-–]\s*(\d+)")
_PIECE = re.compile(r"\d+\s*[-–]\s*\d+|[^\s,;]+")


@dataclass(frozen=True)
class FeatureRequest:
    """``indices`` in the order asked, without repeats; None means all. Scores by feature."""

    indices: tuple[int, ...] | None
    scores: Mapping[int, float]
    notices: tuple[str, ...] = ()
    """What a person should be told about it."""

    @classmethod
    def parse(cls, given: Any, scores: Any = None) -> FeatureRequest:
        """Read ``given``.

        Args:
            given: whole numbers in any shape (list, range, set, numpy or torch array, one
                number), ``"11,313,5-9"``, path of a JSON file, or ``"all"``.
            scores: a number a feature, in the order of ``given``, or a mapping; wins over those
                of a file.

        Raises:
            FeatureRequestError: it is none of these; says what is wrong.
        """
        from_file: Any = None
        if isinstance(given, str | Path):
            text = str(given).strip()
            if text.lower() == "all":
                return _request(None, scores)
            # os.path, unlike pathlib, takes a list too long for a file's name for no file.
            if text.lower().endswith(".json") or os.path.isfile(os.path.expanduser(text)):
                indices, from_file = _read(Path(text).expanduser())
            else:
                indices = [text]
        else:
            indices = _items(given)
        numbers = [number for value in indices for number in _numbers(value)]
        if not numbers:
            raise FeatureRequestError(f"the list of features is empty; {_WAYS}")
        return _request(numbers, scores if scores is not None else from_file)


def _request(numbers: list[int] | None, scores: Any) -> FeatureRequest:
    found = _scores(numbers, scores)
    if numbers is None:
        return FeatureRequest(None, found)
    asked = dict.fromkeys(numbers)
    others = sorted(feature for feature in found if feature not in asked)
    notices: tuple[str, ...] = ()
    if others:
        shown = ", ".join(map(str, others[:_SHOWN])) + (", …" if len(others) > _SHOWN else "")
        notices = (
            f"{len(others)} scores are for features that were not asked for, and left out: {shown}",
        )
    kept = {feature: score for feature, score in found.items() if feature in asked}
    return FeatureRequest(tuple(asked), kept, notices)


def _read(path: Path) -> tuple[list[Any], Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise FeatureRequestError(f"no features file at {path}; {_WAYS}") from error
    except RecursionError as error:
        raise FeatureRequestError(
            f"{path} is not a readable JSON file: it is nested too deeply"
        ) from error
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


def _items(given: Any) -> list[Any]:
    """The single values of a list, set, range or array; a lone value is a list of one."""
    if hasattr(given, "tolist"):  # numpy, torch and pandas, scalars too
        given = given.tolist()
    if isinstance(given, Mapping):
        raise FeatureRequestError(f"features are a {type(given).__name__}; {_WAYS}")
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        return list(given)
    return [given]


def _numbers(value: Any) -> list[int]:
    """The features one value names: one, or the numbers and ranges of a text."""
    if not isinstance(value, str):
        return [_index(value)]
    found: list[int] = []
    for piece in _PIECE.findall(value):
        limits = _RANGE.fullmatch(piece)
        if not limits:
            found.append(_index(piece))
            continue
        first, last = _index(limits[1]), _index(limits[2])
        if last < first:
            raise FeatureRequestError(
                f"the range {_short(piece)} runs backwards; write {last}-{first}"
            )
        if last - first >= _MOST:
            raise FeatureRequestError(
                f"the range {_short(piece)} holds {last - first + 1} features; "
                "for every feature of the SAE give all"
            )
        found += range(first, last + 1)
    return found


def _index(value: Any) -> int:
    if hasattr(value, "tolist"):  # scalars of numpy and torch
        value = value.tolist()
    number: int | None = None
    if isinstance(value, str):
        if re.fullmatch(r"\s*-?\d{1,30}\s*", value):
            number = int(value)
    elif isinstance(value, bool):
        raise FeatureRequestError(
            f"{value!r} is not a feature number; of a mask give the places where it is true"
        )
    elif isinstance(value, int):
        number = value
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else None
    if number is None or abs(number) >= 2**31:
        raise FeatureRequestError(f"{_short(value)} is not a feature number; {_WAYS}")
    return number


def _scores(numbers: list[int] | None, given: Any) -> dict[int, float]:
    if given is None:
        return {}
    if hasattr(given, "tolist"):
        given = given.tolist()
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
        if score is not None:
            found.setdefault(_index(feature), _score(score, feature))
    return found


def _score(value: Any, feature: Any) -> float:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FeatureRequestError(
            f"score {_short(value)} of feature {_short(feature)} is not a number"
        )
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise FeatureRequestError(
            f"score {_short(value)} of feature {_short(feature)} is not finite"
        )
    return number


def _short(value: Any) -> str:
    """A value for a message, however long it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"
