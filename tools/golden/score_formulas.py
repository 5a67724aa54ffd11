"""Scores by the papers' equations in float64, for `make_scores.py`: numpy only, no library of encodings.

Queries q_TNH and keys k_SNH (one for each query head already) stand at the same positions p_T, whole numbers that grow.
Every function gives s_NTS divided by sqrt(H); entries with a key after the query mean nothing. Rotations are written
as one complex product over the turned pairs r, by the angle between i and j and never by those of i and of j:

    s_ij = Re sum_r q_r conj(k_r) gain_ijr e^(i angle_ijr) / sqrt(H)
"""

import math

import numpy as np


def theta(base, dim):
    """theta_r = base^(-2r/d) (RoFormer, arXiv 2104.09864)."""
    return base ** (-2 * np.arange(dim // 2) / dim)


def in_pairs(x, pairing):
    half = x.shape[-1] // 2
    return x[..., :half] + 1j * x[..., half:] if pairing == "half" else x[..., 0::2] + 1j * x[..., 1::2]


def product(q_TNH, k_SNH):
    return np.einsum("TNH,SNH->NTS", q_TNH, k_SNH) / math.sqrt(q_TNH.shape[-1])


def turned(q_TNH, k_SNH, angle_TSR, gain_TSR=1.0, pairing="half"):
    pairs = (in_pairs(x, pairing) for x in (q_TNH, k_SNH))
    s_NTS = np.einsum("TNR,SNR,TSR->NTS", *(next(pairs), next(pairs).conj()), gain_TSR * np.exp(1j * angle_TSR))
    return s_NTS.real / math.sqrt(q_TNH.shape[-1])


def distance(p_T):
    return (p_T[:, None] - p_T[None, :]).astype(np.float64)


def rope(q, k, p, *, inv_freq, amplitude=1.0, pairing="half"):
    return turned(q, k, distance(p)[..., None] * inv_freq, amplitude**2, pairing)


# --- frequencies


def proportional(dim, *, base, fraction):
    """p-RoPE, arXiv 2410.06205: the slow pairs do not turn."""
    return np.where(np.arange(dim // 2) < int(fraction * dim // 2), theta(base, dim), 0.0)


def by_turns(dim, *, base, factor, original_length, slow, fast):
    """YaRN's definition 2, arXiv 2309.00071: a ramp over the turns within the trained length; Llama 3.1's as well."""
    turns = original_length * theta(base, dim) / (2 * math.pi)
    kept = np.clip((turns - slow) / (fast - slow), 0, 1)
    return theta(base, dim) * ((1 - kept) / factor + kept)


def by_index(dim, *, base, factor, original_length, fast=32, slow=1):
    """YaRN as released: the ramp is over the pair's index, between two truncated ones."""
    low, high = (dim * math.log(original_length / (2 * math.pi * n)) / (2 * math.log(base)) for n in (fast, slow))
    low, high = max(math.floor(low), 0), min(math.ceil(high), dim - 1)
    interpolated = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
    return theta(base, dim) * (interpolated / factor + 1 - interpolated)


def mixed(dim, *, base, factor, b):
    """NTK mixed, kexue.fm/archives/9706; `fixed` where b is 1: theta of a larger base, and all of it slower."""
    if b == 1:
        return theta(base * factor, dim) * factor ** (-2 / dim)
    a = math.log(factor) / (dim / 2) ** b
    return np.array([base ** (-2 * (m - 1) / dim) / math.exp(a * m**b) for m in range(1, dim // 2 + 1)])


def yarn_amplitude(factor):
    return 0.1 * math.log(factor) + 1


def resonant(inv_freq):
    """Resonance RoPE, arXiv 2403.00071: whole wavelengths."""
    return 2 * math.pi / np.round(2 * math.pi / inv_freq)


def clipped(dim, *, base, clipped):
    """CoPE of arXiv 2602.05258: half a cosine over the last pairs."""
    fade = (1 + np.cos(np.pi * np.arange(clipped) / (clipped - 1))) / 2
    return theta(base, dim) * np.concatenate([np.ones(dim // 2 - clipped), fade])


def high_only(dim, *, base, original_length):
    """HoPE, arXiv 2410.21216: pairs that do not turn once within the trained length do not turn at all."""
    return np.array([t if 2 * math.pi / t <= original_length else 0.0 for t in theta(base, dim)])


# --- frequencies that grow with the length of each query


def growing(q, k, p, *, of_length, original_length):
    """Query i sees all keys under the frequencies of max(i + 1, L) tokens."""
    each = [of_length(max(int(i) + 1, original_length)) for i in p]
    inv_freq_TR, amplitude_T = (np.array([e[n] for e in each]) for n in (0, 1))
    return turned(q, k, distance(p)[..., None] * inv_freq_TR[:, None], amplitude_T[:, None, None] ** 2)


def dynamic_pi(length, *, dim, base, original_length):
    return theta(base, dim) * original_length / length, 1.0


def dynamic_ntk(length, *, dim, base, original_length, factor):
    alpha = factor * length / original_length - (factor - 1)
    return theta(base * alpha ** (dim / (dim - 2)), dim), 1.0


def dynamic_yarn(length, *, dim, base, original_length):
    factor = length / original_length
    return by_index(dim, base=base, factor=factor, original_length=original_length), yarn_amplitude(factor)


def longrope(length, *, dim, base, original_length, factor, short_factor, long_factor):
    """LongRoPE, arXiv 2402.13753, as transformers chooses between the lists; the amplitude is that of all lengths."""
    divisors = long_factor if length > original_length else short_factor
    amplitude = math.sqrt(1 + math.log(factor) / math.log(original_length))
    return theta(base, dim) / np.array(divisors), amplitude


# --- distances of other kinds, M(i, j)


def remapped(q, k, p, *, base, between):
    M_TS = np.array([[between(int(i), int(j)) for j in p] for i in p], np.float64)
    return turned(q, k, M_TS[..., None] * theta(base, q.shape[-1]))


def rerope(i, j, *, window):
    """Su, kexue.fm/archives/9708."""
    return i - j if i - j < window else window


def leaky_rerope(i, j, *, window, k):
    return i - j if i - j < window else window + (i - j - window) / k


def self_extend(i, j, *, group, window):
    """Self-Extend, arXiv 2401.01325; the seam as in its code, a fraction where the group does not divide the window."""
    return i - j if i - j < window else i // group - j // group + window - window / group


def dual_chunk(i, j, *, chunk, local):
    """Dual chunk attention, arXiv 2402.17463, section 3."""
    span = chunk - local
    older = min(2 * span - 1, chunk)
    seen_from = {0: i % span, 1: min(i % span + span, chunk)}
    return seen_from.get(i // span - j // span, older) - j % span


def xpos(q, k, p, *, base, pairing, gamma=0.4, scale_base=512):
    """xPos, arXiv 2212.10554, equations 10 to 12."""
    dim = q.shape[-1]
    zeta = (2 * np.arange(dim // 2) / dim + gamma) / (1 + gamma)
    apart_TS1 = np.maximum(distance(p), 0)[..., None]
    return turned(q, k, apart_TS1 * theta(base, dim), zeta ** (apart_TS1 / scale_base), pairing)
