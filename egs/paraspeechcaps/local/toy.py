"""Write a tiny corpus in the layout of ParaSpeechCaps: four corpora of speech, restored copies beside recordings, null
fields, and a recording that is not there. `python toy.py DIR`"""

from __future__ import annotations

from pathlib import Path

from audiotext.data.synthetic import main, mark, write_json, write_recording

# split -> (corpus, path that the table says, files that are there)
UTTERANCES = {
    "train_scaled": [("emilia", "EN/EN_B00030/EN_B00030_S01984/mp3/EN_B00030_S01984_W000037.mp3", [""]),
                     ("emilia", "EN/EN_B00030/EN_B00030_S01984/mp3/EN_B00030_S01984_W000038.mp3", [])],
    "train_base": [("voxceleb", "voxceleb1/dev/wav/id10001/1zcIwhmdeo4/00001_voicefixer.wav", ["", "_voicefixer"]),
                   ("voxceleb", "voxceleb2/dev/aac/id00012/21Uxsk56VDQ/00001_voicefixer.wav", ["_voicefixer"]),
                   ("ears", "p001/emo_anger_freeform.wav", [""])],
    "dev": [("expresso", "audio_48khz/read/ex01/confused/base/ex01_confused_00001.wav", [""])],
    "holdout": [("expresso", "audio_48khz/conversational_vad_segmented/ex01-ex02_1_segment_0.5_2.wav", [""])],
}  # fmt: skip


def write(root: Path) -> int:
    """Write the corpus; returns how many utterances its tables list."""
    mark(root)
    for split, utterances in UTTERANCES.items():
        rows = []
        for corpus, path, files in utterances:
            place = root / corpus / path.replace("_voicefixer", "")
            for ending in files:
                write_recording(place.with_name(place.stem + ending + place.suffix))
            descriptions = ["A woman speaks slowly, whispering.", "A slow whisper."][: 1 + (corpus != "voxceleb")]
            rows.append({"source": corpus, "relative_audio_path": path, "text_description": descriptions,
                         "transcription": "Well, no.", "intrinsic_tags": None, "all_tags": ["slow", "whispered"],
                         "speakerid": "id10001", "gender": "female", "accent": None, "duration": 1.0})  # fmt: skip
        write_json(root / f"{split}.jsonl", rows)
    return sum(len(utterances) for utterances in UTTERANCES.values())


if __name__ == "__main__":
    main(write)
