"""What an engine has to do, shown by one of a few lines that uses public parts only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autointerp_core.errors import ParameterError
from autointerp_core.extraction import engines
from autointerp_core.extraction.engines import ENGINES, Engine, load_engine
from autointerp_core.extraction.health import Health
from autointerp_core.extraction.resolve import ResolvedExtraction
from autointerp_core.extraction.run import extract
from autointerp_core.extraction.study_writer import StudyWriter
from autointerp_core.progress import ProgressCallback
from autointerp_core.store.feature_shards import ShardFirings
from tests.core.extraction_fixtures import D_SAE, Tiny, make_tiny


class TokenEngine:
    """Feature ``f`` fires, with activation 2, on tokens whose id is ``f`` modulo the width."""

    name = "token"

    def check(self) -> None:
        """Needs nothing."""

    def study_id(self, resolved: ResolvedExtraction) -> str:
        return f"{resolved.study_id}-token"

    def produce(
        self,
        features: NDArray[np.int32],
        resolved: ResolvedExtraction,
        writer: StudyWriter,
        progress: ProgressCallback,
    ) -> None:
        tokens = writer.tokens()
        if writer.is_new:
            writer.begin_study(1.0, Health({}, 0.0, 0, ()), engine=self.name)
        made = writer.begin_pass(features)
        for shard in made.todo:
            low, high = (int(tokens.sequences[edge]) for edge in (shard.first, shard.last))
            ids = np.asarray(tokens.ids[low:high]) % D_SAE
            fired = [np.flatnonzero(ids == feature).astype(np.uint32) for feature in features]
            made.put(
                shard,
                ShardFirings(
                    indptr=np.cumsum([0, *map(len, fired)]).astype(np.int64),
                    token=np.concatenate(fired),
                    activation=np.full(sum(map(len, fired)), 2.0, dtype=np.float32),
                    norm=np.ones(high - low, dtype=np.float32),
                    first_token=low,
                ),
            )
        writer.finish_pass(made)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), 12)


def test_another_engine_is_a_file_and_a_line(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENGINES", {**ENGINES, "token": f"{__name__}:TokenEngine"})
    config = tiny.request(engine="token", features=(3, 40), logits=False)
    study = extract(config, tmp_path).study
    assert study.id.endswith("-token")
    assert study.info.identity is not None
    assert study.info.identity.engine == "token"
    ids = np.asarray(study.tokens.ids)
    for feature in (3, 40):
        expected = np.flatnonzero(ids % D_SAE == feature)
        np.testing.assert_array_equal(study.firings(feature).token, expected)
        assert study.stats(feature).fired == len(expected)
    native = extract(tiny.request(features=(3, 40), logits=False), tmp_path).study
    assert native.id != study.id
    assert extract(config, tmp_path).computed.tolist() == []


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_named_is_one(name: str) -> None:
    engine: Engine = load_engine(name)
    assert engine.name == name


def test_an_unknown_engine_is_refused_with_those_there_are(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'steam'; choose from native, ray, sae-dashboard"):
        extract(tiny.request(engine="steam"), tmp_path / "studies")
    assert not (tmp_path / "studies").exists()
