"""What `make parity` measures, on a few of its rows; and that it would see what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autointerp_core.sources.sae import LoadedSAE
from benchmarks import parity, parity_cases, parity_models
from benchmarks.parity import difference


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


ROWS = [
    "jumprelu / saelens / hook_resid_mid / llama",
    "jumprelu_skip_transcoder / SAELens gemma_3 / mlp.hook_in / gemma3_text",
    "jumprelu_transcoder / SAELens gemma_2_transcoder / ln2.hook_normalized / gemma2",
    "topk_skip_transcoder / sparsify / layers.N.mlp.input / llama",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_ok(name: str) -> None:
    (row,) = parity.measure(name, demo=False)
    assert row.ok, row.note
    assert row.value < 2e-4
    assert row.n_tokens == parity_models.SEQUENCES * parity_models.LENGTH


@pytest.mark.slow
def test_a_row_sees_a_wrong_layer_and_a_lost_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    name = ROWS[0]
    case = next(case for case in parity_cases.all_cases() if case.name == name)
    hook = case.hook.at(0)
    ours = parity_models.ModelValues.ours

    def lower(self: parity_models.ModelValues, asked: object) -> Tensor:
        return ours(self, hook)

    with monkeypatch.context() as patch:
        patch.setattr(parity_models.ModelValues, "ours", lower)
        (row,) = parity.measure(name, demo=False)
        assert not row.ok
    encoder = LoadedSAE.encoder

    def without_bias(self: LoadedSAE, latents: None = None) -> Callable[[Tensor], Tensor]:
        self.sae.b_enc.data.zero_()
        return encoder(self, latents)

    with monkeypatch.context() as patch:
        patch.setattr(LoadedSAE, "encoder", without_bias)
        (row,) = parity.measure(name, demo=False)
        assert not row.ok


def test_the_difference_is_the_projects_tolerance() -> None:
    theirs = torch.tensor([[100.0, 0.0], [0.5, 2.0]])
    ours = theirs * torch.tensor([[1 + 1e-5, 1.0], [1 + 1e-4, 1.0]])
    value, note = difference(ours, theirs)
    # 0.5 is below a hundredth of the feature's largest: measured against that instead.
    assert value == pytest.approx(5e-5, rel=2e-2)
    assert note == ""
    lone = theirs.clone()
    lone[0, 1] = 1e-3
    value, note = difference(lone, theirs)
    assert value == 1.0
    assert "in only one" in note
    assert difference(torch.zeros(2, 2), torch.zeros(2, 2)) == (1.0, "nothing fires")


@pytest.mark.slow
def test_every_kind_of_the_directory_has_a_row() -> None:
    names = [case.name for case in parity_cases.directory_cases()]
    assert len(names) == len(set(names)) >= 40
    every = [case.name for case in [*parity_cases.saelens_cases(), *parity_cases.layout_cases()]]
    assert len(every) == len(set(every))
    # Four parts, so that others can read architecture, layout, hook and family off a name.
    assert all(name.count(" / ") == 3 for name in names + every)
    demo = {case.name.split(" / ")[2] for case in parity_cases.demo_cases()}
    assert len(list(parity_cases.demo_cases())) >= 8
    assert {"attn.hook_z", "hook_mlp_out", "hook_resid_mid", "mlp.hook_in"} <= demo


def test_the_document_gathers_rows(tmp_path: Path) -> None:
    from benchmarks.parity_document import write_document
    from benchmarks.report import Row
    from benchmarks.sae_directory import Count

    rows = [
        Row("topk / saelens / hook_resid_post / llama", 1e-6, 2e-4),
        Row("topk / saelens / hook_mlp_out / gpt2", 5e-4, 2e-4, note="3 firings"),
        Row("directory_usable_share", 0.75, 0.99, ">="),
    ]
    path = tmp_path / "parity.md"
    write_document(path, rows, Count(4, 3, {"temporal": 1}))
    text = path.read_text()
    assert (
        "| saelens | topk | `hook_resid_post`, `hook_mlp_out` | llama, gpt2 | 2 | 5.0e-04 |" in text
    )
    assert "1 not ok" in text
    assert "3 firings" in text
    assert "75.00%" in text
    assert "| 1 | temporal |" in text
