"""Anyone's own files: a CSV of any quality becomes clips, and every row that does not is named with file and line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from audiotext.data.corpus import Clip, DataError, Rejected
from audiotext.data.from_csv import clips_of_csv


def read(path: Path, data: str | bytes, root: Path | None = None) -> tuple[list[Clip], list[Rejected]]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    found = list(clips_of_csv(path, root))
    return [c for c in found if isinstance(c, Clip)], [r for r in found if isinstance(r, Rejected)]


def test_rows_of_one_recording_and_span_are_one_clip(tmp_path):
    clips, rejected = read(
        tmp_path / "files.csv",
        "audio,caption,split,label,start,duration,id,domain,source,licence,style,family\n"
        "a/x.wav,A dog barks.,test,dog,,,,sound,yard,CC0-1.0,human,rex\n"
        'b.wav,"wind, then rain",,,,,,,,,,\n'
        "a/../a/x.wav,a hound,,,,,,,,,synthetic,\n"
        "b.wav,rain,,,2,1.50,second,,,,,\n"
        "b.wav,drops,,,2.0,1.5,,music,,,,\n",
    )
    assert not rejected and [c.id for c in clips] == ["yard/a/x.wav", "files/b.wav", "second"]
    dog, wind, rain = clips
    assert dog.audio == tmp_path / "a/x.wav" and dog.captions == ["A dog barks.", "a hound"]
    assert (dog.caption_styles, dog.split, dog.labels) == (["human", "synthetic"], "test", {"label": "dog"})
    assert (dog.domain, dog.source, dog.licence, dog.family) == ("sound", "yard", "CC0-1.0", "rex")
    assert (wind.captions, wind.split, wind.labels) == (["wind, then rain"], "train", {})
    assert (wind.start, wind.duration, wind.licence, wind.family) == (0.0, None, "unknown", "b.wav")
    assert (rain.captions, rain.start, rain.duration, rain.domain) == (["rain", "drops"], 2.0, 1.5, "music")


GOOD = "audio,caption,start,duration,split,id\nfirst.wav,a first sound,,,,\n"
LAST = "last.wav,a last sound,,,,\n"


@pytest.mark.parametrize(
    ("rows", "reason", "line"),
    [
        ('x.wav,"no end,,,,\n', "quoting fault", 3),
        ('x.wav,"an end" and more,,,,\n', "quoting fault", 3),
        ("x.wav,too,,,,,,,many\n", "wrong number of fields", 3),
        ("x.wav,caf\xe9,,,,\n".encode("latin-1"), "bad encoding", 3),
        ("x.wav,nul\0,,,,\n", "bad encoding", 3),
        (b"x.wav," + b"w" * (2 << 20) + b",,,,\n", "line too long", 3),
        ("x.wav,,,,,\n", "bad field", 3),
        (",a caption,,,,\n", "bad field", 3),
        ("x.wav,\"['a dog', 'a cat']\",,,,\n", "bad field", 3),
        ('x.wav,"[""a dog""]",,,,\n', "bad field", 3),
        ("x.wav,a caption,two,,,\n", "bad field", 3),
        ("x.wav,a caption,nan,,,\n", "bad field", 3),
        ("x.wav,a caption,-1,,,\n", "bad interval", 3),
        ("x.wav,a caption,0,0,,\n", "bad interval", 3),
        ("../x.wav,a caption,,,,\n", "unsafe path", 3),
        ("/etc/passwd,a caption,,,,\n", "unsafe path", 3),
        ("a/../../x.wav,a caption,,,,\n", "unsafe path", 3),
        ("..\\x.wav,a caption,,,,\n", "unsafe path", 3),
        ("first.wav,a caption,,,test,\nfirst.wav,a caption,,,train,\n", "conflicting rows", 4),
        ("x.wav,a caption,,,,one\ny.wav,a caption,,,,one\n", "duplicate id", 4),
    ],
)
def test_a_bad_row_is_named_and_the_others_survive(tmp_path, rows, reason, line):
    rows = rows if isinstance(rows, bytes) else rows.encode()
    clips, rejected = read(tmp_path / "files.csv", GOOD.encode() + rows + LAST.encode())
    assert {"first.wav", "last.wav"} <= {c.audio.name for c in clips}
    assert len(rejected) == 1 and rejected[0].reason.startswith(reason + ":")
    assert f"files.csv:{line}" in rejected[0].reason + rejected[0].id
    assert len(rejected[0].reason) < 400


def test_tables_of_spreadsheets_are_read(tmp_path):
    """Byte order mark, Windows line ends, semicolons or tabs, spaces around names."""
    for delimiter in ",;\t":
        text = f"audio{delimiter} caption\nx.wav{delimiter}one\ny.wav{delimiter}two\n"
        clips, rejected = read(tmp_path / "files.csv", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert not rejected and [(c.audio.name, *c.captions) for c in clips] == [("x.wav", "one"), ("y.wav", "two")]


def test_another_root_and_a_whole_path_below_it(tmp_path):
    text = f"audio,caption\nx.wav,one\n{tmp_path}/far/y.wav,two\n"
    clips, rejected = read(tmp_path / "files.csv", text, tmp_path / "..")
    assert not rejected and clips[0].audio == tmp_path.parent / "x.wav" and clips[1].audio == tmp_path / "far/y.wav"


@pytest.mark.parametrize(
    ("text", "says"),
    [("audio,captions\nx.wav,one\n", "no column 'caption'; did you mean"), ("", "is empty"), (None, "no such table")],
)
def test_a_table_that_is_none_is_one_message(tmp_path, text, says):
    path = tmp_path / "files.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=says):
        list(clips_of_csv(path))
    with pytest.raises(DataError, match="nowhere: no such folder"):
        read(path, "audio,caption\n", tmp_path / "nowhere")


def test_a_column_that_is_not_used_is_told_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read(tmp_path / "files.csv", "audio,caption,license\nx.wav,one,CC0\ny.wav,two,CC0\n")
    assert len(caplog.records) == 1 and "did you mean 'licence'" in caplog.text
