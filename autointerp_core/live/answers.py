"""What the worker answers: the questions of the app, each a function from parameters to JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autointerp_core.errors import BadInput, ParameterError
from autointerp_core.live.model import open_live
from autointerp_core.live.steering import Steerer
from autointerp_core.live.turns import SteerConfig, Turn
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.study import Study

Work = Callable[[Mapping[str, Any], ProgressCallback], dict[str, Any]]


class Answers:
    """A study's live model, and what can be asked of it."""

    def __init__(
        self, study_folder: Path, batch_tokens: int | None, progress: ProgressCallback
    ) -> None:
        """Load the model and the SAE.

        Raises:
            AutointerpError: as :func:`~autointerp_core.live.model.open_live`.
        """
        self._study = Study(study_folder)
        self._live = open_live(self._study, batch_tokens=batch_tokens, progress=progress)
        self._questions: dict[str, Work] = {
            "about": self._about,
            "chat": self._chat,
            "encode": self._encode,
            "steer": self._steer,
        }
        self._steerer: Steerer | None = None

    def find(self, question: str) -> Work:
        """What answers a question.

        Raises:
            ParameterError: there is no such question.
        """
        if question not in self._questions:
            known = ", ".join(sorted(self._questions))
            raise ParameterError(f"the live model is asked {question!r}; it knows {known}")
        return self._questions[question]

    def _about(self, _: Mapping[str, Any], __: ProgressCallback) -> dict[str, Any]:
        pair = self._live.pair
        return {
            "device": str(pair.device),
            "model": pair.model.name,
            "chat": bool(getattr(pair.tokenizer, "chat_template", None)),
        }

    def _chat(self, params: Mapping[str, Any], _: ProgressCallback) -> dict[str, Any]:
        text = self._live.chat_text(params["messages"], to_answer=bool(params.get("to_answer")))
        return {"text": text}

    def _encode(self, params: Mapping[str, Any], progress: ProgressCallback) -> dict[str, Any]:
        found = self._live.encode(params["texts"], params.get("features"), progress)
        self._live.release()
        return {"texts": [each.to_json() for each in found]}

    def _steer(self, params: Mapping[str, Any], progress: ProgressCallback) -> dict[str, Any]:
        turns = [Turn(**each) for each in params["turns"]]
        config = SteerConfig(**params["config"])
        if self._steerer is None:
            self._steerer = Steerer(self._live, max_in(self._study), progress)
        return self._steerer.steer(turns, config, progress).to_json()


def max_in(study: Study) -> Callable[[int], float | None]:
    """A feature's strongest activation in a study; None where the study does not hold it."""

    def most(feature: int) -> float | None:
        try:
            return study.stats(feature).max
        except BadInput:
            return None

    return most
