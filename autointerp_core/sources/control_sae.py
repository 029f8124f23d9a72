"""Control SAEs: an SAE with its directions made meaningless, and everything else as it was.

What scores well though it means nothing says how much a score means (arXiv 2501.17727). A control
is a folder with ``control.json`` (which SAE, and what is done to it) and, where thresholds had to
be set anew, ``parameters.safetensors``. Given as ``sae_path`` it is an SAE like any other.

*shuffled*: each latent's encoder and decoder vector with its coordinates in another order, the same
for both. *random-sae*: vectors drawn at random, as long as the latent's own were, encoder and
decoder alike where they are of one width.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp_core.errors import ParameterError, SAESourceError
from autointerp_core.sources.sae_config import SAEConfig
from autointerp_core.store.files import write_bytes, write_json

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

FILE = "control.json"
PARAMETERS_FILE = "parameters.safetensors"
SHUFFLED, RANDOM = "shuffled", "random-sae"
CONTROLS = (SHUFFLED, RANDOM)
_BLOCK = 4096
"""Latents changed at a time."""


@dataclass(frozen=True)
class ControlSAE:
    """What a control is made of."""

    kind: str
    """One of :data:`CONTROLS`."""
    seed: int
    study: str
    """Id of the study it is a control of."""
    sae_path: str
    sae_id: str | None = None
    folder: Path | None = None
    """Where it is described; None before it is."""

    @property
    def name(self) -> str:
        """As an identity names it: ``shuffled-0``."""
        return f"{self.kind}-{self.seed}"


def read_control(sae_path: str) -> ControlSAE | None:
    """What a folder says about the control it is; None where it is none.

    Raises:
        SAESourceError: it says so and cannot be read.
    """
    folder = Path(sae_path).expanduser()
    try:
        raw = json.loads((folder / FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, OSError):
        return None
    except ValueError as error:
        raise SAESourceError(f"{folder / FILE} is damaged: {error}") from error
    try:
        check_kind(str(raw["kind"]))
        return ControlSAE(
            str(raw["kind"]),
            int(raw["seed"]),
            str(raw["study"]),
            str(raw["sae_path"]),
            raw.get("sae_id"),
            folder,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SAESourceError(f"{folder / FILE} does not describe a control: {error}") from error


def write_control(
    folder: Path, control: ControlSAE, parameters: dict[str, torch.Tensor] | None = None
) -> None:
    """Describe a control in a folder; ``parameters``: those set anew, by SAELens' name."""
    folder.mkdir(parents=True, exist_ok=True)
    if parameters:
        from safetensors.torch import save

        write_bytes(folder / PARAMETERS_FILE, save(parameters))
    write_json(folder / FILE, {k: v for k, v in asdict(control).items() if k != "folder"})


def check_kind(kind: str) -> None:
    """Refuse what is no kind of control.

    Raises:
        ParameterError: it is none.
    """
    if kind not in CONTROLS:
        raise ParameterError(f"control is {kind!r}; choose from {', '.join(CONTROLS)}")


def controlled_config(config: SAEConfig, control: ControlSAE) -> SAEConfig:
    """The config of the control of an SAE: nothing that was recorded of the SAE holds for it."""
    return replace(
        config,
        source=f"{control.kind} control of {config.source}",
        recorded_fvu=None,
        recorded_l0=None,
    )


def randomise(sae: SAE[Any], config: SAEConfig, control: ControlSAE) -> None:
    """Make an SAE (on the CPU) the control, in place.

    Raises:
        SAESourceError: it has no encoder and decoder vectors, or the control's file is of another.
    """
    import torch

    encoder, decoder = (sae._parameters.get(name) for name in ("W_enc", "W_dec"))
    if encoder is None or decoder is None:
        raise SAESourceError(
            f"no control can be made of {config.source}: its architecture "
            f"({config.architecture}) has no encoder and decoder vectors of its own"
        )
    generator = torch.Generator().manual_seed(control.seed)
    with torch.no_grad():
        for start in range(0, decoder.shape[0], _BLOCK):
            some = slice(start, start + _BLOCK)
            read, written = encoder[:, some].T, decoder[some]
            change = _shuffled if control.kind == SHUFFLED else _random
            new_read, new_written = change(read, written, generator)
            encoder[:, some] = new_read.T
            decoder[some] = new_written
        for name, tensor in _parameters(control).items():
            own = sae._parameters.get(name)
            if own is None or own.shape != tensor.shape:
                raise SAESourceError(
                    f"the control in {control.folder} is of another SAE than {config.source}"
                )
            own.copy_(tensor)


def _parameters(control: ControlSAE) -> dict[str, torch.Tensor]:
    path = control.folder / PARAMETERS_FILE if control.folder is not None else None
    if path is None or not path.exists():
        return {}
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # safetensors has an exception of its own for each damage
        raise SAESourceError(f"{path} cannot be read: {error}") from error


def _shuffled(
    read: torch.Tensor, written: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    order = torch.rand(read.shape, generator=generator).argsort(dim=1)
    other = order
    if written.shape[1] != read.shape[1]:
        other = torch.rand(written.shape, generator=generator).argsort(dim=1)
    return read.gather(1, order), written.gather(1, other)


def _random(
    read: torch.Tensor, written: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    drawn = torch.randn(read.shape, generator=generator)
    other = drawn
    if written.shape[1] != read.shape[1]:
        other = torch.randn(written.shape, generator=generator)
    return (
        drawn * (read.norm(dim=1) / drawn.norm(dim=1))[:, None],
        other * (written.norm(dim=1) / other.norm(dim=1))[:, None],
    )
