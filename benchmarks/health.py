"""The health check: which deliberate mistakes it tells, and that it is silent on right loads.

    python -m benchmarks.health

SAEs: the demo's, and four small top-k ones trained here on the demo model's layer 4 (a
transcoder, ``hook_mlp_out``, ``attn.hook_z``, ``hook_resid_mid``). Right loads are read on long
documents, or on 60 short ones. A mistake is told where any warning is given.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from autointerp_core.extraction.health import Health, Reading, measure_health
from autointerp_core.extraction.summary import reference_median
from autointerp_core.extraction.tokens import Tokenisation, write_tokens
from autointerp_core.progress import silent
from autointerp_core.sources.dataset import open_dataset
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.model import (
    TruncatedModel,
    inspect_model,
    load_tokenizer,
    load_truncated,
)
from autointerp_core.sources.sae import LoadedSAE, load_sae
from autointerp_core.store.study_record import Masks
from autointerp_core.store.tokenstore import TokenStore
from benchmarks.report import Row, publish

DEMO_LAYER, LAYER = 9, 4
N_LATENTS, K, STEPS, BATCH = 512, 24, 250, 1_024
TRAINING_TOKENS = 20_000
CONTEXT, N_LONG, N_SHORT, SHORT_CHARACTERS = 160, 10, 60, 90
NORMALISATION = 5.0
CPU = torch.device("cpu")
Change = Callable[[LoadedSAE], None]


class Bench:
    """The demo model and texts, and what is measured on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = inspect_model("demo")
        self.tokenizer = load_tokenizer(self.config)
        self.texts = [str(text) for text in open_dataset("demo", "text", None).iterate()]
        self.model = load_truncated(self.config, DEMO_LAYER + 2, torch.float32, CPU)

    @cached_property
    def long(self) -> TokenStore:
        return self.tokens("long", self.texts[:N_LONG])

    def short(self, part: int) -> TokenStore:
        texts = self.texts[part * N_SHORT : (part + 1) * N_SHORT]
        return self.tokens(f"short{part}", [text[:SHORT_CHARACTERS] for text in texts])

    def tokens(self, name: str, texts: Sequence[str]) -> TokenStore:
        how = Tokenisation.of(self.tokenizer, CONTEXT, prepend_bos=False)
        folder = self.folder / name
        if not folder.exists():
            write_tokens(folder, texts, len(texts), self.tokenizer, how, silent)
        return TokenStore(folder)

    def check(
        self, sae: LoadedSAE, hook: HookPoint, tokens: TokenStore, model: Any = None
    ) -> Health:
        """The check as an extraction runs it."""
        running = cast("TruncatedModel", model or self.model)
        norms = []
        for sequence in range(min(tokens.n_sequences, 64)):
            low, high = (int(x) for x in tokens.sequences[sequence : sequence + 2])
            ids = torch.from_numpy(np.asarray(tokens.ids[low:high]).astype(np.int64))[None]
            if high > low:
                norms.append(running.run(ids, [hook])[hook][0].norm(dim=-1).numpy())
        return measure_health(
            running,
            sae,
            hook,
            hook.neighbours(DEMO_LAYER + 2),
            tokens,
            Masks(),
            reference_median(tokens, np.concatenate(norms)),
            Reading(
                self.config.name,
                len(self.tokenizer),
                self.tokenizer.bos_token_id,
                prepends_bos=False,
            ),
        )

    # -- SAEs trained here -----------------------------------------------------------------

    @cached_property
    def vectors(self) -> dict[HookPoint, torch.Tensor]:
        """Training vectors of layer :data:`LAYER`, from texts that no check reads."""
        kinds = ("resid_mid", "mlp_out", "attn.z", "mlp.hook_in")
        hooks = [HookPoint(LAYER, kind) for kind in kinds]
        found: dict[HookPoint, list[torch.Tensor]] = {hook: [] for hook in hooks}
        n = 0
        for text in self.texts[5 * N_SHORT :]:
            ids = self.tokenizer(text, add_special_tokens=False).input_ids[:CONTEXT]
            if len(ids) > 2:
                captured = self.model.run(torch.tensor([ids]), hooks)
                for hook in hooks:
                    found[hook].append(captured[hook][0, 1:])
                n += len(ids) - 1
            if n >= TRAINING_TOKENS:
                break
        return {hook: torch.cat(parts) for hook, parts in found.items()}

    def trained(self, kind: str, predicted: str | None = None) -> LoadedSAE:
        """A top-k SAE of one hook of layer :data:`LAYER`, or a transcoder, as saved and loaded."""
        from safetensors.torch import save_file

        x = self.vectors[HookPoint(LAYER, kind)]
        y = x if predicted is None else self.vectors[HookPoint(LAYER, predicted)]
        weights = _train(x, y, centred=predicted is None)
        folder = self.folder / f"sae {kind} {predicted}"
        if predicted is not None:
            folder /= f"layers.{LAYER}.mlp"
            config: dict[str, Any] = {
                "activation": "topk",
                "num_latents": N_LATENTS,
                "k": K,
                "d_in": x.shape[-1],
                "transcode": True,
            }
            names = {"W_enc": "encoder.weight", "b_enc": "encoder.bias"}
            weights = {names.get(name, name): tensor for name, tensor in weights.items()}
            weights["encoder.weight"] = weights["encoder.weight"].T.contiguous()
            file = "sae.safetensors"
        else:
            config = {
                "architecture": "topk",
                "d_in": x.shape[-1],
                "d_sae": N_LATENTS,
                "k": K,
                "dtype": "float32",
                "device": "cpu",
                "apply_b_dec_to_input": True,
                "normalize_activations": "none",
                "reshape_activations": "none",
                "rescale_acts_by_decoder_norm": False,
                "metadata": {
                    "hook_name": HookPoint(LAYER, kind).name,
                    "model_name": self.config.name,
                    "prepend_bos": False,
                },
            }
            file = "sae_weights.safetensors"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file(weights, folder / file)
        return load_sae(str(folder))


def _train(x: torch.Tensor, y: torch.Tensor, *, centred: bool) -> dict[str, torch.Tensor]:
    """A few steps of Adam on top-k reconstruction, begun at vectors of the data itself."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randperm(len(x), generator=generator)[:N_LATENTS]
    shift = x.mean(0) if centred else torch.zeros(x.shape[-1])
    rows = torch.nn.functional.normalize(x[drawn] - x.mean(0), dim=-1)
    outputs = torch.nn.functional.normalize(y[drawn] - y.mean(0), dim=-1)
    weights = {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.zeros(N_LATENTS),
        "W_dec": outputs.contiguous(),
        "b_dec": shift if centred else y.mean(0),
    }
    for tensor in weights.values():
        tensor.requires_grad_(True)
    scale = float(y.std())
    optimiser = torch.optim.Adam(list(weights.values()), lr=2e-3)
    for _ in range(STEPS):
        at = torch.randint(len(x), (BATCH,), generator=generator)
        read = x[at] - weights["b_dec"] if centred else x[at]
        acts = (read @ weights["W_enc"] + weights["b_enc"]).relu()
        values, where = acts.topk(K, dim=-1)
        acts = torch.zeros_like(acts).scatter(-1, where, values)
        made = acts @ weights["W_dec"] + weights["b_dec"]
        loss = (made - y[at]).square().mean() / scale**2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        norms = weights["W_dec"].norm(dim=-1, keepdim=True)
        weights["W_dec"] /= norms
        weights["W_enc"] *= norms.T
        weights["b_enc"] *= norms[:, 0]
    return {name: tensor.detach().contiguous() for name, tensor in weights.items()}


class Rotated:
    """Another model of equal width: the same vectors in another basis."""

    def __init__(self, model: TruncatedModel, width: int) -> None:
        draws = torch.randn(width, width, generator=torch.Generator().manual_seed(0))
        self.model, self.device = model, model.device
        self.basis = torch.linalg.qr(draws)[0]

    def has(self, hook: HookPoint) -> bool:
        return self.model.has(hook)

    def run(self, ids: torch.Tensor, hooks: Sequence[HookPoint]) -> dict[HookPoint, torch.Tensor]:
        found = self.model.run(ids, hooks)
        return {hook: value @ self.basis for hook, value in found.items()}


def _changed(sae: LoadedSAE, change: Change | None = None, **config: Any) -> LoadedSAE:
    """A copy with changed weights or config."""
    found = replace(sae, sae=copy.deepcopy(sae.sae), config=replace(sae.config, **config))
    if change is not None:
        with torch.no_grad():
            change(found)
    return found


def _perturb(sae: LoadedSAE) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in (sae.sae.W_enc, sae.sae.W_dec):
        size = weight.norm() / weight.numel() ** 0.5
        weight.add_(0.1 * size * torch.randn(weight.shape, generator=generator))


def _shuffle_decoder(sae: LoadedSAE) -> None:
    order = torch.randperm(len(sae.sae.W_dec), generator=torch.Generator().manual_seed(0))
    sae.sae.W_dec.copy_(sae.sae.W_dec[order])


def _without_normalisation(sae: LoadedSAE) -> None:
    """As trained on vectors divided by a constant, which nobody divides by here."""
    sae.sae.b_dec.div_(NORMALISATION)
    sae.sae.b_enc.div_(NORMALISATION)


def _shuffled_ids(tokens: TokenStore, folder: Path, vocabulary: int) -> TokenStore:
    """The same study with another tokenizer's ids: each id stands for another."""
    import shutil

    shutil.copytree(tokens.folder, folder, dirs_exist_ok=True)
    ids = np.fromfile(folder / "ids.bin", dtype="<u4")
    other = np.random.default_rng(7).permutation(vocabulary).astype("<u4")
    other[ids].tofile(folder / "ids.bin")
    return TokenStore(folder)


def mistakes(bench: Bench) -> dict[str, Health]:
    """Nine ways to load the demo SAE wrong."""
    sae, own = load_sae("demo"), HookPoint(DEMO_LAYER, "resid_post")
    long = bench.long
    below, above = own.at(DEMO_LAYER - 1), own.at(DEMO_LAYER + 1)
    kind = HookPoint(DEMO_LAYER, "mlp_out")
    ids = _shuffled_ids(long, bench.folder / "other ids", len(bench.tokenizer))
    other = Rotated(bench.model, sae.config.d_in)
    cases: dict[str, Callable[[], Health]] = {
        "layer below": lambda: bench.check(_changed(sae, hook=below), below, long),
        "layer above": lambda: bench.check(_changed(sae, hook=above), above, long),
        "wrong kind of hook": lambda: bench.check(_changed(sae, hook=kind), kind, long),
        "normalisation dropped": lambda: bench.check(
            _changed(sae, _without_normalisation), own, long
        ),
        "weights perturbed by 10 %": lambda: bench.check(_changed(sae, _perturb), own, long),
        "token ids shuffled": lambda: bench.check(sae, own, ids),
        "decoder shuffled": lambda: bench.check(_changed(sae, _shuffle_decoder), own, long),
        "BOS missing": lambda: bench.check(_changed(sae, prepend_bos=True), own, long),
        "another model of equal width": lambda: bench.check(sae, own, long, other),
    }
    return {name: run() for name, run in cases.items()}


def right_loads(bench: Bench) -> dict[str, Health]:
    """Ten, five of them on 60 short documents."""
    demo, own = load_sae("demo"), HookPoint(DEMO_LAYER, "resid_post")
    found = {"demo, long documents": bench.check(demo, own, bench.long)}
    for part in range(3):
        name = f"demo, 60 short documents ({part + 1})"
        found[name] = bench.check(demo, own, bench.short(part))
    for kind, predicted in (
        ("mlp_out", None),
        ("attn.z", None),
        ("resid_mid", None),
        ("mlp.hook_in", "mlp_out"),
    ):
        sae = bench.trained(kind, predicted)
        name = "transcoder" if predicted else HookPoint(LAYER, kind).name
        found[f"{name}, long documents"] = bench.check(sae, sae.config.hook, bench.long)
        if kind in ("mlp_out", "mlp.hook_in"):
            found[f"{name}, 60 short documents"] = bench.check(sae, sae.config.hook, bench.short(3))
    return found


def rows_of(told: dict[str, Health], right: dict[str, Health]) -> list[Row]:
    """A row a load: how many warnings; FVU and codes beside it."""
    rows = []
    for group, loads, limit, op in (("mistake", told, 1, ">="), ("right", right, 0, "<=")):
        for name, health in loads.items():
            codes = ", ".join(warning["code"] for warning in health.warnings)
            fvu = ", ".join(f"{value:.3f}" for value in health.fvu.values())
            note = f"FVU {fvu}" + (f": {codes}" if codes else "")
            rows.append(
                Row(
                    f"{group}: {name}",
                    len(health.warnings),
                    limit,
                    op,
                    n_tokens=health.n_tokens,
                    note=note,
                )
            )
    n_told = sum(bool(health.warnings) for health in told.values())
    false = sum(bool(health.warnings) for health in right.values())
    rows.append(Row("mistakes_told", n_told, len(told), ">=", note=f"of {len(told)}"))
    rows.append(Row("right_loads_warned", false, 0, "<=", note=f"of {len(right)}"))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="print every figure and warning")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as root, contextlib.suppress(KeyboardInterrupt):
        bench = Bench(Path(root))
        told, right = mistakes(bench), right_loads(bench)
        if options.verbose:
            for name, health in {**told, **right}.items():
                print(name, json.dumps(health.to_json(), indent=1))
        return publish("health", rows_of(told, right))
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
