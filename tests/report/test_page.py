"""report.html of real finished runs: what it says is what the run holds, and nothing on it acts or leaks."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import GRAVE, HOSTILE, RARE, SENTINEL
from train.cli import main
from train.errors import Failure, InputError
from train.report.hardest import visible
from train.report.page import write
from train.tracking.run import history

VOID = {"meta", "img", "br", "link", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str, **wanted: str) -> list[Element]:
        """Elements below this one, in order; data_set="test" asks for the attribute data-set."""
        asked = {key.replace("_", "-"): value for key, value in wanted.items()}
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and asked.items() <= child.attributes.items():
                    found.append(child)
                found += child.all(tag, **wanted)
        return found

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def values(self) -> list[float]:
        return [float(str(data.attributes["value"])) for data in self.all("data")]


class Page(HTMLParser):
    """Parses strictly: every element that opens is closed, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.root = Element("page", {})
        self._open = [self.root]
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == [self.root], f"never closed: {[e.tag for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"doubled attribute in {tag} {attrs}"
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, (
            f"</{tag}> closes <{self._open[-1].tag}> {self._open[-1].attributes}"
        )
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def of(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "summary.json").read_text()))


@pytest.fixture(scope="module")
def page(told_once: Path) -> Element:
    return Page(told_once / "report.html").root


@pytest.fixture
def own(told_once: Path, tmp_path: Path) -> Path:
    """This test's own copy of the run; its sources stay where they are."""
    return Path(shutil.copytree(told_once, tmp_path / told_once.name, symlinks=True))


@pytest.mark.slow
def test_every_figure_of_the_table_is_the_summarys(told_once: Path, page: Element) -> None:
    final = of(told_once)
    tables = {str(t.attributes["data-set"]): t for t in page.all("table") if "data-set" in t.attributes}
    assert set(tables) == {"test", "test.synthetic"}  # of one source each
    for name, table in tables.items():
        for label in final["labels"]:
            (row,) = table.all("tr", data_label=label)
            key, point = f"{name}/{label}", final["operating_points"][label]
            figures = final["metrics"]
            numbers = [cell.text for cell in row.all("td")]
            assert numbers[:3] == [f"{figures[f'{key}/{m}']:,}" for m in ("n", "positives", "negatives")]
            enough = dict.fromkeys(("auprc", "auroc", "brier", "ece"), figures[f"{key}/sufficient"])
            enough |= {"threshold": True, "recall": figures[f"{key}/positives"] >= 30}
            enough |= {"fpr": figures[f"{key}/negatives"] >= 30}
            order = ("auprc", "auroc", "threshold", "recall", "fpr", "brier", "ece")  # each set of one source
            expected = [
                point["threshold"] if m == "threshold" else figures[f"{key}/{m}"] for m in order if enough[m]
            ]
            assert row.values() == expected
            assert row.text.count("insufficient") == len(order) - len(expected)
            shown = [cell for cell in row.all("td") if cell.all("span")]
            sure = final["intervals"]
            bounds = [sure[f"{key}/{m}"] for m in order if enough[m] and f"{key}/{m}" in sure]
            assert len(shown) == len(bounds)
            for cell, (low, high) in zip(shown, bounds, strict=True):
                one, two = (float(x) for x in re.findall(r"[\d.]+", cell.all("span")[0].text))
                scale = 100 if "%" in cell.text else 1
                assert one == pytest.approx(low * scale, abs=0.051 if scale == 100 else 0.00051)
                assert two == pytest.approx(high * scale, abs=0.051 if scale == 100 else 0.00051)
        (macro,) = table.all("tr", data_label="macro")
        assert macro.values() == [final["metrics"][f"{name}/macro/{m}"] for m in ("auprc", "auroc")]
    assert "insufficient" in tables["test"].text


def _widths(table: Element) -> set[int]:
    """Columns of its rows."""
    cells = [row.all("th") + row.all("td") for row in table.all("tr")]
    return {sum(int(cell.attributes.get("colspan") or 1) for cell in row) for row in cells}


@pytest.mark.slow
def test_auroc_within_sources_is_a_column_where_it_says_more(own: Path) -> None:
    final = of(own)
    final["metrics"]["test/hate/auroc_within"] -= 0.125
    final["metrics"]["test.synthetic/hate/auroc_within"] = None  # no source has positives and negatives
    (own / "summary.json").write_text(json.dumps(final))
    page = Page(write(own)).root
    for name, columns in (("test", 14), ("test.synthetic", 14)):
        (table,) = page.all("table", data_set=name)
        assert _widths(table) == {columns}
        assert ("AUROC within sources" in table.text) == (columns == 14)
        (hate,) = table.all("tr", data_label="hate")
        shown = final["metrics"][f"{name}/hate/auroc_within"]
        if name == "test":
            assert hate.values()[2] == shown
        assert ("insufficient" in hate.text) == (shown is None)


@pytest.mark.slow
def test_the_verdict_names_every_label_and_says_what_n_allows(told_once: Path, page: Element) -> None:
    final = of(told_once)
    verdicts = {str(d.attributes["data-set"]): d for d in page.all("div") if "data-set" in d.attributes}
    assert list(verdicts) == ["test", "test.synthetic"]
    for name, verdict in verdicts.items():
        assert sorted(item.all("b")[0].text for item in verdict.all("li")) == final["labels"]
        (grooming,) = [item for item in verdict.all("li") if item.all("b")[0].text == "grooming"]
        positives = final["metrics"][f"{name}/grooming/positives"]
        assert positives < 30
        assert f"only {positives} texts that carry it were tested, under 30" in " ".join(
            grooming.text.split()
        )
        assert grooming.attributes["class"] == "open"
        for item in verdict.all("li"):
            label = item.all("b")[0].text
            if label != "grooming":
                fpr, negatives = (final["metrics"][f"{name}/{label}/{m}"] for m in ("fpr", "negatives"))
                percent = fpr * 100
                said = f"{percent:.2f}%" if percent < 10 else f"{percent:.1f}%"
                assert f"flags {said} of {negatives} texts" in " ".join(item.text.split())
                recall = final["metrics"][f"{name}/{label}/recall"] * 100
                found = f"{recall:.2f}%" if recall < 10 else f"{recall:.1f}%"
                assert f"It finds {found}" in " ".join(item.text.split())
                assert "By source" not in item.text
    assert "of 3 labels" in page.all("section", id="verdict")[0].text
    assert "plumbing" in verdicts["test.synthetic"].text
    assert "plumbing" not in verdicts["test"].text


@pytest.mark.slow
def test_the_verdict_names_the_sources_in_which_a_kept_limit_breaks(own: Path) -> None:
    final = of(own)
    for part in ("metrics", "intervals"):
        of_toy = {k: v for k, v in final[part].items() if k.startswith("test.toy/")}
        final[part] |= {k.replace("test.toy/", "test.other/"): v for k, v in of_toy.items()}
    final["metrics"] |= {"test.other/hate/fpr": 0.4, "test.other/hate/negatives": 1000}
    final["intervals"]["test.other/hate/fpr"] = [0.35, 0.45]
    (own / "summary.json").write_text(json.dumps(final))
    made = Page(write(own)).root
    (verdict,) = made.all("div", data_set="test")
    (hate,) = [item for item in verdict.all("li") if item.all("b")[0].text == "hate"]
    assert "By source it breaks the limit in other (40.0%)." in " ".join(hate.text.split())
    assert "1 of these breaks it in single sources." in verdict.all("p")[0].text
    assert {"test.toy", "test.other"} < {str(t.attributes.get("data-set")) for t in made.all("table")}
    assert made.all("table", data_set="test.synthetic.made") == []


@pytest.mark.slow
def test_texts_are_escaped_veiled_and_never_of_tier_3(told_once: Path, page: Element) -> None:
    raw = (told_once / "report.html").read_text(encoding="utf-8")
    assert not page.all("script") and not page.all("img")
    assert "<script" not in raw and "\u202e" not in raw and "\x07" not in raw
    assert SENTINEL in raw  # texts are there
    assert GRAVE not in raw  # but none of tier 3, trained or not
    texts = [text for veil in page.all("details", **{"class": "veil"}) for text in veil.all("p")]
    assert len(texts) >= 10
    assert not [v for v in page.all("details", **{"class": "veil"}) if "open" in v.attributes]
    everywhere = page.text
    assert everywhere.count(SENTINEL) == sum(text.text.count(SENTINEL) for text in texts)
    for text in texts:
        assert visible(HOSTILE) in text.text  # literally: as text, the braces not computed
    assert "[U+202E]" in visible(HOSTILE) and "[U+0007]" in visible(HOSTILE)
    assert "tier 3: not shown" in everywhere
    assert "not found in its source" not in everywhere
    ids = {code.text for code in page.all("code")}
    predictions = pq.read_table(told_once / "predictions" / "test.parquet").to_pylist()
    wrong = {p["id"] for p in predictions if p["flag.grooming"] and p["label.grooming"] == 0}
    assert wrong & ids  # the ids of tier 3 are there


@pytest.mark.slow
def test_the_hardest_are_the_most_confident_errors(told_once: Path, page: Element) -> None:
    rows = pq.read_table(told_once / "predictions" / "test.parquet").to_pylist()
    lists = iter(page.all("section", id="hardest")[0].all("ol"))
    for synthetic in (False, True):
        for label in of(told_once)["labels"]:
            known = [r for r in rows if r["synthetic"] == synthetic and r[f"label.{label}"] is not None]
            misses = [r for r in known if r[f"label.{label}"] > 0.5 and not r[f"flag.{label}"]]
            alarms = [r for r in known if r[f"label.{label}"] < 0.5 and r[f"flag.{label}"]]
            for wrong, sign in ((misses, 1), (alarms, -1)):
                expected = sorted(wrong, key=lambda r: (sign * r[f"score.{label}"], r["id"]))[:10]
                assert [code.text for code in next(lists).all("code")] == [r["id"] for r in expected]
    assert not list(lists)


@pytest.mark.slow
def test_the_page_loads_nothing_and_may_run_nothing(told_once: Path, page: Element) -> None:
    raw = (told_once / "report.html").read_text(encoding="utf-8")
    outside = raw.replace(visible(HOSTILE), "")
    assert not re.search(
        r"https?:|url\(|@import|\bsrc=|\bon[a-z]+=", re.sub(r"<p class=\"text\".*?</p>", "", outside)
    )
    for link in page.all("a"):
        target = str(link.attributes["href"])
        assert target.startswith("#")
        assert page.all("section", id=target[1:])
    (policy,) = [m for m in page.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy.attributes["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "show all" not in page.text.lower()
    assert len(raw) < 400_000


@pytest.mark.slow
def test_slices_show_n_and_insufficient_ones_no_figure(told_once: Path, page: Element) -> None:
    final = of(told_once)["metrics"]
    table = page.all("table", data_slice="lang")[0]
    names: list[tuple[str, str]] = []
    for row in table.all("tr")[1:]:
        label = row.all("th")[0].text or names[-1][0]
        value, n = (cell.text for cell in row.all("td")[:2])
        names.append((label, value))
        if value != "all" and label != "any":
            key = f"test/{label}/{{}}/lang={value}"
            counts = [int(row.all("td")[k].text) for k in (1, 2, 4)]
            assert counts == [final[key.format(m)] for m in ("n", "positives", "negatives")]
            enough = [(m, c >= 30) for m, c in zip(("recall", "fpr"), counts[1:], strict=True)]
            assert row.values() == [final[key.format(m)] for m, some in enough if some]
            assert row.text.count("insufficient") == sum(not some for _, some in enough)
        assert n
    assert ("hate", "a/b=<i>c</i>") in names and ("any", "ko") in names
    assert "insufficient" in table.text
    assert page.all("table", data_slice="place")[0].text.count(RARE) >= 3
    assert not page.all("table", data_slice="note")  # as many values as texts
    assert re.search(r"Not shown: note \(\d+ values\)", page.text)


@pytest.mark.slow
def test_curves_are_described_with_their_figures(told_once: Path, page: Element) -> None:
    final = of(told_once)
    told = [str(svg.attributes["aria-label"]) for svg in page.all("svg")]
    for name in ("test", "test.synthetic"):
        for label in ("harassment", "hate"):
            auprc, ece = (final["metrics"][f"{name}/{label}/{m}"] for m in ("auprc", "ece"))
            assert any(f"{label}: area {auprc:.3f}" in words for words in told)
            assert any(f"{label}: expected calibration error {ece:.3f}" in words for words in told)
    assert not any("of grooming" in words for words in told)  # too few: a word in its place
    assert "30 updates" in told[-2]
    assert f"step {final['selected_step']} was selected" in told[-1]
    assert len(history(told_once)) == 30


def test_a_page_of_real_text_alone_is_built_again_from_the_folder(trained_once: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(next((trained_once / "runs").iterdir()), tmp_path / "run", symlinks=True))
    before = re.sub("page written.*", "", (run / "report.html").read_text())
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    after = re.sub("page written.*", "", (run / "report.html").read_text())
    assert after.replace(f">{run.name}<", "") == before.replace(
        f">{next((trained_once / 'runs').iterdir()).name}<", ""
    )
    page = Page(run / "report.html").root
    assert [d.attributes["data-set"] for d in page.all("div") if "data-set" in d.attributes] == ["test"]
    assert "synthetic" not in page.all("section", id="labels")[0].text.replace("Real and synthetic text", "")
    locked = json.loads((run / "recipe.lock").read_text())
    cells = locked["rows"]
    (data,) = page.all("section", id="data")
    (mixed,) = locked["mixture"]
    assert "times seen" in data.text
    assert f"{mixed['rows']}100.0%2.00×" in "".join(data.text.split())
    for cell in cells:
        assert f"{cell['positives']} / {cell['known']}" in data.text
        assert f"{cell['rows']}" in data.text


def test_what_holds_texts_or_signed_addresses_is_the_owners_alone(trained_once: Path) -> None:
    run = next((trained_once / "runs").iterdir())
    for name in ("report.html", "recipe.yaml"):
        assert (run / name).stat().st_mode & 0o777 == 0o600


def test_texts_of_changed_or_absent_sources_are_not_shown(trained_once: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(next((trained_once / "runs").iterdir()), tmp_path / "run", symlinks=True))
    recipe, rows = run / "recipe.yaml", tmp_path / "rows.csv"
    recipe.write_text(recipe.read_text().replace(str(trained_once / "rows.csv"), str(rows)))
    for content, reason in ((None, "not on this machine"), ("text,hate\nother,1\n", "has changed since")):
        if content:
            rows.write_text(content)
        page = Page(write(run)).root
        assert not page.all("details", **{"class": "veil"})
        assert f"its source {'is ' if not content else ''}{reason}" in page.text
    recipe.write_text("schema: 2\n")
    assert "cannot read the run" in Page(write(run)).root.text


def test_an_unfinished_or_damaged_run_gets_no_page(
    trained_once: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(next((trained_once / "runs").iterdir()), tmp_path / "run", symlinks=True))
    (run / "report.html").unlink()
    (run / "recipe.lock").write_text("{")
    with pytest.raises(Failure, match=r"recipe\.lock"):
        write(run)
    (run / "summary.json").unlink()
    with pytest.raises(InputError, match=r"no summary\.json yet"):
        write(run)
    assert main(["report", str(run)]) == 2
    assert "finish the training" in capsys.readouterr().err
    assert not (run / "report.html").exists()
    assert main(["report", str(tmp_path / "nowhere")]) == 2


def test_controls_are_spelled_out_and_long_texts_cut() -> None:
    assert visible("a\u202eb\u2066c\x00d\x1b[1m") == "a[U+202E]b[U+2066]c[U+0000]d[U+001B][1m"
    assert visible("family 👨\u200d👩\u200d👧\n\tשלום") == "family 👨\u200d👩\u200d👧\n\tשלום"
    assert visible("x" * 700, 600) == "x" * 600 + " … (100 more characters)"
    assert visible("x" * 600, 600) == "x" * 600
    assert np.all([len(visible(chr(c))) > 1 for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))])
