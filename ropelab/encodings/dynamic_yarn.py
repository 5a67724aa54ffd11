"""Dynamic YaRN: YaRN whose factor is the context over the trained length, and plain RoPE up to that length.

    s = max(length, L) / L,  L = original_length
    inv_freq_i = theta_i (1 - g_i) / s + theta_i g_i,  amplitude 0.1 ln(s) + 1,  with YaRN's ramp g

Source: YaRN, arXiv 2309.00071, section 3.3; jquesnelle/yarn 995db5b, `LlamaDynamicYaRNScaledRotaryEmbedding`, which
never shrinks again after a long call; here a call sees its own length only.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.length_dependent import LengthDependent, scale_factor
from ropelab.encodings.rotary import Frequencies, float64, plain_frequencies
from ropelab.encodings.yarn import Ramp, compute_ramp, yarn_attention_factor
from ropelab.spec import require, spec

__all__ = ["DynamicYaRN", "dynamic_yarn_frequencies"]


def dynamic_yarn_frequencies(
    head_dim: int,
    *,
    base: float,
    original_length: int,
    length: int | Array,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    truncate: bool = True,
    ramp: Ramp = "index",
) -> Frequencies:
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
    with float64():
        return theta * (1.0 - kept) / scale_factor(length, original_length) + theta * kept


@spec
class DynamicYaRN(LengthDependent):
    """YaRN by length / original_length; the ramp's fields are those of `YaRN`."""

    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    ramp: Ramp = "index"

    def __post_init__(self) -> None:
        super().__post_init__()
        betas = f"beta_fast={self.beta_fast} and beta_slow={self.beta_slow}"
        require(self.beta_fast > self.beta_slow > 0, self, f"{betas} must satisfy beta_fast > beta_slow > 0")
        require(self.truncate or self.ramp == "index", self, "truncate=False concerns the ramp over the index only")

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float | Array]:
        inv_freq = dynamic_yarn_frequencies(
            self.rotated_dims(head_dim),
            base=self.require_base(),
            original_length=self.original_length,
            length=length,
            beta_fast=self.beta_fast,
            beta_slow=self.beta_slow,
            truncate=self.truncate,
            ramp=self.ramp,
        )
        longer = scale_factor(length, self.original_length)
        if isinstance(inv_freq, np.ndarray):
            return inv_freq, yarn_attention_factor(float(longer))
        with float64():
            return inv_freq, 0.1 * jnp.log(longer) + 1.0


EXAMPLES = (DynamicYaRN(base=1e2, original_length=64), DynamicYaRN(base=1e2, original_length=64, per="query", step=16))
