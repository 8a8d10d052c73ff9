"""An OpenAI-compatible endpoint: a prompt and a text go in, an answer comes out, or what came instead.

Nothing that a server sends is ever shown: its messages may repeat the text.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from train.errors import InputError, Problem
from train.llm.answers import Answer
from train.llm.ledger import Ledger, Spent
from train.llm.prompt import Completion, NoVerdict, Question

TRIES = 4
PAUSE = 0.5  # seconds before the second try, doubled before each further one
LONGEST_PAUSE = 30.0  # however long a server asks to be left alone
_AGAIN = {408, 409, 429}  # and all from 500 on: what another try may find mended
_OF_THE_TEXT = {
    400,
    403,
    413,
    422,
    451,
}  # refused for what was asked (a filter, its length), not for who asks
_REFUSED = 503  # of those from 500 on the one that says that nothing was done

_NEVER_SENT = {"ConnectError", "ConnectTimeout"}  # by name: openai comes with httpx or with httpx2


@dataclass(frozen=True)
class Reply:
    """answer: None where there is no verdict. failures: what came instead, one a try. broke: the budget
    had no room for another try. unheard: what came last had nothing to do with the text, so that it is worth
    asking again another day: the server is down, busy or knows the key no more."""

    answer: Answer | None
    failures: tuple[str, ...] = ()
    broke: bool = False
    unheard: bool = False


class _Tried(NamedTuple):
    """One try. pause: seconds the server wants before another, None: do not try. took: None where nobody
    knows, so that it counts as the most it can be."""

    answer: Answer | None = None
    failure: str = ""
    pause: float | None = None
    took: Spent | None = None
    unheard: bool = False


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
        keep: Callable[[Answer], None] = lambda answer: None,
    ) -> Reply:
        """At most TRIES times, with growing pauses, unless `stopping`, or the ledger's budget has no room.

        keep: is given the answer before the ledger is told what it took. A process that is killed in between
        has counted too much, not paid for what it has not got.
        """
        failures: list[str] = []
        unheard = False
        most = Spent(*prompt.most(text))
        while len(failures) < TRIES and not (failures and stopping()):
            number = ledger.reserve(most.prompt, most.completion) if ledger else None
            if ledger and number is None:
                return Reply(None, tuple(failures), broke=True)
            took: Spent | None = None
            try:
                answer, failure, pause, took, unheard = self._try(prompt, text, most)
                if answer:
                    keep(answer)
                    return Reply(answer, tuple(failures))
            finally:
                if ledger and number is not None:
                    ledger.settle(number, most if took is None else took)
            failures.append(failure)
            if pause is None:
                break
            if len(failures) < TRIES:
                time.sleep(min(max(pause, PAUSE * 2 ** (len(failures) - 1)), LONGEST_PAUSE))
        return Reply(None, tuple(failures), unheard=unheard)

    def _try(self, prompt: Question, text: str, most: Spent) -> _Tried:
        import openai

        took: Spent | None = None
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                model=self.model, **prompt.request(text)
            )
            found = Completion.model_validate_json(raw.http_response.content)
            if usage := found.usage:
                took = Spent(usage.prompt_tokens, usage.completion_tokens)
            cost = most if took is None else took
            return _Tried(Answer(prompt.read(found), cost.prompt, cost.completion), took=took)
        except openai.APIStatusError as error:
            status = error.status_code
            again = status in _AGAIN or status >= 500
            worked = status == 408 or (status >= 500 and status != _REFUSED)  # perhaps, until it broke
            return _Tried(
                failure=f"status {status}",
                pause=_asked_for(error.response) if again else None,
                took=None if worked else Spent(),
                unheard=status not in _OF_THE_TEXT,
            )
        except openai.APIConnectionError as error:  # also one that took too long
            slow = isinstance(error, openai.APITimeoutError)
            took = Spent() if type(error.__cause__).__name__ in _NEVER_SENT else None
            return _Tried(
                failure="no answer in time" if slow else "no connection", pause=0.0, took=took, unheard=True
            )
        except NoVerdict as wrong:
            return _Tried(failure=str(wrong), pause=0.0, took=took)
        except ValueError:
            return _Tried(failure="no chat completion", pause=0.0)


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
