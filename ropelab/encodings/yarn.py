"""YaRN: fast pairs are left alone, slow pairs are interpolated, a ramp joins them, and the scores are sharpened.

    inv_freq_i = theta_i (1 - g_i) / factor + theta_i g_i,   theta_i = base^(-2i/d)
    q', k' times a,  a = 0.1 ln(factor) + 1   (so the scores are multiplied by a^2 = 1/t)

Source: Peng et al., arXiv 2309.00071. The paper's ramp ("wavelength") is linear in the turns made within the
trained length, r_i = L theta_i / 2 pi:  g_i = clip((r_i - beta_slow) / (beta_fast - beta_slow), 0, 1).
The released code, and with it every engine, has the ramp linear in the index i ("index"), between the
dimensions where r reaches beta_fast and beta_slow (jquesnelle/yarn 995db5b, transformers 5.23). They are
different encodings: at d = 128, factor 16, L = 4096 they differ by up to 67 % (i = 38).
"""

import math
from typing import Literal

import numpy as np
from jax import Array

from ropelab.encodings.rotary import Rotary, plain_frequencies
from ropelab.spec import at_least, require, spec

__all__ = ["YaRN", "yarn_frequencies"]

Ramp = Literal["index", "wavelength"]


def yarn_frequencies(
    head_dim: int,
    *,
    base: float,
    factor: float,
    original_length: int,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    truncate: bool = True,
    ramp: Ramp = "index",
) -> np.ndarray:
    """Radians per token, float64[head_dim / 2]."""
    kept = compute_ramp(
        head_dim,
        base=base,
        original_length=original_length,
        beta_fast=beta_fast,
        beta_slow=beta_slow,
        truncate=truncate,
        ramp=ramp,
    )
    theta = plain_frequencies(head_dim, base=base)
    return theta / factor * (1.0 - kept) + theta * kept


def compute_ramp(
    head_dim: int,
    *,
    base: float,
    original_length: int,
    beta_fast: float,
    beta_slow: float,
    truncate: bool,
    ramp: Ramp,
) -> np.ndarray:
    """g_i: how much of each pair's own frequency is kept, from 1 for fast pairs to 0 for slow ones."""
    if ramp == "wavelength":
        turns = original_length * plain_frequencies(head_dim, base=base) / (2 * math.pi)
        return np.clip((turns - beta_slow) / (beta_fast - beta_slow), 0.0, 1.0)
    low, high = find_ramp_bounds(
        head_dim,
        base=base,
        original_length=original_length,
        beta_fast=beta_fast,
        beta_slow=beta_slow,
        truncate=truncate,
    )
    return 1.0 - np.clip((np.arange(head_dim // 2) - low) / (high - low), 0.0, 1.0)


def find_ramp_bounds(
    head_dim: int, *, base: float, original_length: int, beta_fast: float, beta_slow: float, truncate: bool
) -> tuple[float, float]:
    """The pair indices at which the ramp of the released code begins and ends."""

    def index_of(turns: float) -> float:
        return head_dim * math.log(original_length / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = index_of(beta_fast), index_of(beta_slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    return low, high if high != low else high + 0.001


def yarn_attention_factor(factor: float, mscale: float = 1.0) -> float:
    """0.1 * mscale * ln(factor) + 1, and 1 where nothing is extended."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


@spec
class YaRN(Rotary):
    """NTK-by-parts frequencies with the paper's attention temperature.

    Attributes:
        factor: new length over `original_length`.
        original_length: the length the weights were trained on, never the extended one.
        beta_fast, beta_slow: turns within the trained length above which a pair is kept and below which
            it is interpolated (the paper's beta and alpha).
        attention_factor: the factor on q' and on k' *instead of* 0.1 ln(factor) + 1, as in Hugging Face;
            llama.cpp's `attn_factor` multiplies it. 1.0 switches the temperature off.
        mscale, mscale_all_dim: DeepSeek's pair; the factor is then the ratio of 0.1 m ln(factor) + 1 of both.
        truncate: round the ramp's ends to whole pairs, as the released code does.
        ramp: "index" for the released code, "wavelength" for the paper's formula.
    """

    factor: float
    original_length: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True
    ramp: Ramp = "index"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "factor", "original_length")
        betas = f"beta_fast={self.beta_fast} and beta_slow={self.beta_slow}"
        require(self.beta_fast > self.beta_slow > 0, self, f"{betas} must satisfy beta_fast > beta_slow > 0")
        require(
            self.attention_factor is None or self.attention_factor > 0,
            self,
            f"attention_factor={self.attention_factor} must be positive",
        )
        pair = (self.mscale, self.mscale_all_dim)
        require(
            all(m is None for m in pair) or all(m is not None and m > 0 for m in pair),
            self,
            f"mscale={self.mscale} and mscale_all_dim={self.mscale_all_dim} act only together, both positive",
        )
        require(
            self.mscale is None or self.attention_factor is None,
            self,
            "attention_factor would override mscale and mscale_all_dim; give one or the other",
        )
        require(self.truncate or self.ramp == "index", self, "truncate=False concerns the ramp over the index only")

    @property
    def amplitude(self) -> float:
        """The factor on q' and on k'."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale is not None and self.mscale_all_dim is not None:
            pair = (yarn_attention_factor(self.factor, m) for m in (self.mscale, self.mscale_all_dim))
            return next(pair) / next(pair)
        return yarn_attention_factor(self.factor)

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        inv_freq = yarn_frequencies(
            self.rotated_dims(head_dim),
            base=self.require_base(),
            factor=self.factor,
            original_length=self.original_length,
            beta_fast=self.beta_fast,
            beta_slow=self.beta_slow,
            truncate=self.truncate,
            ramp=self.ramp,
        )
        return inv_freq, self.amplitude


EXAMPLES = (YaRN(base=1e2, factor=4, original_length=64),)
