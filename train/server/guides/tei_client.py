"""Does text-embeddings-inference answer as the bundle it serves? python tei_client.py BUNDLE http://HOST:PORT"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from golden import Ask, Stop, main, sigmoid

AT_ONCE = 16


def client(url: str) -> Ask:
    def ask(texts: Sequence[str], manifest: dict[str, Any]) -> list[list[float]]:
        names = [label["name"] for label in manifest["labels"]]
        found: list[list[float]] = []
        for start in range(0, len(texts), AT_ONCE):
            asked = {
                "inputs": [[text] for text in texts[start : start + AT_ONCE]],
                "raw_scores": True,  # without it: a softmax over labels that do not exclude each other
                "truncate": True,
            }
            answer = requests.post(f"{url}/predict", json=asked, timeout=60)
            answer.raise_for_status()
            for scores in answer.json():
                logits = {one["label"]: one["score"] for one in scores}
                found.append([logits[name] for name in names])
        if len(names) > 1 and all(abs(sum(scores) - 1) < 1e-3 and min(scores) >= 0 for scores in found):
            raise Stop("the scores of every text add up to 1: this server took a softmax; raw_scores is lost")
        return [[sigmoid(logit) for logit in scores] for scores in found]

    return ask


if __name__ == "__main__":
    main(client)
