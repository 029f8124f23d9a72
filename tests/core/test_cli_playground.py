"""``encode`` and ``steer``: JSON on stdout, bad input in one line with exit status 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp_core.cli import main
from autointerp_core.extraction.run import extract
from autointerp_core.live import open_live
from autointerp_core.store.history import LabelHistory
from autointerp_core.store.study import Study
from tests.core.extraction_fixtures import HOOK, Tiny, make_tiny

TEXT = "Grüße, 東京 🙂 and the bank"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("tiny"), n_documents=20)


@pytest.fixture
def study(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("AUTOINTERP_HOME", str(tmp_path))
    monkeypatch.delenv("AUTOINTERP_DB", raising=False)
    return extract(tiny.request(logits=False, prepend_bos=True), tmp_path / "studies").study


def test_encode_tells_every_token_and_its_strongest_features(
    study: Study, tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [found] = open_live(study, device="cpu").encode([TEXT])
    labelled = int(found.feature[found.token == 3][0])
    with LabelHistory.open() as history:
        history.record(
            study.info.sae_fingerprint, labelled, "overridden", text="my label", source="human"
        )
    assert main(["encode", "--study", study.id, "--text", TEXT, "--top", "3", "--device=cpu"]) == 0
    told = json.loads(capsys.readouterr().out)["tokens"]
    assert "".join(token["text"] for token in told) == TEXT
    assert told[0] == {**told[0], "text": "", "masked": "special"}
    assert [token["id"] for token in told] == found.ids.tolist()
    for place, token in enumerate(told):
        strengths = sorted(found.activation[found.token == place].tolist(), reverse=True)[:3]
        assert [each["activation"] for each in token["features"]] == strengths
        for each in token["features"]:
            wanted = "my label" if each["feature"] == labelled else None
            assert each["label"] == wanted
    # The same by SAE and model, from a file.
    (tmp_path / "typed.txt").write_text(TEXT, "utf-8")
    pair = ["--model-path", str(tiny.model), "--sae-path", str(tiny.saelens), "--sae-id", HOOK]
    rest = ["--prepend-bos", "--context-size=24", "--top=3", "--device=cpu"]
    assert main(["encode", *pair, *rest, "--text-file", str(tmp_path / "typed.txt")]) == 0
    again = json.loads(capsys.readouterr().out)["tokens"]
    assert [token["id"] for token in again] == [token["id"] for token in told]
    assert [[f["feature"] for f in t["features"]] for t in again] == [
        [f["feature"] for f in t["features"]] for t in told
    ]


def test_steer_tells_both_texts(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    feature = int(study.table.sort_values("fired")["feature"].iloc[-1])
    plain = ["steer", "--study", study.id, "--feature", str(feature), "--prompt", "The bank"]
    plain += ["--tokens", "6", "--seed", "3", "--device=cpu"]
    assert main([*plain, "--strength", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seed"] == 3
    assert isinstance(told["steered"], str)
    assert told["turns"] == [
        {"feature": feature, "how": "add", "strength": 4.0, "units": "max"}
    ]  # fmt: skip
    moved = [abs(each["steered"] - each["unsteered"]) for each in told["next_token"]]
    assert moved == sorted(moved, reverse=True)
    assert main([*plain, "--strength", "0"]) == 0
    nothing = json.loads(capsys.readouterr().out)
    assert nothing["steered"] == nothing["unsteered"] == told["unsteered"]
    assert nothing["next_token"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["encode", "--text", "a"], "--model-path is missing; give it, or --study"),
        (["encode", "--study", "?", "--text", " "], "the text is empty"),
        (["encode", "--study", "?"], "--text or --text-file"),
        (["encode", "--study", "?", "--text-file", "/no/such"], "cannot read /no/such"),
        (["encode", "--study", "?", "--text", "a", "--top", "0"], "at least 1"),
        (["encode", "--study", "?", "--text", "a", "--sae-id", "x"], "--study says what --sae-id"),
        (["steer", "--study", "?", "--feature", "9999", "--prompt", "a"], "0 to 63"),
        (["steer", "--study", "?", "--feature", "a", "--prompt", "a"], "--feature is 'a'"),
        (["steer", "--study", "?", "--feature", "1", "--prompt", ""], "the prompt is empty"),
        (["steer", "--study", "?", "--feature", "1,2", "--strength", "1,2,3", "--prompt", "a"],
         "3 numbers for 2 features"),
        (["steer", "--study", "?", "--feature", "1", "--prompt", "a", "--at", "x"], "as 3,5-8"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    study: Study, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    given = [study.id if part == "?" else part for part in arguments]
    assert main(given) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last
