"""report.html: a finished run's folder goes in, one page a person reads first comes out.

Nothing is computed here that the run does not hold: figures are those of summary.json, curves and examples
come from predictions/test.parquet, counts from recipe.lock. The page loads nothing and runs no script.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from train.errors import InputError, Problem
from train.evaluation import records
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions
from train.evaluation.predictions import sets as divided
from train.evaluation.records import Record
from train.evaluation.slices import MOST_VALUES
from train.evaluation.standing import Standing, standing
from train.files import write_text
from train.policy import Policy
from train.report import charts
from train.report.hardest import ESCALATED, hardest, look_up, visible, wrong_ids
from train.report.tables import SPLIT, test_sets
from train.tracking.run import history, lock, status, summary

NAME = "report.html"


def write(folder: Path) -> Path:
    """Write the page of a finished run into its folder, whole or not at all.

    Raises InputError where the run is not finished, Failure or InputError for a damaged file of the run.
    """
    if not (folder / "summary.json").is_file():
        remedy = "finish the training: run the same `teensafe train` command again"
        raise InputError(Problem(str(folder), "has no summary.json yet", "a finished run", remedy))
    target = folder / NAME
    write_text(target, _render(_content(folder)), private=True)  # it shows texts
    return target


def _content(folder: Path) -> dict[str, Any]:
    """All that the template names."""
    final, locked, logged = summary(folder), lock(folder), history(folder)
    policy = Policy.model_validate(locked["recipe"]["policy"])
    predictions = Predictions.read(folder / "predictions" / f"{SPLIT}.parquet")
    parts = divided(predictions)
    figures, bounds = final["metrics"], final["intervals"]
    points = final["operating_points"]
    tables = [_table(figures, bounds, name, policy) for name in test_sets(final)]
    whole = [table for table in tables if table["whole"]]
    wanted = wrong_ids([parts[table["name"]] for table in whole], policy)
    texts = look_up(folder, locked["sources"], wanted)
    return {
        "name": folder.name,
        "policy": policy,
        "enough": ENOUGH,
        "escalated": ESCALATED,
        "verdicts": [_verdict(table, tables) for table in whole],
        "unheard": _unheard(final["labels"], whole),
        "facts": _facts(final, locked, status(folder)),
        "tables": tables,
        "points": points,
        "curves": [(t["name"], _curves(parts[t["name"]], t, points)) for t in whole],
        "training": [] if "baseline" in final else _training(final, logged),
        "mixture": _mixture(locked["rows"]),
        "passes": [] if "baseline" in final else _passes(locked, final["steps"]),
        "updates": final["steps"],
        "left_out": {source: reasons for source, reasons in locked.get("left_out", {}).items() if reasons},
        "slices": [(t["name"], _slices(figures, bounds, t)) for t in whole],
        "not_sliced": _not_sliced(predictions, figures),
        "hardest": [(t["name"], hardest(parts[t["name"]], policy, texts)) for t in whole],
    }


def _table(
    figures: Mapping[str, Any], bounds: records.Intervals, name: str, policy: Policy
) -> dict[str, Any]:
    """One set: a record a label with how it stands to its constraint."""
    found = records.by_label(figures, bounds, name)
    return {
        "name": name,
        "synthetic": records.is_synthetic(name),
        "whole": records.is_whole(name),
        "records": found,
        "within": records.of_several_sources(found),
        "standings": {
            record["label"]: standing(record, policy.labels[record["label"]].constraint) for record in found
        },
        "any": records.any_flag(figures, bounds, name),
        "macro": records.macro(figures, bounds, name),
    }


def _verdict(table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The set's labels in the order a reader asks for them, under one sentence that counts them; with each
    label its record and the standings of single sources in which it breaks its limit, by source."""
    standings: list[Standing] = list(table["standings"].values())
    record_of = {record["label"]: record for record in table["records"]}
    parts = {
        part["name"].removeprefix(f"{table['name']}."): part["standings"] for part in _parts(table, tables)
    }
    breaks = {
        label: [(source, of[label]) for source, of in parts.items() if _broken(of, label)]
        for label in record_of
    }
    by_outcome = {o: [s for s in standings if s.outcome == o] for o in ("broken", "holds", "open")}
    holds, broken, still_open = (len(by_outcome[o]) for o in ("holds", "broken", "open"))
    said = [f"{holds or 'none'} {'keep' if holds > 1 else 'keeps'} the policy’s limit with 95% confidence"]
    if broken:
        said.append(f"{broken} {'break' if broken > 1 else 'breaks'} it")
    if still_open:
        said.append(f"{still_open} cannot be told")
    uneven = sum(bool(breaks[s.label]) for s in standings if s.outcome != "broken")
    if uneven:
        said.append(f"{uneven} of these {'break' if uneven > 1 else 'breaks'} it in single sources")
    kind = "synthetic" if table["synthetic"] else "real"
    labels = f"{len(standings)} label{'s' * (len(standings) != 1)}"
    return {
        "name": table["name"],
        "synthetic": table["synthetic"],
        "headline": f"On {kind} test text, of {labels} {_listed(said)}.",
        "lines": [(s, record_of[s.label], breaks[s.label]) for found in by_outcome.values() for s in found],
    }


def _parts(table: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The sets of single sources that a whole one divides into."""
    return [part for part in tables if not part["whole"] and part["synthetic"] == table["synthetic"]]


def _broken(standings: Mapping[str, Standing], label: str) -> bool:
    return label in standings and standings[label].outcome == "broken"


def _unheard(labels: Sequence[str], tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels that no real test text speaks of."""
    heard = {r["label"] for table in tables if not table["synthetic"] for r in table["records"]}
    return [label for label in labels if label not in heard]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _facts(final: Mapping[str, Any], locked: Mapping[str, Any], state: Mapping[str, Any]) -> list[Any]:
    """(term, value) of what was trained, or tried as a baseline; values are plain text."""
    recipe = locked["recipe"]
    sources = ", ".join(f"{name} ({_rows(locked, name):,} rows)" for name in locked["sources"])
    policy = recipe["policy"]
    return [
        ("recipe", final["name"]),
        ("policy", f"{policy['name']} {policy['version']}"),
        *(_attempted(final["baseline"]) if "baseline" in final else _trained(final, locked)),
        ("data", sources),
        ("code", state.get("code", "unknown")),
        ("identity", locked["sha256"]),
        ("page written", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
    ]


def _trained(final: Mapping[str, Any], locked: Mapping[str, Any]) -> list[Any]:
    recipe = locked["recipe"]
    adapter = recipe["adapter"]
    ((metric, value),) = final["selected_by"].items()
    chosen = f"{final['selected_step']:,}, by {metric} "
    chosen += "(not measurable: too few positives or negatives)" if value is None else f"{value:.4f}"
    details = ", ".join(f"{key} {_plain(adapter[key])}" for key in adapter if key != "kind")
    return [
        ("base", recipe["model"].get("base", "a local folder")),
        ("base digest", locked["base"]),
        ("adapter", adapter["kind"] + (f" ({details})" if details else "")),
        ("updates", f"{final['steps']:,} of {recipe['train']['global_batch']} examples"),
        ("selected step", chosen),
        ("number format", f"{final['precision']}, {final['processes']} process(es)"),
        ("reload", f"largest logit difference in a new process {final['reload_max_logit_difference']:g}"),
    ]


def _attempted(about: Mapping[str, Any]) -> list[Any]:
    """What a baseline was made with; of an LLM, which texts it was asked about and what that cost."""
    settings = {key: _plain(value) for key, value in about.items() if not isinstance(value, dict)}
    parts = {
        f"{outer}: {key}": ", ".join(f"{name} {_plain(count)}" for name, count in value.items())
        if isinstance(value, dict)
        else _plain(value)
        for outer, inner in about.items()
        if isinstance(inner, dict)
        for key, value in inner.items()
    }
    return [(f"baseline {key}", value) for key, value in (settings | parts).items()]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rows(locked: Mapping[str, Any], source: str) -> int:
    first = locked["labels"][0]
    return sum(cell["rows"] for cell in locked["rows"] if cell["source"] == source and cell["label"] == first)


def _training(final: Mapping[str, Any], logged: charts.History) -> list[charts.Figure]:
    (metric,) = final["selected_by"]
    step = final["selected_step"]
    return [charts.loss(logged, step), charts.progress(logged, metric, step)]


def _curves(
    part: Predictions, table: Mapping[str, Any], points: Mapping[str, Any]
) -> list[tuple[str, list[charts.Figure]]]:
    return [
        (
            record["label"],
            [
                charts.ranking(part, record, points[record["label"]]),
                charts.reliability(part, record),
            ],
        )
        for record in table["records"]
    ]


def _mixture(cells: list[Mapping[str, Any]]) -> dict[str, Any]:
    """source -> {"rows": {split: n}, "labels": {label: {split: cell}}}, and the splits in order."""
    splits = list(dict.fromkeys(cell["split"] for cell in cells))
    sources: dict[str, Any] = {}
    for cell in cells:
        source = sources.setdefault(cell["source"], {"rows": {}, "labels": {}})
        source["rows"][cell["split"]] = cell["rows"]
        source["labels"].setdefault(cell["label"], {})[cell["split"]] = cell
    return {"splits": splits, "sources": sources}


def _passes(locked: Mapping[str, Any], steps: int) -> list[dict[str, Any]]:
    """A line a source: its share of an epoch, and how often a row of it was seen; none from older runs."""
    found = locked.get("mixture", [])
    per_epoch = -(-sum(line["in_epoch"] for line in found) // locked["recipe"]["train"]["global_batch"])
    return [line | {"seen": line["repeats"] * steps / per_epoch} for line in found]


def _slices(
    figures: Mapping[str, Any], bounds: records.Intervals, table: Mapping[str, Any]
) -> dict[str, list[tuple[str, list[Record]]]]:
    """slice -> [(label, its record over all values, then one a value)], `any` last."""
    whole = {record["label"]: {**record, "value": None} for record in (*table["records"], table["any"])}
    found: dict[str, dict[str, list[Record]]] = {}
    for record in records.by_slice(figures, bounds, table["name"]):
        of_slice = found.setdefault(record["slice"], {label: [all_] for label, all_ in whole.items()})
        of_slice[record["label"]].append(record)
    return {name: [(k, v) for k, v in labels.items() if len(v) > 1] for name, labels in found.items()}


def _not_sliced(predictions: Predictions, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(slice, reason) for each that no figure speaks of."""
    known = {key.split("/", 3)[3].partition("=")[0] for key in figures if key.count("/") >= 3}
    found = []
    for name, column in predictions.slices.items():
        if name not in known:
            values = len({value for value in column if value is not None})
            few = "no figures in summary.json" if values else "no value"
            found.append((name, f"{values} values" if values > MOST_VALUES else few))
    return found


def _render(content: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "share": _share,
        "figure": _figure,
        "short": _short,
        "fine": _fine,
    }
    environment.globals |= {"figure": _figure, "fine": _fine, "bare": lambda value: _share(value, "")}
    return environment.get_template("page.html.j2").render(content)


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _fine(value: float) -> str:
    """Four places: thresholds, Brier, ECE."""
    return f"{value:.4f}"


def _share(value: float, sign: str = "%") -> str:
    """A share as a percentage of two places below 10%, one above: 0.65%, 86.0%."""
    percent = value * 100
    return f"{percent:.{2 if round(percent, 2) < 10 else 1}f}{sign}"


def _short(value: float) -> str:
    """A limit as the policy says it: 1%, 0.5%."""
    return f"{value * 100:g}%"
