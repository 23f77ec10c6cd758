"""A judge in this process: any causal language model of Hugging Face, asked in its own chat format, greedily."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import torch

from audiotext.evaluate.causal_lm import PACKAGE, load_pretrained, locate, weights_hash
from audiotext.evaluate.judge import JudgeError


class LocalModel:
    """Prompt -> what the model says, the likeliest token each time.

    model: folder, GGUF file, ``package:NAME`` or name on Hugging Face, as for ``causal_lm``. max_tokens: of an answer.
    dtype: float32 on the CPU, else bfloat16. A model without a chat format is given the bare prompt. Raises ConfigError
    where it is not there; calling it raises JudgeError for a prompt that is longer than what it reads.
    """

    def __init__(self, model: str, max_tokens: int = 64, device: str = "cpu"):
        self.place, self.max_tokens, self.device = locate(model), max_tokens, device
        self.tokenizer = load_pretrained("AutoTokenizer", model)
        dtype = "float32" if device == "cpu" else "bfloat16"
        self.model = load_pretrained("AutoModelForCausalLM", model, dtype=dtype).to(device).eval()
        self.chat = getattr(self.tokenizer, "chat_template", None)
        self.label = re.split(r"[/\\]", model.removeprefix(PACKAGE).rstrip("/\\"))[-1].removesuffix(".gguf")

    @property
    def weights(self) -> str:
        """Hash of the model's files."""
        return weights_hash(self.place)

    @property
    def facts(self) -> dict[str, Any]:
        """What of it decides a verdict, for the result file."""
        chat = hashlib.sha256(self.chat.encode()).hexdigest()[:16] if isinstance(self.chat, str) else None
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"weights": self.weights, "chat_format": chat, "max_tokens": self.max_tokens, "dtype": dtype}

    @torch.inference_mode()
    def __call__(self, prompt: str) -> str:
        if self.chat:
            messages = [{"role": "user", "content": prompt}]
            # tokenised apart: what apply_chat_template returns differs between versions
            prompt = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = self.tokenizer(prompt, add_special_tokens=not self.chat, return_tensors="pt")["input_ids"].to(self.device)
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit and ids.shape[1] + self.max_tokens > limit:
            raise JudgeError(
                f"{self.label}: a prompt of {ids.shape[1]} tokens and {self.max_tokens} of an answer are more than the "
                f"{limit} that it reads; choose another judge"
            )
        end = self.tokenizer.eos_token_id
        found = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=self.max_tokens, do_sample=False,
            num_beams=1, temperature=None, top_p=None, top_k=None, eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
        return self.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True).strip()
