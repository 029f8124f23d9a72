"""A report's tables and sentences, the same in the app and in the file."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp_core.labels.scoring.evidence import JudgedWindow
from autointerp_core.labels.scoring.score_statistics import Interval
from autointerp_core.report.cost import CostLine
from autointerp_core.report.gather import ReportData, distances
from autointerp_core.report.rank_agreement import LEAST
from autointerp_core.store.score_values import ScorerResult

SCORES = (
    "Each scorer apart, over the label that stands for each feature, on test documents: scorers "
    "have different floors and measure different things, so they are never averaged. Other "
    "features' labels: what labels that have nothing to do with the feature get on the same "
    "windows. Intervals are 95 %."
)
NO_SCORES = "No label of this study is scored yet: autointerp score --study ID --scoring embedding"
CONTROLS = (
    "The same for SAEs whose directions mean nothing: the shuffled SAE (coordinates of each "
    "direction mixed; not the other features' labels above) and random-sae (directions drawn at "
    "random). With the real SAE's labels a score above the floor would come from elsewhere than "
    "the label. With labels made anew of its own features it says how well features without "
    "meaning let themselves be labelled: what the real SAE has above that is what its directions "
    "add."
)
AGREEMENT_OF_SCORERS = (
    "Spearman's rank correlation of scorers over the features that both have a value of: whether "
    "they put the same labels on top. Below it the 95 % interval."
)
NO_AGREEMENT = (
    f"No two scorers have values of the same {LEAST} features, or one says the same of all."
)
JUDGES = (
    "Corrected: what the share of right answers would be had the judge not erred, from its "
    "sensitivity and specificity on questions with known answers (Rogan and Gladen), calibration's "
    "uncertainty included. Agreement beyond chance: Cohen's kappa and Krippendorff's alpha, 0 by "
    "chance and 1 always."
)
COST = (
    "As recorded with each label, score and measure. Labels of other features that were judged "
    "for comparison are not in it; a cost without a known price is unknown, not 0."
)
MEASURE_NAMES = {"auroc": "AUROC"}
KINDS = {"active": "firing", "easy": "silent, elsewhere", "hard": "silent, close by"}
_PARTS = {
    "carried": "with the real SAE's labels",
    "anew": "with labels made anew",
    "measured": "measured alike",
}


@dataclass(frozen=True)
class Table:
    """Column names and rows of text."""

    head: list[str]
    rows: list[list[str]]


def facts(data: ReportData) -> list[tuple[str, str]]:
    """What the study is, and how many labels it has."""
    info = data.info
    return [
        ("Model", info.model_name),
        ("SAE", f"{info.sae_source} ({info.sae_fingerprint[:19]}…)"),
        ("Hook point", info.hook),
        ("Dataset", f"{info.dataset_name}, column {info.column}"),
        ("Tokens", f"{info.n_counted:,} counted, {info.n_documents:,} documents"),
        ("Labels", f"{data.labelled:,}, {data.reviewed:,} of them reviewed by people"),
    ]


def scores(data: ReportData) -> Table:
    """A row a scorer."""
    rows = []
    for scorer in data.scorers:
        s = scorer.summary
        above = sum(
            each.result.low is not None and each.result.low > s.floor for each in scorer.features
        )
        rows.append(
            [
                scorer.name,
                MEASURE_NAMES.get(s.measure, s.measure),
                f"{s.mean:.3f} ({s.low:.3f}–{s.high:.3f})",
                f"{s.floor:.2f}",
                _number(s.shuffled),
                _number(s.easy),
                _number(s.hard),
                f"{above:,} of {s.features:,}",
                f"{scorer.without:,}",
                s.judge,
            ]
        )
    head = ["scorer", "measure", "mean", "floor", "other features' labels", "easy", "hard"]
    return Table([*head, "above the floor", "without a value", "judge"], rows)


def distances_table(data: ReportData) -> Table:
    """How far above each control the real SAE is."""
    summaries = {control.kind: control.summaries for control in data.controls}
    rows = []
    for name, kind, part, gap, low, high in distances(data):
        s = summaries[kind][name][part]
        at_floor = "yes" if s.low <= s.floor <= s.high else "no"
        rows.append(
            [
                kind,
                _PARTS[part],
                name,
                f"{s.mean:.3f} ({s.low:.3f}–{s.high:.3f})",
                at_floor,
                f"{gap:+.3f} ({low:+.3f} to {high:+.3f})",
                f"{s.features:,}",
            ]
        )
    head = ["control", "labels", "scorer", "mean", "floor in its interval"]
    return Table([*head, "this SAE above it", "features"], rows)


def judges(data: ReportData) -> list[Table]:
    """Raw and corrected values, known errors, and pairs of judges; those of which something is."""
    corrected = []
    for scorer in data.scorers:
        s = scorer.summary
        skill = data.calibrations.of(s.judge, scorer.name)
        if skill is None:
            continue
        value = data.calibrations.corrected_together([each.result for each in scorer.features])
        hopeless = "not possible: it hardly tells yes from no"
        corrected.append(
            [
                s.judge,
                scorer.name,
                f"{skill.yes.share:.3f} of {skill.yes.n:,}",
                f"{skill.no.share:.3f} of {skill.no.n:,}",
                f"{s.mean:.3f} ({s.low:.3f}–{s.high:.3f})",
                hopeless if value is None else _interval(value),
            ]
        )
    pairs = [
        [
            f"{pair.one} and {pair.other}",
            pair.scorer,
            f"{pair.found.n:,} of {pair.features:,} features",
            f"{pair.found.same:.0%}",
            _interval(pair.found.kappa),
            _interval(pair.found.alpha),
        ]
        for pair in data.judge_pairs
    ]
    found = []
    if corrected:
        head = [
            "judge",
            "scorer",
            "sensitivity",
            "specificity",
            "raw mean",
            "corrected, all windows",
        ]
        found.append(Table(head, corrected))
    if pairs:
        head = ["judges", "scorer", "windows both judged", "judged alike", "kappa", "alpha"]
        found.append(Table(head, pairs))
    if not found:
        nothing = "no judge was calibrated, and no two judged the same windows"
        found.append(Table(["Nothing to show"], [[nothing]]))
    return found


def costs(data: ReportData) -> Table:
    """A row a kind of work."""
    rows = [
        [
            line.what,
            line.by,
            f"{line.count:,}",
            f"{line.tokens_in:,}",
            f"{line.tokens_out:,}",
            f"{line.tokens_each:,.0f}",
            f"{line.seconds_each:.2f} s",
            _money(line, line.dollars_each, 5),
            _money(line, line.dollars, 4),
        ]
        for line in data.costs
    ]
    head = ["work", "by", "number", "tokens in", "tokens out", "tokens each", "time each"]
    return Table([*head, "cost each", "cost"], rows)


def _money(line: CostLine, dollars: float | None, digits: int) -> str:
    """What was paid; nothing where no model was asked, and unknown where no price is known."""
    if dollars is not None:
        return f"${dollars:.{digits}f}"
    return "unknown" if line.tokens_in + line.tokens_out else "free"


def value_of(result: ScorerResult) -> str:
    """``0.81 (0.70–0.90), floor 0.50``."""
    if result.value is None:
        return result.reason or "no value"
    parts = [f"{result.value:.2f}"]
    if result.low is not None and result.high is not None:
        parts.append(f"({result.low:.2f}–{result.high:.2f})")
    text = " ".join(parts)
    return text if result.floor is None else f"{text}, floor {result.floor:.2f}"


def verdict(window: JudgedWindow) -> str:
    """How a window was judged, in words."""
    if window.probability is None:
        return "no judgement"
    how = {True: "judged rightly", False: "judged wrongly", None: "undecided"}[window.right]
    return f"{how} ({window.probability:.2f})"


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
