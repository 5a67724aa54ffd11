"""Freeze the logits of tiny random Llamas under every rope variant of transformers.

Source: transformers 5.23.0 (`LlamaForCausalLM`, attn_implementation="eager", float32, CPU), torch 2.13.0.

One set of random weights serves every variant, so two variants differ by their position encoding only; `untied` and
`biased` add tensors of their own, and `mha` tiles the two key/value heads to the order 0, 1, 0, 1. Weights are drawn
from bfloat16 values, which keeps the file small and changes nothing else. Every variant sees a text shorter than its
trained length (24 tokens) and one longer (80 tokens against 32); of the longer one every fourth position is kept.
A fresh model answers each call, because the frequencies of transformers' dynamic type outlive the call that made them.

    python tools/golden/make_llama.py        # 10 s; writes tests/golden/llama.npz
"""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
import transformers

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "llama.npz"
TRAINED_LENGTH = 32
LONG_ROWS = np.arange(3, 80, 4)
SMALLEST_DIFFERENCE = 0.01

SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "max_position_embeddings": TRAINED_LENGTH,
}
SCALES = {"embed_tokens": 0.25, "lm_head": 0.25, "q_proj": 0.25, "k_proj": 0.25, "v_proj": 0.25}
OTHER_SCALE = 0.12
LEGACY_TYPE_KEY = {"linear", "dynamic"}


def variant(name, rope_type="default", *, base=1e4, overlay=None, max_length=TRAINED_LENGTH, shape=(), **rope):
    """One checkpoint: its config in the notation of transformers 5 and of transformers 4, and its extra tensors."""
    common = SHAPE | dict(shape, max_position_embeddings=max_length)
    type_key = "type" if rope_type in LEGACY_TYPE_KEY else "rope_type"
    scaling = None if rope_type == "default" else {type_key: rope_type} | rope
    return {
        "name": name,
        "overlay": overlay,
        "config_v5": common | {"rope_parameters": {"rope_type": rope_type, "rope_theta": base} | rope},
        "config_v4": common | {"rope_theta": base, "rope_scaling": scaling},
    }


def yarn(name, **rope):
    """Base 20 spreads the ramp over four of the eight pairs at a trained length of 32."""
    rope = {"factor": 4.0, "original_max_position_embeddings": TRAINED_LENGTH} | rope
    return variant(name, "yarn", base=20.0, max_length=4 * TRAINED_LENGTH, **rope)


def variants():
    ntk_base = 1e4 * 2.0 ** (16 / 14)
    llama3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    return [
        variant("default_1e4"),
        variant("default_5e5", base=5e5),
        variant("default_5e5_untied", base=5e5, overlay="untied", shape={"tie_word_embeddings": False}),
        variant("linear_2", "linear", factor=2.0),
        variant("dynamic_2", "dynamic", factor=2.0),
        variant("dynamic_4", "dynamic", factor=4.0),
        variant("ntk_alpha_2", base=ntk_base),
        yarn("yarn_4"),
        yarn("yarn_4_attention_factor", attention_factor=1.3),
        yarn("yarn_4_beta", beta_fast=8.0, beta_slow=2.0),
        yarn("yarn_4_no_truncate", truncate=False),
        yarn("yarn_4_inner_range", truncate=False, beta_fast=3.0, beta_slow=0.5),
        yarn("yarn_4_mscale", mscale=1.0, mscale_all_dim=0.8),
        variant("llama3_8", "llama3", base=20.0, max_length=8 * TRAINED_LENGTH, **llama3),
        variant("mha", overlay="mha", shape={"num_key_value_heads": 4}),
        variant("biased", overlay="biased", shape={"attention_bias": True, "mlp_bias": True}),
    ]


def config_of(raw):
    return transformers.LlamaConfig(**raw, attn_implementation="eager")


def draw(rng, name, shape):
    """A random tensor of bfloat16 values in float32; norms lie around one."""
    module = name.split(".")[-2]
    noise = torch.from_numpy(rng.standard_normal(shape)) * SCALES.get(module, OTHER_SCALE)
    return (noise + ("norm" in module)).bfloat16().float().numpy()


def draw_like(rng, shape, keep):
    tensors = transformers.LlamaForCausalLM(config_of(SHAPE | shape)).state_dict()
    return {name: draw(rng, name, tuple(tensor.shape)) for name, tensor in tensors.items() if keep(name)}


def tensor_groups(rng):
    return {
        "weights": draw_like(rng, {}, lambda name: name != "lm_head.weight"),
        "untied": draw_like(rng, {"tie_word_embeddings": False}, lambda name: name == "lm_head.weight"),
        "biased": draw_like(rng, {"attention_bias": True, "mlp_bias": True}, lambda name: name.endswith(".bias")),
    }


def tile_key_value_heads(state):
    is_key_value = ("k_proj.weight", "v_proj.weight")
    return {name: np.tile(w, (2, 1)) if name.endswith(is_key_value) else w for name, w in state.items()}


def state_of(groups, overlay):
    state = groups["weights"] | groups.get(overlay, {})
    if overlay == "mha":
        state = tile_key_value_heads(state)
    return {"lm_head.weight": state["model.embed_tokens.weight"]} | state


@torch.inference_mode()
def logits(raw_config, state, tokens):
    model = transformers.LlamaForCausalLM(config_of(raw_config))
    model.load_state_dict({name: torch.from_numpy(w) for name, w in state.items()})
    return model(torch.from_numpy(tokens).long()).logits.numpy()


def plain_rope(raw_config):
    base = raw_config["rope_parameters"]["rope_theta"]
    return raw_config | {"rope_parameters": {"rope_type": "default", "rope_theta": base}}


def check_notations_agree(case):
    v4, v5 = (config_of(dict(case[key])).rope_parameters for key in ("config_v4", "config_v5"))
    assert {k: v for k, v in v4.items() if k != "type"} == v5, (case["name"], v4, v5)


def check_pairwise_different(long_logits):
    for (a, x), (b, y) in itertools.combinations(long_logits.items(), 2):
        assert np.abs(x - y).max() > SMALLEST_DIFFERENCE, (a, b)


def yarn_range(raw_config):
    """Where YaRN's ramp over the pair index begins and ends, and how many pairs lie strictly inside it."""
    rope, dim = raw_config["rope_parameters"], raw_config["head_dim"]

    def pair_of(turns):
        length = rope["original_max_position_embeddings"]
        return dim * math.log(length / (2 * math.pi * turns)) / (2 * math.log(rope["rope_theta"]))

    low, high = pair_of(rope.get("beta_fast", 32)), pair_of(rope.get("beta_slow", 1))
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    return low, high, sum(low < i < high for i in range(dim // 2))


def describe(case, groups, tokens, long_logits):
    raw, state = case["config_v5"], state_of(groups, case["overlay"])
    effect = np.abs(long_logits - logits(plain_rope(raw), state, tokens["long"])[:, LONG_ROWS]).max()
    line = f"{case['name']:<26} std {long_logits.std():.2f}   from plain rope of the same base {effect:.3f}"
    if raw["rope_parameters"]["rope_type"] != "default":
        assert effect > SMALLEST_DIFFERENCE, case["name"]
    if raw["rope_parameters"]["rope_type"] == "yarn":
        low, high, inside = yarn_range(raw)
        assert inside >= 2, case["name"]
        line += f"   ramp {low:.2f} to {high:.2f}, {inside} pairs inside"
    print(line)


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(20240229)
    groups = tensor_groups(rng)
    tokens = {
        "short": rng.integers(0, SHAPE["vocab_size"], (2, 24), dtype=np.int32),
        "long": rng.integers(0, SHAPE["vocab_size"], (1, 80), dtype=np.int32),
    }
    cases = variants()
    arrays = {f"{group}/{name}": w for group, state in groups.items() for name, w in state.items()}
    arrays |= {f"tokens/{which}": ids for which, ids in tokens.items()} | {"long_rows": LONG_ROWS}
    long_logits = {}
    for case in cases:
        check_notations_agree(case)
        name, raw, state = case["name"], case["config_v5"], state_of(groups, case["overlay"])
        arrays[f"logits/{name}/short"] = logits(raw, state, tokens["short"])
        arrays[f"logits/{name}/long"] = long_logits[name] = logits(raw, state, tokens["long"])[:, LONG_ROWS]
        describe(case, groups, tokens, long_logits[name])
    check_pairwise_different(long_logits)
    arrays["variants"] = np.array([json.dumps(case) for case in cases])
    arrays["source"] = np.array(f"transformers {transformers.__version__}, torch {torch.__version__}, eager, float32")
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {len(cases)} variants, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
