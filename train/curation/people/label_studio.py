"""Rows to people and their votes back: Label Studio's JSON, and CSV.

A file that is written here holds texts, since people have to read them: it is for its owner only, and rows
that a tier-3 label holds for or may hold for are in it only if that is asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from train.errors import InputError, Problem
from train.example import TURN
from train.files import json_text, write_text
from train.policy import Policy

ANSWERS = {"yes": 1.0, "no": 0.0, "unsure": None}
"""What a person may say of a label -> the vote."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def tasks(rows: Sequence[dict[str, Any]]) -> str:
    """Label Studio's import. rows: {id, group, text}; a conversation's turns are {author, text}."""
    made = []
    for row in rows:
        said = (
            [turn.partition(": ") for turn in row["text"].split(TURN)]
            if TURN in row["text"]
            else [("", "", row["text"])]
        )
        dialogue = [{"author": author or "text", "text": text or author} for author, _, text in said]
        made.append({"data": {"id": row["id"], "group": row["group"], "dialogue": dialogue}})
    return json_text(made)


def interface(policy: Policy, labels: Sequence[str]) -> str:
    """The labelling interface for these tasks: yes, no or unsure for each label, with the policy's words."""
    lines = [
        "<View>",
        '  <Paragraphs name="text" value="$dialogue" layout="dialogue" nameKey="author" textKey="text"/>',
    ]
    for name in labels:
        label = policy.labels[name]
        hint = f"{label.title}. {label.definition} Not: {'; '.join(label.excludes)}."
        lines.append(f"  <Header value={quoteattr(hint)}/>")
        lines.append(f'  <Choices name={quoteattr(name)} toName="text" choice="single" required="true">')
        lines += [f'    <Choice value="{answer}"/>' for answer in ANSWERS]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def sheet(rows: Sequence[dict[str, Any]], labels: Sequence[str], path: Path) -> None:
    """The same as CSV, a column a label to fill with yes, no or unsure. No cell is read as a formula."""
    from io import StringIO

    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "group", "annotator", *labels, "text"])
    for row in rows:
        text = row["text"].replace(TURN, "\n")
        cells = [row["id"], row["group"], "", *[""] * len(labels), text]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    write_text(path, out.getvalue(), private=True)


Vote = tuple[str, str, str, str | None, float | None]
"""(item, group, label, annotator, value)"""


def votes(path: Path, policy: Policy) -> list[Vote]:
    """The votes in a JSON export of Label Studio or in a filled CSV. Raises InputError with every odd answer.

    What was cancelled or skipped is no vote; of a draft nothing is taken.
    """
    problems: list[Problem] = []
    try:
        found = [*(_from_csv if path.suffix == ".csv" else _from_json)(path, policy, problems)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Problem(str(path), f"cannot be read ({type(error).__name__})")) from None
    if problems:
        raise InputError(problems[:20])
    if not found:
        raise InputError(Problem(str(path), "holds no vote", "completed annotations"))
    return found


def _from_json(path: Path, policy: Policy, problems: list[Problem]) -> Iterator[Vote]:
    try:
        exported = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        exported = None
    if not isinstance(exported, list):
        raise InputError(
            Problem(str(path), "is no list of tasks", "Label Studio's JSON export (not JSON-MIN)")
        )
    for number, task in enumerate(exported, 1):
        where = f"{path} task {number}"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            problems.append(Problem(where, "has no data.id", "a task that `teensafe data select` wrote"))
            continue
        for annotation in task.get("annotations") or ():
            if annotation.get("was_cancelled"):
                continue
            who = annotation.get("completed_by")
            who = who.get("id") if isinstance(who, dict) else who  # a number; an address would be personal
            for result in annotation.get("result") or ():
                choices = (result.get("value") or {}).get("choices")
                if choices is None:
                    continue
                label, said = str(result.get("from_name")), choices[0] if len(choices) == 1 else None
                if value := _value(where, label, said, policy, problems):
                    yield (
                        data["id"],
                        str(data.get("group") or ""),
                        label,
                        None if who is None else str(who),
                        value[0],
                    )


def _from_csv(path: Path, policy: Policy, problems: list[Problem]) -> Iterator[Vote]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        for column in ("id", "group", "annotator"):
            if column not in (reader.fieldnames or ()):
                raise InputError(
                    Problem(f"{path}:1", f"has no column {column}", "id, group, annotator and labels")
                )
        labels = [
            name for name in reader.fieldnames or () if name not in ("id", "group", "annotator", "text")
        ]
        if unknown := [name for name in labels if name not in policy.labels]:
            what = f"the policy has no label '{unknown[0]}'"
            raise InputError(Problem(f"{path}:1", what, ", ".join(policy.labels)))
        for row in reader:
            for label in labels:
                said = (row[label] or "").strip()
                if said and (value := _value(f"{path}:{reader.line_num}", label, said, policy, problems)):
                    id, group = (row[name].removeprefix("'") for name in ("id", "group"))
                    yield id, group, label, row["annotator"] or None, value[0]


def _value(
    where: str, label: str, said: Any, policy: Policy, problems: list[Problem]
) -> tuple[float | None] | None:
    """The vote in a tuple, or None after saying what is wrong with it."""
    if label not in policy.labels:
        problems.append(
            Problem(where, "a choice for what is no label of the policy", ", ".join(policy.labels))
        )
    elif not isinstance(said, str) or said.lower() not in ANSWERS:
        problems.append(Problem(where, f"{label}: an answer that is none", ", ".join(ANSWERS)))
    else:
        return (ANSWERS[said.lower()],)
    return None
