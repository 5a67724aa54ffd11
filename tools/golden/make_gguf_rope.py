"""Freeze the logits that llama.cpp computes for one small Llama under the rope metadata a GGUF can carry.

Source: llama.cpp b9190 on the CPU, float32 weights and cache, no flash attention, in the PyPI package cyllama 0.2.18;
gguf 0.19.0. Weights and tokens are those of llama.npz. The keys yarn_ext_factor, yarn_attn_factor, yarn_beta_fast and
yarn_beta_slow are left out because llama.cpp ignores them in a Llama: its logits are the same bits with and without.

    python tools/golden/make_gguf_rope.py      # 5 s

Needs cyllama, gguf and numpy. Writes tests/golden/gguf_rope.npz.
"""

import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
from cyllama.llama import llama_cpp

OUTPUT, WEIGHTS = (Path(__file__).parents[2] / "tests" / "golden" / name for name in ("gguf_rope.npz", "llama.npz"))
HEADS, KEY_HEADS, HEAD_DIM = 4, 2, 16
SIZES = {
    "llama.vocab_size": 97,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEY_HEADS,
    "llama.feed_forward_length": 96,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.context_length": 32,
}
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.layers": "blk",
}  # fmt: skip
YARN = {"scaling.type": "yarn", "scaling.factor": 4.0}
CASES = {
    "no_base": {},
    "base": {"freq_base": 500000.0},
    "linear": {"freq_base": 10000.0, "scaling.type": "linear", "scaling.factor": 4.0},
    "linear_unnamed": {"freq_base": 10000.0, "scaling.factor": 4.0},
    "linear_older": {"freq_base": 10000.0, "scale_linear": 2.0},
    "none": {"freq_base": 10000.0, "scaling.type": "none", "scaling.factor": 4.0},
    "yarn": {"freq_base": 10000.0, **YARN, "scaling.original_context_length": 32},
    "yarn_unnamed_length": {"freq_base": 10000.0, **YARN},
    "yarn_other_length": {"freq_base": 10000.0, **YARN, "scaling.original_context_length": 16},
    "yarn_attn_factor": {"freq_base": 10000.0, **YARN, "scaling.attn_factor": 0.7},
    "llama3_8": {"freq_base": 500000.0, "divisors": 8.0},
    "llama3_32": {"freq_base": 500000.0, "divisors": 32.0},
}
ROWS = [0, 1, 2, 15, 31, 32, 33, 47, 63, 79]


def interleaved(rows, heads):
    """The order in which llama.cpp's converter stores q and k: rows i and i + 8 of each head become neighbours."""
    return rows.reshape(heads, 2, HEAD_DIM // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def llama3_divisors(base, factor):
    """As in convert_hf_to_gguf.py, for a trained length of 8192 and low and high factors of 1 and 4."""
    wavelengths = 2 * np.pi * base ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    kept = np.clip((8192 / wavelengths - 1) / (4 - 1), 0, 1)
    return (1 / ((1 - kept) / factor + kept)).astype(np.float32)


def write_model(path, weights, rope):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("no_vocab")
    keys = {f"llama.rope.{key}": value for key, value in rope.items() if key != "divisors"}
    for key, value in (SIZES | keys).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(key, value)
    if "divisors" in rope:
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope["freq_base"], rope["divisors"]))
    for name, values in weights.items():
        if "q_proj" in name or "k_proj" in name:
            values = interleaved(values, HEADS if "q_proj" in name else KEY_HEADS)
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Model(llama_cpp.LlamaModel):
    """cyllama's `get_logits_ith` asks for this attribute, which its own class lacks."""

    n_vocab = SIZES["llama.vocab_size"]


def logits_of(path, tokens):
    model = Model(str(path), llama_cpp.LlamaModelParams())
    params = llama_cpp.LlamaContextParams()
    params.n_ctx, params.n_threads, params.flash_attn_type = 128, 1, 0
    params.type_k = params.type_v = 0  # float32
    context = llama_cpp.LlamaContext(model, params)
    batch = llama_cpp.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
    for pos, token in enumerate(tokens):
        batch.add(int(token), pos, [0], True)
    context.decode(batch)
    return np.array([context.get_logits_ith(row) for row in ROWS], np.float32)


def main():
    llama_cpp.llama_backend_init()
    llama_cpp.ggml_backend_load_all()
    golden = np.load(WEIGHTS)
    weights = {name.removeprefix("weights/"): golden[name] for name in golden if name.startswith("weights/")}
    tokens = golden["tokens/long"][0]
    logits = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rope in CASES.items():
            path = Path(folder) / f"{name}.gguf"
            write_model(path, weights, rope)
            logits[f"logits/{name}"] = logits_of(path, tokens)
    np.savez_compressed(
        OUTPUT,
        cases=np.array([json.dumps({"name": name, "rope": rope}) for name, rope in CASES.items()]),
        rows=np.array(ROWS),
        source=np.array(json.dumps({"llama.cpp": "b9190", "cyllama": "0.2.18", "gguf": "0.19.0"})),
        **logits,
    )
    print(f"{len(CASES)} cases; {OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
