"""Scores of biases, learned encodings and sharpened queries by the papers' equations, for `make_scores.py`.

As `score_formulas.py`: float64, numpy only, s_NTS of which the causal entries count. `tables` are the learned arrays.
"""

import math

import numpy as np
from score_formulas import distance, in_pairs, product, theta


def alibi(q, k, p):
    """ALiBi, arXiv 2108.12409, for a number of heads that is a power of two."""
    heads = q.shape[1]
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)
    return product(q, k) - slopes[:, None, None] * np.abs(distance(p))


def t5_bucket(n, *, buckets, max_distance):
    """T5, arXiv 1910.10683, its causal form; the logarithm in float64."""
    exact = buckets // 2
    if n < exact:
        return max(n, 0)
    beyond = math.log(n / exact) / math.log(max_distance / exact) * (buckets - exact)
    return min(exact + int(beyond), buckets - 1)


def t5(q, k, p, *, buckets, max_distance, tables):
    bucket_TS = [[t5_bucket(int(i - j), buckets=buckets, max_distance=max_distance) for j in p] for i in p]
    return product(q, k) + np.moveaxis(tables["table"][np.array(bucket_TS)], -1, 0)


def kerple_log(q, k, p, *, tables):
    """KERPLE, arXiv 2205.09921, equation 7; the authors' code keeps parameters at 0.01 and more."""
    r1, r2 = (np.maximum(tables[name], 0.01)[:, None, None] for name in ("r1", "r2"))
    return product(q, k) - r1 * np.log(1 + r2 * np.abs(distance(p)))


def kerple_power(q, k, p, *, tables):
    """KERPLE's equation 6; the authors' code keeps the exponent at 2 and less."""
    r1, r2 = (np.maximum(tables[name], 0.01)[:, None, None] for name in ("r1", "r2"))
    return product(q, k) - r1 * np.abs(distance(p)) ** np.minimum(r2, 2)


def sandwich(q, k, p, *, dim=128):
    """Sandwich, arXiv 2212.10356, section 5: frequencies counted from 1, heads as well."""
    heads = q.shape[1]
    inv_freq = 10000.0 ** (-2 * np.arange(1, dim // 2 + 1) / dim)
    shape_TS = np.cos(distance(p)[..., None] * inv_freq).sum(-1) - dim / 2
    return product(q, k) + shape_TS / (8 * np.arange(1, heads + 1) / heads)[:, None, None]


def fire(q, k, p, *, threshold, tables):
    """FIRE, arXiv 2310.04418, section 3; 1e-6 in the denominator as in the appendix."""

    def psi(x):
        return np.log(np.abs(tables["c"] * x) + 1)

    longest_T = np.maximum(p, abs(threshold * tables["multiplier"]))
    share_TS = psi(np.maximum(distance(p), 0)) / (psi(longest_T) + 1e-6)[:, None]
    hidden_TSX = np.maximum(share_TS[..., None] * tables["in"] + tables["in_bias"], 0)
    return product(q, k) + np.moveaxis(hidden_TSX @ tables["out"] + tables["out_bias"], -1, 0)


def cope(q, k, p, *, tables):
    """CoPE, arXiv 2405.18719, as its appendix lists it: gates see the scaled scores, the table unscaled queries."""
    s_NTS, out_NTS = product(q, k), product(q, k)
    last = len(tables["table"]) - 1
    for n, i, j in np.ndindex(s_NTS.shape):
        if j > i:
            continue
        at = min((1 / (1 + np.exp(-s_NTS[n, i, j : i + 1]))).sum(), last)
        low, high = (q[i, n] @ tables["table"][f(at)] for f in (math.floor, math.ceil))
        out_NTS[n, i, j] += (1 - at % 1) * low + at % 1 * high
    return out_NTS


def fope(q, k, p, *, base, original_length, tables):
    """FoPE, arXiv 2412.17739: mixtures of the frequencies that turn within L; slow pairs are the identity."""
    half = q.shape[-1] // 2
    inv_freq = np.array([t for t in theta(base, q.shape[-1]) if 2 * math.pi / t <= original_length])
    angle_TR = p[:, None] * inv_freq
    turning_TR = np.ones((len(p), half), complex)
    turning_TR[:, : len(inv_freq)] = np.cos(angle_TR) @ tables["cos"] + 1j * np.sin(angle_TR) @ tables["sin"]
    q_TNR, k_SNR = (in_pairs(x, "half") * turning_TR[:, None] for x in (q, k))
    return np.einsum("TNR,SNR->NTS", q_TNR, k_SNR.conj()).real / math.sqrt(q.shape[-1])


def pope(q, k, p, *, base, tables):
    """PoPE, arXiv 2509.10534: softplus magnitudes, a phase for each dimension; H is the width before doubling."""
    dim = q.shape[-1]
    phase_TSH = distance(p)[..., None] * base ** (-np.arange(dim) / dim) - np.clip(tables["phase"], -2 * math.pi, 0)
    q_TNH, k_SNH = (np.log1p(np.exp(x)) for x in (q, k))
    return np.einsum("TNH,SNH,TSH->NTS", q_TNH, k_SNH, np.cos(phase_TSH)) / math.sqrt(dim)


# --- factors on a query, by its position


def logn(i, *, original_length):
    """Su, kexue.fm/archives/8823."""
    return max(1.0, math.log(i + 1) / math.log(original_length))


def temperature(i, *, interval, scale, first):
    """Llama-4 (first = 1) and Ministral-3 (first = 0)."""
    return 1 + scale * math.log(1 + (i + first) // interval)


def sharpened(s_NTS, p, factor):
    return s_NTS * np.array([factor(int(i)) for i in p])[:, None]


def scalable(s_NTS, p, *, tables):
    """Scalable softmax, arXiv 2501.19399: s_h ln(i + 1)."""
    return s_NTS * tables["softmax_scale"][:, None, None] * np.log(p + 1.0)[:, None]


# --- vectors added to the input


def sinusoidal(x_TD, p, *, layout):
    """arXiv 1706.03762, section 3.5, and the two tables that go by the same name."""
    half = x_TD.shape[-1] // 2
    angle_TR = p[:, None] * 10000.0 ** (-np.arange(half) / (half - (layout == "tensor2tensor")))
    pair = np.sin(angle_TR), np.cos(angle_TR)
    return x_TD + (np.stack(pair, -1).reshape(x_TD.shape) if layout == "interleaved" else np.concatenate(pair, -1))


def learned(x_TD, p, *, tables):
    return x_TD + tables["table"][p]
