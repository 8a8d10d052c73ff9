"""What a request says: its JSON goes in, texts come out; or what is wrong with it, never the text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from train.errors import InputError, Problem
from train.server.limits import Limits
from train.serving.score import text_of


class Refused(Exception):
    """A request that gets no scores. status: of HTTP; code: what kind, for programs; param: which field."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        self.status, self.message, self.code, self.param = status, message, code, param
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """As OpenAI's API says it."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        said = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": said}


class Inputs(NamedTuple):
    """ids: as they were given; None where a request names none."""

    ids: list[str | int | None]
    texts: list[str]


def moderations(body: bytes, limits: Limits) -> Inputs:
    """Of OpenAI's /v1/moderations: `input` is a text, a list of texts, or one input of several text parts.

    Raises Refused.
    """
    given = _field(_object(body), "input")
    if isinstance(given, str):
        texts = [given]
    elif isinstance(given, list) and given and all(isinstance(part, Mapping) for part in given):
        texts = ["\n".join(_part(part) for part in given)]
    elif isinstance(given, list) and given and all(isinstance(text, str) for text in given):
        texts = given
    else:
        expected = "a text, a list of texts, or a list of {type: text, text: ...}"
        raise Refused(400, f"input must be {expected}", "invalid_input", "input")
    rows = [{"text": text} for text in texts]
    return Inputs([None] * len(rows), _texts(rows, limits, "input"))


def predict(body: bytes, limits: Limits) -> Inputs:
    """Of our own /predict: {"inputs": [{"id", "text"} or {"id", "turns"}]}. Raises Refused."""
    given = _field(_object(body), "inputs")
    if not (isinstance(given, list) and given and all(isinstance(row, Mapping) for row in given)):
        expected = 'a list of {"text": ...} or {"turns": [{"speaker", "text"}]}, each with an optional "id"'
        raise Refused(400, f"inputs must be {expected}", "invalid_input", "inputs")
    return Inputs([_id(n, row.get("id")) for n, row in enumerate(given)], _texts(given, limits, "inputs"))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON in UTF-8", "invalid_json") from None
    if not isinstance(found, Mapping):
        raise Refused(400, "the body must be a JSON object", "invalid_json")
    return found


def _field(found: Mapping[str, Any], name: str) -> Any:
    if name not in found:
        raise Refused(400, f"{name} is missing", "missing_field", name)
    return found[name]


def _part(part: Mapping[str, Any]) -> str:
    if part.get("type") != "text" or not isinstance(part.get("text"), str):
        what = "input: a part must be {type: text, text: ...}; this model judges no images: send text alone"
        raise Refused(400, what, "unsupported_input", "input")
    text: str = part["text"]
    return text


def _id(n: int, id: Any) -> str | int | None:
    if isinstance(id, bool) or not isinstance(id, str | int | None):
        raise Refused(400, f"inputs[{n}]: id must be a text or a whole number", "invalid_input", "inputs")
    return id.encode("utf-8", "replace").decode() if isinstance(id, str) else id


def _texts(rows: Sequence[Mapping[str, Any]], limits: Limits, field: str) -> list[str]:
    if len(rows) > limits.texts:
        what = f"{len(rows)} texts, at most {limits.texts} a request: send several requests"
        raise Refused(413, what, "too_many_texts", field)
    try:
        texts = [text_of(f"{field}[{n}]", row) for n, row in enumerate(rows)]
    except InputError as wrong:
        problem: Problem = wrong.problems[0]
        what = f"{problem.where}: {problem.what}; expected {problem.expected}"
        raise Refused(400, what, "invalid_input", field) from None
    for n, text in enumerate(texts):
        if len(text) > limits.characters:
            what = (
                f"{field}[{n}] has {len(text):,} characters, at most {limits.characters:,}: send less of it"
            )
            raise Refused(413, what, "text_too_long", field)
    return texts
