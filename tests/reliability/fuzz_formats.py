"""The formats that are fuzzed: valid files, how a case differs from them, and what reading it means.

A case writes into its own folder, which is the working directory as it is read, and lies next to `outside`.
"""

import json
import os
import random
import shutil
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ropelab
from ropelab.attention import patterns as known
from ropelab.cli.sweeps import manifest
from ropelab.encodings import registry
from ropelab.errors import CheckpointError
from ropelab.evaluation import receipt
from ropelab.training import config, state
from ropelab.training import run_folder as folders
from ropelab.training.manifest import DamagedError
from tests.checkpoints.frozen_export import ADAPTERS, EXPORTS
from tests.checkpoints.frozen_export import GOLDEN as FROZEN
from tests.models import tiny
from tests.reliability.fuzz_mutations import (
    HERE,
    NUMBERS,
    TEXTS,
    damaged,
    dumped,
    json_bytes,
    mutated,
    safetensors_mutated,
    spec_edited,
    strange,
)
from tests.reporting import report_test, samples

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TEXT = "Hello 12 " + "a" * 40 + "! é🤖\n<end>"
Files = dict[str, bytes]


class Format(ABC):
    """One format.

    Attributes:
        documented: the errors that reading it may raise.
        pristine: a folder that stays while workers come and go, for what takes long to make.
    """

    documented: tuple[type[Exception], ...] = (CheckpointError,)
    number = -1  # of the case, -1 of a valid one

    def __init__(self, pristine: Path):
        self.pristine = pristine
        if not (pristine / "ready").exists():
            shutil.rmtree(pristine, ignore_errors=True)
            pristine.mkdir(parents=True)
            self.prepare()
            (pristine / "ready").touch()

    def prepare(self) -> None:  # noqa: B027
        """Fill `pristine`; most formats need nothing."""

    @abstractmethod
    def valid(self, rng: random.Random) -> Files:
        """The files of a valid case."""

    @abstractmethod
    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        """The files of a case that differ from the valid ones."""

    @abstractmethod
    def use(self, folder: Path) -> None:
        """Read the folder, and do with it what a user would, without compiling a model."""

    def write(self, rng: random.Random, folder: Path, *, valid: bool = False) -> list[str]:
        """Write a case; the names of the files that differ from a valid one."""
        files = self.valid(rng)
        changes = {} if valid else self.changed(rng, files, str(folder))
        for name, raw in (files | changes).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(raw)
        return [name for name, raw in changes.items() if files.get(name) != raw]


def files_of(folder: Path) -> Files:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# Hugging Face directories.

ROPE: list[dict[str, Any]] = [
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 4.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32.0, "beta_slow": 1.0,
     "mscale": 1.0, "mscale_all_dim": 1.0, "truncate": True},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 32},
    {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8,
     "original_max_position_embeddings": 32},
    {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "factor": 4.0,
     "original_max_position_embeddings": 32, "attention_factor": 1.0},
    {"rope_type": "proportional", "partial_rotary_factor": 0.5},
    {"full_attention": {"rope_type": "default", "rope_theta": 1e4},
     "sliding_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
]  # fmt: skip
CONFIG_WORDS: list[Any] = [
    *ROPE, "rope_scaling", "rope_parameters", "rope_theta", "type", "rope_type", "factor", "short_factor",
    "long_factor", "original_max_position_embeddings", "max_position_embeddings", "head_dim", "partial_rotary_factor",
    "layer_types", "no_rope_layers", "quantization_config", "auto_map", {"AutoConfig": "evil.X"}, "model_type",
    "llama", "mistral", "phi3", "gemma3_text", "yarn", "linear", "dynamic", "llama3", "longrope", "su", "mrope",
    "attention_factor", "hidden_act", "text_config", "rms_norm_eps", "tie_word_embeddings", "full_attention",
]  # fmt: skip


class Weights(Format):
    """model.safetensors."""

    def prepare(self) -> None:
        tiny.write(self.pristine / "model")

    def valid(self, rng: random.Random) -> Files:
        return files_of(self.pristine / "model")

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        return {WEIGHTS: safetensors_mutated(rng, files[WEIGHTS], here)}

    def use(self, folder: Path) -> None:
        ropelab.load(folder)


class Index(Weights):
    """model.safetensors.index.json."""

    def prepare(self) -> None:
        tiny.write(self.pristine / "model", files=3)

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        words = ["weight_map", "metadata", "total_size", *files, "../outside/model.safetensors", "/dev/zero", "."]
        return {INDEX: json_bytes(rng, mutated(rng, json.loads(files[INDEX]), words), here)}


class Settings(Weights):
    """config.json: loaded, inspected, extended and exported."""

    def valid(self, rng: random.Random) -> Files:
        settings = tiny.config(rng.choice(sorted(tiny.VARIANTS)), rng.choice(["config_v5", "config_v4"]))
        if rng.random() < 0.5:
            settings = tiny.config()
            settings.pop("rope_parameters", None)
            settings[rng.choice(["rope_scaling", "rope_parameters"])] = {"rope_theta": 1e4} | rng.choice(ROPE)
        return files_of(self.pristine / "model") | {CONFIG: json.dumps(settings).encode()}

    def write(self, rng: random.Random, folder: Path, *, valid: bool = False) -> list[str]:
        return super().write(random.Random(1) if valid else rng, folder, valid=valid)

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        settings = json.loads(files[CONFIG])
        rope = next((key for key in ("rope_scaling", "rope_parameters") if settings.get(key)), None)
        if rope and rng.random() < 0.5:
            settings[rope] = mutated(rng, settings[rope], CONFIG_WORDS)
        else:
            settings = mutated(rng, settings, CONFIG_WORDS)
        return {CONFIG: json_bytes(rng, settings, here)}

    def use(self, folder: Path) -> None:
        lab = ropelab.load(folder)
        extended = lab.swap("YaRN(factor=4.0, original_length=32)")
        for one in (lab, extended):
            inspect(one)
            repr(one.encoding), str(one.config)
        try:
            lab.export(folder / "exported")
            extended.export(folder / "extended")
        except CheckpointError:
            pass  # what transformers cannot say


def inspect(lab: ropelab.Lab) -> None:
    """The numbers of a receipt that need no logits."""

    receipt.describe_frequencies(lab.model, lab.config.trained_length or 32)
    receipt.longest_defined_length(lab.model)


# Tokenizers.

BEGIN, END = "<s>", "<end>"


def added(content: str, number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, "special": True} | flags


def subwords() -> dict[str, Any]:
    """As a Llama's: SentencePiece with bytes for what is unknown, and a post-processor."""
    pieces = ["<unk>", BEGIN, END, *(f"<0x{n:02X}>" for n in range(256)), "▁", *"Helo12a!", "▁H", "el", "lo"]
    template = [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    normalizers = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(token, number) for number, token in enumerate(pieces[:3])],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing", "single": template, "pair": template,
            "special_tokens": {BEGIN: {"id": BEGIN, "ids": [1], "tokens": [BEGIN]}},
        },
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": ["▁ H", "e l", "l o"],
        },
    }  # fmt: skip


def other_model(model: dict[str, Any]) -> dict[str, Any]:
    return tiny.byte_level() | {"model": model, "pre_tokenizer": {"type": "Whitespace"}, "decoder": None}


LETTERS = {letter: number for number, letter in enumerate(["[UNK]", *"Helo12a!", "##l", "##o", "<end>"])}
TOKENIZERS = [
    tiny.byte_level(),
    subwords(),
    other_model({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": LETTERS,
                 "max_input_chars_per_word": 100}),
    other_model({"type": "WordLevel", "unk_token": "[UNK]", "vocab": LETTERS}),
    other_model({"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                 "vocab": [[letter, -float(n)] for letter, n in LETTERS.items()]}),
]  # fmt: skip
TOKENIZER_WORDS: list[Any] = [
    {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000},
    {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}] * 4},
    {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "(?=(a*)*)\\1b"}, "behavior": "Removed", "invert": True},
    {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False},
    {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "a" * 1000}, {"type": "Digits"},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, {"type": "BertNormalizer"}, {"type": "ByteLevel"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Metaspace", "replacement": "ab"},
    {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": 10**9, "pad_id": 0, "pad_type_id": 0,
     "pad_token": "a"},
    {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 5},
    added("", 0), added("a", 10**6), added("new", -1), "normalizer", "pre_tokenizer", "decoder", "post_processor",
    "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout", "BPE", "WordPiece",
    "Unigram", "WordLevel", "merges", "vocab", "type", "Sequence", "truncation", "padding", "added_tokens", "##",
]  # fmt: skip
NAMED: dict[str, Any] = {
    "bos_token": END, "eos_token": {"content": END, "lstrip": False}, "add_bos_token": True, "chat_template": None,
    "tokenizer_class": "PreTrainedTokenizerFast", "auto_map": {"AutoTokenizer": ["evil.X", None]},
    "model_max_length": 32, "added_tokens_decoder": {"96": {"content": END}},
}  # fmt: skip
TEMPLATES = [
    "{% for m in messages %}{{ '<end>' + m['role'] + '\\n' + m['content'] + '<end>' }}{% endfor %}",
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[{{ m.content|trim }}]{{ eos_token }}"
    "{% else %}{{ raise_exception('roles') }}{% endif %}{% endfor %}{% if add_generation_prompt %}>{% endif %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m }}{% endfor %}",
    "{%- macro say(x) -%}{{ x | upper }}{%- endmacro -%}{{ say(messages[0]['content']) }}",
]
HOSTILE = [
    "{{ 1/0 }}", "{{ 'a'+1 }}", "{{ range(10**9)|list }}", "{{ range(10**9)|length }}", "{{ 'a'*10**10 }}",
    "{{ 'a'*(10**9) }}", "{{ [0]*(10**9) }}", "{{ 10**(10**8) }}", "{{ 9**9**9 }}", "{{ ''.__class__.__mro__ }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "{% include 'evil.py' %}", "{% import 'evil' as e %}",
    "{% extends 'evil.py' %}", "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ x.y.z }}",
    "{{ '{0.__class__}'.format(1) }}", "{{ '{x}'.format_map({}) }}", "{{ messages[9].x }}", "{{ lipsum(n=10**6) }}",
    "{{ 'a'.center(10**10) }}", "{{ 'a'|indent(10**10) }}", "{{ 'a'|center(10**10) }}", "{{ cycler() }}", "{% if %}",
    "{{ ('a'*10**6)|replace('a', 'a'*10**6) }}", "{{ 'a'.zfill(10**10) }}", "{{ ['a'*10**6]*10**6|join }}", "{{",
    "{{ messages|batch(0)|list }}", "{{ messages|slice(0)|list }}", "{{ ('a'*1000).join(range(10**7)|map('string')) }}",
    "{% set a = 'a'*10000 %}{% set a = a*10000 %}{% set a = a*10000 %}{{ a }}", "{{ self }}", "{{ 1.5|round(10**9) }}",
    "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "{{ messages|tojson(indent=10**9) }}",
    "{{ 'a'|wordwrap(0) }}", "{{ messages|sort(attribute='x') }}", "{{ 'a'|int(base=99) }}", "{{ {}|dictsort('x') }}",
    "{{ [1, 'a']|sort }}", "{{ [1, 'a']|sum }}", "{{ 'é'.encode('ascii') }}", "{{ [].pop() }}", "{{ ''.index('a') }}",
    "{{ 'x'|filesizeformat }}", "{{ 'a'|truncate(-1) }}", "{{ range(0, 1, 0) }}", "{{ 'a' is divisibleby 0 }}",
    "{{ '\\ud800' }}", "{% for x in 5 %}{% endfor %}", "{{ 5() }}", "{{ strftime_now('%Y') }}", "{% break %}",
    "{{ (" + "(" * 150 + "1" + ")" * 150 + ") }}", "{{ 1" + "+1" * 5000 + " }}", "{{ " + "not " * 3000 + "1 }}",
    "{% if 1 %}" * 300 + "{% endif %}" * 300, "{{ " + "[" * 3000 + "]" * 3000 + " }}", "x" * 200_000,
]  # fmt: skip


class Tokenizers(Weights):
    """tokenizer.json, tokenizer_config.json, generation_config.json, chat templates: text goes both ways."""

    documented = (CheckpointError, ValueError)

    def valid(self, rng: random.Random) -> Files:
        named = NAMED | {"chat_template": rng.choice(TEMPLATES)}
        return {
            "tokenizer.json": json.dumps(rng.choice(TOKENIZERS)).encode(),
            "tokenizer_config.json": json.dumps(named).encode(),
        }

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        core, named = (json.loads(files[name]) for name in ("tokenizer.json", "tokenizer_config.json"))
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                core = mutated(rng, core, TOKENIZER_WORDS)
                return {"tokenizer.json": json_bytes(rng, core, here)}
            case 4:
                return {"tokenizer_config.json": json_bytes(rng, mutated(rng, named, [*NAMED, END, "a"]), here)}
            case 5:
                ids = mutated(rng, {"bos_token_id": 1, "eos_token_id": [2, 1]}, ["bos_token_id", "eos_token_id", 3])
                given = {key: named[key] for key in ("chat_template", "auto_map")}
                changes = {"tokenizer_config.json": json.dumps(given).encode()}
                return changes | {"generation_config.json": json_bytes(rng, ids, here)}
            case 6:
                template = template_edited(rng, named["chat_template"])
                return {"chat_template.jinja": template.encode("utf-8", "surrogatepass")}
            case _:
                template = template_edited(rng, named["chat_template"])
                several = [{"name": "default", "template": template}]
                named["chat_template"] = rng.choice([template, several])
                return {"tokenizer_config.json": json.dumps(named).encode()}

    def use(self, folder: Path) -> None:
        from ropelab.checkpoints.tokenizer import read_tokenizer

        use_tokenizer(read_tokenizer(folder))


def template_edited(rng: random.Random, template: str) -> str:
    at = rng.randint(0, len(template))
    match rng.randrange(4):
        case 0:
            return rng.choice(HOSTILE)
        case 1:
            return template[:at] + rng.choice(HOSTILE) + template[at:]
        case 2:
            words = [
                "messages",
                "m.content",
                "'a'",
                "1",
                "loop",
                "namespace()",
                "none",
                "range(3)",
                *map(repr, NUMBERS[:20]),
            ]
            return template.replace(
                rng.choice(["messages", "m.role", "'user'", "ns.n", "m", "1"]), rng.choice(words), 1
            )
        case _:
            return damaged(rng, template.encode()).decode("utf-8", "replace")


def use_tokenizer(tokenizer: Any) -> None:
    from ropelab.checkpoints.prompts import encode_prompt

    if tokenizer is None:
        return
    ids = tokenizer.encode(TEXT)
    tokenizer.decode(ids)
    tokenizer.decode([0, tokenizer.vocabulary - 1])
    encode_prompt(tokenizer, "hi")
    if tokenizer.chat_template not in (None, *TEMPLATES):  # each takes a process
        encode_prompt(tokenizer, "hi", chat=True)


# GGUF.

U8, U32, I32, F32, BOOL, STR, ARRAY, U64, F64 = 0, 4, 5, 6, 7, 8, 9, 10, 12
PACK = {U8: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", 11: "q", F64: "d"}
Pair = tuple[str, int, Any]  # key, kind, value; of an array the value is (kind, values)
PIECES = ["<s>", "a", "b", "ab", "Ġ", "Ġab", *(f"x{i}" for i in range(91))]
PAIRS: list[Pair] = [
    ("general.architecture", STR, "llama"),
    ("general.alignment", U32, 32),
    ("llama.embedding_length", U32, 64),
    ("llama.block_count", U32, 2),
    ("llama.attention.head_count", U32, 4),
    ("llama.attention.head_count_kv", U32, 2),
    ("llama.feed_forward_length", U32, 96),
    ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ("llama.context_length", U32, 32),
    ("llama.rope.freq_base", F32, 10000.0),
    ("llama.rope.dimension_count", U32, 16),
    ("tokenizer.ggml.model", STR, "gpt2"),
    ("tokenizer.ggml.pre", STR, "smollm"),
    ("tokenizer.ggml.tokens", ARRAY, (STR, PIECES)),
    ("tokenizer.ggml.token_type", ARRAY, (I32, [3] + [1] * 96)),
    ("tokenizer.ggml.merges", ARRAY, (STR, ["a b", "Ġ ab"])),
    ("tokenizer.ggml.bos_token_id", U32, 0),
    ("tokenizer.chat_template", STR, TEMPLATES[0]),
]
MORE_PAIRS: list[Pair] = [
    ("llama.rope.scaling.type", STR, "yarn"),
    ("llama.rope.scaling.type", STR, "linear"),
    ("llama.rope.scaling.factor", F32, 4.0),
    ("llama.rope.scaling.original_context_length", U32, 32),
    ("llama.rope.scaling.attn_factor", F32, 1.0),
    ("llama.attention.key_length", U32, 16),
    ("llama.attention.sliding_window", U32, 16),
    ("llama.expert_count", U32, 8),
    ("tokenizer.ggml.model", STR, "llama"),
    ("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * 97)),
    ("tokenizer.ggml.eos_token_id", U32, 1),
    ("tokenizer.ggml.add_bos_token", BOOL, 1),
    ("tokenizer.ggml.pre", STR, "llama-bpe"),
    ("split.count", U32, 2),
]


def packed_text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw


def packed_value(kind: int, value: Any) -> bytes:
    if kind == STR:
        return packed_text(value)
    if kind == ARRAY:
        inner, values = value
        return struct.pack("<IQ", inner, len(values)) + b"".join(packed_value(inner, one) for one in values)
    size = struct.calcsize(PACK[kind])
    return (
        struct.pack("<" + PACK[kind], value)
        if kind in (F32, F64)
        else (int(value) % 256**size).to_bytes(size, "little")
    )


def gguf_bytes(pairs: Sequence[Pair], tensors: Sequence[dict[str, Any]], data: bytes, alignment: int = 32) -> bytes:
    """A file; tensors are `name`, `dims`, `type` and `offset`, which may say anything."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        head += packed_text(key) + struct.pack("<I", kind) + packed_value(kind, value)
    for one in tensors:
        dims = [int(n) % 2**64 for n in one["dims"]]
        head += packed_text(one["name"]) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        head += struct.pack("<IQ", one["type"] % 2**32, one["offset"] % 2**64)
    return head + b"\0" * (-len(head) % alignment) + data


class Gguf(Format):
    """A .gguf file: metadata, vocabulary, tensors and bytes."""

    documented = (CheckpointError, ValueError)

    def __init__(self, pristine: Path):
        from tests.checkpoints.gguf_test import NAMES, as_llama_cpp, golden_weights

        self.tensors: list[dict[str, Any]] = []
        data, theirs = b"", {ours: name for name, ours in NAMES.items()}
        for name, values in golden_weights().items():
            ours, end = name.rsplit(".", 1)
            if "q_proj" in ours or "k_proj" in ours:
                values = as_llama_cpp(values, 4 if "q_proj" in ours else 2)
            dims = list(values.shape[::-1])
            self.tensors.append({"name": f"{theirs[ours]}.{end}", "dims": dims, "type": 0, "offset": len(data)})
            data += np.ascontiguousarray(values, "<f4").tobytes()
            data += b"\0" * (-len(data) % 32)
        self.data = data
        super().__init__(pristine)

    def valid(self, rng: random.Random) -> Files:
        return {"m.gguf": gguf_bytes(PAIRS, self.tensors, self.data)}

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        pairs, tensors, raw = list(PAIRS), [dict(one) for one in self.tensors], files["m.gguf"]
        head = len(raw) - len(self.data)
        match rng.randrange(8):
            case 0:
                return {"m.gguf": damaged(rng, raw)}
            case 1 | 2:
                changed = bytearray(raw[:head])
                for _ in range(rng.choice([1, 1, 2, 8])):
                    changed[rng.randrange(head)] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
                return {"m.gguf": bytes(changed) + raw[head:]}
            case 3:
                return {"m.gguf": damaged(rng, raw[:head]) + raw[head:]}
            case 4 | 5 | 6:
                for _ in range(rng.choice([1, 1, 2])):
                    pairs = pairs_changed(rng, pairs)
            case _:
                for _ in range(rng.choice([1, 1, 3])):
                    tensor_changed(rng, tensors)
        return {"m.gguf": gguf_bytes(pairs, tensors, self.data)}

    def use(self, folder: Path) -> None:
        lab = ropelab.load(folder / "m.gguf")
        inspect(lab)
        use_tokenizer(lab.tokenizer)


def pairs_changed(rng: random.Random, pairs: list[Pair]) -> list[Pair]:
    """Metadata taken out, added, doubled, or of another value or kind."""
    index = rng.randrange(len(pairs))
    key, kind, value = pairs[index]
    match rng.randrange(6):
        case 0:
            return pairs[:index] + pairs[index + 1 :]
        case 1:
            return [pair for pair in pairs if pair[0] != (new := rng.choice(MORE_PAIRS))[0]] + [new]
        case 2:
            return [*pairs, rng.choice([pairs[index], (rng.choice(TEXTS), U32, 1)])]
        case 3:
            pairs[index] = (
                key,
                *rng.choice([(U32, 7), (F32, float("nan")), (STR, "x"), (BOOL, 2), (ARRAY, (U32, [4, 4]))]),
            )
        case _:
            pairs[index] = (key, kind, value_changed(rng, kind, value))
    return pairs


def value_changed(rng: random.Random, kind: int, value: Any) -> Any:
    if kind == ARRAY:
        inner, values = value
        values = list(values)
        at = rng.randrange(len(values)) if values else 0
        match rng.randrange(6):
            case 0:
                values = values[:at]
            case 1:
                values = values + values[at:]
            case 2 if inner == STR:
                values[at] = rng.choice(["a" * 300_000, "ab" * 50_000, "▁" * 100_000, " ", ""])
            case 3 if inner == STR:
                values = [*values, *(f"y{n}" for n in range(2000))]
            case _ if values:
                values[at] = value_changed(rng, inner, values[at])
        return inner, values
    if kind == STR:
        return rng.choice([*TEXTS, *HOSTILE, *("llama", "gpt2", "default", "mistral", "bert", "ab", "a b c", "Ġ ab")])
    if kind in (F32, F64):
        return rng.choice([0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), -0.0, 3e38])
    return rng.choice([0, 1, 3, 15, 17, 2**16, 2**31 - 1, 2**31, 2**32 - 1, value + 1])


def tensor_changed(rng: random.Random, tensors: list[dict[str, Any]]) -> None:
    one, other = rng.choice(tensors), rng.choice(tensors)
    match rng.randrange(7):
        case 0:
            one["offset"] = rng.choice([0, 1, other["offset"], 2**40, 2**63, 2**64 - 1, one["offset"] + 32])
        case 1:
            one["dims"] = rng.choice(
                [[], [0], [1], [2**32, 2**32], [64, 64, 1, 1], [64] * 5, one["dims"][::-1], [2**63]]
            )
        case 2:
            one["type"] = rng.choice([*range(40), 2**31, 2**32 - 1])
        case 3:
            one["name"] = rng.choice(
                [other["name"], "rope_freqs.weight", "output.weight", "blk.9.attn_q.weight", *TEXTS]
            )
        case 4:
            tensors.remove(one)
        case 5:  # many names for the same bytes
            tensors += [one | {"name": f"blk.{n}.attn_norm.weight"} for n in range(rng.choice([1, 300]))]
        case _:
            at = rng.randrange(len(one["dims"]))
            one["dims"] = [n * rng.choice([1, 2, 10**6]) if i == at else n for i, n in enumerate(one["dims"])]


# Adapters.

ADAPTER_CONFIG, ADAPTER, BESIDE = "adapter_config.json", "adapter_model.safetensors", "ropelab.json"
ADAPTER_WORDS: list[Any] = [
    "r", "lora_alpha", "use_rslora", "use_dora", "bias", "target_modules", "modules_to_save", "rank_pattern",
    "peft_type", "LORA", "IA3", "all", "gaussian", "pissa", "auto_mapping", {"base_model_class": "evil.X"},
    "q_proj", "all-linear", "init_lora_weights", "layers_to_transform", "fan_in_fan_out", "megatron_core",
]  # fmt: skip


class Adapter(Format):
    """A directory of PEFT's, with ropelab.json: read and merged into its base."""

    documented = (CheckpointError, ValueError)

    def valid(self, rng: random.Random) -> Files:
        name = rng.choice(sorted(ADAPTERS))
        self.base = tiny.lab(EXPORTS[ADAPTERS[name]][0])
        return {
            ADAPTER_CONFIG: str(FROZEN[f"adapters/{name}/config"]).encode(),
            ADAPTER: FROZEN[f"adapters/{name}/weights"].tobytes(),
            BESIDE: json.dumps({"encoding": "YaRN(factor=4.0, original_length=32)"}).encode(),
        }

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        match rng.randrange(3):
            case 0:
                settings = mutated(rng, json.loads(files[ADAPTER_CONFIG]), ADAPTER_WORDS)
                return {ADAPTER_CONFIG: json_bytes(rng, settings, here)}
            case 1:
                return {ADAPTER: safetensors_mutated(rng, files[ADAPTER], here)}
            case _:
                if rng.random() < 0.3:
                    return {BESIDE: json_bytes(rng, mutated(rng, json.loads(files[BESIDE]), ["encoding"]), here)}
                spec = spec_edited(rng, rng.choice(encodings()), encodings())
                return {BESIDE: dumped({"encoding": spec}, here).encode()}

    def use(self, folder: Path) -> None:
        adapted = self.base.adapted(folder)
        inspect(adapted)


def encodings() -> list[str]:
    from ropelab.encodings.registry import ALL

    return [repr(one) for one in ALL]


def patterns() -> list[str]:
    from ropelab.attention.patterns import ALL

    return [repr(one) for one in ALL]


class Specs(Format):
    """Specs of encodings, patterns, models, phases and plans, as flags and records have them."""

    documented = (CheckpointError, ValueError)

    def valid(self, rng: random.Random) -> Files:
        kind = rng.choice(["encoding", "pattern", "plan"])
        texts = {"encoding": encodings, "pattern": patterns, "plan": plans}[kind]()
        return {kind: rng.choice(texts).encode()}

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        ((kind, raw),) = files.items()
        text = spec_edited(rng, raw.decode(), [*encodings(), *patterns()])
        return {kind: text.replace(HERE, here).encode("utf-8", "surrogatepass")}

    def use(self, folder: Path) -> None:
        from ropelab.encodings import RoPE
        from ropelab.evaluation.receipt import rotary_part

        ((kind, raw),) = ((p.name, p.read_bytes()) for p in folder.iterdir() if p.suffix != ".py")
        text = raw.decode("utf-8", "surrogatepass")
        if kind == "encoding":
            encoding = registry.parse(text).inherit(RoPE(base=10000.0, pairing="half"))
            repr(encoding)
            for one in encoding.unique_encodings():
                rotary = rotary_part(one)
                if rotary is not None:
                    rotary.check(16)
                    rotary.frequencies(16, 64)
        elif kind == "pattern":
            repr(known.parse(text))
        else:
            repr(config.parse(text))


# Runs.

MODEL = (
    "LlamaConfig(vocabulary=32, width=16, layers=2, heads=2, key_heads=2, head_dim=8, feed_forward=32, "
    "norm_eps=1e-05, trained_length=16, tied_head=True)"
)


def plans() -> list[str]:
    """As text, of the run that `Run` has."""
    from ropelab.attention.patterns import ShiftedSparse
    from ropelab.encodings import NTK
    from ropelab.training.config import Phase
    from tests.training.tiny import tiny_plan

    later = Phase(start=2, encoding=NTK(base=100.0, alpha=2.0), pattern=ShiftedSparse(group=8), length=24)
    return [repr(tiny_plan()), repr(tiny_plan(phases=(later,)))]


class Run(Format):
    """What a training has left, with one checkpoint."""

    documented = (CheckpointError, DamagedError, ValueError)

    def prepare(self) -> None:
        from tests.training.tiny import tiny_plan, untrained

        untrained(tiny_plan(), self.pristine / "run")

    def valid(self, rng: random.Random) -> Files:
        return files_of(self.pristine / "run")


class Plans(Run):
    """plan.json: outlined, opened, compared by a resumed training and reported."""

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        plan = json.loads(files["plan.json"])
        if rng.random() < 0.4:
            plan = mutated(rng, plan, ["plan", "settings", "steps", *plans()])
            return {"plan.json": json_bytes(rng, plan, here)}
        text = rng.choice(plans())
        if rng.random() < 0.2:
            text = text.replace(
                f"model={MODEL!r}", f"model={rng.choice([HERE, '.', './', '../outside', '', '~', HERE + '@1'])!r}"
            )
        plan["plan"] = spec_edited(rng, text, [*encodings(), *patterns()])
        return {"plan.json": dumped(plan, here).encode()}

    def use(self, folder: Path) -> None:
        from etils import epath

        from tests.training.tiny import tiny_plan

        read, error = (state.summarize_run, state.read_config), None
        for one in read:
            try:
                one(folder)
            except self.documented as refused:
                error = refused
        folders.check_same_config(epath.Path(folder), tiny_plan(), ())
        if error is not None:
            raise error


class Manifests(Run):
    """manifest.json raw, resealed with other content, and Orbax's own files with digests made to fit."""

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        import hashlib

        name, changes = "checkpoints/1/manifest.json", {}
        outer = json.loads(files[name])
        if rng.random() < 0.25:
            return {name: json_bytes(rng, mutated(rng, outer, ["sha256", "body"]), here)}
        body = json.loads(outer["body"])
        if rng.random() < 0.6:
            text = json_bytes(rng, mutated(rng, body, ["files", "arrays", "base", "step", "loss"]), here)
        else:
            inner = [one for one in files if one.startswith("checkpoints/1/") and one != name]
            hurt = rng.choice(inner)
            try:
                changes[hurt] = json_bytes(rng, mutated(rng, json.loads(files[hurt])), here)
            except ValueError:
                changes[hurt] = damaged(rng, files[hurt])
            body["files"][hurt.removeprefix("checkpoints/1/")] = hashlib.sha256(changes[hurt]).hexdigest()
            text = json.dumps(body).encode()
        plain = text.decode("utf-8", "replace")
        sealed = {"sha256": hashlib.sha256(plain.encode()).hexdigest(), "body": plain}
        return changes | {name: json.dumps(sealed).encode()}

    def use(self, folder: Path) -> None:
        ropelab.load(folder)


# Records.

ROW_WORDS: list[Any] = [
    "step", "loss", "tokens", "pattern", "length", "nll", "perplexity", "arm", "eval", "value", "depth", "count",
    "deviation", "seed", "protocol", "nan", "inf", "Causal()", "name", "command", "devices", "jax", "=HYPERLINK(1)",
]  # fmt: skip


class Records(Format):
    """The records of trainings, evaluations, swaps and sweeps: reported, and continued."""

    documented = (ValueError,)

    def prepare(self) -> None:
        from tests.reporting.runs_on_disk import by_length, training

        place = self.pristine
        for name in ("rope-0", "rope-1", "alibi-0"):
            training(place / "trainings" / name, by_length({64: 4.0, 128: 6.0}), length=64, encoding=name)
        report_test.evaluation(place / "evaluation")
        swap = place / "swap"
        swap.mkdir()
        lines = ["arm,length,band,nll", "unchanged,64,all,1.0", "unchanged,64,last 8,2.0", "PI(factor=2.0),64,all,0.5"]
        (swap / "results.csv").write_text("\n".join(lines) + "\n")
        nll = {"unchanged @ 64": np.ones((1, 63), np.float32), "PI(factor=2.0) @ 64": np.ones((1, 63), np.float32)}
        np.savez(swap / "per_token.npz", protocol=np.array("one window"), **nll)
        (swap / "receipts.json").write_text(json.dumps(samples.receipts()))
        sweep = place / "sweep"
        training(sweep / "lex" / "rope-0", by_length({64: 4.0, 128: 6.0}), length=64, encoding="RoPE()")
        training(sweep / "lex" / "alibi-0", by_length({64: 4.5, 128: 4.4}), length=64, encoding="ALiBi()")
        entries: list[Mapping[str, Any]] = [
            {"name": "lex/rope-0", "id": "a", "command": ["experiments.train", "--workdir={sweep}/lex/rope-0"]},
            {"name": "report", "id": "b", "command": ["experiments.report", "--workdir={sweep}", "--tables=lex"]},
        ]
        (sweep / "manifest.json").write_text(json.dumps(entries))
        (sweep / "sweep.json").write_text(json.dumps({"command": "python -m experiments.sweep"}))
        (sweep / "lex" / "rope-0" / "run.json").write_text(json.dumps(entries[0]))

    def valid(self, rng: random.Random) -> Files:
        root = rng.choice(["trainings", "evaluation", "swap", "sweep"])
        return {f"{root}/{name}": raw for name, raw in files_of(self.pristine / root).items()}

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        name = rng.choice([one for one in files if not one.startswith("checkpoints")])
        raw = files[name]
        if name.endswith(".json"):
            return {name: json_bytes(rng, mutated(rng, json.loads(raw), ROW_WORDS), here)}
        if name.endswith(".jsonl"):
            rows: list[Any] = [json.loads(line) for line in raw.decode().splitlines()]
            at = rng.randrange(len(rows))
            match rng.randrange(8):
                case 0:
                    rows = rng.choice([[], rows[:at], rows + rows, rows[::-1]])
                case 1:
                    rows[at] = strange(rng)
                case _:
                    rows[at] = mutated(rng, rows[at], ROW_WORDS)
            text = "".join(dumped(row, here) + rng.choice(["\n"] * 20 + ["\n\n", "", "\r\n"]) for row in rows).encode()
            return {name: damaged(rng, text) if rng.random() < 0.1 else text}
        if name.endswith(".csv"):
            rows = [line.split(",") for line in raw.decode().splitlines()]
            rows = mutated(rng, rows, ["nan", "all", "-1", "1e400", "²", '"', "length"])
            if isinstance(rows, list):
                lines = [",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows]
                return {name: "\n".join(lines).encode("utf-8", "surrogatepass")}
        return {name: damaged(rng, raw)}

    def use(self, folder: Path) -> None:
        from etils import epath

        from experiments.papers.claims import TABLES
        from ropelab.reporting.page import Facts
        from ropelab.reporting.page_data import as_csv, as_parquet
        from ropelab.reporting.page_html import html
        from ropelab.reporting.page_markdown import markdown
        from ropelab.reporting.report import report
        from ropelab.training.metrics import read_rows

        (root,) = (path for path in folder.iterdir() if path.is_dir())
        for path in sorted(root.rglob("*.jsonl")):
            read_rows(epath.Path(path))
        page = report([root], known=TABLES)
        html(page)
        markdown(page, {})
        for section in page.sections:
            for part in section.parts:
                if not isinstance(part, Facts):
                    as_csv(part)
                    as_parquet(part)
        if root.name == "sweep":
            manifest.write(root, [{"name": "lex/rope-0", "id": "a", "command": [], "after": [], "steps": None}])


class Broken(Format):
    """Does all that reading must not do, a case each: what the harness itself is tested with."""

    def valid(self, rng: random.Random) -> Files:
        return {"number": b"-1"}

    def write(self, rng: random.Random, folder: Path, *, valid: bool = False) -> list[str]:
        super().write(rng, folder, valid=True)
        return []

    def changed(self, rng: random.Random, files: Files, here: str) -> Files:
        return {}

    def use(self, folder: Path) -> None:
        import importlib.util
        import subprocess

        match self.number:
            case 0:
                raise KeyError("x")
            case 1:
                raise CheckpointError("of another library")
            case 2:
                os.abort()
            case 3:
                time.sleep(60)
            case 4:
                np.ones(1 << 26)
            case 5:
                found = importlib.util.spec_from_file_location("evil", folder / "evil.py")
                assert found is not None
                assert found.loader is not None
                found.loader.exec_module(importlib.util.module_from_spec(found))
            case 6:
                subprocess.run(["true"], check=True)


FORMATS: dict[str, type[Format]] = {
    "broken": Broken,
    "safetensors": Weights,
    "index": Index,
    "gguf": Gguf,
    "config": Settings,
    "tokenizer": Tokenizers,
    "adapter": Adapter,
    "specs": Specs,
    "plan": Plans,
    "manifest": Manifests,
    "records": Records,
}
