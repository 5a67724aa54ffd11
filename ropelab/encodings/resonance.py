"""Resonance RoPE: every wavelength is rounded to whole tokens, so that positions seen in training come round again.

    lambda_i = round(2 pi / inv_freq_i),  inv_freq'_i = 2 pi / lambda_i

applied after any scaling. Source: Wang et al., arXiv 2403.00071; sheryc/resonance_rope, whose YaRN variant has
beta_fast = 2 by default: say `ResonanceRoPE(inner=YaRN(..., beta_fast=2.0))` for it.
"""

import dataclasses
from typing import Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Encoding
from ropelab.encodings.pi import PI
from ropelab.encodings.rotary import Frequencies, Pairing, Rotary, float64
from ropelab.spec import require, spec

__all__ = ["ResonanceRoPE", "resonance_frequencies"]


def resonance_frequencies(inv_freq: Frequencies) -> Frequencies:
    """Frequencies with whole wavelengths; a pair that does not turn stays as it is."""
    with float64():
        xp = np if isinstance(inv_freq, np.ndarray) else jnp
        turning = xp.where(inv_freq > 0, inv_freq, 1.0)
        return xp.where(inv_freq > 0, 2 * np.pi / xp.round(2 * np.pi / turning), 0.0)


@spec
class ResonanceRoPE(Rotary):
    """The rotary encoding `inner` with wavelengths rounded to whole tokens; base and layout are those of `inner`."""

    inner: Rotary

    def __post_init__(self) -> None:
        super().__post_init__()
        own = [name for name in ("base", "pairing", "rotary_dim") if getattr(self, name) is not None]
        require(not own, self, f"{', '.join(own)}: give it to inner={type(self.inner).__name__}(...)")
        turns_plainly = type(self.inner).angles is Rotary.angles and type(self.inner).turn is Rotary.turn
        require(turns_plainly, self, f"inner={self.inner!r} is more than frequencies; wrap a plain rotary encoding")

    @property
    def depends_on_length(self) -> bool:
        return self.inner.depends_on_length

    @property
    def relative(self) -> bool:
        return self.inner.relative

    @property
    def per_query_keys(self) -> bool:
        return self.inner.per_query_keys

    def query_group(self, q_pos_BT: Array) -> Array:
        return self.inner.query_group(q_pos_BT)

    def effective_length(self, ctx: Context) -> int | Array:
        return self.inner.effective_length(ctx)

    @property
    def layout(self) -> Pairing:
        return self.inner.layout

    def inherit(self, other: Encoding) -> Self:
        return dataclasses.replace(self, inner=self.inner.inherit(other))

    def check(self, head_dim: int) -> None:
        self.inner.check(head_dim)

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float | Array]:
        inv_freq, amplitude = self.inner.frequencies(head_dim, length)
        return resonance_frequencies(inv_freq), amplitude


EXAMPLES = (ResonanceRoPE(inner=PI(base=1e2, factor=2)),)
