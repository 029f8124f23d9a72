"""Turning features while the model writes: steered text beside unsteered text.

A feature's direction is what its activation of 1 adds to the SAE's reconstruction; a strength of
1 adds as much as the feature's strongest firing in the study did. What the SAE leaves unexplained
stays as it is: ablating and clamping move a vector along directions only.

A transcoder's features are read where it reads and written where it writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import (
    BadInput,
    FeatureRequestError,
    HookError,
    ModelSourceError,
    ParameterError,
)
from autointerp_core.extraction.alignment import Spelling
from autointerp_core.live.encoded import EncodedText
from autointerp_core.live.generate import Drawn, Sampling, generate
from autointerp_core.live.interventions import Positions, changing, check_writable
from autointerp_core.live.model import LiveModel
from autointerp_core.live.turns import Continued, SteerConfig, Steered, TokenChange, Turn
from autointerp_core.progress import Progress, ProgressCallback, silent

if TYPE_CHECKING:
    import torch

_CHANGES = 20
"""Next tokens that are told."""


class Steerer:
    """A live model whose features can be turned. Loads the whole model, once."""

    def __init__(
        self,
        live: LiveModel,
        max_of: Callable[[int], float | None],
        progress: ProgressCallback = silent,
    ):
        """``max_of``: a feature's strongest activation in the study, None where not known.

        Raises:
            HookError: features of this SAE cannot be steered.
            ModelSourceError: the model is none that writes.
        """
        self.live, self._max_of = live, max_of
        self._sae = live.pair.sae
        config = self._sae.config
        if not config.reconstructs:
            raise HookError(
                f"{config.source} is one layer of a cross-layer transcoder: its features write "
                "into several layers, so they cannot be steered here"
            )
        progress(Progress("loading", message=f"loading all of {live.pair.model.name}"))
        self._model, self._blocks = live.whole()
        self.read = config.hook
        self.write = config.hook_out or config.hook
        check_writable(self._blocks, self.write)

    def steer(
        self, turns: Sequence[Turn], config: SteerConfig, progress: ProgressCallback = silent
    ) -> Steered:
        """Go on from a prompt as the model does, and with features turned.

        Raises:
            BadInput: a turn, a place or the prompt's length cannot be used.
            AutointerpError: the strength makes numbers that are none.
            Cancelled: raised by ``progress``.
        """
        change = self.change(turns)
        prompt = self.prompt(config)
        at_prompt, at_generated = where(prompt, config)
        how = Sampling(config.tokens, config.temperature, (config.seed,))
        plain = self.draw(prompt, how, None, at_prompt, at_generated, progress)
        turned = self.draw(prompt, how, change, at_prompt, at_generated, progress)
        ids = prompt.ids.tolist()
        return Steered(
            prompt_pieces=prompt.pieces,
            steered=self._continued(ids, turned),
            unsteered=self._continued(ids, plain),
            changes=self._changes(plain.first, turned.first),
            at=tuple(at_prompt.nonzero()[:, 0].tolist()),
            notes=self._notes(),
        )

    def draw(
        self,
        prompt: EncodedText,
        how: Sampling,
        change: Callable[[torch.Tensor], torch.Tensor] | None,
        at_prompt: torch.Tensor,
        at_generated: bool,
        progress: ProgressCallback = silent,
    ) -> Drawn:
        """Texts that go on from a prompt, with ``change`` added where the SAE writes."""
        positions = Positions()
        ends = self._end_ids()
        arguments = (how, ends, positions, at_prompt, at_generated, progress)
        if change is None:
            return generate(self._model, prompt.ids.tolist(), *arguments)
        with changing(self._blocks, self.read, self.write, change, positions):
            return generate(self._model, prompt.ids.tolist(), *arguments)

    def change(self, turns: Sequence[Turn]) -> Callable[[torch.Tensor], torch.Tensor]:
        """What the turns add, as a function of vectors where the SAE reads.

        Raises:
            BadInput: no turn, a feature twice or unknown, or a strength in units that are none.
        """
        import torch

        features = [turn.feature for turn in turns]
        if not turns:
            raise ParameterError("no feature is turned; give at least one")
        if len(set(features)) < len(features):
            raise ParameterError("a feature is turned twice; give each once")
        if beyond := [f for f in features if f >= self.live.d_sae]:
            raise FeatureRequestError(
                f"feature {beyond[0]} is out of range; this SAE has features 0 to "
                f"{self.live.d_sae - 1}"
            )
        goals = torch.tensor([self._strength(turn) for turn in turns], device=self.live.pair.device)
        adds = torch.tensor([turn.how == "add" for turn in turns], device=goals.device)
        encode = self._sae.encoder(features)
        all_added = bool(adds.all())

        def change(x: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                # Adding needs no activation; the others move from what it is to the goal.
                if all_added:
                    amounts = goals.expand(len(x), -1)
                else:
                    amounts = torch.where(adds, goals, goals - encode(x).float())
                return self._written(x, features, amounts)

        return change

    def direction(self, feature: int) -> torch.Tensor:
        """What an activation of 1 adds to the reconstruction [d_out], of an SAE where that is
        the same for every token."""

        sae = self._sae.sae
        row: torch.Tensor = sae.W_dec[feature].float()
        if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
            row = row / row.norm()
        return row

    def _written(
        self, x: torch.Tensor, features: Sequence[int], amounts: torch.Tensor
    ) -> torch.Tensor:
        """What activations [k, n] of n features add to the reconstruction of ``x`` [k, d_in]."""
        import torch

        directions = torch.stack([self.direction(feature) for feature in features])
        added = amounts @ directions
        normalised = self._sae.sae.cfg.normalize_activations
        if normalised == "layer_norm":
            # SAELens divides by the deviation of each vector, and multiplies what it decodes.
            added = added * x.float().std(dim=-1, keepdim=True)
        elif normalised == "constant_norm_rescale":
            added = added * x.float().norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return added

    def _strength(self, turn: Turn) -> float:
        """The activation that a turn adds or holds; ablating holds at 0."""
        if turn.how == "ablate":
            return 0.0
        if turn.units == "activation":
            return turn.strength
        most = self._max_of(turn.feature)
        if not most:
            raise ParameterError(
                f"feature {turn.feature} never fires in this study, or is not in it, so its max "
                "is not known: give the strength as an activation (units: activation)"
            )
        return turn.strength * most

    def prompt(self, config: SteerConfig) -> EncodedText:
        """The prompt as the model reads it.

        Raises:
            BadInput: with what is to be generated it is too long.
        """
        [prompt] = self.live.encode([config.prompt])
        limit = self.live.pair.model.context_size
        needed = prompt.n_tokens + config.tokens
        if prompt.n_sequences > 1:
            raise BadInput(
                f"the prompt has {prompt.n_tokens:,} tokens, more than the "
                f"{self.live.pair.tokenisation.context_size:,} of a sequence; give a shorter one"
            )
        if limit is not None and needed > limit:
            raise BadInput(
                f"prompt and generated tokens are {needed:,} together, and the model reads "
                f"{limit:,} at most; give a shorter prompt or fewer tokens"
            )
        return prompt

    def _end_ids(self) -> list[int]:
        said = getattr(self._model.generation_config, "eos_token_id", None)
        listed = said if isinstance(said, list) else [said]
        found = {*listed, self.live.pair.tokenizer.eos_token_id}
        return sorted(each for each in found if each is not None)

    def _continued(self, prompt: Sequence[int], drawn: Drawn) -> Continued:
        import numpy as np

        ids = drawn.ids[0]
        try:
            spelled = Spelling(self.live.pair.tokenizer)
            text, aligned = spelled.align(np.asarray([*prompt, *ids], dtype=np.int64))
            raw = text.encode("utf-8")
            ends = [0, *aligned.ends.tolist()]
            cut = [raw[a:b].decode("utf-8") for a, b in itertools.pairwise(ends)]
            pieces = tuple(cut[len(prompt) :])
        except ModelSourceError:  # a tokenizer that joins tokens in a way of its own
            pieces = tuple(self.live.pair.tokenizer.decode([token]) for token in ids)
        return Continued("".join(pieces), ids, pieces, drawn.ended[0])

    def _changes(self, plain: torch.Tensor, turned: torch.Tensor) -> tuple[TokenChange, ...]:
        before, after = (each.double().softmax(dim=-1) for each in (plain, turned))
        moved = (after - before).abs()
        tokenizer: Any = self.live.pair.tokenizer
        return tuple(
            TokenChange(i, tokenizer.decode([i]), float(before[i]), float(after[i]))
            for i in moved.topk(min(_CHANGES, len(moved))).indices.tolist()
            if float(moved[i]) > 0
        )

    def _notes(self) -> tuple[str, ...]:
        if self.read == self.write:
            return ()
        return (
            f"a transcoder: its features are read at {self.read.name} and turned where it writes, "
            f"at {self.write.name}",
        )


def where(prompt: EncodedText, config: SteerConfig) -> tuple[torch.Tensor, bool]:
    """Which places of the prompt are turned [n], and whether generated tokens are.

    Raises:
        ParameterError: a place is beyond the prompt.
    """
    import torch

    mask = torch.zeros(prompt.n_tokens, dtype=torch.bool)
    chosen = config.places()
    if chosen is None:
        if config.at == "all":
            mask |= torch.from_numpy(prompt.counted)
        mask[-1] = True  # it predicts the first generated token
        return mask, True
    if chosen[-1] >= prompt.n_tokens:
        raise ParameterError(
            f"at names place {chosen[-1]}, and the prompt has {prompt.n_tokens} tokens "
            f"(0 to {prompt.n_tokens - 1})"
        )
    mask[list(chosen)] = True
    return mask, False
