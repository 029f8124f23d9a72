"""How labels are to be made or scored, as the form knows it: defaults, checks, job parameters.

Pure data: no Streamlit here. Whether there is a key is asked; the key itself is kept
nowhere here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from autointerp_core.errors import AutointerpError
from autointerp_core.labels.config import LabelConfig, ScoreConfig
from autointerp_core.labels.explain.prompts import METHODS
from autointerp_core.labels.providers.make import NONE, PROVIDERS, takes_money
from autointerp_core.labels.providers.openai_key import find_key, server_address
from autointerp_core.labels.scoring.measures import MEASURES
from autointerp_core.labels.scoring.scorers import SCORERS, asking
from autointerp_core.labels.search.rank_phrases import RANKED

GENERATE, SCORE = "generate", "score"
KINDS = {"llm": "LLM", "search": "Search"}


def providers() -> dict[str, str]:
    """Who can be asked, and what that is for people."""
    return {name: kind.title for name, kind in PROVIDERS.items()}


def methods() -> dict[str, str]:
    """Ways to ask for a label."""
    ranked = "phrases found by counting, the model picks the likeliest (local models)"
    return {name: method.about for name, method in METHODS.items()} | {RANKED: ranked}


def scorers() -> dict[str, str]:
    """Ways to score one, and to measure it beside its scores."""
    found = {name: scorer.about for name, scorer in SCORERS.items()}
    found |= {name: measure.about for name, measure in MEASURES.items()}
    return {name: f"{name.capitalize()}: {about}" for name, about in found.items()}


@dataclass(frozen=True)
class RunSettings:
    """Everything the form asks. Empty texts and None mean: not given."""

    kind: str = "llm"
    provider: str = "local"
    models: Mapping[str, str] = field(default_factory=dict)
    """By provider, so that trying another one loses nothing."""
    base_url: str = ""
    method: str = "peaks"
    examples: int = 10
    group: str = "top"
    hint: str = ""
    proposals: int = 1
    """LLM labels a feature; the search label competes with them."""
    scorers: tuple[str, ...] = ("embedding",)
    controls: tuple[str, ...] = ()
    """Controls of the SAE that the same is done for."""
    harder_windows: bool = False
    """Whether a judge is asked about these too."""
    price_in: float | None = None
    price_out: float | None = None
    budget_dollars: float | None = None
    budget_tokens: int | None = None
    again: bool = False

    @property
    def model(self) -> str:
        return self.models.get(self.provider, "").strip()

    @property
    def paid(self) -> bool:
        """Whether a server is asked, which may want money."""
        return takes_money(self.provider)

    def judged(self) -> bool:
        """Whether any scorer asks a language model."""
        return bool(asking(self.scorers))

    @property
    def can_look_harder(self) -> bool:
        """Whether a scorer among them has harder windows to be asked for."""
        return any(SCORERS[name].harder for name in self.scorers if name in SCORERS)

    def needs_model(self, what: str) -> bool:
        """Whether a language model is asked anything at all."""
        return self.judged() or (what == GENERATE and self.kind == "llm")

    def params(self, what: str, study: str, features: Sequence[int]) -> dict[str, Any]:
        """Parameters of the job; what was not given is left out."""
        found: dict[str, Any] = {"study": study, "features": list(features)}
        found["scorers"] = list(self.scorers)
        if self.controls and self.scorers:
            found["control"] = ",".join(self.controls)
        if self.harder_windows and self.can_look_harder:
            found["harder_windows"] = True
        if self.needs_model(what):
            found |= {"provider": self.provider, "model_path": self.model or None}
            found |= {name: getattr(self, name) for name in ("budget_dollars", "budget_tokens")}
            if self.paid:
                found["base_url"] = self.base_url.strip() or None
                found |= {"price_in": self.price_in, "price_out": self.price_out}
            else:
                found["budget_dollars"] = None
        if what == SCORE:
            found["again"] = self.again
        elif self.kind == "search":
            judge = found.pop("provider", None)
            found |= {"provider": NONE, "judge_provider": judge}
        else:
            found |= {
                "method": self.method,
                "max_examples": self.examples,
                "group": self.group,
                "hint": self.hint.strip() or None,
                "candidates": self.proposals + 1,
                "regenerate": self.again,
            }
        return {name: value for name, value in found.items() if value is not None}

    def problem(self, what: str) -> str:
        """Why this cannot be started, as far as it can be known; empty where it can."""
        if what == SCORE and not self.scorers:
            return "choose at least one way to score"
        if self.needs_model(what) and self.provider == "openai":
            if not self.model:
                return "name the model as the server calls it"
            address = self.base_url.strip()
            if address and not address.startswith(("http://", "https://")):
                return "the base URL must begin with http:// or https://"
            if "@" in urlsplit(address).netloc:
                return "the base URL holds a name or password, which would be kept: take it out"
            try:
                find_key(server_address(address))
            except AutointerpError as error:
                return str(error)
            if (self.price_in is None) != (self.price_out is None):
                return "give both prices, or none"
            if self.budget_dollars and self.price_in is None:
                return "a budget in dollars needs both prices"
        if what == GENERATE and self.method == RANKED and not PROVIDERS[self.provider].ranks:
            return f"the method {RANKED!r} needs a local model"
        try:
            self.config(what)
        except AutointerpError as error:
            return str(error)
        return ""

    def config(self, what: str) -> LabelConfig | ScoreConfig:
        """What the worker will make of the job's parameters.

        Raises:
            ParameterError: they contradict each other.
        """
        kind = LabelConfig if what == GENERATE else ScoreConfig
        return kind.from_params({"model_path": "-", **self.params(what, "", [])})

    def with_model(self, model: str) -> RunSettings:
        return replace(self, models={**self.models, self.provider: model})
