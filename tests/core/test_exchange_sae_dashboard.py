"""SAEDashboard's pages and data: read back by its own class; nothing in a page can run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from autointerp_core.exchange.formats.sae_dashboard import guarded
from autointerp_core.exchange.run import export_features
from tests.core.exchange_fixtures import awkward_study


@pytest.mark.slow
def test_its_own_class_reads_the_data(own_home: Path, tmp_path: Path) -> None:
    with awkward_study(own_home) as (study, history):
        export_features(study, history, "sae-dashboard", [1, 3, 5], tmp_path)
        from sae_dashboard.sae_vis_data import SaeVisConfig, SaeVisData

        config = SaeVisConfig(hook_point=study.info.hook, features=[1, 3, 5])
        data = tmp_path / "data/features-0000.json"
        read = SaeVisData.load_json(data, config, None, None)
        assert [int(feature) for feature in read.feature_data_dict] == [1, 3, 5]
        for feature, found in read.feature_data_dict.items():
            examples = study.examples(int(feature))
            top = found.sequence_data.seq_group_data[0].seq_data
            assert [one.token_ids for one in top] == [list(e.token_ids) for e in examples]
            assert top[0].feat_acts == pytest.approx(examples[0].values)
            ids = [one.token_id for one in study.logits(int(feature)).top]
            assert found.logits_table_data.top_token_ids == ids
        assert read.feature_stats.max == pytest.approx([study.stats(f).max for f in (1, 3, 5)])
        page = (tmp_path / "pages/features-0000.html").read_text()
        assert page.count("</script>") == 3  # d3, Plotly, and its own; none of a token's
        index = (tmp_path / "index.html").read_text()
        assert "日本 &amp; &lt;b&gt;bold&lt;/b&gt;" in index
        assert "<b>bold" not in index


def test_a_page_is_guarded_whatever_its_tokens_are() -> None:
    tokens = json.dumps({"tok": "</script><img src=x onerror=alert(1)>"})
    theirs = (
        f'<div></div>\n<script src="https://d3js.org/d3.v6.min.js"></script>\n'
        f"<script>\nreturn {tokens};\n</script>\n"
    )
    page = guarded(theirs, "Features <1>")
    policy = re.search(r'content="(script-src [^"]+)"', page)
    assert policy is not None
    assert "unsafe-inline" not in policy.group(1)
    assert "'sha256-" in policy.group(1)
    assert page.count("<script") == page.count("</script>") == 2
    script = page.rsplit("<script>", 1)[1].rsplit("</script>", 1)[0]
    assert json.loads(
        script.strip().removeprefix("return ").rstrip(";").replace("<\\/", "</")
    ) == json.loads(tokens)
    assert "<title>Features &lt;1&gt;</title>" in page
