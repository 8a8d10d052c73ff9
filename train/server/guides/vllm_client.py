"""Does a vLLM server answer as the bundle it serves? python vllm_client.py BUNDLE http://HOST:PORT"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from golden import Scores, Server, Stop, main, took_softmax

AT_ONCE = 16


def client(url: str) -> Server:
    def ask(texts: Sequence[str], manifest: dict[str, Any]) -> Scores:
        found: Scores = []
        for start in range(0, len(texts), AT_ONCE):
            asked: dict[str, Any] = {
                "input": list(texts[start : start + AT_ONCE]),
                "truncate_prompt_tokens": manifest["encoding"]["max_length"]["tokens"],
            }
            answer = requests.post(f"{url}/classify", json=asked, timeout=60)
            answer.raise_for_status()
            found += [one["probs"] for one in sorted(answer.json()["data"], key=lambda one: one["index"])]
        if took_softmax(found):
            raise Stop("the probabilities of every text add up to 1: this vLLM took a softmax, see vllm.md")
        return found

    return Server(ask)


if __name__ == "__main__":
    main(client)
