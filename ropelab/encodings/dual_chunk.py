"""Dual chunk attention: positions are counted within chunks, and no distance exceeds the trained length.

With l = chunk - local, keys at j mod l and three views of the query:

    same chunk of l tokens       i mod l
    the chunk before             min(i mod l + l, chunk)
    older chunks                 min(2 l - 1, chunk)

Source: An et al., "Training-free long-context scaling", arXiv 2402.17463, section 3; HKUNLP/ChunkLlama. The repository
merges its three parts with weights in bfloat16, 1.4e-3 off; and multiplies by 0.05 ln(length / L) + 1, which is not in
the paper and not here.
"""

import jax.numpy as jnp
from jax import Array

from ropelab.encodings.base import Context, Params
from ropelab.encodings.rope import RoPE
from ropelab.spec import at_least, require, spec

__all__ = ["DualChunk"]


@spec
class DualChunk(RoPE):
    """Chunks of `chunk` tokens of which the last `local` overlap with the next: 3/4 and 1/8 of the trained length in
    the paper."""

    chunk: int
    local: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "local")
        require(self.local < self.chunk, self, f"local={self.local} must be smaller than chunk={self.chunk}")

    @property
    def fractional_positions(self) -> bool:
        return False

    @property
    def relative(self) -> bool:
        return False

    @property
    def span(self) -> int:
        """Tokens from one chunk to the next, l."""
        return self.chunk - self.local

    def encode_q(self, params: Params, q_BTNH: Array, pos_BT: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        same_BT = jnp.asarray(pos_BT) % self.span
        next_BT = jnp.minimum(same_BT + self.span, self.chunk)
        older_BT = jnp.full_like(same_BT, min(2 * self.span - 1, self.chunk))
        return tuple(self.turn(q_BTNH, pos, ctx) for pos in (same_BT, next_BT, older_BT))

    def encode_k(self, params: Params, k_BSKH: Array, pos_BS: Array, ctx: Context) -> tuple[Array, ...]:
        del params
        return (self.turn(k_BSKH, jnp.asarray(pos_BS) % self.span, ctx),) * 3

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        del params, ctx
        same, before, older = views
        q_chunk, k_chunk = (jnp.asarray(p) // self.span for p in (q_pos_BT, k_pos_BS))
        chunks_B1TS = (q_chunk[:, :, None] - k_chunk[:, None, :])[:, None]
        return jnp.where(chunks_B1TS <= 0, same, jnp.where(chunks_B1TS == 1, before, older))


EXAMPLES = (DualChunk(base=1e4, chunk=12, local=4),)
