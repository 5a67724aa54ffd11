"""FoPE, Fourier position embedding: each pair turns with a learned mixture of frequencies, slow pairs not at all.

    w_i = base^(-2i/d) where that completes a turn within L tokens, else the pair is left as it is
    c_j(p) = sum_i C_ij cos(p w_i),  z_j(p) = sum_i Z_ij sin(p w_i)
    q'_j = (x c_j - y z_j, y c_j + x z_j) for the j-th turned pair (x, y), and k' likewise

Source: Hua et al., arXiv 2412.17739, section 4; TsinghuaC3I/Fourier-Position-Embedding. The released code fills the
sines of the slow pairs with 1 as well as their cosines, which turns them by 45 degrees and stretches them by sqrt(2);
here they are the identity, as the paper has it. One mixture serves all heads (the code's `fope_sep_head=False`).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.hope import hope_frequencies
from ropelab.encodings.rotary import Rotary, compute_angles, join_pairs, split_pairs
from ropelab.precision import matmul
from ropelab.spec import at_least, require, spec

__all__ = ["FoPE"]


@spec
class FoPE(Rotary):
    """Learned mixtures of the frequencies that turn within `original_length` tokens.

    Attributes:
        original_length: pairs of longer wavelength are left without position.
        spread: scale of the random part of a new mixture, the authors' `fope_init_factor`.
    """

    original_length: int
    spread: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(7, self, "original_length")  # the fastest pair turns once in 2 pi tokens
        require(self.spread > 0, self, f"spread={self.spread} must be positive")

    @property
    def relative(self) -> bool:
        return False  # a mixture of rotations is not a rotation

    def frequencies(self, head_dim: int, length: int | Array) -> tuple[np.ndarray, float]:
        del length
        dim, base = self.rotated_dims(head_dim), self.require_base()
        return hope_frequencies(dim, base=base, original_length=self.original_length), 1.0

    def init(self, key: Array, *, num_heads: int, head_dim: int) -> Params:
        """The identity plus Xavier's normal noise times `spread`."""
        del num_heads
        kept = int(np.count_nonzero(self.frequencies(head_dim, 1)[0]))
        deviation = self.spread / np.sqrt(kept)
        keys = dict(zip(("cos", "sin"), jax.random.split(key), strict=True))
        return {n: jnp.eye(kept) + deviation * jax.random.normal(k, (kept, kept), jnp.float32) for n, k in keys.items()}

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        return (self.mix(params, q_BTNH, pos_BT),)

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        return (self.mix(params, k_BSKH, pos_BS),)

    def mix(self, params: Params, x_BTNH: Array, pos_BT: Array) -> Array:
        inv_freq, _ = self.frequencies(x_BTNH.shape[-1], 1)
        turning = inv_freq[inv_freq > 0]
        angle_BTR = compute_angles(jnp.asarray(pos_BT), turning)
        still = len(inv_freq) - len(turning)
        parts = (matmul(jnp.cos(angle_BTR), params["cos"]), matmul(jnp.sin(angle_BTR), params["sin"]))
        cos, sin = (
            jnp.pad(part, ((0, 0), (0, 0), (0, still)), constant_values=fill)[:, :, None, :]
            for part, fill in zip(parts, (1.0, 0.0), strict=True)
        )
        dim = 2 * len(inv_freq)
        wide = x_BTNH.astype(jnp.promote_types(x_BTNH.dtype, jnp.float32))
        first, second = split_pairs(wide[..., :dim], self.layout)
        turned = join_pairs((first * cos - second * sin, second * cos + first * sin), self.layout)
        return jnp.concatenate([turned, wide[..., dim:]], axis=-1).astype(x_BTNH.dtype)


EXAMPLES = (FoPE(base=1e4, original_length=100),)
