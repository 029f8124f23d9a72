"""SAEDashboard's feature-centric pages and data, made by its own classes.

A batch of features becomes one page (``pages/features-N.html``, with a menu of its features) and
one JSON that ``SaeVisData.load_json`` reads back (``data/features-N.json``). ``index.html`` lists
them. The pages take d3 and Plotly from the web, as SAEDashboard writes them; a content security
policy lets nothing else run, so no text of a tokenizer can.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
from html import escape
from importlib.util import find_spec
from pathlib import Path

from autointerp_core.errors import MissingDependency
from autointerp_core.exchange.format import Batch, Format, Plan, Scale
from autointerp_core.exchange.subject import Subject
from autointerp_core.store.files import write_bytes

FEATURES_A_PAGE = 64
PAGE, DATA, INDEX = "pages/{}.html", "data/{}.json", "index.html"
_HOSTS = "https://d3js.org https://cdn.plot.ly"
_INLINE = re.compile(r"<script>(.*?)</script>\s*\Z", re.DOTALL)


def _plan(subject: Subject) -> Plan:
    if find_spec("sae_dashboard") is None:
        raise MissingDependency(
            "this format is written by SAEDashboard's own classes, which are not installed; run: "
            "pip install dataclasses-json eindex-callum matplotlib && "
            "pip install --no-deps sae-dashboard==0.8.0"
        )
    batches = Scale(FEATURES_A_PAGE, "features-{:04d}", (PAGE, DATA)).batches(subject.features)
    return Plan(
        batches,
        (INDEX,),
        (
            f"pages/features-NNNN.html: {len(batches)}, {FEATURES_A_PAGE} features each",
            f"data/features-NNNN.json: {len(batches)}, for SAEDashboard's SaeVisData",
            "index.html: every feature with its label, and the page it is on",
        ),
    )


def _write(subject: Subject, batch: Batch, folder: Path) -> None:
    # Brings sae_lens and transformer_lens, and with them torch: seconds, so only when needed.
    from autointerp_core.exchange.sae_dashboard_data import Pages

    page, data = (folder / name for name in batch.files)
    pages = Pages(subject, batch.features)
    with tempfile.TemporaryDirectory(prefix="autointerp-") as made:
        whole = Path(made) / "data.json"
        pages.save_data(whole)
        write_bytes(data, whole.read_bytes())
        shown = Path(made) / "page.html"
        pages.save_page(shown)
        title = f"Features {batch.features[0]} to {batch.features[-1]} of {subject.info.model_name}"
        write_bytes(page, guarded(shown.read_text("utf-8"), title).encode())


def guarded(page: str, title: str) -> str:
    """The page with a head, and a policy that lets only its own script and its two libraries run.

    Their template writes token texts into markup and into the script: ``</`` ends no script here,
    and what an attribute of a text would run is not run.
    """
    found = _INLINE.search(page)
    script = "" if found is None else found.group(1).replace("</", "<\\/")
    before = page if found is None else page[: found.start()]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"script-src 'sha256-{digest}' {_HOSTS}; object-src 'none'; base-uri 'none'"
    head = (
        '<!DOCTYPE html>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n"
    )
    return f"{head}{before}<script>{script}</script>\n"


def _close(subject: Subject, plan: Plan, folder: Path) -> None:
    lines = [
        '<!DOCTYPE html>\n<meta charset="utf-8">\n<title>Features</title>\n',
        f"<h1>Features of {escape(subject.info.model_name)}, {escape(subject.info.hook)}</h1>\n",
    ]
    for batch in plan.batches:
        first, last = batch.features[0], batch.features[-1]
        lines.append(f'<h2><a href="{batch.files[0]}">Features {first} to {last}</a></h2>\n<ul>\n')
        for feature, labelled in subject.labels(batch.features).items():
            label = escape(labelled.state.label or "no label")
            lines.append(f'<li value="{feature}">{feature}: {label}</li>\n')
        lines.append("</ul>\n")
    write_bytes(folder / INDEX, "".join(lines).encode())


FORMAT = Format(
    name="sae-dashboard",
    title="SAEDashboard",
    about="its feature pages and their data, by its own classes",
    plan=_plan,
    write=_write,
    close=_close,
    settings=("examples",),
    needs="the package sae-dashboard installed",
)
