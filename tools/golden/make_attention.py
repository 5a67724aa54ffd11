"""Freeze attention outputs computed straight from the formulas, in float64 loops over batch, head and query.

Source: this file; numpy only, no library code. Rotary encodings turn the pair (x, y) of a head at position p by the
angle p*theta_i: theta_i = base^(-2i/d) over the d rotary dimensions, scaled as each method's paper says, times YaRN's
amplitude on queries and on keys. Pairs are (i, i + d/2) or (2i, 2i + 1). Scores are divided by sqrt(head_dim); ALiBi
then adds -m|p_q - p_k|. A key is seen where its position is at most the query's. Outputs and log-sum-exps are stored
in float32, outputs for every third query.

    python tools/golden/make_attention.py        # 1 s; writes tests/golden/attention.npz
"""

import json
import math
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "attention.npz"
BATCH, LENGTH, QUERY_HEADS, KEY_HEADS, HEAD_DIM = 2, 37, 4, 2, 16
OUT_ROWS = np.arange(0, LENGTH, 3)
SIX_HEADS = (0, 1, 2, 3, 0, 1)


def theta(base, dim):
    return [base ** (-2 * i / dim) for i in range(dim // 2)]


def rope(*, base, dim=HEAD_DIM):
    return theta(base, dim), 1.0


def pi(*, base, factor):
    return [t / factor for t in theta(base, HEAD_DIM)], 1.0


def ntk(*, base, alpha):
    return theta(base * alpha ** (HEAD_DIM / (HEAD_DIM - 2)), HEAD_DIM), 1.0


def dynamic_ntk(*, base, factor, original_length):
    return ntk(base=base, alpha=factor * max(LENGTH, original_length) / original_length - (factor - 1))


def yarn_by_index(*, base, factor, original_length, beta_fast=32, beta_slow=1):
    """As the authors' code has it: the ramp is linear in the pair index between two truncated pairs."""

    def pair_of(turns):
        return HEAD_DIM * math.log(original_length / (2 * math.pi * turns)) / (2 * math.log(base))

    low, high = max(math.floor(pair_of(beta_fast)), 0), min(math.ceil(pair_of(beta_slow)), HEAD_DIM - 1)
    interpolated = [min(max((i - low) / (high - low), 0.0), 1.0) for i in range(HEAD_DIM // 2)]
    return yarn_mix(base, factor, interpolated)


def yarn_by_turns(*, base, factor, original_length, alpha=1, beta=32):
    """As the paper has it: the ramp is linear in the number of turns within the original length."""
    turns = [original_length * t / (2 * math.pi) for t in theta(base, HEAD_DIM)]
    return yarn_mix(base, factor, [1 - min(max((r - alpha) / (beta - alpha), 0.0), 1.0) for r in turns])


def yarn_mix(base, factor, interpolated):
    inv_freq = [m * t / factor + (1 - m) * t for m, t in zip(interpolated, theta(base, HEAD_DIM), strict=True)]
    return inv_freq, 0.1 * math.log(factor) + 1


def pairs_of(pairing, dim):
    half = dim // 2
    return [(i, i + half) if pairing == "half" else (2 * i, 2 * i + 1) for i in range(half)]


def rotate(vector, position, inv_freq, amplitude, pairing):
    out = vector.copy()
    for t, (i, j) in zip(inv_freq, pairs_of(pairing, 2 * len(inv_freq)), strict=True):
        cos, sin = amplitude * math.cos(position * t), amplitude * math.sin(position * t)
        out[i] = vector[i] * cos - vector[j] * sin
        out[j] = vector[i] * sin + vector[j] * cos
    return out


def rotate_all(x, positions, **rotation):
    out = np.empty_like(x)
    for b, t, h in np.ndindex(x.shape[:3]):
        out[b, t, h] = rotate(x[b, t, h], int(positions[b, t]), **rotation)
    return out


def alibi_slopes(heads):
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2 ** (-8 * (h + 1) / (2 * power)) for h in range(0, 2 * power, 2)]
    return slopes + between[: heads - power]


def attend(q, k, v, q_pos, k_pos, slopes):
    """Causal softmax attention and its log-sum-exp, one query of one head at a time."""
    heads = q.shape[2]
    out, lse = np.empty(q.shape), np.empty(q.shape[:3])
    for b, t, h in np.ndindex(q.shape[:3]):
        group = h // (heads // KEY_HEADS)
        distance = np.abs(q_pos[b, t] - k_pos[b])
        scores = k[b, :, group] @ q[b, t, h] / math.sqrt(HEAD_DIM) - slopes[h] * distance
        seen = k_pos[b] <= q_pos[b, t]
        weights = np.exp(scores[seen])
        out[b, t, h] = weights @ v[b, seen, group] / weights.sum()
        lse[b, t, h] = math.log(weights.sum())
    return out, lse


def position_sets(rng):
    plain = np.tile(np.arange(LENGTH), (BATCH, 1))
    gaps = np.cumsum(rng.integers(1, 90, (BATCH, LENGTH)), axis=1)
    shuffled = np.stack([rng.permutation(LENGTH) * 7 for _ in range(BATCH)])
    return {
        "plain": (plain, plain),
        "gaps": (gaps, gaps),
        "shuffled_keys": (plain * 7 + 3, shuffled),
    }


ROTARY = {
    "rope": rope,
    "pi": pi,
    "ntk": ntk,
    "dynamic_ntk": dynamic_ntk,
    "yarn_by_index": yarn_by_index,
    "yarn_by_turns": yarn_by_turns,
}


def rotary(method, *, positions="plain", pairing="half", **arguments):
    name = "_".join([method, pairing, positions] + (["partial"] if "dim" in arguments else []))
    return {"name": name, "method": method, "positions": positions, "pairing": pairing, "arguments": arguments}


def alibi(heads, *, positions="plain"):
    query_heads = SIX_HEADS[:heads]
    return {"name": f"alibi_{heads}_{positions}", "method": "alibi", "positions": positions, "query_heads": query_heads}


def cases():
    yarn = {"base": 1e4, "factor": 4.0, "original_length": 4096}
    return [
        rotary("rope", base=1e4),
        rotary("rope", base=1e4, pairing="interleaved"),
        rotary("rope", base=1e4, dim=8),
        rotary("rope", base=1e4, dim=8, pairing="interleaved"),
        rotary("rope", base=5e5, positions="gaps"),
        rotary("rope", base=1e4, positions="shuffled_keys"),
        rotary("pi", base=1e4, factor=4.0),
        rotary("ntk", base=1e4, alpha=8.0),
        rotary("dynamic_ntk", base=1e4, factor=2.0, original_length=16),
        rotary("yarn_by_index", **yarn),
        rotary("yarn_by_turns", **yarn),
        rotary("yarn_by_index", positions="gaps", **yarn),
        rotary("yarn_by_turns", positions="shuffled_keys", **yarn),
        alibi(4),
        alibi(6),
        alibi(4, positions="shuffled_keys"),
    ]


def solve(case, q, k, v, q_pos, k_pos):
    if case["method"] == "alibi":
        heads = list(case["query_heads"])
        return attend(q[:, :, heads], k, v, q_pos, k_pos, alibi_slopes(len(heads)))
    inv_freq, amplitude = ROTARY[case["method"]](**case["arguments"])
    rotation = {"inv_freq": inv_freq, "amplitude": amplitude, "pairing": case["pairing"]}
    q, k = rotate_all(q, q_pos, **rotation), rotate_all(k, k_pos, **rotation)
    return attend(q, k, v, q_pos, k_pos, [0.0] * QUERY_HEADS)


def inputs(rng):
    """Standard normal keys and values; queries of twice that size, so that attention is far from uniform."""
    sizes = {"q": 2.0, "k": 1.0, "v": 1.0}
    shapes = {"q": (BATCH, LENGTH, QUERY_HEADS, HEAD_DIM)}
    shapes |= dict.fromkeys(("k", "v"), (BATCH, LENGTH, KEY_HEADS, HEAD_DIM))
    return {name: (sizes[name] * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def main():
    rng = np.random.default_rng(2104_09864)
    tensors, positions = inputs(rng), position_sets(rng)
    q, k, v = (tensors[name].astype(np.float64) for name in "qkv")
    arrays = dict(tensors, out_rows=OUT_ROWS)
    for name, (q_pos, k_pos) in positions.items():
        arrays |= {f"positions/{name}/q": q_pos.astype(np.int32), f"positions/{name}/k": k_pos.astype(np.int32)}
    arrays |= {f"slopes/{heads}": np.array(alibi_slopes(heads)) for heads in (4, 6)}
    for case in cases():
        name = case["name"]
        out, lse = solve(case, q, k, v, *positions[case["positions"]])
        arrays[f"cases/{name}/out"] = out[:, OUT_ROWS].astype(np.float32)
        arrays[f"cases/{name}/lse"] = lse.astype(np.float32)
        print(f"{name:<40} out rms {np.sqrt((out**2).mean()):.4f}   mean lse {lse.mean():.4f}")
    arrays["cases"] = np.array([json.dumps(case) for case in cases()])
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {len(cases())} cases, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
