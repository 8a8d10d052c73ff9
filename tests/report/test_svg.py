"""Charts: what is drawn stands where the data are, in markup that parses and escapes."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from train.report.svg import HEIGHT, WIDTH, Chart, Line, draw, room, ticks, whisker


def drawn(**parts):
    chart = Chart("a chart", "x", "y", **{"x": (0.0, 10.0), "y": (0.0, 1.0), **parts})
    return chart, ElementTree.fromstring(draw(chart))


def path(tree, look):
    (found,) = tree.findall(f"path[@class='{look}']")
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", found.get("d"))]


def test_a_line_goes_through_its_points():
    chart, tree = drawn(lines=[Line([0, 5, 10], [0, 0.5, 1])])
    assert tree.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    points = path(tree, "line c0")
    assert points == [
        (round(chart.scale.across(x), 1), round(chart.scale.down(y), 1))
        for x, y in ((0, 0), (5, 0.5), (10, 1))
    ]
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.11)
    assert points[0][1] > points[2][1]  # up is more


def test_steps_reach_back_to_the_point_before():
    chart, tree = drawn(lines=[Line([4, 8], [0.9, 0.5], steps=True)])
    levels = [y for _, y in path(tree, "line c0")]
    assert levels == [round(chart.scale.down(v), 1) for v in (0.9, 0.9, 0.5, 0.5)]


def test_every_word_is_escaped():
    bad = '<b>"&'
    _, tree = drawn(
        lines=[Line([1], [0.5], notes=[bad])], mark=(3, bad), point=(2, 0.2, bad), level=0.4, diagonal=True
    )
    assert [title.text for title in tree.iter("title")] == [bad, bad]
    assert bad in [text.text for text in tree.iter("text")]
    assert tree.find("b") is None


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.12, 0.17), (0, 1605), (3, 4), (-0.5, 0.5), (0, 1e-5)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 11
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])
    assert f"{steps[0]:e}"[0] in "125"


def test_room_holds_all_values_and_keeps_the_floor():
    assert room([1, 2, np.nan], floor=0)[0] < 1
    assert room([0, 2], floor=0)[0] == 0
    low, high = room([3, 3])
    assert low < 3 < high
    assert room([]) == (-0.08, 1.08)
    low, high = room([1.0, 1.0], ceiling=1.02)
    assert low < 1 < high == 1.02


def test_a_whisker_lies_where_its_scale_says() -> None:
    drawn = whisker(0.5, 0.0, 1.0, (-1.0, 1.0), "a <b> row")
    assert 'aria-label="a &lt;b&gt; row"' in drawn
    assert 'd="M75.0 0L75.0 18"' in drawn  # 0 in the middle of the 150 there are
    assert 'd="M75.0 9L144.0 9"' in drawn and 'cx="109.5"' in drawn
    assert "line" not in whisker(0.5, None, None, (-1.0, 1.0), "no interval")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((2, 6.1), ["100", "1,000", "10,000", "100,000", "1,000,000"]),
        ((-3.1, -1.9), ["0.001", "0.002", "0.005", "0.01"]),
        ((2.5, 3.1), ["500", "700", "1,000"]),
    ],
)
def test_a_logarithmic_axis_tells_what_its_values_stand_for(
    ends: tuple[float, float], words: list[str]
) -> None:
    drawn = str(draw(Chart("said", "x", "y", ends, (0.5, 1), log=(True, False))))
    found = re.findall(r'text-anchor="middle">([^<]+)</text>', drawn)
    assert found[: len(words)] == words
    assert "0.6" in drawn  # the other axis is as it was
