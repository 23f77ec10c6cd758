"""A language model as judge, behind a server of our own: normal, away in the middle, talking nonsense, overloaded."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from audiotext.cli import main as cli
from audiotext.config import ConfigError
from audiotext.evaluate.answer_tables import judge_tables
from audiotext.evaluate.endpoint import Endpoint
from audiotext.evaluate.judge import ORDERS, PROMPT, Answer, JudgeError, Store, ask, judge_answers, read_verdict
from audiotext.evaluate.results import read_results


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint. ``reply`` maps a prompt to text, or to (status, headers); asked: the prompts."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.headers, self.reply = [], [], lambda prompt: "3 8"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        self.server.asked.append(prompt)
        self.server.headers.append(dict(self.headers))
        said = self.server.reply(prompt)
        status, headers = said if isinstance(said, tuple) else (200, {})
        content = "no" if status != 200 else json.dumps({"choices": [{"message": {"content": said}}]})
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content.encode())
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has stopped waiting

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def endpoint(server, **changes) -> Endpoint:
    return Endpoint(server.url, "toy", **{"timeout": 5.0, "tries": 3, "sleep": lambda s: None} | changes)


def answers(count: int = 4) -> list[Answer]:
    return [Answer(f"c{i}: What?", f"rain {i}", "What?", "Rain.", f"Dog {i}.", "sound") for i in range(count)]


def sees_through(prompt: str) -> str:
    """The reference gets 9, the answer 4, wherever they stand."""
    return "9 4" if prompt.index("Rain.") < prompt.index("Dog") else "4 9"


def test_the_prompt_has_both_orders_and_nothing_of_an_answer_is_taken_for_a_place():
    one = Answer("i", "rain", "Why {second}?", "It {first} rains", "Dogs {about}")
    first, second = (ask(PROMPT, one, order) for order in ORDERS)
    assert first.index("It {first} rains") < first.index("Dogs {about}") and "Why {second}?" in first
    assert second.index("Dogs {about}") < second.index("It {first} rains") and "rain\n" in second
    with pytest.raises(ConfigError, match="prompt lacks {question}, {second}"):
        ask("{about} {first}", one, ORDERS[0])


@pytest.mark.parametrize(
    ("said", "scores", "problem"),
    [
        ("9 4", (9.0, 4.0), ""),
        (" 10, 1\n", (10.0, 1.0), ""),
        ("7.5 8", (7.5, 8.0), ""),
        ("", None, "empty"),
        ("11 4", None, "unparsable"),
        ("0 4", None, "unparsable"),
        ("7", None, "unparsable"),
        ("7 8 9", None, "unparsable"),
        ("Assistant 1 gets 9, Assistant 2 gets 4.", None, "unparsable"),
        ("I'm sorry, but I can't assist with that request.", None, "refusal"),
    ],
)
def test_a_verdict_is_two_numbers(said, scores, problem):
    assert read_verdict(said, ORDERS[0]) == (scores, problem)
    assert read_verdict(said, ORDERS[1]) == (scores and scores[::-1], problem)


def test_each_answer_is_judged_in_both_orders_and_never_again(server, tmp_path):
    server.reply = sees_through
    for _ in range(2):
        with Store(tmp_path / "v.jsonl") as store:
            found = judge_answers(answers(), endpoint(server, key="secret"), "toy", store, workers=3)
    assert [[v.scores for v in both] for both in found] == [[(9.0, 4.0), (9.0, 4.0)]] * 4
    assert len(server.asked) == len(set(server.asked)) == 8
    assert {h["Authorization"] for h in server.headers} == {"Bearer secret"}
    assert "secret" not in (tmp_path / "v.jsonl").read_text() + repr(endpoint(server, key="secret"))
    with Store(tmp_path / "v.jsonl") as store:  # another judge is another matter
        judge_answers(answers(1), endpoint(server), "other", store)
    assert len(server.asked) == 10


def test_a_judge_that_goes_away_in_the_middle_is_resumed(server, tmp_path):
    def hangs(prompt):
        if len(server.asked) > 5:
            time.sleep(0.4)
        return sees_through(prompt)

    server.reply = hangs
    path = tmp_path / "v.jsonl"
    with Store(path) as store, pytest.raises(JudgeError, match=r"timed out; 5 verdicts are kept in .*v.jsonl"):
        judge_answers(answers(), endpoint(server, timeout=0.1, tries=2), "toy", store)
    kept = path.read_text().splitlines()
    assert len(kept) == 5
    path.write_text("\n".join(kept) + '\n{"key": "cut o')  # and a crash in the middle of a line
    done = set(server.asked[:5])
    server.asked.clear()
    server.reply = sees_through
    with Store(path) as store:
        assert len(judge_answers(answers(), endpoint(server), "toy", store)) == 4
    assert len(server.asked) == 3 and not done & set(server.asked)
    assert len({json.loads(line)["key"] for line in path.read_text().splitlines()}) == 8


def test_what_was_said_beside_a_failure_is_kept(tmp_path):
    def fails(prompt):
        if "Dog 1" in prompt:
            raise KeyError("broken")
        return sees_through(prompt)

    with Store(tmp_path / "v.jsonl") as store, pytest.raises(JudgeError, match="fails with KeyError.* 6 verdicts"):
        judge_answers(answers(), fails, "toy", store, workers=8)


def test_overload_is_waited_out_and_a_wrong_key_is_not(server, tmp_path):
    waits = []
    replies = iter([(429, {"Retry-After": "7"}), (500, {}), "5 6", (401, {})])
    server.reply = lambda prompt: next(replies)
    judge = endpoint(server, sleep=waits.append)
    assert judge("p") == "5 6" and waits == [7.0, 14.0]
    replies_cut = iter([(200, {"Content-Length": "9999"}), "2 3"])
    server.reply, kept = lambda prompt: next(replies_cut), server.reply
    assert judge("p") == "2 3"
    server.reply = kept
    with pytest.raises(JudgeError, match="401 Unauthorized: no"):
        judge("p")
    server.reply = lambda prompt: (503, {})
    with pytest.raises(JudgeError, match="no reply in 3 tries, the last: 503"):
        judge("p")
    with pytest.raises(JudgeError, match="expected a URL"):
        Endpoint("file:///etc/passwd", "m")


def test_a_faulty_store_is_named(tmp_path):
    (tmp_path / "v.jsonl").write_text("{}\n")
    with pytest.raises(JudgeError, match=r"v.jsonl:1: not a verdict"):
        Store(tmp_path / "v.jsonl")


def result(folder, kept: int = 3, asked: int = 3):
    """A result file of a question task."""
    rows = [
        {"id": f"c{i}", "question": "What?", "answer": "Rain.", "about": "rain", "trained": f"Dog {i}.",
         "kinds": ["sound" if i % 2 else "music"]}
        for i in range(kept)
    ]  # fmt: skip
    tree = {
        "task": "airbench", "kind": "question", "model": "m", "model_hash": "0", "scores": {"trained": {}},
        "clips": {"expected": 5, "found": asked}, "settings": {}, "ids_hash": "", "protocol": {"description": ""},
        "manifest_hashes": {}, "details": {"examples": rows, "asked": asked},
    }  # fmt: skip
    path = folder / "m/airbench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))
    return path


def judge(server, path, *more) -> int:
    return cli.main(["judge", "--results", str(path), "--endpoint", server.url, "--model", "toy/1", "--nj", "2", *more])


def test_the_verb_writes_a_result_that_counts_what_it_lacks(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server.reply = lambda prompt: "hm, hard to say" if "Dog 1" in prompt else sees_through(prompt)
    path = result(tmp_path)
    assert judge(server, path, "--key-from", "MY_KEY") == 0
    assert "2 of 3 answers judged; verdicts without scores: {'unparsable': 2}" in capsys.readouterr().out
    found = {r.kind: r for r in read_results(tmp_path)}["judge"]
    assert found.path.name == "airbench_judge_toy-1.json" and found.task == "airbench_judge_toy-1"
    assert found.scores["judged"] == {
        kind: {"score": 4.0, "reference": 9.0, "win_rate": 0.0} for kind in ("all", "music", "average")
    }
    assert found.tree["clips"] == {"expected": 5, "found": 2}
    assert found.tree["settings"]["judge"]["prompt"] == PROMPT and "secret" not in found.path.read_text()
    assert found.score("judged", "all", "score").interval == (4.0, 4.0)
    assert server.headers[0]["Authorization"] == "Bearer secret"
    table = judge_tables(read_results(tmp_path))[0].lines()
    assert table[0] == "## Judged answers: airbench_judge_toy-1" and [c.strip() for c in table[4].split("|")[1:-1]] == [
        "m", "2", "3", "9.00†", "0.0†", "4.00†", "4.00†", "4.00†",
    ]  # fmt: skip
    assert judge(server, path) == 0 and len(server.asked) == 6  # all was kept, what was unparsable too


def test_the_average_is_that_of_the_groups_as_air_bench_publishes_it(server, tmp_path):
    """Two answers of music get 4, one of sound gets 10: 6 over answers, 7 over groups."""
    server.reply = lambda prompt: "10 10" if "Dog 1" in prompt else sees_through(prompt)
    path = result(tmp_path)
    assert judge(server, path) == 0
    found = {r.kind: r for r in read_results(tmp_path)}["judge"]
    scores = {kind: values["score"] for kind, values in found.scores["judged"].items()}
    assert scores == {"all": 6.0, "music": 4.0, "sound": 10.0, "average": 7.0}
    assert found.score("judged", "average", "score").interval and found.details["questions"] == {"music": 2, "sound": 1}


def test_a_file_that_does_not_keep_every_answer_is_refused(server, tmp_path, capsys):
    assert judge(server, result(tmp_path, kept=2)) == 1
    assert "keeps 2 of 3 answers; evaluate again with --set examples=0" in capsys.readouterr().err
    assert judge(server, result(tmp_path), "--way", "heard") == 1
    assert "keeps no answers given 'heard'" in capsys.readouterr().err
    server.reply = lambda prompt: "no"
    assert judge(server, result(tmp_path)) == 1
    assert "none of 3 answers has two usable verdicts" in capsys.readouterr().err
    assert not server.asked[6:]


def test_a_function_can_be_the_judge(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_judge.py").write_text("def judge(prompt):\n    return '6 6'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "out/m/judged.json"
    argv = ["judge", "--results", str(result(tmp_path)), "--model", "mine", "--out", str(out)]
    assert cli.main([*argv, "--local", "my_judge:judge"]) == 0
    assert json.loads(out.read_text())["scores"]["judged"]["all"]["score"] == 6.0
    assert re.search(r"3 of 3 answers judged", capsys.readouterr().out)
    assert cli.main([*argv, "--local", "my_judge:missing"]) == 1
    assert "--local my_judge:missing: expected module:function" in capsys.readouterr().err


class Words:
    """Tokenizer of a chat model: a token a word."""

    chat_template, eos_token_id = "the format", 0

    def __init__(self):
        self.read = []

    def apply_chat_template(self, messages, add_generation_prompt, tokenize):
        assert add_generation_prompt and not tokenize
        return f"<user> {messages[0]['content']} <judge>"

    def __call__(self, text, add_special_tokens, return_tensors):
        self.read.append((text, add_special_tokens))
        return {"input_ids": torch.ones(1, len(text.split()), dtype=torch.long)}

    def decode(self, ids, skip_special_tokens):
        return " ".join(str(n) for n in ids.tolist()) + " "


class Sevens:
    """Language model that says 7 and 5 whatever it reads."""

    config, dtype = SimpleNamespace(max_position_embeddings=200), torch.float32

    def to(self, device):
        return self

    eval = lambda self: self  # noqa: E731

    def generate(self, input_ids, max_new_tokens, do_sample, num_beams, **_):
        assert not do_sample and num_beams == 1 and max_new_tokens == 5
        return torch.cat([input_ids, torch.tensor([[7, 5]])], 1)


@pytest.fixture
def local(monkeypatch):
    parts = {"AutoTokenizer": Words(), "AutoModelForCausalLM": Sevens()}
    monkeypatch.setattr("audiotext.evaluate.local_judge.load_pretrained", lambda kind, model, **_: parts[kind])
    return parts["AutoTokenizer"]


def test_a_model_in_this_process_is_named_with_its_weights(local, tmp_path, capsys):
    """Other weights are another judge: its verdicts are asked for anew, and lie in a file of their own."""
    source = result(tmp_path)
    for n in (1, 2):
        folder = tmp_path / f"{n}" / "judge"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes([n]))
        argv = ["judge", "--results", str(source), "--local", str(folder), "--max-tokens", "5"]
        for _ in range(2):
            assert cli.main(argv) == 0
        assert len(local.read) == 6 * n  # three answers in both orders, once
    found = [r for r in read_results(tmp_path) if r.kind == "judge"]
    assert len({r.task for r in found}) == 2 == len(list(source.parent.glob("airbench_judge_judge-*.jsonl")))
    facts = found[0].tree["settings"]["judge"]
    assert (
        facts["model"] == f"judge-{facts['weights']}" and facts["prompt"] == PROMPT and len(facts["prompt_hash"]) == 16
    )
    assert facts["max_tokens"] == 5 and facts["chat_format"] and found[0].scores["judged"]["all"]["score"] == 6.0
    text, special = local.read[0]
    assert text.startswith("<user> Two assistants") and text.endswith("<judge>") and not special
    capsys.readouterr()


def test_a_prompt_that_a_local_model_cannot_read_and_a_judge_without_a_name(local, server, tmp_path, capsys):
    (tmp_path / "m.gguf").write_bytes(b"x")
    argv = ["judge", "--results", str(result(tmp_path)), "--local", str(tmp_path / "m.gguf"), "--max-tokens", "150"]
    assert cli.main(argv) == 1
    assert "m: a prompt of" in (said := capsys.readouterr().err) and "more than the 200 that it reads" in said
    assert cli.main([*argv[:3], "--endpoint", server.url]) == 1
    assert "give the judge a name: --model NAME" in capsys.readouterr().err
    assert cli.main([*argv[:3], "--local", "package:nobody_has_this"]) == 1
    assert "no GGUF file in a package of that name" in capsys.readouterr().err
