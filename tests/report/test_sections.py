"""The sections of report.html, on a run made by hand: what each says is what the run's summary holds."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import HOSTILE
from tests.evaluation.conftest import _build
from tests.report.test_page import Element, Page
from tests.suites.test_conversations import flags, unfolded
from train.assessment import judge
from train.errors import Failure
from train.evaluation.duties import by_duty, duties
from train.evaluation.predictions import Predictions, sets
from train.evaluation.records import is_whole
from train.evaluation.routing import routing
from train.evaluation.shortcuts import source_areas, telling_words
from train.evaluation.standing import standing
from train.evaluation.transfer import at_english, flag_rates, synthetic_gaps
from train.policy import Constraint, Policy
from train.report.finished import Finished
from train.report.hardest import visible
from train.report.page import CHAPTERS, write
from train.report.sections import verdict
from train.report.sections.duties import OUTCOMES
from train.report.tables import tables
from train.suites.conversations import conversations
from train.suites.functionalities import functional
from train.suites.mentions import from_slices
from train.suites.robustness import robustness
from train.suites.subgroups import subgroups as of_groups
from train.suites.subgroups import worst
from train.suites.swaps import swaps
from train.tracking.run import judged_digest

LABELS = ("grooming", "harassment", "hate")
POLICY = {
    "schema": 1,
    "name": "toy",
    "version": "1.0.0",
    "description": "made by hand",
    "tiers": {k: {"name": f"tier {k}", "covers": "some"} for k in range(4)},
    "taxonomies": {"uk_osa": "the Act"},
    "labels": {
        name: {
            "title": name,
            "definition": "harm",
            "excludes": ["news"],
            "tier": tier,
            "constraint": constraint,
            "codes": {"uk_osa": codes},
        }
        for name, tier, constraint, codes in (
            ("grooming", 3, {"min_recall": 0.9}, ["illegal:grooming", "illegal:csea"]),
            ("exploitation", 3, {"min_recall": 0.9}, ["illegal:csea", "primary-priority:pornography"]),
            ("harassment", 2, {"min_precision": 0.5, "prevalence": 0.1}, ["priority:bullying"]),
            ("hate", 2, {"max_fpr": 0.2}, ["priority:abuse-hate", "illegal:hate"]),
        )
    },
}


def _test(n: int = 500, made: int = 150) -> Predictions:
    """Real texts that say nothing of grooming, and synthetic ones that do."""
    random = np.random.default_rng(3)
    targets = (random.random((n + made, 3)) < 0.3).astype(float)
    scores = 1 / (1 + np.exp(-(3 * targets - 1.5 + random.normal(size=targets.shape))))
    targets[:n, 0] = np.nan
    lang = ["en" if k % 3 else "ko" for k in range(n + made)]
    scores[[k % 3 == 0 for k in range(n + made)], 2] *= 0.5  # hate is found less often in Korean
    return _build(
        targets,
        scores,
        labels=LABELS,
        source=[["a", "b"][k % 2] for k in range(n)] + ["made"] * made,
        synthetic=[False] * n + [True] * made,
        slices={
            "lang": lang,
            "identity": [["women", "religion muslim", None][k % 5 % 3] for k in range(n + made)],
            "dialect": ["african_american_english" if k % 4 == 0 else None for k in range(n + made)],
        },
    )


def _figures(test: Predictions, policy: Policy) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(figures, intervals, suites), all that a judgement makes."""
    verdict_ = judge(test, with_intervals=True)
    parts: list[Any] = [(verdict_.figures, verdict_.intervals)]
    constraints = {label: policy.labels[label].constraint for label in LABELS}
    for name, part in sets(test).items():
        if is_whole(name):
            parts += [
                by_duty(part, policy, name),
                routing(part, name, 0.05, resamples=100),
                at_english(test, part, constraints, name),
                of_groups(part, from_slices(part.slices), name),
                source_areas(part, name),
            ]
    real = test.select(~test.synthetic)
    said = [f"{source} word{k % 7} more" for k, source in enumerate(real.source)]
    parts += [
        flag_rates(real, "test"),
        synthetic_gaps(test, "test"),
        telling_words(said, real.source, real.group, "test"),
    ]
    disguised = {
        kind: replace(
            real,
            flags=real.flags & (np.arange(len(real)) % keeps > 0)[:, None],
            slices={"changed": np.array(["yes"] * len(real), dtype=object)},
        )
        for kind, keeps in (("leetspeak", 2), ("typos", 10))
    }
    parts.append(robustness(real, disguised, "test"))
    functions = _build(
        [[k % 2] * 1 + [np.nan, np.nan] for k in range(40)],
        [[0.9 if k % 4 else 0.1, 0.1, 0.1] for k in range(40)],
        labels=LABELS,
        group=[f"p{k // 2}" for k in range(40)],
        slices={"functionality": ["trust" if k < 32 else "secret" for k in range(40)]},
    )
    talks = unfolded([(1, 2, flags(1, 4))] * 12 + [(0, None, flags(2, 4))] * 12)
    frames = _build(
        [[0.0] for _ in range(160)],
        [[0.2 + 0.3 * (k % 4 == 0)] for k in range(160)],
        labels=("hate",),
        group=[f"f{k // 4}" for k in range(160)],
        slices={"term": [["women", "men", "gay", "deaf"][k % 4] for k in range(160)]},
    )
    suites = {}
    for name, kind, part, made in (
        ("functional", "functional", functions, functional(functions, "suite.functional")),
        ("talks", "conversations", talks, conversations(talks, "suite.talks")),
        ("frames", "swaps", frames, swaps(frames, "suite.frames")),
    ):
        suites[f"suite.{name}"] = {
            "name": name,
            "kind": kind,
            "about": f"about {name} {HOSTILE}",
            "sha256": "0",
            "rows": len(part),
            "functionalities": {"trust": {"tests": f"tests {HOSTILE}", "expect": "pairs"}},
            "in_training": [{"id": "x"}] if name == "frames" else [],
        }
        whole = judge(replace(part, split=np.array([f"suite.{name}"] * len(part), dtype=object)), True)
        if name != "talks":
            parts.append((whole.figures, whole.intervals))
        parts += [flag_rates(part, f"suite.{name}"), made]
    figures: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for more, sure in parts:
        figures |= more
        bounds |= sure
    return figures, {key: list(pair) for key, pair in bounds.items()}, suites


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, with gaps; copy it before you change it."""
    folder = tmp_path_factory.mktemp("made")
    policy, test = Policy.model_validate(POLICY), _test()
    figures, bounds, suites = _figures(test, policy)
    point = {"n": 200, "positives": 60, "feasible": True, "constraint": "as the policy says"}
    final = {
        "status": "done",
        "name": "toy",
        "steps": 10,
        "selected_step": 10,
        "selected_by": {"dev/macro/auprc": None},
        "labels": list(LABELS),
        "precision": "fp32",
        "processes": 1,
        "reload_max_logit_difference": 0.0,
        "operating_points": {label: {**point, "threshold": 0.5} for label in LABELS},
        "metrics": figures,
        "intervals": bounds,
        "suites": suites,
        "duties": [
            {"code": d.code, "labels": d.labels, "trained": d.trained, "positives": d.positives}
            | {"negatives": d.negatives, "outcome": d.outcome}
            for d in duties(test.select(~test.synthetic), policy)
        ],
        "gates": [
            {
                "gate": "test/any/fpr <= 0.01",
                "outcome": "broken",
                "key": "test/any/fpr",
                "value": figures["test/any/fpr"],
                "bound": 0.25,
                "n": figures["test/any/n"],
                "said": "broken",
            }
        ],
    }
    cell = {"split": "test", "rows": 500, "known": 500, "positives": 100}
    lock = {
        "sha256": "0" * 64,
        "recipe": {
            "policy": POLICY,
            "model": {"base": "small"},
            "adapter": {"kind": "head"},
            "train": {"global_batch": 16},
        },
        "base": "digest",
        "labels": list(LABELS),
        "sources": {"a": "0"},
        "rows": [{**cell, "source": "a", "label": label} for label in LABELS],
    }
    gap = {
        "id": "abc",
        "set": "test",
        "label": "hate",
        "slice": "lang=ko",
        "cause": "vocabulary",
        "metric": "recall",
        "value": 0.125,
        "ci": [0.1, 0.2],
        "n": 300,
        "target": 0.5,
        "evidence": [{"says": f"unknown words {HOSTILE}"}],
        "action": {"kind": "change", "rows": 59, "filter": "another base model"},
    }
    for name, content in (
        ("summary.json", final),
        ("recipe.lock", lock),
        ("status.json", {"code": "1"}),
        ("gaps.json", [gap]),
        ("unmeasured.json", {"notes": [], "unmeasured": [{}] * 1234, "judged": judged_digest(final)}),
    ):
        (folder / name).write_text(json.dumps(content))
    (folder / "metrics.jsonl").write_text('{"step": 1, "train/loss": 0.5}\n')
    (folder / "predictions").mkdir()
    test.write(folder / "predictions" / "test.parquet")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def run(made: Path) -> Finished:
    return Finished.read(made)


@pytest.fixture(scope="module")
def page(made: Path) -> Element:
    return Page(made / "report.html").root


def said(element: Element) -> str:
    return " ".join(element.text.split())


def table(page: Element, **wanted: str) -> Element:
    (found,) = page.all("table", **wanted)
    return found


def test_every_number_of_the_page_is_the_runs(run: Finished, page: Element) -> None:
    known = {float(value) for value in run.figures.values() if value is not None}
    known |= {0.5, 0.125}  # the thresholds; the gap
    values = page.values()
    assert len(values) > 150
    assert set(values) <= known


def test_the_sections_stand_in_the_order_of_the_contents(page: Element) -> None:
    ids = [section.attributes["id"] for section in page.all("section")]
    assert ids == [chapter.id for chapter in CHAPTERS]
    (contents,) = page.all("nav")
    assert [link.attributes["href"] for link in contents.all("a")] == [f"#{id}" for id in ids]


def test_nothing_of_the_new_sections_acts(made: Path, page: Element) -> None:
    raw = (made / "report.html").read_text(encoding="utf-8")
    assert "<script" not in raw and "\u202e" not in raw and not page.all("img")
    assert page.text.count(visible(HOSTILE)) == 5  # three suites, a functionality, a gap


def test_the_verdict_says_first_whether_to_ship(page: Element) -> None:
    answer = page.all("section", id="verdict")[0].all("div")[0]
    assert answer.attributes["data-outcome"] == "broken"
    headline = said(answer.all("p")[0])
    assert headline.startswith("Do not ship yet: 1 of 1 gate is broken")
    assert headline.endswith("1 of 3 labels was never tested on real text.")
    assert "with 95% confidence at most 25.0%" in said(answer)
    assert "What it misses" in answer.text and "Whom it wrongly blocks" in answer.text


def _headline(run: Finished, gates: list[str], fpr: tuple[float, float], unheard: bool = False) -> str:
    """With gates of these outcomes, and a hate and harassment FPR of this interval."""
    low, high = fpr
    figures, bounds = dict(run.figures), dict(run.bounds)
    for label in ("hate", "harassment"):
        figures |= {f"test/{label}/fpr": (low + high) / 2, f"test/{label}/negatives": 100_000}
        bounds[f"test/{label}/fpr"] = [low, high]
    bounds["test/harassment/recall"] = [0.9, 0.95]
    figures |= {"test/harassment/recall": 0.92, "test/harassment/positives": 10_000}
    figures = {k: v for k, v in figures.items() if not k.startswith(("test.a/", "test.b/"))}
    final = {**run.final, "metrics": figures, "intervals": bounds}
    final["gates"] = [{**run.final["gates"][0], "outcome": outcome} for outcome in gates]
    if not unheard:
        final["labels"] = ["harassment", "hate"]
    return str(verdict.content(replace(run, final=final))["headline"])


def test_ship_needs_gates_limits_and_real_text(run: Finished) -> None:
    fine = (0.01, 0.02)
    assert _headline(run, [], fine) == "Ship: every label keeps its limit on real text, and no gate was set."
    assert _headline(run, ["held"] * 2, fine).endswith("and all 2 gates hold.")
    assert _headline(run, ["held"], fine, unheard=True) == (
        "It cannot be told yet whether to ship: 1 of 3 labels was never tested on real text."
    )
    assert _headline(run, ["not shown"], fine) == (
        "It cannot be told yet whether to ship: 1 of 1 gate is not shown to hold."
    )
    assert "there are too few real texts to tell for 2 of 2 labels" in _headline(run, [], (0.05, 0.25))
    assert _headline(run, ["held"], (0.4, 0.5)) == (
        "Do not ship yet: 2 of 2 labels break their limit on real text."
    )
    only_made = {k: v for k, v in run.figures.items() if not k.startswith("test/")}
    told = verdict.content(replace(run, final={**run.final, "metrics": only_made, "gates": []}))
    assert told["headline"] == "It cannot be told yet whether to ship: no real text was tested."


def test_a_limit_kept_by_finding_nothing_or_told_on_one_side_is_no_pass(run: Finished) -> None:
    def headline(**changed: Any) -> str:
        more = {f"test/hate/{metric}": value for metric, value in changed.items()}
        final = {**run.final, "metrics": run.figures | more}
        return _headline(replace(run, final=final), [], (0.01, 0.02))

    assert headline(recall=0.0) == "Do not ship yet: 1 of 2 labels finds nothing on real text."
    for positives in (0, 29):
        assert headline(recall=None, positives=positives) == (
            "It cannot be told yet whether to ship: what is found cannot be told for 1 of 2 labels: under 30 "
            "real texts that do carry it."
        )


def test_a_gates_words_are_of_what_it_asks() -> None:
    gate = {"value": -0.01, "bound": 0.005, "n": 500, "outcome": "held", "said": "it differs"}
    assert verdict.gate_words({**gate, "gate": "test/any/fpr <= RUN + 0.01", "key": "test/any/fpr"}) == (
        "it differs."
    )
    gate |= {"value": 0.01, "bound": 0.02}
    for gated, words in (
        ("test/any/fpr <= 0.1", "Of 500 allowed texts of test, 1.00% are flagged, "),
        ("test/hate/fpr <= 0.1", "Of 500 texts of test that do not carry hate, 1.00% are flagged for hate, "),
        ("suite.x/hate/recall >= 0.1", "Of 500 texts of suite x that carry hate, 1.00% are found for hate, "),
    ):
        said_ = verdict.gate_words({**gate, "gate": gated, "key": gated.split()[0]})
        assert said_.startswith(words)
        assert f"at {'most' if '<=' in gated else 'least'} 2.00%" in said_


def test_too_few_texts_never_read_as_a_pass(run: Finished, made: Path, tmp_path: Path) -> None:
    """Each sentence that says what was not found needs texts that could have shown it."""
    figures, bounds = dict(run.figures), dict(run.bounds)
    for key in run.figures:
        _, label, metric, *_ = key.split("/")
        if metric == "positives" and key.endswith("/lang=ko"):
            figures[key] = 29
        if metric == "recall_drop":
            figures[key] = 0.0
        if metric == "positives" and label == "hate" and "/perturbation=" in key:
            figures[key] = 29
        if metric in ("source_auc", "source_auc_positives"):
            bounds.pop(key, None)
    few = _build([[np.nan, np.nan, 0.0]] * 4, [[0.9, 0.1, 0.1]] * 4, labels=LABELS)
    figures |= flag_rates(few, "suite.few")[0]
    suites = {**run.suites, "suite.few": {**run.suites["suite.frames"], "name": "few", "rows": 4}}
    folder = Path(shutil.copytree(made, tmp_path / "few"))
    final = {**run.final, "metrics": figures, "intervals": bounds, "suites": suites}
    (folder / "summary.json").write_text(json.dumps(final))
    write(folder)
    page = Page(folder / "report.html").root
    whom = said(page.all("section", id="whom")[0])
    assert "Insufficient: no label has 30 harmful texts in English and in another language." in whom
    assert "Insufficient: too few texts of several sources" in whom
    assert "No score tells" not in whom and "No language with" not in whom
    disguised = said(page.all("section", id="disguises")[0])
    assert "No disguise hides what it finds of harassment, all that has enough texts." in disguised
    (row,) = table(page, data_suites=None).all("tr", data_suite="suite.few")
    assert said(row).endswith("insufficient 4 of 4 groominginsufficient")


def test_a_limit_on_precision_and_a_shortfall_are_told_in_words(run: Finished) -> None:
    record = {"label": "hate", "positives": 1000, "negatives": 1000}
    for metric, value in (("recall", 0.8), ("fpr", 0.05)):
        record |= {metric: value, f"{metric}_low": value - 0.01, f"{metric}_high": value + 0.01}
    limit = Constraint(min_precision=0.3, prevalence=0.1)
    point = {"threshold": 0.5, "feasible": False, "n": 1200, "positives": 7}
    words = verdict.sentence(standing(record, limit), record, point)
    assert words.startswith("keeps its limit: it is right in 64.0% of its flags, going by 2,000 texts")
    assert "(limit: precision ≥ 30% where 10% of texts carry it)" in words
    assert "It finds 80.0% (79.0% to 81.0%) of those that do. It flags 5.00%" in words
    assert words.endswith("On calibration text (n = 1,200, 7 positive) no threshold was sure to keep it.")
    point["shortfall"] = "it takes 299 negatives"
    words = verdict.sentence(standing(record, limit), record, point)
    assert words.endswith("no threshold was sure to keep it: it takes 299 negatives.")
    assert verdict.sentence(
        standing(record | {"recall": None, "recall_low": None, "recall_high": None}, limit), record, point
    ).startswith("cannot be told: of 2,000 texts under 30")
    broken = standing(record, Constraint(min_precision=0.9, prevalence=0.1))
    assert "breaks its limit" in (words := verdict.sentence(broken, record, point))
    assert f"with 95% confidence at most {broken.high:.1%}" in words


def test_what_no_text_covers_of_the_duties_is_visible(run: Finished, page: Element) -> None:
    section = page.all("section", id="duties")[0]
    told = {d["code"]: d["outcome"] for d in run.final["duties"]}
    assert told["primary-priority:pornography"] == "not trained" and told["illegal:hate"] == "measured"
    words = said(section)
    assert "Of 6 duties, 3 are measured on real text; 2 not at all and 1 not even trained for." in words
    assert "No real text carries primary priority content." in words
    rows = {row.attributes.get("data-duty"): row for row in table(page, data_duties="all").all("tr")}
    for duty in run.final["duties"]:
        numbers = [cell.text for cell in rows[duty["code"]].all("td")]
        assert numbers[1:3] == [str(duty["positives"]), str(duty["negatives"])]
        assert numbers[0] == OUTCOMES[duty["outcome"]]
    assert "exploitation (not trained)" in said(rows["illegal:csea"])
    (kind,) = table(page, data_duties="test").all("tr", data_part="duty:illegal")
    assert kind.values() == [run.figures[f"test/duty:illegal/{m}"] for m in ("recall", "fpr")]
    assert "grooming" in kind.all("td")[2].text  # counts finds of a label that no real text knows


def test_suites_show_counts_and_what_training_has_seen(run: Finished, page: Element) -> None:
    rows = {row.attributes.get("data-suite"): row for row in page.all("section", id="suites")[0].all("tr")}
    frames = rows["suite.frames"]
    assert "1 of its 160 texts stand in training nearly word for word" in said(frames)
    assert frames.values()[0] == run.figures["suite.frames/any/fpr"]
    few = rows["suite.functional"].all("td")[0]  # 20 harmful texts
    found = round(run.figures["suite.functional/any/recall"] * 20)
    assert said(few) == f"insufficient {found} of 20" and not few.values()


def test_functionalities_stand_worst_first_as_counts(run: Finished, page: Element) -> None:
    rows = table(page, data_functional="suite.functional").all("tr")[1:]
    shares = [row.values()[0] for row in rows]
    assert shares == sorted(shares) and len(rows) == 2
    for row in rows:
        name = row.attributes["data-functionality"]
        n = run.figures[f"suite.functional/all/n/functionality={name}"]
        passed = run.figures[f"suite.functional/all/passed/functionality={name}"]
        assert f"{round(passed * n)} of {n}" in row.all("td")[0].text


def test_a_conversation_found_early_is_read_beside_false_alarms(page: Element) -> None:
    section = said(page.all("section", id="suites")[0])
    assert "It flags 12 of 12 harmful conversations and 12 of 12 benign ones" in section
    assert "finding early means nothing" in section
    assert "12, 0 and 0 of 12 are first flagged there" in section
    assert any(
        "12 of 12 after the first turn" in str(svg.attributes["aria-label"]) for svg in page.all("svg")
    )


def test_a_delay_of_few_conversations_is_insufficient(page: Element) -> None:
    assert "turns from onset to flag, in the middle of those found (insufficient)" in said(page)


def test_swaps_name_the_group_most_at_risk(run: Finished, page: Element) -> None:
    rows = table(page, data_terms="suite.frames/hate").all("tr")[1:]
    assert rows[0].all("th")[0].text == "women"
    assert rows[0].values() == [run.figures["suite.frames/hate/excess/term=women"]]
    assert "Of 40 allowed sentences, 40 are flagged for some groups" in said(
        page.all("section", id="suites")[0]
    )


def test_disguises_stand_worst_first(run: Finished, page: Element) -> None:
    rows = table(page, data_disguises="test").all("tr")[1:]
    drops = [row.values()[0] for row in rows]
    assert drops == sorted(drops, reverse=True) and drops[0] > 0.2
    for row in rows:
        label, kind = str(row.attributes["data-key"]).split("/")
        expected = [
            run.figures[f"test/{label}/{m}/perturbation={kind}"]
            for m in ("recall_drop", "recall", "fpr_rise")
        ]
        assert row.values() == expected
    assert "Worst: with digits for letters it finds" in said(page.all("section", id="disguises")[0])


def test_languages_stand_beside_their_figures_at_english_thresholds(run: Finished, page: Element) -> None:
    for row in table(page, data_languages="test").all("tr")[1:]:
        label, lang = row.all("th")[0].text, row.all("td")[0].text
        metrics = ("recall", "recall_at_english", "fpr", "fpr_at_english")
        assert row.values() == [run.figures[f"test/{label}/{m}/lang={lang}"] for m in metrics]
    assert "Furthest behind English: of hate in ko" in said(page.all("section", id="whom")[0])


def test_the_worst_group_is_named_and_what_a_word_list_cannot_tell(run: Finished, page: Element) -> None:
    section = said(page.all("section", id="whom")[0])
    for metric, words in (("bpsn_auc", "score too high"), ("bnsp_auc", "score too low")):
        for label in ("harassment", "hate"):
            found = worst(run.figures, f"test/{label}/{metric}", "identity", most=False)
            assert found is not None
            whole = run.figures[f"test/{label}/auroc"]
            high = run.bounds.get(f"test/{label}/{metric}/identity={found[0]}", (0, 1))[1]
            shown_below = f"harm[a-z]+ texts that mention it {words}.{{,60}} area"
            expected = shown_below if high < whole else "lowest of the groups, .{,120}not shown.{,60} area"
            area = f"{found[1]:.3f} [^;]*; of all texts {whole:.3f}"
            assert re.search(rf"{found[0]}: {expected} {area}", section)
    assert "African American English" in section and "says nothing of who writes" in section
    assert "label that no real text speaks of" in section
    assert table(page, data_flags=None).values() == [run.figures["test/grooming/flags_per_1000"]]  # type: ignore[arg-type]


def test_people_are_told_the_assumed_prevalence(run: Finished, page: Element) -> None:
    section = page.all("section", id="people")[0]
    assert "hate: if 5% of texts carry it (assumed: evaluate.prevalence)" in said(section)
    (row,) = table(page, data_people="test").all("tr", data_label="hate")
    names = (
        "precision@prevalence=0.05",
        "review_share@recall=0.95",
        "review_share@recall=0.95,prevalence=0.05",
    )
    assert row.values() == [run.figures[f"test/hate/{m}"] for m in (*names, "aurc", "excess_aurc")]
    assert len(section.all("svg")) == 2


def test_gaps_have_cause_evidence_and_action(made: Path, page: Element, tmp_path: Path) -> None:
    section = said(page.all("section", id="gaps")[0])
    assert "hate found: 12.5% (10.0% to 20.0%) of 300, should be ≥ 50.0% in test lang=ko" in section
    assert "Likely cause: words the model cannot read. unknown words" in section
    assert "Do: change 59 texts: another base model." in section
    assert "1,234 figures rest on too few texts to tell, which is no pass." in section
    assert "judged again" not in section
    own = Path(shutil.copytree(made, tmp_path / "own"))
    final = json.loads((own / "summary.json").read_text())
    final["metrics"]["test/hate/recall"] += 0.01
    (own / "summary.json").write_text(json.dumps(final))
    assert "The run was judged again since" in said(Page(write(own)).root.all("section", id="gaps")[0])
    (own / "gaps.json").write_text("{")
    with pytest.raises(Failure, match="teensafe gaps"):
        write(own)
    (own / "gaps.json").unlink()
    assert not Page(write(own)).root.all("section", id="gaps")


def test_a_run_of_an_older_version_has_the_sections_it_can_fill(made: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(made, tmp_path / "own"))
    (own / "gaps.json").unlink()
    final = json.loads((own / "summary.json").read_text())
    old = ("n", "positives", "negatives", "prevalence", "auprc", "auroc", "auroc_within", "f1", "precision")
    old += ("recall", "fpr", "brier", "ece", "sufficient", "labels", "recall@fpr=0.01")
    for part in ("metrics", "intervals"):
        final[part] = {
            key: value
            for key, value in final[part].items()
            if key.startswith("test")
            and ":" not in key
            and key.split("/")[2] in old
            and not re.search("/(identity|dialect|perturbation|source|synthetic)=", key)
        }
    for key in ("suites", "duties", "gates"):
        del final[key]
    (own / "summary.json").write_text(json.dumps(final))
    ids = [section.attributes["id"] for section in Page(write(own)).root.all("section")]
    assert ids == ["verdict", "labels", "curves", "training", "data", "slices", "hardest", "trained"]
    assert not tables(own)["suites"] and not tables(own)["duties"] and not tables(own)["disguises"]


def test_tables_for_wandb_are_flat_and_hold_no_text(made: Path, run: Finished) -> None:
    found = tables(made)
    assert [record["set"] for record in found["suites"]] == list(run.suites)
    assert {record["perturbation"] for record in found["disguises"]} == {"leetspeak", "typos"}
    for record in found["disguises"]:
        key = f"{record['set']}/{record['label']}/recall_drop/perturbation={record['perturbation']}"
        assert record["recall_drop"] == (run.figures[key] if record["positives"] >= 30 else None)
    assert [record["code"] for record in found["duties"]] == [duty["code"] for duty in run.final["duties"]]
    for name in ("suites", "disguises", "duties"):
        assert len({tuple(record) for record in found[name]}) == 1  # the same columns
        for record in found[name]:
            assert all(value is None or isinstance(value, str | int | float) for value in record.values())
            assert "about" not in json.dumps(record)
