"""docs/parity.md: what ``make parity`` measured, a line an architecture of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Row
from benchmarks.sae_directory import Count

_INTRODUCTION = """# Every SAE, every hook: loaded right

Made by `make parity` (`python -m benchmarks.parity --document`). Do not edit.

Each row of the measurement is an architecture, in a layout, at a hook, of a model family.
**Ours** is the model cut behind the hook and the SAE as the loaders here read it. The
**reference** is the whole model under TransformerLens' `TransformerBridge` (or, where the SAE's
files name a Hugging Face module, that module's own input or output) and the publisher's own
class on the same files: `sae_lens`, `sparsify.SparseCoder`, `dictionary_learning`,
`llamascopium`, `circuit_tracer`; for Gemma Scope's SAEs, Llama Scope, Goodfire and Qwen-Scope the
formula that the publisher prints. Weights are tiny and random, but for the family `demo`, which is
the bundled SmolLM2-135M.

The value is the largest difference between two activations, |a - b| / max(|b|, 0.01 x the
feature's largest), over firings of both; at most 2e-4, and at most 1e-5 of all firings in one of
them only. Below, rows are gathered by architecture and layout, with the largest value of each.
"""

_DIRECTORY = """
## SAELens' directory

{usable:,} of {total:,} SAEs in the directory of `sae_lens` can be used: **{share:.2%}**. Usable
means that hook, architecture and loader are known and that a row above, loaded by SAELens' own
loader for that release from files as they lie on the hub, agrees with the publisher's arithmetic.

What an entry is comes from SAELens' own config functions, run offline for each of them
(`python -m benchmarks.sae_directory` lists the kinds):

| loader | known from |
|---|---|
{known}

Not usable:

| entries | reason |
|---:|---|
{reasons}
"""


@dataclass
class _Line:
    hooks: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def write_document(path: Path, rows: Sequence[Row], counted: Count) -> None:
    """Write the table; ``rows`` as :func:`benchmarks.parity.measure` yields them."""
    from benchmarks.sae_directory import KNOWN_FROM

    lines: dict[tuple[str, str], _Line] = {}
    for row in rows:
        parts = row.name.split(" / ")
        if len(parts) != 4:
            continue
        architecture, layout, hook, family = parts
        line = lines.setdefault((layout, architecture), _Line())
        for known, value in ((line.hooks, hook), (line.families, family)):
            if value not in known:
                known.append(value)
        line.values.append(row.value)
        if not row.ok:
            line.failed.append(f"{hook}, {family}: {row.note}")
    table = ["| layout | architecture | hooks | families | rows | largest | |", "|---" * 7 + "|"]
    for (layout, architecture), found in sorted(lines.items()):
        verdict = "ok" if not found.failed else f"{len(found.failed)} not ok"
        table.append(
            f"| {layout} | {architecture} | {_listed(found.hooks)} | {', '.join(found.families)} "
            f"| {len(found.values)} | {max(found.values):.1e} | {verdict} |"
        )
    failed = [f"- {problem}" for line in lines.values() for problem in line.failed]
    sources = "\n".join(f"| {loader} | {source} |" for loader, source in sorted(KNOWN_FROM.items()))
    reasons = "\n".join(
        f"| {n:,} | {reason} |"
        for reason, n in sorted(counted.reasons.items(), key=lambda r: -r[1])
    )
    directory = _DIRECTORY.format(
        usable=counted.usable,
        total=counted.total,
        share=counted.share,
        known=sources,
        reasons=reasons or "| 0 | |",
    )
    content = [_INTRODUCTION, *table, *(["", "Not ok:", *failed] if failed else []), directory]
    path.write_text("\n".join(content).rstrip() + "\n", encoding="utf-8")


def _listed(hooks: list[str]) -> str:
    return ", ".join(f"`{hook}`" for hook in hooks)
