"""Whole or not at all."""

from pathlib import Path

import pytest

from train.errors import guarded
from train.files import (
    canonical_json,
    point_link,
    sweep_parts,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(OSError, match="No space"), whole_file(path) as part:
        part.write_text("half of the n")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_whole_or_absent_and_never_replaced(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "step-1") as part:
        (part / "weights").write_text("old")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "step-2") as part:
        (part / "weights").write_text("half")
        raise RuntimeError
    with pytest.raises(OSError), whole_folder(tmp_path / "step-1") as part:
        (part / "weights").write_text("new")
    assert (tmp_path / "step-1" / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nothing can be made")
def test_where_nothing_can_be_made_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> int:
        write_text(Path("/proc/x.json"), "")
        return 0

    def fill() -> int:
        with whole_folder(Path("/proc/x/step-1")):
            return 0

    for work, place in ((write, "/proc/x.json"), (fill, "/proc/x")):
        assert guarded("teensafe", work) == 1
        assert capsys.readouterr().err.startswith(f"teensafe: {place}: nothing can be made here\n")

    def read() -> int:
        return len(Path("/proc/no-such").read_text())

    with pytest.raises(FileNotFoundError):  # a file that should have been there is one
        guarded("teensafe", read)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".step-2.x.part").mkdir()
    (tmp_path / ".a.json.x.part").write_text("half")
    (tmp_path / "kept").write_text("whole")
    sweep_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_link_moves(tmp_path: Path) -> None:
    for target in ("one", "two"):
        (tmp_path / target).mkdir()
        point_link(tmp_path / "last", target)
        assert (tmp_path / "last").resolve().name == target


def test_json_is_canonical_and_never_nan(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": [1.5, "é"]}) == '{"a":[1.5,"é"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())
