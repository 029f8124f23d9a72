"""SAEs that are one torch file each, without a config: Goodfire's and Qwen-Scope's.

The file's name says the layer. Goodfire: ``Llama-3.1-8B-Instruct-SAE-l19.pth`` with
``encoder_linear.weight`` … (``encoder.weight`` … in the SAEs that others published so).
Qwen-Scope: ``layer19.sae.pt`` in a repository whose name says the model and k
(``SAE-Res-Qwen3-8B-Base-W64K-L0_50``).
"""

from __future__ import annotations

import re
from pathlib import Path

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.layouts.base import Place, Weights
from autointerp_core.sources.sae_config import HookNames, SAEConfig, check_k
from autointerp_core.sources.sae_weights import TensorInfo, check_shapes, read_tensors, tensor_infos

_GOODFIRE = re.compile(r"(?P<model>.+?)-SAE-l(?P<layer>\d+)\.pth?", re.IGNORECASE)
_QWEN = re.compile(r"layer(?P<layer>\d+)\.sae\.pt")
_QWEN_REPOSITORY = re.compile(r"SAE-Res-(?P<model>.+)-W\d+K-L0_(?P<k>\d+)")
_OWNERS = {"llama": "meta-llama", "deepseek": "deepseek-ai", "qwen": "Qwen", "gemma": "google"}


class GoodfireLayout:
    name = "goodfire"
    files = "MODEL-SAE-lN.pth (flat tensors)"
    config_reads_weights = True

    def entries(self, folder: Path) -> list[str]:
        return sorted(
            path.name
            for path in folder.glob("*")
            if path.suffix in (".pt", ".pth") and _GOODFIRE.fullmatch(path.name)
        )

    def patterns(self, place: Place) -> list[str]:
        return [place.entry]

    def hooks(self, place: Place) -> HookNames:
        found = _GOODFIRE.fullmatch(place.entry)
        return HookNames(f"blocks.{int(found['layer'])}.hook_resid_post" if found else None)

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        infos = tensor_infos(place.path)
        d_sae, d_in = _two(infos, ("encoder_linear.weight", "encoder.weight"), source)
        found = _GOODFIRE.fullmatch(place.entry)
        model = found["model"] if found else None
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture="standard",
            k=None,
            hook=hook,
            model_name=_with_owner(model),
            context_size=None,
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            dtype=next(iter(infos.values())).dtype,
            unusual=("b_dec is not subtracted from the input",),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = {
            name.replace("_linear", ""): tensor for name, tensor in read_tensors(place.path).items()
        }
        d_in, d_sae = config.d_in, config.d_sae
        expected: dict[str, tuple[int, ...]] = {
            "encoder.weight": (d_sae, d_in),
            "encoder.bias": (d_sae,),
            "decoder.weight": (d_in, d_sae),
            "decoder.bias": (d_in,),
        }
        check_shapes(tensors, expected, config.source, "file")
        state = {
            "W_enc": tensors["encoder.weight"].T.contiguous(),
            "b_enc": tensors["encoder.bias"],
            "W_dec": tensors["decoder.weight"].T.contiguous(),
            "b_dec": tensors["decoder.bias"],
        }
        return Weights("standard", state, {"apply_b_dec_to_input": False})


class QwenScopeLayout:
    name = "qwen_scope"
    files = "layerN.sae.pt in a folder …-L0_K"
    config_reads_weights = True

    def entries(self, folder: Path) -> list[str]:
        found = [m for path in folder.glob("*") if (m := _QWEN.fullmatch(path.name))]
        return [m[0] for m in sorted(found, key=lambda m: int(m["layer"]))]

    def patterns(self, place: Place) -> list[str]:
        return [place.entry]

    def hooks(self, place: Place) -> HookNames:
        found = _QWEN.fullmatch(place.entry)
        return HookNames(f"blocks.{int(found['layer'])}.hook_resid_post" if found else None)

    def config(self, place: Place, hook: HookPoint, source: str) -> SAEConfig:
        infos = tensor_infos(place.path)
        d_sae, d_in = _two(infos, ("W_enc",), source)
        names = (place.folder.name, *place.around)
        repository = next((m for name in names if (m := _QWEN_REPOSITORY.search(name))), None)
        bare = next((m for name in names if (m := re.search(r"L0_(\d+)", name))), None)
        if bare is None:
            raise SAESourceError(
                f"{source}: a Qwen-Scope file does not say how many latents fire (k); keep it in "
                "a folder named as its repository, e.g. SAE-Res-Qwen3-8B-Base-W64K-L0_50"
            )
        k = int(bare[1])
        check_k(k, d_sae, source)
        return SAEConfig(
            d_in=d_in,
            d_sae=d_sae,
            architecture="topk",
            k=k,
            hook=hook,
            model_name=f"Qwen/{repository['model']}" if repository else None,
            context_size=1024,
            prepend_bos=True,
            normalize_activations="none",
            recorded_fvu=None,
            recorded_l0=None,
            layout=self.name,
            source=source,
            folder=place.folder,
            dtype=infos["W_enc"].dtype,
            unusual=("b_dec is not subtracted from the input",),
        )

    def weights(self, place: Place, config: SAEConfig) -> Weights:
        tensors = read_tensors(place.path)
        d_in, d_sae = config.d_in, config.d_sae
        expected: dict[str, tuple[int, ...]] = {
            "W_enc": (d_sae, d_in),
            "W_dec": (d_in, d_sae),
            "b_enc": (d_sae,),
            "b_dec": (d_in,),
        }
        check_shapes(tensors, expected, config.source, "file")
        state = {
            "W_enc": tensors["W_enc"].T.contiguous(),
            "b_enc": tensors["b_enc"],
            "W_dec": tensors["W_dec"].T.contiguous(),
            "b_dec": tensors["b_dec"],
        }
        return Weights("topk", state, {"k": config.k, "apply_b_dec_to_input": False})


def _two(infos: dict[str, TensorInfo], names: tuple[str, ...], source: str) -> tuple[int, int]:
    info = next((infos[name] for name in names if name in infos), None)
    if info is None or len(info.shape) != 2:
        raise SAESourceError(
            f"the weights of {source} lack {names[0]!r}; they hold {', '.join(sorted(infos))}"
        )
    return info.shape[0], info.shape[1]


def _with_owner(model: str | None) -> str | None:
    """The hub's id of a model named without its owner."""
    if model is None:
        return None
    owner = next((o for word, o in _OWNERS.items() if model.lower().startswith(word)), None)
    return f"{owner}/{model}" if owner else model
