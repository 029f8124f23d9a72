"""The study's own model and SAE for measures: loaded when a measure first asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autointerp_core.labels.scoring.study_model import Encoded
    from autointerp_core.live.model import LiveModel
    from autointerp_core.live.steering import Steerer
    from autointerp_core.store.study import Study


def model_of(study: Study, device: str | None = None) -> Callable[[], OwnModel]:
    """Opens a study's own model and SAE, once, when it is called."""
    found: list[OwnModel] = []

    def opened() -> OwnModel:
        if not found:
            found.append(OwnModel(study, device))
        return found[0]

    return opened


class OwnModel:
    """A study's model and SAE in this process.

    Raises:
        ModelSourceError: the model is gone, or is another one by now.
        SAESourceError: likewise of the SAE.
    """

    def __init__(self, study: Study, device: str | None = None) -> None:
        from autointerp_core.live import open_live

        self._live: LiveModel = open_live(study, device=device)

    def encode(
        self, texts: Sequence[str], features: Sequence[int] | None = None
    ) -> Sequence[Encoded]:
        """What every text makes the features do."""
        return self._live.encode(texts, features)

    def ablated(self, texts: Sequence[str], feature: int, count: int) -> list[str]:
        """The next tokens that taking a feature out makes less likely, those most so first."""
        import torch

        from autointerp_core.live.generate import Sampling
        from autointerp_core.live.steering import where
        from autointerp_core.live.turns import SteerConfig, Turn

        steerer = self._steerer
        change = steerer.change([Turn(feature, how="ablate")])
        how = Sampling(tokens=1, temperature=0.0, seeds=(0,))
        moved: list[torch.Tensor] = []
        for text in texts:
            config = SteerConfig(text, tokens=1, at="all")
            prompt = steerer.prompt(config)
            places, generated = where(prompt, config)
            plain, without = (
                steerer.draw(prompt, how, each, places, generated).first.log_softmax(dim=-1)
                for each in (None, change)
            )
            moved.append(without - plain)
        if not moved:
            return []
        lowest = torch.stack(moved).mean(dim=0).topk(count, largest=False)
        tokenizer = self._live.pair.tokenizer
        return [
            str(tokenizer.decode([token]))
            for token, change_ in zip(lowest.indices.tolist(), lowest.values.tolist(), strict=True)
            if change_ < 0
        ]

    @cached_property
    def _steerer(self) -> Steerer:
        from autointerp_core.live.steering import Steerer

        return Steerer(self._live, lambda _: None)
