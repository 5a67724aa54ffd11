"""Freeze what transformers decodes from its cache beside its own full forward, under length-dependent rope types.

Source: transformers 5.23.0 (`LlamaForCausalLM`, eager attention, DynamicCache, float32, CPU), torch 2.13.0, the weights
and the 80 tokens of llama.npz; trained length 32.

A prompt of 20 tokens is read at once, then one token at a time. The full forward of each length is made by a fresh
model, because transformers' dynamic frequencies outlive the call that made them. Its cache holds keys rotated under the
frequencies of their own time (transformers#25104), so the two differ.

    python tools/golden/make_decode.py        # 10 s; writes tests/golden/decode.npz
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).parents[2] / "tests" / "golden"
PREFILL = 20
SHORT = [1.0, 1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
LONG = [1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0]
ROPES = {
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "longrope": {
        "rope_type": "longrope",
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "short_factor": SHORT,
        "long_factor": LONG,
    },
}


def model(golden, rope):
    """A fresh model with the shared weights."""
    config = json.loads(str(golden["variants"][0]))["config_v5"] | {"rope_parameters": rope | {"rope_theta": 1e4}}
    made = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, attn_implementation="eager"))
    weights = {k.removeprefix("weights/"): torch.from_numpy(v) for k, v in golden.items() if k.startswith("weights/")}
    missing, unexpected = made.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert missing in ([], ["lm_head.weight"]), missing
    made.tie_weights()
    return made.eval()


def decoded(golden, rope, tokens):
    """float32 [60, V]: the logits of each token after the prompt, from the cache."""
    made = model(golden, rope)
    cache = made(tokens[:, :PREFILL], use_cache=True).past_key_values
    rows = []
    for t in range(PREFILL, tokens.shape[1]):
        out = made(tokens[:, t : t + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, -1].numpy())
    return np.stack(rows)


def full(golden, rope, tokens):
    """The same rows, each from a full forward of the tokens so far."""
    lengths = range(PREFILL + 1, tokens.shape[1] + 1)
    return np.stack([model(golden, rope)(tokens[:, :n]).logits[0, -1].numpy() for n in lengths])


def main():
    golden = dict(np.load(HERE / "llama.npz"))
    tokens = torch.from_numpy(golden["tokens/long"].astype(np.int64))
    arrays = {"ropes": np.asarray([json.dumps({"name": name, "rope": rope}) for name, rope in ROPES.items()])}
    arrays["source"] = np.asarray(f"transformers {transformers.__version__}, torch {torch.__version__}")
    with torch.no_grad():
        for name, rope in ROPES.items():
            arrays[f"{name}/decoded"] = decoded(golden, rope, tokens)
            arrays[f"{name}/full"] = full(golden, rope, tokens)
            apart = np.abs(arrays[f"{name}/decoded"] - arrays[f"{name}/full"])
            within = apart[: 32 - PREFILL].max()
            deviation = arrays[f"{name}/full"].std()
            print(f"{name}: logits of std {deviation:.2f}, apart by {apart.max():.3f}, by {within:.1e} up to 32 tokens")
            assert within < 1e-4
    np.savez_compressed(HERE / "decode.npz", **arrays)


if __name__ == "__main__":
    main()
