"""``make parity``: what we compute for an SAE against what its publisher computes.

A row is an architecture in a layout at a hook of a model family. Ours: the model cut behind the
hook, the SAE as our loaders read it, the latents as extraction encodes them. The reference: the
whole model under TransformerLens' ``TransformerBridge`` (or, where the SAE's files name a
Hugging Face module, that module's own input or output), and the publisher's class or formula on
the same files (``published_saes``). The value is the largest difference between two activations
by the project's tolerance, |a - b| / max(|b|, 0.01 x the feature's largest), over firings of
both; firings of only one of them may be 1e-5 of all.

Models and SAEs are tiny and random, but for the rows named ``demo``: the bundled model.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from autointerp_core.sources.hub import one_line
from benchmarks import sae_directory
from benchmarks.parity_cases import Case, all_cases, demo_cases
from benchmarks.parity_models import ModelValues, model_of
from benchmarks.published_saes import Wanted
from benchmarks.report import Row, publish

TOLERANCE = 2e-4
ONE_SIDED = 1e-5
DIRECTORY_LIMIT = 0.99
DOCUMENT = Path(__file__).parent.parent / "docs" / "parity.md"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--document", action="store_true", help="write docs/parity.md, too")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--no-demo", action="store_true", help="leave out the demo model's rows")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    disable_progress_bar()
    rows = list(measure(given.only, demo=not given.no_demo))
    ok = {row.name for row in rows if row.ok}
    counted = sae_directory.count(ok)
    for reason, n in sorted(counted.reasons.items(), key=lambda item: -item[1]):
        print(f"  directory: {n:,} not usable: {reason}", file=sys.stderr)
    rows.append(
        Row(
            "directory_usable_share",
            counted.share,
            DIRECTORY_LIMIT,
            ">=",
            note=f"{counted.usable:,} of {counted.total:,}",
        )
    )
    status = publish("parity", rows)
    if given.document:
        from benchmarks.parity_document import write_document

        write_document(DOCUMENT, rows, counted)
        print(DOCUMENT)
    return status


def measure(only: str = "", *, demo: bool = True) -> Iterator[Row]:
    """Rows of all cases whose name contains ``only``, a family's together."""
    cases = [case for case in all_cases() if only in case.name]
    if demo:
        cases += [case for case in demo_cases() if only in case.name]
    with tempfile.TemporaryDirectory() as folder:
        for family in dict.fromkeys(case.family for case in cases):
            model = model_of(family, Path(folder) / "models" / family)
            for case in (c for c in cases if c.family == family):
                try:
                    yield _row(case, model, Path(folder) / "saes")
                # Whatever goes wrong in one of two libraries is that row's result.
                except Exception as error:
                    said = f"{type(error).__name__}: {one_line(error)}"
                    yield Row(case.name, 1.0, TOLERANCE, note=f"failed: {said}")


# --- one row -----------------------------------------------------------------------------------


def _row(case: Case, model: ModelValues, folder: Path) -> Row:
    from autointerp_core.sources.sae import load_sae

    ours_x = model.ours(case.hook)
    d_out = model.ours(case.predicts).shape[-1] if case.predicts else ours_x.shape[-1]
    theirs_x, taken = model.reference(case.hook, case.module)
    with tempfile.TemporaryDirectory(dir=_made(folder)) as place:
        wanted = Wanted(
            case.hook.layer or 0,
            ours_x.shape[-1],
            d_out,
            case.hook.name.removeprefix(f"blocks.{case.hook.layer}."),
            scale=float(theirs_x.square().mean().sqrt()),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            sae = case.write(Path(place), wanted)
            with case.load(Path(place), wanted):
                loaded = load_sae(sae.path, sae.sae_id)
        with torch.inference_mode():
            ours = loaded.encoder()(ours_x)
        value, note = difference(ours, sae.encode(theirs_x))
    notes = "; ".join(filter(None, (taken, note)))
    return Row(case.name, value, TOLERANCE, n_tokens=len(ours_x), note=notes)


def difference(ours: Tensor, theirs: Tensor) -> tuple[float, str]:
    """The largest difference by the project's tolerance; 1 where too many fire on one side."""
    both, one = (ours != 0) & (theirs != 0), (ours != 0) != (theirs != 0)
    fired, lone = int(both.sum()), int(one.sum())
    if not fired:
        return 1.0, "nothing fires"
    largest = 0.01 * theirs.abs().amax(dim=0, keepdim=True)
    relative = (ours - theirs).abs() / torch.maximum(theirs.abs(), largest).clamp(min=1e-30)
    value = float(relative[both].max())
    if lone > ONE_SIDED * fired:
        return max(value, 1.0), f"{lone} firings of {fired:,} in only one of them"
    return value, f"{lone} one-sided" if lone else ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
