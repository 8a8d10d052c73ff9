"""Does a vLLM server answer as the bundle it serves? python vllm_client.py BUNDLE http://HOST:PORT"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from golden import Ask, main

AT_ONCE = 16


def client(url: str) -> Ask:
    def ask(texts: Sequence[str], manifest: dict[str, Any]) -> list[list[float]]:
        found: list[list[float]] = []
        for start in range(0, len(texts), AT_ONCE):
            asked = {
                "model": "teensafe",
                "input": list(texts[start : start + AT_ONCE]),
                "truncate_prompt_tokens": manifest["encoding"]["max_length"]["tokens"],
            }
            answer = requests.post(f"{url}/classify", json=asked, timeout=60)
            answer.raise_for_status()
            found += [one["probs"] for one in sorted(answer.json()["data"], key=lambda one: one["index"])]
        return found

    return ask


if __name__ == "__main__":
    main(client)
