"""A comparison in Weights & Biases: its document goes in; a run with tables and plots and a Report come out.

Figures and names only: no text, no id and no slice value that fewer than ENOUGH texts share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from train.comparison import cost
from train.comparison.figures import PRIMARY
from train.comparison.sides import Side
from train.comparison.verdict import set_title
from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record, is_whole
from train.recipe import load as load_recipe
from train.tracking.run import runs_folder
from train.tracking.wandb_log import Tracking, WandbLog


def publish(document: Mapping[str, Any], sides: Sequence[Side], group: str | None = None) -> str:
    """Log the comparison as a run of job type `compare` in a group, by default of its name, in the project of
    the first run's recipe; returns where it is, in words.

    Online it also writes a Report, where the package wandb-workspaces is installed.
    """
    folder = runs_folder() / "comparisons" / document["name"]
    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    of_run = _tracking(sides[0].runs[0].folder)
    # it is asked for, so `disabled` does not count; a recipe whose figures stay until they are synced does
    mode = "offline" if of_run.wandb == "offline" else "auto"
    tracking = of_run.model_copy(update={"wandb": mode, "group": group or document["name"]})
    config = {
        "name": document["name"],
        "margin": document["margin"],
        "level": document["level"],
        "sides": [{key: side[key] for key in ("letter", "name", "runs")} for side in document["sides"]],
    }
    log = WandbLog(tracking, folder, document["name"], config, ["compare"], job_type="compare")
    log.tables(0, tables(document))
    log.summarise(_summary(document))
    for pair in document["pairs"]:
        rows = [{"set": r["set"], "difference": r["difference"]} for r in _primary(pair)]
        title = f"Macro AUPRC, {pair['b']} − {pair['a']}"
        log.bars(f"plot/{pair['b']}-{pair['a']}", rows, "set", "difference", title)
    place, offline = log.place, log.offline
    said = f"W&B is offline; to send it later: wandb sync {folder}/wandb/offline-run-*" if offline else ""
    if place:
        said = f"W&B: {place[0]}/{place[1]}, group {tracking.group}"
        if find_spec("wandb_workspaces"):
            said = f"{said}\nW&B report: {_report(document, *place)}"
        else:
            said += "; pip install wandb-workspaces for a Report as well"
    log.finish()
    return said or "W&B is disabled (WANDB_MODE): nothing was logged"


def tables(document: Mapping[str, Any]) -> dict[str, list[Record]]:
    """`verdict`, `figures`, `slices`, `differs`, a record each with the pair it is of; `cost`, one a side."""
    found: dict[str, list[Record]] = {"verdict": [], "figures": [], "slices": [], "differs": []}
    for pair in document["pairs"]:
        of = {"a": pair["a"], "b": pair["b"]}
        named = {f"side_{key}": letter for key, letter in of.items()}
        verdict = pair["verdict"]
        said = [{"set": "", "outcome": verdict["outcome"], "text": verdict["scope"]}]
        said += [{key: line[key] for key in ("set", "outcome", "text")} for line in verdict["lines"]]
        found["verdict"] += [named | line for line in said]
        found["figures"] += [named | record for record in pair["figures"]]
        found["slices"] += [named | record for record in pair["slices"] if record["n"] >= ENOUGH]
        found["differs"] += [
            named | {"section": r["section"], "key": r["key"], "a": str(r["a"]), "b": str(r["b"])}
            for r in pair["differs"]
        ]
    found["cost"] = [
        {"side": side["letter"], "name": side["name"], **{key: side["cost"][key] for key in cost.TITLES}}
        for side in document["sides"]
    ]
    return found


def _primary(pair: Mapping[str, Any]) -> list[Record]:
    """The main figure of each whole set that has one."""
    return [
        record
        for record in pair["figures"]
        if (record["label"], record["metric"]) == PRIMARY
        and is_whole(record["set"])
        and record["a"] is not None
    ]


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in document["pairs"]:
        key = f"{pair['b']}-{pair['a']}"
        found |= {
            f"{key}/outcome": pair["verdict"]["outcome"],
            f"{key}/headline": pair["verdict"]["headline"],
        }
        for record in _primary(pair):
            ends = {end: record[end] for end in ("difference", "low", "high")}
            found |= {f"{key}/{record['set']}/macro/auprc/{end}": value for end, value in ends.items()}
    return found


def _tracking(folder: Path) -> Tracking:
    """Where the run itself was sent; a baseline's folder may hold no recipe.yaml."""
    path = folder / "recipe.yaml"
    return load_recipe(path).track if path.is_file() else Tracking()


def _report(document: Mapping[str, Any], entity: str, project: str) -> str:
    """Its address."""
    import wandb_workspaces.reports.v2 as wr

    headline = document["pairs"][0]["verdict"]["headline"]
    blocks = [wr.MarkdownBlock(text) for text in report(document)]
    made = wr.Report(
        entity=entity, project=project, title=document["name"], description=headline, blocks=blocks
    )
    made.save()
    return str(made.url)


def report(document: Mapping[str, Any]) -> list[str]:
    """The Report's blocks, in Markdown: a verdict and a table of main figures a pair, then the cost."""
    names = "\n".join(f"- **{side['letter']}**: {side['name']}" for side in document["sides"])
    blocks = [names]
    for pair in document["pairs"]:
        verdict = pair["verdict"]
        lines = [f"- {line['text']}" for line in verdict["lines"][1:]]
        blocks.append("\n\n".join([f"## {verdict['headline']}", verdict["scope"], "\n".join(lines)]))
        rows = [
            [
                set_title(r["set"]),
                *(f"{r[key]:.3f}" for key in "ab"),
                *(_signed(r[k]) for k in _ENDS),
                r["outcome"],
            ]
            for r in _primary(pair)
        ]
        blocks.append(_markdown(["macro AUPRC", pair["a"], pair["b"], "difference", "low", "high", ""], rows))
    rows = [
        [title, *(cost.shown(key, side["cost"][key]) for side in document["sides"])]
        for key, title in cost.TITLES.items()
    ]
    blocks.append("## Cost\n\n" + _markdown(["", *(side["letter"] for side in document["sides"])], rows))
    return blocks


_ENDS = ("difference", "low", "high")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
