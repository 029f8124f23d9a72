"""find-features with a model: texts of one's own, and what is written goes into labelling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autointerp_core import run_labeling
from autointerp_core.errors import AutointerpError, ModelSourceError
from autointerp_core.extraction.run import extract
from autointerp_core.find.contrast import ContrastConfig
from autointerp_core.find.evidence import StudyCorpus
from autointerp_core.find.request import FindRequest, Source
from autointerp_core.find.result import FindResult
from autointerp_core.find.run import find_features
from tests.core.extraction_fixtures import HOOK, Tiny, make_tiny

ROOT = Path(__file__).resolve().parents[2]


def one(request: FindRequest) -> FindResult:
    found = find_features(request)
    assert isinstance(found, FindResult)
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("find"))


@pytest.mark.slow
def test_what_is_written_goes_into_labelling_and_the_script(
    tiny: Tiny, own_home: Path, tmp_path: Path
) -> None:
    study = extract(tiny.request(logits=False), own_home / "studies").study
    output = tmp_path / "found.json"
    result = one(FindRequest(study=study.id, words="loss, bank", contrast=ContrastConfig(top=4)))
    result.write(output)
    wanted = [each.feature for each in result.found]
    done = run_labeling(
        str(output), str(tiny.model), str(tiny.saelens), str(tiny.dataset), HOOK,
        output_dir=tmp_path / "out", n_samples=60, context_size=24, prepend_bos=False,
        label_provider="none",
    )  # fmt: skip
    labels = json.loads(Path(done["labels_path"]).read_text())["features"]
    assert {f["feature_index"]: f["score"] for f in labels} == {
        each.feature: each.evidence for each in result.found
    }
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "MODEL_PATH": str(tiny.model),
        "DATASET_PATH": str(tiny.dataset),
        "OUTPUT_DIR": str(tmp_path / "script"),
        "N_SAMPLES": "20",
    }
    ran = subprocess.run(
        ["bash", str(ROOT / "run_llama_labeling.sh"), str(output), str(tiny.saelens), HOOK,
         "--label-provider", "none"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    written = json.loads((tmp_path / "script" / "feature_labels.json").read_text())["features"]
    assert {f["feature_index"] for f in written} == set(wanted)


@pytest.mark.slow
def test_texts_of_ones_own_are_read_by_the_model(tiny: Tiny, own_home: Path) -> None:
    """The same texts, read anew, give what the study's own firings give."""
    study = extract(tiny.request(logits=False), own_home / "studies").study
    corpus = StudyCorpus(study)
    chosen = [d for d in range(corpus.n_documents) if "amphibians" in corpus.text(d)]
    own = one(FindRequest(study=study.id, positive=tuple(corpus.text(d) for d in chosen)))
    anew = tuple(corpus.text(d) + " " for d in chosen)  # another text, hardly other firings
    live = one(FindRequest(study=study.id, positive=anew))
    assert live.positive.name == "positive texts"
    places = {each.feature: place for place, each in enumerate(live.found)}
    assert places[own.found[0].feature] < 3
    pair = {"model_path": str(tiny.model), "sae_path": str(tiny.saelens), "sae_id": HOOK}
    request = FindRequest(
        positive=anew,
        negative=tuple(corpus.text(d) for d in range(corpus.n_documents) if d not in chosen),
        source=Source(**pair, context_size=24, prepend_bos=False),
    )
    free = one(request)
    assert free.study is None
    assert {each.feature for each in free.found[:5]} & {each.feature for each in live.found[:5]}


@pytest.mark.slow
def test_a_model_that_is_gone_is_said(tiny: Tiny, own_home: Path, tmp_path: Path) -> None:
    study = extract(tiny.request(logits=False), own_home / "studies").study
    record = study.folder / "study.json"
    content = json.loads(record.read_text())
    content["model"]["path"] = str(tmp_path / "gone")
    record.write_text(json.dumps(content))
    with pytest.raises(AutointerpError) as told:
        find_features(FindRequest(study=study.id, positive=("a text of my own",)))
    assert isinstance(told.value, ModelSourceError)
    assert "gone" in str(told.value)
