"""Frames: groups of queries that read the keys in the same way, and the loop over those that a block holds."""

from collections.abc import Callable
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

LAST = np.iinfo(np.int32).max  # no frame has this number
Carry = TypeVar("Carry")


def over_frames(frame_BT: Array, start: Carry, step: Callable[[Carry, Array, Array], Carry]) -> Carry:
    """`step(carry, frame, here_B1T)` for each different frame among the queries, in ascending order.

    Natural positions put one frame or two into a block; scattered ones cost a step for each that occurs.
    """

    def one(state: tuple[Array, Carry]) -> tuple[Array, Carry]:
        frame, carry = state
        following = jnp.min(jnp.where(frame_BT > frame, frame_BT, LAST))
        return following, step(carry, frame, (frame_BT == frame)[:, None, :])

    return lax.while_loop(lambda state: state[0] < LAST, one, (jnp.min(frame_BT), start))[1]
