"""Rows to Label Studio's tasks, with an interface that says the policy's words; its JSON export to votes.

A task holds the text, since people have to read it: the file is for its owner only, and the interface blurs a
text until it is pointed at. https://labelstud.io/guide/task_format and https://labelstud.io/tags
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as xml

from train.curation.people.answers import ANSWERS, answer, begun
from train.curation.people.escalated import sendable
from train.curation.people.votes import Vote, named
from train.data.findings import Findings
from train.example import TURN
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

_VEIL = ".veiled { filter: blur(0.4em) } .veiled:hover, .veiled:focus-within { filter: none }"


def tasks(
    rows: pa.Table, labels: Sequence[str], policy: Policy, round_: int = 0, send_escalated: bool = False
) -> tuple[list[dict[str, Any]], int]:
    """(what Label Studio imports, how many rows of tier 3 were kept back; see escalated.py).

    rows: id, text and label.<L>, of which none is told; `asks` where each row asks for labels of its own. A
    text that is no conversation is one turn.
    """
    sent, held = sendable(rows, policy, send_escalated)
    beside = {"round": round_, "policy": named(policy)}
    asks = sent.column("asks").to_pylist() if "asks" in rows.column_names else [" ".join(labels)] * len(sent)
    said = zip(sent.column("id").to_pylist(), sent.column("text").to_pylist(), asks, strict=True)
    made = [{"item": id, "turns": _turns(text), "labels": its, **beside} for id, text, its in said]
    return [{"data": data} for data in made], held


def _turns(text: str) -> list[dict[str, str]]:
    if TURN not in text:
        return [{"speaker": "text", "text": text}]
    turns = (turn.partition(": ") for turn in text.split(TURN))
    return [{"speaker": speaker, "text": words} for speaker, _, words in turns]


def interface(labels: Sequence[str], policy: Policy, some: bool = False) -> str:
    """The labelling configuration of these tasks, XML: each label to be answered, beside what carries it and
    what does not. some: each task says which labels it asks for, and the others may stay open."""
    view = xml.Element("View")
    xml.SubElement(view, "Style").text = _VEIL
    xml.SubElement(view, "Header", value=f"Policy {named(policy)}: judge the last turn, as part of the whole")
    veiled = xml.SubElement(view, "View", className="veiled")
    shown = {
        "name": "turns",
        "value": "$turns",
        "layout": "dialogue",
        "nameKey": "speaker",
        "textKey": "text",
    }
    xml.SubElement(veiled, "Paragraphs", shown)
    if some:
        xml.SubElement(view, "Header", value="People differ on these labels. Decide them alone:")
        xml.SubElement(view, "Header", value="$labels")  # by itself: some versions fill in nothing else
    for name in labels:
        label = policy.labels[name]
        excludes = f"Not: {'; '.join(label.excludes)}"
        xml.SubElement(view, "Header", value=f"{label.title}: {label.definition}", size="5")
        xml.SubElement(view, "Header", value=excludes, size="6")
        required = "false" if some else "true"
        asked = {"choice": "single-radio", "required": required, "showInline": "true"}
        choices = xml.SubElement(view, "Choices", {"name": name, "toName": "turns", **asked})
        hints = {"yes": label.definition, "no": excludes, "unsure": "The policy does not tell"}
        for said in ANSWERS:
            xml.SubElement(choices, "Choice", value=said, hint=hints[said])
    xml.indent(view)
    return xml.tostring(view, encoding="unicode") + "\n"


def votes(where: str, task: Mapping[str, Any], policy: Policy, found: Findings) -> Iterator[Vote]:
    """The votes of a task of the JSON export, of each annotation that was submitted. One that was cancelled
    skips the labels that were asked for; drafts and predictions are nobody's votes."""
    data, annotations = task.get("data"), task["annotations"]
    if not isinstance(data, dict) or not isinstance(annotations, list):
        found.add(where, "is no task", "an object `data`, as it was sent out, and a list `annotations`")
        return
    if (begin := begun(where, data, policy, found)) is None:
        return
    for number, annotation in enumerate(annotations, 1):
        place = f"{where}, annotation {number}"
        if not _is_annotation(annotation):
            found.add(place, "is no annotation", "an object with a list `result`")
            continue
        who = annotation.get("completed_by")
        who = who.get("id", who.get("email")) if isinstance(who, dict) else who
        vote = begin._replace(
            annotator=None if who is None else str(who), ballot=str(annotation.get("id", number))
        )
        if annotation.get("was_cancelled"):
            asked = str(data.get("labels") or "").split()
            yield from (vote._replace(label=label) for label in asked if label in policy.labels)
            continue
        for result in annotation["result"]:
            if result.get("type") == "choices":
                chosen = result.get("value", {}).get("choices")
                label, said = str(result.get("from_name")), chosen if isinstance(chosen, list) else []
                one = said[0] if len(said) == 1 else None
                if (value := answer(place, label, one, policy, found)) is not None:
                    yield vote._replace(label=label, value=value)


def _is_annotation(said: Any) -> bool:
    results = said.get("result") if isinstance(said, dict) else None
    return isinstance(results, list) and all(
        isinstance(one, dict) and isinstance(one.get("value", {}), dict) for one in results
    )
