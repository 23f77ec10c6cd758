"""VoxCeleb2, whose split follows from names, and LibriSpeech, whose transcripts may not fit its recordings."""

import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from test_corpora import bad, clips, good, prepare, toy

from audiotext.cli.prepare import load_recipe
from audiotext.data.prepare import read_coverage

EGS = Path(__file__).resolve().parent.parent / "egs"
split_of = load_recipe(EGS / "voxceleb2/local/prepare.py").split_of


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    for corpus in ("voxceleb2", "librispeech"):
        toy(corpus).write(folder / corpus)
    return folder


@pytest.fixture()
def corpora(toys, tmp_path):
    """Copies of both, to be damaged."""
    return shutil.copytree(toys, tmp_path / "corpora")


def splits(root: Path) -> dict[str, str]:
    return {clip.id: clip.split for clip in good(clips("voxceleb2", root))}


def test_the_split_of_a_video_is_the_published_one():
    """README.md names these; they must never change."""
    assert split_of("id00012", "21Uxsk56VDQ") == "train" and split_of("id00012", "73OrGnlpXJ8") == "test"
    shares = Counter(split_of(f"id{n % 50:05d}", f"video-{n:05d}") for n in range(10_000))
    assert [round(shares[split], -2) for split in ("train", "valid", "test")] == [8000, 1000, 1000]
    text = (EGS / "voxceleb2/README.md").read_text()
    assert "sha256(" in text and "`id00012/73OrGnlpXJ8` for test" in text


def test_the_split_stays_when_files_are_missing_and_goes_by_video(corpora):
    whole = splits(corpora)
    videos = {(name.rsplit("_", 1)[0], split) for name, split in whole.items()}
    assert len(videos) == len({name for name, _ in videos}) and {split for _, split in videos} == {
        "train", "valid", "test"
    }  # fmt: skip
    for path in [p for n, p in enumerate(sorted((corpora / "voxceleb2").rglob("*.flac"))) if n % 3]:
        path.unlink()
    fewer = splits(corpora)
    assert 0 < len(fewer) < len(whole) and fewer.items() <= whole.items()


def test_speakers_of_test_are_verified_and_those_of_dev_identified(corpora):
    found = good(clips("voxceleb2", corpora))
    assert {clip.labels["speaker"] for clip in found if "speaker" in clip.labels} == {"id00012", "id00015"}
    unheard = [clip for clip in found if clip.split == "test" and "unheard_speaker" in clip.labels]
    assert {clip.labels["unheard_speaker"] for clip in unheard} == {"id00017", "id00061"}
    assert all(clip.labels["part"] == "test" and "speaker" not in clip.labels for clip in unheard)
    assert found[0].origin == "voxceleb:id00012/toy00012_00/00001"


def test_what_is_left_out_of_voxceleb2_is_named_and_counted(corpora):
    root = corpora / "voxceleb2"
    (root / "dev/wav/speaker7/toy00012_00").mkdir(parents=True)
    (root / "dev/wav/speaker7/toy00012_00/00001.wav").touch()
    assert prepare("voxceleb2", corpora, corpora / "out") == 0
    coverage = read_coverage(corpora / "out/voxceleb2")
    assert coverage.reasons == {"unknown speaker": 2, "bad name": 2}
    assert sum(row["excluded"] for row in coverage.splits.values()) == 2  # of id00014, whose only video is for test
    told = bad(clips("voxceleb2", corpora))
    assert any("no video of id00014 is for training" in reason for reason in told)
    assert any("'speaker7/toy00012_00/00001'" in reason for reason in told)
    assert any("'id00012/noise/rain'" in reason for reason in told)


def test_an_utterance_in_several_codings_is_read_from_the_one_that_decodes(corpora, caplog):
    root = corpora / "voxceleb2"
    before = splits(corpora)
    coded = root / "dev/aac/id00012/toy00012_00/00001.m4a"
    for name in ("00001", "00007"):
        coded.parent.mkdir(parents=True, exist_ok=True)
        coded.with_stem(name).write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(100))
    shutil.rmtree(root / "test")
    with caplog.at_level(logging.WARNING):
        found = {clip.id: clip.audio for clip in good(clips("voxceleb2", corpora))}
    assert "voxceleb2/test: left out" in caplog.text
    assert found["voxceleb2_id00012_toy00012_00_00001"].suffix == ".wav"
    assert found.keys() - before.keys() == {"voxceleb2_id00012_toy00012_00_00007"}
    assert prepare("voxceleb2", corpora, corpora / "out") == 0
    assert "ffmpeg -i 00007.m4a" in (corpora / "out/voxceleb2/rejected.jsonl").read_text()


def test_transcripts_that_do_not_fit_the_recordings_are_named_and_counted(corpora):
    chapter = corpora / "librispeech/dev-clean/84/12112"
    table = chapter / "84-12112.trans.txt"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].split()[0]  # 0000: no words
    lines[2] = lines[2].replace("84-12112", "84-99999")  # 0001: of another chapter
    lines[3] = lines[3].replace("84-12112-0002 ", "84-12112-two ")
    lines[4] = lines[4].split()[0] + " . -"
    table.write_text("\n".join([*lines, lines[5]]) + "\n")
    (corpora / "librispeech/test-other/367/13073/367-13073.trans.txt").unlink()
    assert prepare("librispeech", corpora, corpora / "out") == 0
    coverage = read_coverage(corpora / "out/librispeech")
    assert coverage.reasons == {"missing file": 3, "no text": 2, "bad name": 2, "duplicate row": 1, "no transcript": 10}
    assert coverage.splits["valid"] | {"listed": 0} == {
        "expected": 0, "listed": 0, "excluded": 0, "found": 2, "readable": 2, "captioned": 2, "kept": 2
    }  # fmt: skip
    told = "\n".join(bad(clips("librispeech", corpora)))
    assert "no text: 84-12112-0000 has no words" in told
    assert "bad name: '84-99999-0001' is not 84-12112-NNNN" in told
    assert "no line for it in 84-12112.trans.txt" in told and "367-13073.trans.txt is not there" in told
    rejected = (corpora / "out/librispeech/rejected.jsonl").read_text()
    assert f"{table}:2" in rejected and "librispeech_84-12112-0001" in rejected


def test_a_part_of_librispeech_that_is_not_there_is_told(corpora, caplog):
    root = corpora / "librispeech"
    (root / "LibriSpeech").mkdir()
    for part in ("train-clean-100", "dev-clean", "test-clean"):
        (root / part).rename(root / "LibriSpeech" / part)
    shutil.rmtree(root / "test-other")
    with caplog.at_level(logging.WARNING):
        found = good(clips("librispeech", corpora))
    assert "test-other: left out" in caplog.text
    assert {clip.labels["part"]: clip.split for clip in found} == {
        "train-clean-100": "train", "dev-clean": "valid", "test-clean": "test"
    }  # fmt: skip
    first = next(clip for clip in found if clip.audio.is_file())
    assert set(first.labels["transcript"]) <= set("ABCDEFI' ") and first.labels["transcript"] not in first.captions
