"""Does text-embeddings-inference answer as the bundle it serves? python tei_client.py BUNDLE http://HOST:PORT"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from golden import Scores, Server, Stop, main, sigmoid, took_softmax

AT_ONCE = 16


def client(url: str) -> Server:
    def ask(texts: Sequence[str], manifest: dict[str, Any]) -> Scores:
        names = [label["name"] for label in manifest["labels"]]
        found: Scores = []
        for start in range(0, len(texts), AT_ONCE):
            asked: dict[str, Any] = {
                "inputs": [[text] for text in texts[start : start + AT_ONCE]],
                "raw_scores": True,  # without it: a softmax over labels that do not exclude each other
                "truncate": True,
            }
            answer = requests.post(f"{url}/predict", json=asked, timeout=60)
            answer.raise_for_status()
            for scores in answer.json():
                logits = {one["label"]: one["score"] for one in scores}
                if set(logits) != set(names):
                    raise Stop("its labels are not the manifest's: another model is served there")
                found.append([logits[name] for name in names])
        if took_softmax(found):
            raise Stop("the scores of every text add up to 1: this server took a softmax; raw_scores is lost")
        return [[sigmoid(logit) for logit in scores] for scores in found]

    info = requests.get(f"{url}/info", timeout=60)
    info.raise_for_status()
    return Server(ask, cuts_at=info.json()["max_input_length"])


if __name__ == "__main__":
    main(client)
