"""What is known about an SAE without its weights, and readers of values in its config files.

No torch here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint

ELEMENTWISE = (
    "standard",
    "gated",
    "jumprelu",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
"""Architectures where a latent's activation does not depend on other latents."""
SIGNED = ("abstopk",)
"""Architectures whose activations may be negative."""


@dataclass(frozen=True)
class SAEConfig:
    """What is known about an SAE without reading its weights."""

    d_in: int
    d_sae: int
    architecture: str
    """SAELens' name for it; what SAELens has no name for: ``groupmax``, ``topk_skip``,
    ``topk_transcoder``, ``topk_skip_transcoder``, ``groupmax_transcoder`` and so on."""
    k: int | None
    hook: HookPoint
    """Where it reads."""
    model_name: str | None
    context_size: int | None
    prepend_bos: bool
    normalize_activations: str
    recorded_fvu: float | None
    recorded_l0: float | None
    layout: str
    """The name of the layout it came in, or ``release`` for one of SAELens' directory."""
    source: str
    """Where it came from, to be read by people."""
    folder: Path | None
    """The folder of its config or weights; None for a release in another layout than SAELens'."""
    center_input: bool = False
    """Trained on TransformerLens' centred residual stream: subtract each vector's mean first."""
    hook_out: HookPoint | None = None
    """What its decoder predicts, where that is another place than it reads: a transcoder."""
    d_out: int | None = None
    """Width of what it predicts; None: ``d_in``."""
    dtype: str | None = None
    """The precision its weights are stored in, where that is known without reading them."""
    reconstructs: bool = True
    """Whether ``reconstruct`` can be compared with a value of the model. False for one layer of a
    cross-layer transcoder: what it predicts is a sum with what other layers' latents write."""
    unusual: tuple[str, ...] = ()
    """What a reader should know beyond the fields, a sentence each."""

    @property
    def predicts_output(self) -> bool:
        """Whether it predicts another place of the model than it reads."""
        return self.hook_out is not None

    @property
    def elementwise(self) -> bool:
        """Whether a latent can be encoded without the others."""
        return self.architecture in ELEMENTWISE

    @property
    def decodes_rows(self) -> bool:
        """Whether ``decode`` is a sum of decoder rows, each times its latent's activation."""
        topk = self.architecture.startswith(("topk", "abstopk", "groupmax"))
        return self.elementwise or topk

    @property
    def signed(self) -> bool:
        """Whether activations may be negative: then strength is magnitude."""
        return self.architecture in SIGNED


@dataclass(frozen=True)
class HookNames:
    """Where an SAE reads and what it predicts, in the words of its files.

    The ``*_module`` names are Hugging Face's, such as
    ``model.layers.9.pre_feedforward_layernorm.output``; they say more exactly where a value is
    taken than TransformerLens' names do, and win where both are given.
    """

    reads: str | None = None
    reads_module: str | None = None
    predicts: str | None = None
    predicts_module: str | None = None

    def hook(self) -> HookPoint | None:
        """The place it reads, None where the files do not say.

        Raises:
            HookError: the name is no hook point.
        """
        return _place(self.reads, self.reads_module)

    def hook_out(self) -> HookPoint | None:
        """The place it predicts, None where it is the one it reads.

        Raises:
            HookError: the name is no hook point.
        """
        return _place(self.predicts, self.predicts_module)


def _place(name: str | None, module: str | None) -> HookPoint | None:
    if name is None and module is None:
        return None
    if name is None or module is None:
        return HookPoint.parse(name or module or "")
    return HookPoint.parse(name, module)


# --- readers -----------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        SAESourceError: there is none, or it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SAESourceError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SAESourceError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise SAESourceError(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def json_or_empty(path: Path) -> dict[str, Any]:
    """The JSON object of a file that only adds to what is known; empty where there is none."""
    try:
        return read_json(path)
    except SAESourceError:
        return {}


def positive(config: dict[str, Any], key: str, source: str, file: str = "cfg.json") -> int:
    """A positive whole number of a config.

    Raises:
        SAESourceError: it is missing or something else.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        said = "lacks" if value is None else f"has {value!r} for"
        raise SAESourceError(f"{source}: {file} {said} {key!r}; expected a positive whole number")
    return value


def size(value: Any) -> int | None:
    """A positive whole number, or None for anything else."""
    ok = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return int(value) if ok else None


def number(value: Any) -> float | None:
    """A number, or None for anything else."""
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if ok else None


def text(value: Any) -> str | None:
    """A text that is not empty, or None for anything else."""
    return value if isinstance(value, str) and value else None


def recorded_fvu(about: dict[str, Any]) -> float | None:
    """The fraction of variance unexplained that the config records, if it does."""
    if (fvu := number(about.get("fvu"))) is not None:
        return fvu
    explained = number(about.get("explained_variance", about.get("variance_explained")))
    return None if explained is None else 1.0 - explained


def check_k(k: int, d_sae: int, source: str) -> None:
    """Whether k latents can be chosen out of ``d_sae``.

    Raises:
        SAESourceError: there are fewer.
    """
    if k > d_sae:
        raise SAESourceError(f"{source}: k={k} is more than its {d_sae} latents")
