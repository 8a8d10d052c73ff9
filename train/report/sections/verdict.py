"""Ship it or not, and why: what gates and limits say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.evaluation.gates import Gate
from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record
from train.evaluation.standing import Standing
from train.report.finished import Finished, Table, Value
from train.report.numbers import listed, several, share, short

_SAYS = {"holds": "keeps its limit", "broken": "breaks its limit", "open": "cannot be told"}


def content(run: Finished) -> dict[str, Any]:
    gates = run.final.get("gates", [])
    outcome, headline = _headline(run, gates)
    real = [table for table in run.whole if not table.synthetic]
    flags = [(label, run.value(f"test/{label}/flags_per_1000", "texts")) for label in run.unheard]
    return {
        "outcome": outcome,
        "headline": headline,
        "gates": gates,
        "sets": [_of_set(table, run) for table in run.whole],
        "real": bool(real),
        "unheard": sorted(flags, key=lambda found: -(found[1].value or 0)),
        "missed": _missed(real[0], run) if real else [],
        "blocked": run.value(f"{real[0].name}/any/fpr", "n") if real else None,
        "flags": run.value("test/any/flags_per_1000", "texts"),
        "gate_words": gate_words,
    }


def _missed(table: Table, run: Finished) -> list[tuple[str, Value]]:
    """The recall of each label that has enough positives, the lowest first."""
    found = [(label, run.value(f"{table.name}/{label}/recall", "positives")) for label in table.standings]
    return sorted((one for one in found if one[1].told), key=lambda one: one[1].value or 0)


def _headline(run: Finished, gates: list[Mapping[str, Any]]) -> tuple[str, str]:
    """("holds", "broken" or "open", the sentence). Only gates and real text speak for shipping; a limit kept
    by a label that finds nothing, or of which only one side is known, does not."""
    real = [table for table in run.whole if not table.synthetic]
    standings = [s for table in real for s in table.standings.values()]
    records = {record["label"]: record for table in real for record in table.records}
    outcomes = {kind: [s for s in standings if s.outcome == kind] for kind in ("broken", "open")}
    unheld = {kind: [gate for gate in gates if gate["outcome"] == kind] for kind in ("broken", "not shown")}
    measured, labels = several(len(standings), "label"), several(len(run.final["labels"]), "label")
    against, unsure = [], []
    if n := len(unheld["broken"]):
        against.append(f"{n} of {several(len(gates), 'gate')} {'is' if n == 1 else 'are'} broken")
    if n := len(outcomes["broken"]):
        against.append(f"{n} of {measured} {'breaks its' if n == 1 else 'break their'} limit on real text")
    limited = [records[s.label] for s in standings if s.outcome == "holds"]
    if n := sum(record["recall"] == 0 for record in limited):
        against.append(f"{n} of {measured} {'finds' if n == 1 else 'find'} nothing on real text")
    if n := len(unheld["not shown"]):
        are = "is" if n == 1 else "are"
        unsure.append(f"{n} of {several(len(gates), 'gate')} {are} not shown to hold")
    if n := len(outcomes["open"]):
        unsure.append(f"there are too few real texts to tell for {n} of {measured}")
    for metric, does, those in (("recall", "found", "do"), ("fpr", "wrongly flagged", "do not")):
        if n := sum(record[metric] is None for record in limited):
            few = f"under {ENOUGH} real texts that {those} carry it"
            unsure.append(f"what is {does} cannot be told for {n} of {measured}: {few}")
    if not standings:
        unsure.append("no real text was tested")
    elif run.unheard:
        are = "was" if len(run.unheard) == 1 else "were"
        unsure.append(f"{len(run.unheard)} of {labels} {are} never tested on real text")
    if against:
        return "broken", f"Do not ship yet: {listed(against + unsure)}."
    if unsure:
        return "open", f"It cannot be told yet whether to ship: {listed(unsure)}."
    held = f"all {several(len(gates), 'gate')} hold" if len(gates) > 1 else "its gate holds"
    held = held if gates else "no gate was set"
    single = [part for part in run.tables if not part.whole and not part.synthetic]
    if uneven := sum(any(_broken(part.standings, s.label) for part in single) for s in standings):
        breaks = "breaks" if uneven == 1 else "break"
        held += f", though {several(uneven, 'label')} {breaks} it in single sources"
    kept = f"every label keeps its limit on real text, and {held}"
    return "holds", f"Ship: {kept}."


def gate_words(gate: Mapping[str, Any]) -> str:
    """A gate's answer in plain words where its figure is a share of texts; else as it says itself."""
    name, label, metric, *of = (gate["key"] or "//").split("/", 3)
    asked = Gate.parse(gate["gate"])
    is_share = metric in ("fpr", "recall") and asked.baseline is None  # with a baseline it is a difference
    if not is_share or gate["bound"] is None or gate["n"] is None:
        return f"{gate['said']}."
    where = f"suite {name.removeprefix('suite.')}" if name.startswith("suite.") else name
    where += f" ({of[0]})" if of else ""
    kind, does = ("allowed", "flagged") if metric == "fpr" else ("harmful", "found")
    texts, under = f"{kind} texts of {where}", ""
    if label != "any":  # a text that does not carry this label may carry another
        texts, under = f"texts of {where} that {'do not ' * (metric == 'fpr')}carry {label}", f" for {label}"
    return (
        f"Of {gate['n']:,} {texts}, {share(gate['value'])} are {does}{under}, with 95% "
        f"confidence at {'most' if asked.at_most else 'least'} {share(gate['bound'])}."
    )


def _of_set(table: Table, run: Finished) -> dict[str, Any]:
    """The set's labels in the order a reader asks for them, under one sentence that counts them; with each
    the standings of single sources in which it breaks its limit, by source."""
    record_of = {record["label"]: record for record in table.records}
    parts = {
        part.name.removeprefix(f"{table.name}."): part.standings
        for part in run.tables
        if not part.whole and part.synthetic == table.synthetic
    }
    breaks = {
        label: [(source, of[label]) for source, of in parts.items() if _broken(of, label)]
        for label in record_of
    }
    by_outcome = {
        o: [s for s in table.standings.values() if s.outcome == o] for o in ("broken", "holds", "open")
    }
    holds, broken, still_open = (len(by_outcome[o]) for o in ("holds", "broken", "open"))
    said = [f"{holds or 'none'} {'keep' if holds > 1 else 'keeps'} the policy’s limit with 95% confidence"]
    if broken:
        said.append(f"{broken} {'break' if broken > 1 else 'breaks'} it")
    if still_open:
        said.append(f"{still_open} cannot be told")
    uneven = sum(bool(breaks[s.label]) for s in table.standings.values() if s.outcome != "broken")
    if uneven:
        said.append(f"{uneven} of these {'break' if uneven > 1 else 'breaks'} it in single sources")
    kind = "synthetic" if table.synthetic else "real"
    return {
        "name": table.name,
        "synthetic": table.synthetic,
        "headline": f"On {kind} test text, of {several(len(record_of), 'label')} {listed(said)}.",
        "lines": [
            (s, sentence(s, record_of[s.label], run.points[s.label]), breaks[s.label])
            for found in by_outcome.values()
            for s in found
        ],
    }


def sentence(standing: Standing, record: Record, point: Mapping[str, Any]) -> str:
    """How a label stands to its limit, what it does to the other texts, and at which threshold."""
    said = [f"{_SAYS[standing.outcome]}: {_measured(standing)} (limit: {limit(standing)})."]
    said += [_also(record, metric) for metric in ("recall", "fpr") if metric != standing.metric]
    said.append(f"Threshold {point['threshold']:.4f}.")
    if not point["feasible"]:
        missing = point.get("shortfall")  # runs of older versions do not say
        said.append(
            f"On calibration text (n = {point['n']:,}, {point['positives']:,} positive) no threshold was "
            f"sure to keep it{f': {missing}' if missing else ''}."
        )
    return " ".join(said)


def limit(standing: Standing) -> str:
    if standing.metric == "precision":
        assert standing.prevalence is not None
        return f"precision ≥ {short(standing.limit)} where {short(standing.prevalence)} of texts carry it"
    return f"{'FPR ≤' if standing.metric == 'fpr' else 'recall ≥'} {short(standing.limit)}"


def _measured(standing: Standing) -> str:
    n, value = f"{standing.n:,}", standing.value
    of = {
        "fpr": f"{n} texts that do not carry it",
        "recall": f"{n} texts that carry it",
        "precision": f"its flags, going by {n} texts",
    }[standing.metric]
    if value is None:
        if standing.metric == "precision":
            return f"of {n} texts under {ENOUGH} carry it, under {ENOUGH} do not, or none is flagged"
        return f"only {of} were tested, under {ENOUGH}"
    does = {"fpr": "flags", "recall": "finds", "precision": "is right in"}[standing.metric]
    if standing.low is None or standing.high is None:
        return f"it {does} {share(value)} of {of}, but they come from too few groups for an interval"
    if standing.outcome == "open":
        return (
            f"it {does} {share(value)} of {of}, but the true rate may be anywhere from "
            f"{share(standing.low)} to {share(standing.high)}, on either side of the limit"
        )
    at_most = (standing.metric == "fpr") == (standing.outcome == "holds")
    bound = f"at most {share(standing.high)}" if at_most else f"at least {share(standing.low)}"
    return f"it {does} {share(value)} of {of}, with 95% confidence {bound}"


def _also(record: Record, metric: str) -> str:
    if record[metric] is None:
        does, whom = ("finds", "carry it") if metric == "recall" else ("flags", "do not carry it")
        return f"What it {does} cannot be told: under {ENOUGH} texts {whom}."
    low, high = record[f"{metric}_low"], record[f"{metric}_high"]
    does, whom = ("finds", "do") if metric == "recall" else ("flags", "do not")
    between = f" ({share(low)} to {share(high)})" if low is not None else ""
    return f"It {does} {share(record[metric])}{between} of those that {whom}."


def _broken(standings: Mapping[str, Standing], label: str) -> bool:
    return label in standings and standings[label].outcome == "broken"
