"""Reading metadata of unknown quality: what is wrong is named with file and line, and the good rows survive."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiotext.data.corpus import DataError, Rejected
from audiotext.data.licence import licence_name
from audiotext.data.lines import LONGEST
from audiotext.data.locate import Recordings, files_in, find_file, folders_named, inside
from audiotext.data.records import read_json_lines, read_json_list
from audiotext.data.row import Row, clips_of, merged
from audiotext.data.table import read_table
from audiotext.data.youtube import Excerpt

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r\n"), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables")


def read(path: Path, content: bytes | str, **options) -> tuple[list[dict], list[str]]:
    """The fields of the good rows, and the place and reason of the bad ones."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(read_table(path, ["id", "caption"], **options))
    good = [row.fields for row in rows if isinstance(row, Row)]
    return good, [f"{r.id.rpartition('/')[2]} {r.reason}" for r in rows if isinstance(r, Rejected)]


@given(rows=st.lists(st.tuples(st.text("ab-_", min_size=1), TEXT), max_size=8), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_a_table_holds_is_read_as_it_was_written(folder, rows, ending):
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows([("id", "caption"), *rows])
    good, bad = read(folder / "a.csv", text.getvalue())
    # white space at the left of a field is dropped: some publishers write one after each comma
    assert not bad and [(r["id"], r["caption"].lstrip()) for r in good] == [(i, c.lstrip()) for i, c in rows]


@given(junk=st.lists(st.binary(max_size=20), max_size=4), place=st.integers(0, 3))
def test_bad_lines_do_not_take_good_ones_with_them(folder, junk, place):
    good = [f"good{i},a caption {i}".encode() for i in range(4)]
    lines = [*good[:place], *(j.replace(b"\n", b" ").replace(b"good", b"") for j in junk), *good[place:]]
    rows, _ = read(folder / "b.csv", b"\n".join([b"id,caption", *lines]) + b"\n")
    assert [r["id"] for r in rows if r["id"].startswith("good")] == ["good0", "good1", "good2", "good3"]


def test_each_fault_is_named_with_its_line(folder):
    content = (
        b'\xef\xbb\xbfid, caption\r\na,"one, two"\r\nb,"never closed\r\nc,fine\r\nd,"two\nlines"\r\ne,caf\xe9\r\n'
        b'a,again\r\n\r\nf,x,y\r\n-g,"say ""hi"""\nh,\0\ni,"stray"quote\n' + b"j" * (3 * LONGEST) + b"\nk,last"
    )
    good, bad = read(folder / "c.csv", content, unique=["id"])
    assert good == [{"id": "a", "caption": "one, two"}, {"id": "c", "caption": "fine"},
                    {"id": "d", "caption": "two\nlines"}, {"id": "-g", "caption": 'say "hi"'},
                    {"id": "k", "caption": "last"}]  # fmt: skip
    assert [reason.split(" ")[0] for reason in bad] == [f"c.csv:{n}" for n in (3, 7, 8, 10, 12, 13, 14)]
    for reason, words in zip(bad, ("quoting fault", "byte 0xe9 at 5 is not utf-8", "a stands on line 2 already",
                                   "3 where the table has 2", "zero byte", "quoting fault", "line too long"),
                             strict=True):  # fmt: skip
        assert words in reason


def test_other_shapes_of_a_table(folder):
    assert read(folder / "d.csv", "x;caf\xe9\n".encode("latin-1"), header=["id", "caption"], delimiter=";",
                encoding="latin-1")[0] == [{"id": "x", "caption": "café"}]  # fmt: skip
    assert read(folder / "d.csv", "# a\n# b\nid, caption\nx, \"a,b\"\n", comment="#")[0][0]["caption"] == "a,b"
    for content, message in (
        ("id,captions\nx,y\n", r"d\.csv: no column 'caption'; did you mean 'captions'"),
        ("", r"d\.csv: is empty"),
        ('id,"caption\n', r"d\.csv:1: quoting fault"),
        ("id,caption\n".encode("utf-16"), r"d\.csv: is UTF-16"),
    ):
        with pytest.raises(DataError, match=message):
            read(folder / "d.csv", content)
    with pytest.raises(DataError, match="nowhere.csv: no such file"):
        list(read_table(folder / "nowhere.csv", []))


def test_json_lists_and_lines(folder):
    path = folder / "a.json"
    rows = [{"id": "a", "caption": ["x"]}, {"id": "a", "caption": []}, {"id": "b"}, "c", {"id": 4, "caption": "y"}]
    path.write_text(json.dumps({"data": rows}))
    read_rows = list(read_json_list(path, ["id", "caption"], unique=["id"], key="data"))
    reasons = [r.reason for r in read_rows if isinstance(r, Rejected)]
    assert [r.fields["id"] for r in read_rows if isinstance(r, Row)] == ["a", 4]
    assert "stands in" in reasons[0] and "'caption'" in reasons[1] and "'c'" in reasons[2]
    path.write_text(json.dumps(rows[:1]))
    assert len(list(read_json_list(path, ["id"], key="data"))) == 1  # an older edition without the key
    for content, message in (
        ('{"data": [', r"a\.json:1: not JSON.*cut short"),
        ('{"date": []}', "no key 'data'; did you mean 'date'"),
        ('{"data": "x"}', "expected a list"),
        ('{"data": [{"name": 1}]}', "no entry is right; the first: missing field: 'id'"),
        ("", "not JSON"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            list(read_json_list(path, ["id"], key="data"))
    path = folder / "a.jsonl"
    path.write_bytes(b'{"id": 1}\r\n{"id": \n\xff\n[1]\n{"id": 2}')
    found = list(read_json_lines(path, ["id"]))
    assert [type(r) for r in found] == [Row, Rejected, Rejected, Rejected, Row]
    assert [r.id.rpartition(":")[2] for r in found if isinstance(r, Rejected)] == ["2", "3", "4"]


def test_fields_are_checked_as_they_are_asked_for():
    row = Row("t.csv:7", {"n": "1.5", "i": 30.0, "t": " x ", "b": "TRUE", "s": "a caption", "l": ["a ", ""], "e": "9"})
    assert row.number("n") == 1.5 and row.whole("i") == 30 and row.text("t") == "x" and row.flag("b")
    assert row.texts("l") == ["a"] and row.text("none", "d") == "d" and row.interval("n", "e") == (1.5, 7.5)
    for ask, message in (
        (lambda: row.texts("s"), "t.csv:7: s: expected a list of texts, got 'a caption'"),
        (lambda: row.number("t"), "t.csv:7: t: expected a number"),
        (lambda: row.whole("n"), "whole number"),
        (lambda: row.text("l"), "expected text, got"),
        (lambda: row.text("none"), "found nothing"),
        (lambda: row.flag("s"), "true or false"),
        (lambda: row.interval("e", "n"), "bad interval: t.csv:7: e 9 and n 1.5"),
    ):
        with pytest.raises(DataError, match=message):
            ask()


def test_rows_are_merged_and_a_bad_one_rejects_itself_alone():
    rows = [Row(f"t:{i}", {"id": name, "n": n, "c": f"c{i}"}) for i, (name, n) in enumerate(["a1", "b2", "a1", "cx"])]
    fault = Rejected("t:9", "quoting fault: x")
    found = list(merged([*rows, fault], ["id", "n"], "c"))
    assert found[0] is fault and [r.fields["c"] for r in found[1:]] == [["c0", "c2"], ["c1"], ["c3"]]
    made = list(clips_of(found, lambda row: row.number("n"), "test"))
    assert made[1:3] == [1.0, 2.0] and (made[0].split, made[3].split) == ("test", "test")
    assert made[3].reason == "bad field: t:3: n: expected a number, got 'x'"


def test_recordings_are_found_and_nothing_leads_out(tmp_path):
    for name in ("a/x.mp3", "b/x.wav", "deep/er/Part/-y.FLAC", "Part/z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert len(list(files_in(tmp_path))) == 4
    recordings = Recordings([tmp_path])
    nowhere = tmp_path / "nowhere.wav"
    assert len(recordings) == 2
    assert recordings.find(["q", "x"], nowhere) == tmp_path / "b/x.wav"
    assert recordings.find(["-y"], nowhere).name == "-y.FLAC" and recordings.find(["z"], nowhere) == nowhere
    assert folders_named(tmp_path, "Part") == [tmp_path / "Part", tmp_path / "deep/er/Part"]
    assert inside(tmp_path, "a/b c.wav") == tmp_path / "a/b c.wav"
    for name in ("../x", "a/../../x", "/etc/passwd", "a\\..\\..\\x", "x\0y"):
        with pytest.raises(DataError, match="unsafe path"):
            inside(tmp_path, name)
    with pytest.raises(DataError, match=r"expected c\.csv or d/\*\.csv in it.*found Part, a, b, deep"):
        find_file(tmp_path, "c.csv", "d/*.csv")


@pytest.mark.parametrize(
    ("written", "video", "start", "end"),
    [
        ("-0xzrMun0Rs", "-0xzrMun0Rs", None, None),
        ("Y-0xzrMun0Rs.wav", "-0xzrMun0Rs", None, None),
        ("Y_abc-DEF_1", "Y_abc-DEF_1", None, None),  # eleven: the Y is its own
        ("YY_abc-DEF_1", "Y_abc-DEF_1", None, None),
        ("_7Xe9vD3Hpg_4_10", "_7Xe9vD3Hpg", 4, 10),
        ("Yabc_12_34_5_30.0_40.0", "abc_12_34_5", 30, 40),
        ("OxPnZzn1_L8_000883", "OxPnZzn1_L8", 883, None),
    ],
)
def test_ids_of_videos_in_every_writing(written, video, start, end):
    excerpt = Excerpt.parse(written)
    assert (excerpt.video, excerpt.start, excerpt.end) == (video, start, end)
    assert video in excerpt.stems() and f"Y{video}" in excerpt.stems()
    if end:
        assert excerpt.origin == f"youtube:{video}@{start}-{end}" and f"[{video}]-[{start}-{end}]" in excerpt.stems()


@pytest.mark.parametrize("written", ["", "short", "twelve_chars!", "../../passwd", "Yabcdefghijk_x"])
def test_what_is_no_id_is_said(written):
    with pytest.raises(DataError, match="no YouTube id"):
        Excerpt.parse(written)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("http://creativecommons.org/licenses/by/3.0/", "CC-BY-3.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.de", "CC-BY-NC-SA-4.0"),
        ("http://creativecommons.org/licenses/sampling+/1.0/", "CC-SAMPLING+-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("Creative Commons 0", "CC0-1.0"),
        ("Attribution NonCommercial", "CC-BY-NC"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("ask us", "ask us"),
        (" ", "unknown"),
    ],
)
def test_licences_have_one_name(written, name):
    assert licence_name(written) == name
