"""``python -m benchmarks.paraphrases``: is a feature found by what it means, in other words?

``paraphrases.json`` was written before any search was made for them: descriptions of twenty of the
demo's features, drawn by lot (random.Random(11), at least 20 examples, density below 3 %), in the
order of the draw, leaving out those whose strongest six examples do not share a meaning. One counts
as found where its feature is among the first ten.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from autointerp_core.explore.by_meaning import MeaningSearch, studies_of
from autointerp_core.labels.embedders import WORDLLAMA, make_embedder
from autointerp_core.pipeline import built_demo
from autointerp_core.store.history import LabelHistory
from benchmarks.report import Row, publish

PARAPHRASES = Path(__file__).with_name("paraphrases.json")
FIRST = 10
LIMIT = 15
_MANY = 200


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedder", default=WORDLLAMA, help="another than the offline one")
    embedder = make_embedder(parser.parse_args(arguments).embedder)
    built = built_demo()
    if built is None:
        print("the demo study is not built: run  make demo", file=sys.stderr)
        return 2
    search = MeaningSearch(studies_of(built), embedder)
    places: list[int | None] = []
    with LabelHistory.open() as history:
        for said, feature in json.loads(PARAPHRASES.read_text("utf-8")).items():
            shown = [each.feature for each in search.find(said, history, _MANY)]
            place = shown.index(feature) + 1 if feature in shown else None
            places.append(place)
            print(f"{feature:>5} {place or '-':>4}  {said}")
    found = sum(place is not None and place <= FIRST for place in places)
    return publish("paraphrases", [Row("paraphrases_in_first_ten", found, LIMIT, ">=")])


if __name__ == "__main__":
    sys.exit(main())
