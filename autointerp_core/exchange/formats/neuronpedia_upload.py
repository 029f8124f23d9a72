"""Bodies of Neuronpedia's ``upload-batch``, to look at first and then to send.

The body is that of the package ``neuronpedia`` 1.2.1 (PyPI, ``requests/feature_request.py``). The
server takes at most 128 features a body, 20 logits a side and texts of 512 characters. What is
longer is left out whole and listed, never cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from autointerp_core.exchange.explanations import Explanation, explanations
from autointerp_core.exchange.format import Batch, Format, Plan, Scale, Sent
from autointerp_core.exchange.neuronpedia.names import names_of
from autointerp_core.exchange.neuronpedia.rows import shown_tokens, single, type_name
from autointerp_core.exchange.neuronpedia.upload import send_bodies
from autointerp_core.exchange.subject import BLOCK, FeatureView, Subject
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.files import atomic_file
from autointerp_core.store.study import Example

FEATURES_A_BODY = 128
LOGITS_A_SIDE = 20
CHARACTERS = 512


def _plan(subject: Subject) -> Plan:
    names = names_of(subject)
    batches = Scale(FEATURES_A_BODY, "body-{:05d}", ("bodies/{}.json",)).batches(subject.features)
    where = f"{subject.config.base_url}: model {names.model}, source {names.source}"
    return Plan(
        batches,
        (),
        (
            f"bodies/body-NNNNN.json: {len(batches)}, at most {FEATURES_A_BODY} features each",
            f"{'to be sent to' if subject.config.send else 'only written, nothing is sent;'} "
            f"{where}",
        ),
        left_out=tuple(_too_long(subject)),
    )


def _too_long(subject: Subject) -> Iterator[str]:
    """Labels over the limit, in a line each."""
    for start in range(0, len(subject.features), BLOCK):
        for feature, labelled in subject.labels(subject.features[start : start + BLOCK]).items():
            for one in explanations(labelled):
                if len(one.text) > CHARACTERS:
                    yield (
                        f"feature {feature}: a label of {len(one.text):,} characters; Neuronpedia "
                        f"takes {CHARACTERS}"
                    )


def _write(subject: Subject, batch: Batch, folder: Path) -> None:
    names = names_of(subject)
    head = orjson.dumps({"modelId": names.model, "source": names.source})
    with atomic_file(folder / batch.files[0]) as handle:
        handle.write(head[:-1] + b',"features":[')
        for number, view in enumerate(subject.views(batch.features, ("top",))):
            made = orjson.dumps(_feature(view), option=orjson.OPT_SERIALIZE_NUMPY)
            handle.write(b",\n" + made if number else made)
        handle.write(b"]}\n")


def _feature(view: FeatureView) -> dict[str, Any]:
    kept = [one for one in explanations(view.labelled) if len(one.text) <= CHARACTERS]
    return {
        "index": view.feature,
        "density": view.stats.density,
        "activations": [
            {
                "tokens": shown_tokens(example),
                "values": single(example.values),
                "quantileMax": None,
                "quantileMin": None,
                "quantileFraction": None,
            }
            for example in view.top
            if _fits(example)
        ],
        "explanations": [_explanation(one) for one in kept],
        "topLogits": _logits(view.logits.top),
        "bottomLogits": _logits(view.logits.bottom),
    }


def _explanation(one: Explanation) -> dict[str, Any]:
    return {"text": one.text, "methodName": type_name(one), "modelName": one.model}


def _fits(example: Example) -> bool:
    return all(len(text) <= CHARACTERS for text in example.tokens)


def _logits(side: list[Any]) -> list[dict[str, Any]]:
    kept = [one for one in side if len(one.text) <= CHARACTERS][:LOGITS_A_SIDE]
    return [{"token": one.text, "value": one.logit} for one in kept]


def _send(subject: Subject, plan: Plan, folder: Path, progress: ProgressCallback) -> Sent | None:
    if not subject.config.send:
        return None
    names = [batch.files[0] for batch in plan.batches]
    config = subject.config
    return Sent(send_bodies(folder, names, config.base_url, config.key_variable, progress))


FORMAT = Format(
    name="neuronpedia-upload",
    title="Neuronpedia upload",
    about="the same through its API: bodies of 128 features, sent when you say so",
    plan=_plan,
    write=_write,
    send=_send,
    settings=("examples", "model_id", "source_set", "send", "base_url", "key_variable"),
    needs="a hook point that names a layer",
)
