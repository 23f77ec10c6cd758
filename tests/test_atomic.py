"""Files that are whole or not there."""

import pytest

from audiotext.atomic import replacing


def test_the_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_before_anything_was_written_keeps_its_own_error(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt"):
        raise KeyError
    assert not list(tmp_path.iterdir())
