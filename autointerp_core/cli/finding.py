"""Commands that look for features: by documents, ``find-features``; by meaning, ``find-label``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from autointerp_core.cli.options import Knob, option, with_options
from autointerp_core.cli.terminal import TERMINAL
from autointerp_core.find.contrast import ContrastConfig
from autointerp_core.find.request import FindRequest, Source
from autointerp_core.find.result import FindResult
from autointerp_core.labels.embedders import AUTO
from autointerp_core.progress import Progress

_POSITIVE = "File of texts that show what is looked for: a text a line, or .jsonl."
_NEGATIVE = "File of texts that do not; without it, all other documents."
_TEXTS = ("positive", "negative")
_PARTS = ("source", "contrast")
_FIELDS = frozenset(each.name for each in fields(FindRequest)) - {*_TEXTS, *_PARTS}
_SHOWN = 12


def register(commands: typer.Typer) -> None:
    """Add these commands."""
    commands.command(
        "find-features",
        epilog="Try it: autointerp find-features --study ID --words 'inflation, prices' "
        "--output features.json",
    )(with_options(find_features, list(_options())))
    commands.command("find-label")(find_label)


def _options() -> Iterator[inspect.Parameter]:
    yield Knob("study", FindRequest, "study").parameter()
    yield option("positive", str | None, None, _POSITIVE)
    yield option("negative", str | None, None, _NEGATIVE)
    for each in fields(FindRequest):
        if each.name not in ("study", *_TEXTS, *_PARTS):
            yield Knob(each.name, FindRequest, each.name).parameter()
    for part in (ContrastConfig, Source):
        for each in fields(part):
            yield Knob(each.name, part, each.name).parameter()
    yield option("output", str, "features.json", "File to write, in the form label reads.")


def find_features(given: Mapping[str, Any]) -> None:
    """Find the features that some documents have more of than others.

    Writes {"feature_indices", "scores", "statistics"}, best first: what label takes.
    """
    from autointerp_core.find.documents import read_texts
    from autointerp_core.find.result import classes_json
    from autointerp_core.find.run import find_features as find
    from autointerp_core.store.files import check_writable, write_json

    values = dict(given)
    output = Path(values.pop("output"))
    check_writable(output.parent)
    texts = {name: values.pop(name) for name in _TEXTS}
    read = {
        name: tuple(read_texts(Path(path).expanduser()))
        for name, path in texts.items()
        if path is not None
    }
    request = FindRequest(
        **{
            **{name: value for name, value in values.items() if name in _FIELDS},
            **read,
            "source": Source(**{each.name: values[each.name] for each in fields(Source)}),
            "contrast": ContrastConfig(
                **{each.name: values[each.name] for each in fields(ContrastConfig)}
            ),
        }
    )
    found = find(request, progress=TERMINAL.report)
    TERMINAL.report(Progress("done"))
    if isinstance(found, FindResult):
        found.write(output)
        _tell(found)
    else:
        write_json(output, classes_json(found))
        for result in found.values():
            _tell(result)
    print(output)


def _tell(result: FindResult) -> None:
    """A result in a few lines."""
    positive, negative = result.positive, result.negative
    print(
        f"{positive.name} ({positive.documents:,}) against {negative.name} "
        f"({negative.documents:,}): {result.significant:,} of {result.tested:,} features "
        f"significant at a false discovery rate of {result.level:g}"
    )
    for each in result.found[:_SHOWN]:
        print(
            f"  {each.feature:>7}  evidence {each.evidence:5.1f}  AUROC {each.auroc:.2f} "
            f"({each.auroc_low:.2f}–{each.auroc_high:.2f})  density × {each.density_ratio:.3g} "
            f"({each.ratio_low:.3g}–{each.ratio_high:.3g})  q {each.q:.1e}"
        )
    if result.chance is not None:
        chance = result.chance
        print(
            f"by lot: best evidence {chance.best_evidence:.1f}, AUROC {chance.best_auroc:.2f}, "
            f"{chance.significant} significant in {chance.draws} draws"
        )
    for notice in result.notices:
        print(f"note: {notice}")


def find_label(
    meaning: Annotated[str, typer.Argument(help="What the feature should be about, in words.")],
    study: Annotated[
        str | None, typer.Option(help="Only this study (id or folder); else all there are.")
    ] = None,
    sae: Annotated[
        str | None, typer.Option(help="Only studies of this SAE: its source, or its fingerprint.")
    ] = None,
    top: Annotated[int, typer.Option(help="Features to give at most.", min=1)] = 10,
    embedder: Annotated[
        str,
        typer.Option(
            help="minilm, wordllama or sentence-transformers:<model>; auto: MiniLM where installed."
        ),
    ] = AUTO,
) -> None:
    """Find features by meaning: in their labels and in the words they fire on, as JSON."""
    from autointerp_core.explore.by_meaning import MeaningSearch, studies_of
    from autointerp_core.labels.embedders import make_embedder
    from autointerp_core.store.history import LabelHistory

    search = MeaningSearch(studies_of(study, sae), make_embedder(embedder))
    with LabelHistory.open() as history:
        found = search.find(meaning, history, top)
    print(json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False))
