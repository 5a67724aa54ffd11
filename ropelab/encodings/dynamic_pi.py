"""Dynamic position interpolation: positions are squeezed into the trained length, as far as the context exceeds it.

    inv_freq_i = base^(-2i/d) * L / l,  l = max(length, L),  L = original_length

Source: jquesnelle/yarn 995db5b, `LlamaDynamicScaledRotaryEmbedding` without its `ntk`.
"""

from jax import Array

from ropelab.encodings.length_dependent import LengthDependent, scale_factor
from ropelab.encodings.rotary import Frequencies, float64, plain_frequencies
from ropelab.spec import spec

__all__ = ["DynamicPI", "dynamic_pi_frequencies"]


def dynamic_pi_frequencies(head_dim: int, *, base: float, original_length: int, length: int | Array) -> Frequencies:
    """Radians per token, float64[head_dim / 2]."""
    with float64():
        return plain_frequencies(head_dim, base=base) / scale_factor(length, original_length)


@spec
class DynamicPI(LengthDependent):
    """RoPE up to `original_length` tokens, position interpolation by length / original_length beyond."""

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[Frequencies, float]:
        inv_freq = dynamic_pi_frequencies(
            self.rotated_dims(head_dim), base=self.require_base(), original_length=self.original_length, length=length
        )
        return inv_freq, 1.0


EXAMPLES = (DynamicPI(base=1e4, original_length=24), DynamicPI(base=1e4, original_length=24, per="query", step=5))
