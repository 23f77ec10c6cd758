"""A judge behind an OpenAI-compatible endpoint (POST {base}/chat/completions), such as vLLM, llama.cpp or a service."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from audiotext.evaluate.judge import JudgeError

AGAIN = (408, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Endpoint:
    """Prompt -> what the model says.

    base: such as http://localhost:8000/v1. key: sent as bearer token where there is one, and never shown. timeout,
    first_wait: seconds; the wait doubles with each of ``tries``, or is what the server asks for. Calling it raises
    JudgeError after the last try, or at once for an answer that another try would not change.
    """

    base: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    tries: int = 5
    first_wait: float = 1.0
    max_tokens: int = 64
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if not self.base.startswith(("http://", "https://")):
            raise JudgeError(f"endpoint {self.base!r}: expected a URL such as http://localhost:8000/v1")

    def __call__(self, prompt: str) -> str:
        fault, wait = "", self.first_wait
        for attempt in range(self.tries):
            if attempt:
                self.sleep(min(wait, LONGEST_WAIT))
                wait *= 2
            try:
                with urllib.request.urlopen(self._request(prompt), timeout=self.timeout) as response:
                    return self._content(response.read())
            except urllib.error.HTTPError as error:
                fault = f"{error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
                if error.code not in AGAIN:
                    raise JudgeError(f"{self.base}: {fault}") from None
                asked = error.headers.get("Retry-After", "")
                wait = float(asked) if asked.isdigit() else wait
            # no connection, a time-out, a reply that is cut short or no JSON
            except (OSError, http.client.HTTPException, ValueError) as error:
                fault = str(error) or type(error).__name__
        raise JudgeError(f"{self.base}: no reply in {self.tries} tries, the last: {fault}")

    def _request(self, prompt: str) -> urllib.request.Request:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        return urllib.request.Request(
            f"{self.base.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )

    def _content(self, body: bytes) -> str:
        try:
            return json.loads(body)["choices"][0]["message"]["content"] or ""
        except (KeyError, IndexError, TypeError):
            raise JudgeError(f"{self.base}: not a chat completion: {body[:300].decode(errors='replace')}") from None
