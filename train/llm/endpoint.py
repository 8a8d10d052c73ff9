"""An OpenAI-compatible endpoint: a prompt and a text go in, an answer comes out, or what came instead.

Nothing that a server sends is ever shown: its messages may repeat the text.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from train.errors import InputError, Problem
from train.llm.answers import Answer
from train.llm.ledger import Ledger, Spent
from train.llm.prompt import Completion, NoVerdict, Question

TRIES = 4
PAUSE = 0.5  # seconds before the second try, doubled before each further one
LONGEST_PAUSE = 30.0  # however long a server asks to be left alone
_AGAIN = {408, 409, 429}  # and all from 500 on: what another try may find mended


@dataclass(frozen=True)
class Reply:
    """answer: None where there is no verdict. failures: what came instead, one a try. broke: the budget
    had no room for another try."""

    answer: Answer | None
    failures: tuple[str, ...] = ()
    broke: bool = False


class Endpoint:
    """One model behind one address, `url`. Threads may ask together."""

    def __init__(self, url: str, model: str, key_name: str) -> None:
        """url: such as http://127.0.0.1:8080/v1; key_name: the variable that holds the key, which an endpoint
        on this machine can do without. Raises InputError."""
        try:
            import openai
        except ImportError:
            remedy = "pip install 'teensafe[llm]'"
            problem = Problem("prompted", "the openai package is not installed", "", remedy)
            raise InputError(problem) from None
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise InputError(Problem("--endpoint", "is no address of a server", "https://HOST/v1"))
        self.url, self.model = url, model
        self.name = f"{place.hostname}:{place.port}" if place.port else place.hostname
        self.is_loopback = is_loopback(place.hostname)
        key = os.environ.get(key_name)
        if not (key or self.is_loopback):
            remedy = f"export {key_name}=..., or name another variable with --key-env"
            raise InputError(Problem("command line", f"{key_name} is not set", "the endpoint's key", remedy))
        # to this machine through no proxy, and from no address on to another: a text goes where it was sent
        client = openai.DefaultHttpxClient(trust_env=not self.is_loopback, follow_redirects=False)
        self._client = openai.OpenAI(base_url=url, api_key=key or "none", max_retries=0, http_client=client)

    def ask(
        self,
        prompt: Question,
        text: str,
        stopping: Callable[[], bool] = lambda: False,
        ledger: Ledger | None = None,
    ) -> Reply:
        """At most TRIES times, with growing pauses, unless `stopping`, or the ledger's budget has no room."""
        failures: list[str] = []
        most = prompt.most(text)
        while len(failures) < TRIES and not (failures and stopping()):
            number = ledger.reserve(*most) if ledger else None
            if ledger and number is None:
                return Reply(None, tuple(failures), broke=True)
            answer, failure, pause, spent = self._try(prompt, text)
            if ledger and number is not None:
                ledger.settle(number, Spent(*most) if spent is None else spent)
            if answer:
                return Reply(answer, tuple(failures))
            failures.append(failure)
            if pause is None:
                break
            if len(failures) < TRIES:
                time.sleep(min(max(pause, PAUSE * 2 ** (len(failures) - 1)), LONGEST_PAUSE))
        return Reply(None, tuple(failures))

    def _try(self, prompt: Question, text: str) -> tuple[Answer | None, str, float | None, Spent | None]:
        """(answer, what came instead, seconds the server wants before another try or None: do not try, what
        it took or None: nobody knows). A request that was refused by its status took nothing."""
        import openai

        spent: Spent | None = None

        try:
            raw = self._client.chat.completions.with_raw_response.create(
                model=self.model, **prompt.request(text)
            )
            found = Completion.model_validate_json(raw.http_response.content)
            if usage := found.usage:
                spent = Spent(usage.prompt_tokens, usage.completion_tokens)
            known = spent or Spent()
            return Answer(prompt.read(found), known.prompt, known.completion), "", None, spent
        except openai.APIStatusError as error:
            again = error.status_code in _AGAIN or error.status_code >= 500
            pause = _asked_for(error.response) if again else None
            return None, f"status {error.status_code}", pause, Spent()
        except openai.APITimeoutError:
            return None, "no answer in time", 0.0, None
        except openai.APIConnectionError:
            return None, "no connection", 0.0, None
        except NoVerdict as wrong:
            return None, str(wrong), 0.0, spent
        except ValueError:
            return None, "no chat completion", 0.0, None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _asked_for(response: Any) -> float:
    """Seconds of Retry-After; its other form, a date, is passed over."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdigit() else 0.0
