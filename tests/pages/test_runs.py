"""The form that starts labelling and scoring: what it asks, refuses, estimates and submits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from autointerp_core.jobs import JobState
from autointerp_core.labels.explain.prompts import METHODS
from tests.pages.conftest import Open, remembered
from tests.pages.test_pages import texts
from ui.navigation import Looking
from ui.runs import cost, job_result
from ui.runs.form import Chosen
from ui.runs.settings import GENERATE, SCORE, RunSettings, methods

KEY = "sk-never-to-be-shown"
Submitted = list[tuple[str, dict[str, Any], str]]


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Submitted:
    """What would have been started."""
    found: Submitted = []

    def submit(kind: str, params: dict[str, Any], title: str) -> JobState:
        found.append((kind, params, title))
        return JobState("none", kind, title, tmp_path)

    monkeypatch.setattr("autointerp_core.jobs.submit", submit)
    return found


def widget(found: Any, label: str) -> Any:
    return next(w for w in found if w.label.startswith(label))


@pytest.fixture
def form(study: Path, open_page: Open) -> Callable[[str], AppTest]:
    """The form on the page of feature 6."""

    def opened(what: str) -> AppTest:
        app = open_page("feature", study="small", feature="6")
        return app.button(key=what).click().run()

    return opened


@pytest.mark.slow
def test_the_form_says_what_it_will_do_and_starts_it(
    form: Callable[[str], AppTest], submitted: Submitted, study: Path
) -> None:
    app = form("generate")
    widget(app.segmented_control, "Model from").set_value("scripted").run()
    widget(app.number_input, "LLM labels").set_value(3).run()
    assert "no charge: runs on this machine" in texts(app)
    app.button(key="run_start").click().run()
    ((kind, params, title),) = submitted
    assert (kind, title) == ("generate", "Labels of feature 6")
    assert params == {
        "study": str(study),
        "features": [6],
        "provider": "scripted",
        "method": "peaks",
        "max_examples": 10,
        "group": "top",
        "candidates": 4,
        "scorers": ["embedding"],
        "regenerate": True,
    }
    # What was chosen last is there again.
    app.button(key="generate").click().run()
    assert widget(app.number_input, "LLM labels").value == 3
    assert widget(app.segmented_control, "Model from").value == "scripted"


@pytest.mark.slow
def test_a_missing_key_is_told_before_and_a_key_is_never_shown(
    form: Callable[[str], AppTest], submitted: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    app = form("generate")
    widget(app.segmented_control, "Model from").set_value("openai").run()
    assert "Name the model as the server calls it" in texts(app)
    assert app.button(key="run_start").disabled
    widget(app.text_input, "Model").set_value("some-model").run()
    assert "No API key: set OPENAI_API_KEY" in texts(app)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    app.run()
    app.button(key="generate").click().run()
    widget(app.segmented_control, "Model from").set_value("openai").run()
    widget(app.text_input, "Model").set_value("some-model").run()
    assert "cost unknown" in texts(app)
    app.button(key="run_start").click().run()
    assert KEY not in repr(submitted)
    assert KEY not in repr(remembered(app, Chosen).settings)
    assert KEY not in texts(app)
    assert "price_in" not in submitted[0][1]


@pytest.mark.slow
def test_prices_give_a_cost_and_a_budget_of_nothing_is_refused(
    form: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    app = form("generate")
    widget(app.segmented_control, "Model from").set_value("openai").run()
    widget(app.text_input, "Model").set_value("some-model").run()
    widget(app.number_input, "Dollars per 1M tokens in").set_value(100.0).run()
    assert "both prices" in texts(app)
    widget(app.number_input, "Dollars per 1M tokens out").set_value(100.0).run()
    assert "$" in texts(app)
    widget(app.number_input, "Stop after dollars").set_value(0.0).run()
    assert "budget is 0" in texts(app)
    assert app.button(key="run_start").disabled


@pytest.mark.slow
def test_scoring_is_started_from_its_own_form(
    form: Callable[[str], AppTest], submitted: Submitted, study: Path
) -> None:
    app = form("score")
    assert "No language model is asked" in texts(app)
    app.button(key="run_start").click().run()
    assert submitted[0][:2] == (
        "score",
        {"study": str(study), "features": [6], "scorers": ["embedding"], "again": False},
    )


@pytest.mark.slow
def test_bulk_runs_take_what_is_ticked(study: Path, open_page: Open, submitted: Submitted) -> None:
    app = open_page("features", study="small")
    remembered(app, Looking).picked = {3, 5}
    app.run()
    app.button(key="bulk_score").click().run()
    app.button(key="run_start").click().run()
    app.button(key="bulk_generate").click().run()
    app.button(key="run_start").click().run()
    assert [(kind, params["features"]) for kind, params, _ in submitted] == [
        ("score", [3, 5]),
        ("generate", [3, 5]),
    ]
    # Many labels are not paid for again unless somebody says so.
    assert submitted[1][1]["regenerate"] is False


def test_every_method_has_a_description() -> None:
    assert set(methods()) == {*METHODS, "ranked"}


@pytest.mark.parametrize(
    ("settings", "what", "said"),
    [
        (RunSettings(scorers=()), SCORE, "at least one"),
        (RunSettings(method="ranked", provider="scripted"), GENERATE, "local model"),
        (RunSettings(budget_tokens=0), GENERATE, "budget is 0"),
        (RunSettings(provider="openai", models={"openai": "m"}, base_url="x"), GENERATE, "http"),
        (
            RunSettings(provider="openai", models={"openai": "m"}, base_url="http://a:b@x"),
            GENERATE,
            "password",
        ),
        (RunSettings(), GENERATE, ""),
        (RunSettings(kind="search"), GENERATE, ""),
        (RunSettings(kind="search", scorers=("detection",)), GENERATE, ""),
        (RunSettings(scorers=("fuzzing",)), SCORE, ""),
    ],
)
def test_what_cannot_work_is_said_before(settings: RunSettings, what: str, said: str) -> None:
    problem = settings.problem(what)
    assert said in problem
    assert bool(said) == bool(problem)


def test_costs_are_written_plainly() -> None:
    assert cost.money(None) == "cost unknown (no price given)"
    assert cost.money(0.0) == "$0.00"
    assert cost.money(0.0042) == "$0.0042"
    assert cost.money(12.345) == "$12.35"
    assert (cost.rough(7), cost.rough(1234), cost.rough(98765)) == ("7", "1,200", "99,000")


def test_a_result_tells_counts_scores_tokens_and_cost(tmp_path: Path) -> None:
    summary = {
        "mean": 0.83, "low": 0.79, "high": 0.87, "floor": 0.5, "shuffled": 0.51, "n": 1200,
        "n_missing": 3, "features": 40, "measure": "balanced accuracy", "judge": "llm:x",
    }  # fmt: skip
    scores = {
        "labels": 90, "reused": 2, "scorers": {"detection": summary},
        "unscored": {"fires in too few test documents": 4},
    }  # fmt: skip
    usage = {"tokens_in": 1000, "tokens_out": 20, "cost": None, "seconds": 3.0}
    made = {"made": 44, "failed": 1, "dead": 2, "stopped": "the token budget is used up",
            "notices": ["a plain prompt was used"], "scores": scores}  # fmt: skip
    job = JobState("a", "generate", "t", tmp_path, "done", result={**made, **usage},
                   params={"provider": "openai"})  # fmt: skip
    assert job_result.lines(job) == [
        "Labels: 44 made, 1 failed, 2 features that never fire",
        "Scores: 90 scored, 2 there before",
        "detection 0.83 (95 % interval 0.79–0.87), floor 0.50, shuffled 0.51, 1,200 windows, "
        "mean over 40 features, 3 judgements missing",
        "4 features not scored: fires in too few test documents",
        "1,000 tokens in, 20 out · cost unknown (no price given) · 3 s",
        "Stopped early: the token budget is used up",
        "a plain prompt was used",
    ]
    local = JobState("a", "generate", "t", tmp_path, "done", result={**made, **usage})
    assert "1,000 tokens in, 20 out · no charge: runs on this machine · 3 s" in job_result.lines(
        local
    )
    score = JobState("a", "score", "t", tmp_path, "done", result={**scores, "seconds": 1.0})
    assert job_result.lines(score)[0] == "Labels: 90 scored, 2 there before"
    assert "tokens" not in job_result.lines(score)[-1]
    assert job_result.lines(JobState("a", "demo", "t", tmp_path, "done", result=made)) == []
