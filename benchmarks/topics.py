"""``python -m benchmarks.topics``: does topic search find what a person picked?

``topics.json`` was written before anybody looked at what the search finds: somebody who did not
know how it works read the demo's features (top tokens and examples) and picked, for each of 20
topics, the features they would want to be shown, the best one first. A topic counts as found where
the best pick is among the first ten.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from autointerp_core.explore.topic_search import TopicSearch
from autointerp_core.home import studies_dir
from autointerp_core.pipeline import built_demo
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from benchmarks.report import Row, publish

TOPICS = Path(__file__).with_name("topics.json")
FIRST = 10
LIMIT = 16


def main() -> int:
    built = built_demo()
    if built is None:
        print("the demo study is not built: run  make demo", file=sys.stderr)
        return 2
    study = Study(studies_dir() / built)
    with LabelHistory.open() as history:
        states = history.states(study.info.sae_fingerprint, study=study.id)
    features = study.features.astype(np.int64)
    labels = [states[f].label if f in states else None for f in features.tolist()]
    search = TopicSearch(study)
    found = any_found = 0
    for topic, picks in json.loads(TOPICS.read_text("utf-8")).items():
        shown = search.rank(topic, features, labels, FIRST).features.tolist()
        places = [shown.index(pick) + 1 if pick in shown else None for pick in picks]
        found += places[0] is not None
        any_found += any(place is not None for place in places)
        print(f"{topic:<14} picks {picks} at {places}")
    return publish(
        "topics",
        [
            Row("topics_best_pick_in_first_ten", found, LIMIT, ">="),
            Row("topics_any_pick_in_first_ten", any_found),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
