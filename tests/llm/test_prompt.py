"""A prompt's text stays data, and nothing but the verdict asked for counts as one."""

from __future__ import annotations

import json
import math
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.conftest import POLICY
from tests.llm.servers import completion, wise
from train.llm.prompt import LEAST, Completion, Form, NoVerdict, Prompt
from train.policy import Policy

LABELS = ("harassment", "hate")
TOY = Policy.model_validate(YAML(typ="safe").load(POLICY))
CONTROL = (
    "<|im_end|>",
    "<|im_start|>system",
    "[INST]",
    "</s>",
    "<start_of_turn>",
    '"}',
    "\\",
    "\u2028",
    "\x1e",
)


def prompt(form: Form = "yes-no") -> Prompt:
    return Prompt(TOY, LABELS, form)


@given(st.lists(st.one_of(st.sampled_from(CONTROL), st.text(st.characters(codec="utf-8")))).map("".join))
def test_a_text_is_one_string_of_the_last_message_whatever_it_holds(text: str) -> None:
    system, user = prompt().request(text)["messages"]
    assert system == prompt().request("")["messages"][0]
    assert json.loads(user["content"]) == {"text": text.replace("\x1e", "\n")}
    assert user["content"].count("\n") == 0
    assert not set("<>[]|") & set(user["content"])


def test_the_policy_is_in_the_instructions_and_in_the_digest() -> None:
    said = prompt().request("x")["messages"][0]["content"]
    for name in LABELS:
        label = TOY.labels[name]
        assert all(part in said for part in (name, label.title, label.definition, *label.excludes))
    newer = TOY.model_copy(update={"version": "1.0.1"})
    digests = {
        prompt().digest(),
        prompt("percent").digest(),
        Prompt(newer, LABELS, "yes-no").digest(),
        Prompt(TOY, LABELS[:1], "yes-no").digest(),
    }
    assert len(digests) == 4
    assert prompt().digest() == prompt().digest()


@given(st.text(st.characters(codec="utf-8")) | st.just("\ufdfa" * 50))
def test_no_tokenizer_makes_more_of_a_request_than_is_reserved(text: str) -> None:
    said = "".join(message["content"] for message in prompt().request(text)["messages"])
    sent, received = prompt().most(text)
    assert max(len(one.encode()) for one in (said, normalize("NFKC", said))) < sent
    assert received == prompt().request(text)["max_tokens"]


def test_a_yes_is_worth_its_log_odds() -> None:
    found = prompt().read(Completion.model_validate(wise("loser")[1]))
    assert found == pytest.approx([math.log(9), -math.log(9)])


def test_an_answer_off_the_list_is_as_likely_as_the_least_on_it() -> None:
    body = completion('{"harassment": true, "hate": false}', [("{", 0.0)])
    tokens = body["choices"][0]["logprobs"]["content"]
    tokens += [
        {"token": '"harassment"', "logprob": 0.0},
        {"token": ": ", "logprob": 0.0},
        {
            "token": "true",
            "logprob": -0.1,
            "top_logprobs": [{"token": "t", "logprob": -3.0}, {"token": "1", "logprob": -5.0}],
        },
        {"token": ', "hate":', "logprob": 0.0},
        {"token": " false", "logprob": 0.0, "top_logprobs": [{"token": " true", "logprob": -9999.0}]},
    ]
    found = prompt().read(Completion.model_validate(body))
    assert found == pytest.approx([math.log(math.exp(-0.1) + math.exp(-3)) + 5, LEAST])


def test_a_stated_number_becomes_finite_log_odds() -> None:
    body = completion('{"hate": 100, "harassment": 50}')
    assert prompt("percent").read(Completion.model_validate(body)) == pytest.approx([0, math.log(201)])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no JSON"),
        ("Sure! {}", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1, 2]", "no JSON object"),
        ("3", "no JSON object"),
        ('{"hate": 1}', "other keys"),
        ('{"hate": 1, "harassment": 2, "spam": 3}', "other keys"),
        ('{"hate": 1, "harassment": 2, "hate": 0}', "other keys"),
        ('{"hate": 1, "harassment": true}', "other values"),
        ('{"hate": 1, "harassment": 101}', "other values"),
        ('{"hate": 1, "harassment": 0.5}', "other values"),
        ('{"hate": 1, "harassment": "1"}', "other values"),
    ],
)
def test_anything_else_is_no_verdict(content: str, why: str) -> None:
    with pytest.raises(NoVerdict, match=why):
        prompt("percent").read(Completion.model_validate(completion(content)))


def test_yes_or_no_without_log_probabilities_is_no_verdict() -> None:
    body = completion('{"hate": true, "harassment": false}')
    with pytest.raises(NoVerdict, match="no log-prob"):
        prompt().read(Completion.model_validate(body))


def _spelled(*tokens: tuple[str, str]) -> dict[str, object]:
    """A completion of tokens that are nearly sure, each with one alternative; from the first `{` on it is the
    message, and what stands before is a model's thinking."""
    written = "".join(token for token, _ in tokens)
    body = completion(written[written.index("{") :])
    body["choices"][0]["logprobs"] = {
        "content": [
            {"token": token, "logprob": -0.01, "top_logprobs": [{"token": other, "logprob": -6.0}]}
            for token, other in tokens
        ]
    }
    return body


def test_a_verdict_that_a_text_puts_into_a_models_thinking_is_not_the_models() -> None:
    thought = [('it says "harassment": ', "."), ("false", "true"), (', "hate": ', "."), ("false", "true")]
    said = [('{"harassment": ', "."), ("true", "false"), (', "hate": ', "."), ("true", "false"), ("}", ".")]
    found = prompt().read(Completion.model_validate(_spelled(*thought, *said)))
    assert found == pytest.approx([5.99, 5.99])


def test_a_yes_that_no_token_says_alone_is_no_no() -> None:
    """A token may hold the comma, too: then only the alternatives would be counted."""
    said = [('{"harassment":', "."), (" true,", " false"), ('"hate":', "."), (" true", " false"), ("}", ".")]
    with pytest.raises(NoVerdict, match="no log-prob"):
        prompt().read(Completion.model_validate(_spelled(*said)))
