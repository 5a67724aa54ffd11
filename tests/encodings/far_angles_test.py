"""Angles of every rotary encoding of the catalogue at real sizes: to 1e-3 rad at position 131072, 1e-2 at a million.

A frequency in float32 is off by up to 6e-8 of itself, an angle then by 4e-3 rad at 131072. So frequencies are float64
inside the programs too, where the length or the group of a call is known only when they run.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.encodings import (
    ALL,
    NTK,
    PI,
    ClippedRoPE,
    DualChunk,
    DynamicNTK,
    DynamicPI,
    DynamicYaRN,
    FoPE,
    HoPE,
    LeakyReRoPE,
    Llama3RoPE,
    LongRoPE,
    NTKByParts,
    NTKMixed,
    ProportionalRoPE,
    ReRoPE,
    ResonanceRoPE,
    RoPE,
    Rotary,
    SelfExtend,
    XPos,
    YaRN,
)
from ropelab.encodings.base import Context
from ropelab.encodings.rotary import compute_angles

BASES, HEAD_DIMS = (1e4, 5e5, 1e6), (64, 128)
PLACES = {131072: 1e-3, 1_000_000: 1e-2}
LAST = 512  # positions tried up to each place


def rotary(base: float, head_dim: int) -> list[Rotary]:
    """Each class that is a `Rotary`, and each meaning of a length that grows."""
    extended: dict[str, Any] = {"base": base, "factor": 32, "original_length": 4096}
    grown: dict[str, Any] = {"base": base, "original_length": 4096}
    ramp = np.linspace(0, 1, head_dim // 2)
    lists = {"short_factor": tuple(1 + ramp / 2), "long_factor": tuple(32**ramp)}
    return [
        RoPE(base=base),
        PI(base=base, factor=3),
        NTK(base=base, alpha=7),
        NTKByParts(**extended),
        NTKMixed(base=base, factor=32),
        YaRN(**extended),
        Llama3RoPE(**extended),
        ProportionalRoPE(base=base, fraction=0.25),
        ResonanceRoPE(inner=YaRN(**extended)),
        ClippedRoPE(base=base),
        HoPE(**grown),
        FoPE(**grown),
        XPos(base=base),
        ReRoPE(base=base, window=512),
        LeakyReRoPE(base=base, window=512, k=16),
        SelfExtend(base=base, group=8, window=1024),
        DualChunk(base=base, chunk=3072, local=512),
        ResonanceRoPE(inner=DynamicPI(**grown)),
        *(
            made
            for per in ("sequence", "query")
            for made in (
                DynamicPI(**grown, per=per),
                DynamicNTK(**grown, factor=2, per=per),
                DynamicYaRN(**grown, per=per),
                LongRoPE(**extended, **lists, per=per),
            )
        ),
    ]


def heads() -> list[tuple[Rotary, int]]:
    return [(e, head_dim) for base in BASES for head_dim in HEAD_DIMS for e in rotary(base, head_dim)]


def named(value: Rotary | int) -> str:
    return str(value) if isinstance(value, int) else type(value).__name__


@partial(jax.jit, static_argnums=(0, 1))
def angles_when_running(encoding: Rotary, head_dim: int, pos_BT: jax.Array, ctx: Context) -> jax.Array:
    return encoding.angles(head_dim, pos_BT, ctx)[0]


def off(found: jax.Array, exact: np.ndarray) -> float:
    """The largest difference of two angles, whole turns not counted."""
    turns = (np.asarray(found, np.float64) - exact) / (2 * np.pi)
    return float(np.abs(2 * np.pi * (turns - np.round(turns))).max())


def test_the_list_has_every_rotary_encoding():
    assert {type(e) for e in rotary(1e4, 64)} == {type(e) for e in ALL if isinstance(e, Rotary)}


@pytest.mark.parametrize("encoding, head_dim", heads(), ids=named)
def test_angles_far_out(encoding, head_dim):
    """Of a length and a group known when compiling, and of traced ones: both against the float64 product."""
    for place, tolerance in PLACES.items():
        pos_BT = np.arange(place - LAST, place + 1, dtype=np.int32)[None]
        group = int(encoding.query_group(pos_BT)[0, -1]) if encoding.per_query_keys else None
        known = Context(place + 1, 1, jnp.arange(1), group)
        inv_freq, _ = encoding.frequencies(head_dim, encoding.effective_length(known))
        exact = pos_BT[..., None] * np.asarray(inv_freq, np.float64)
        traced = jax.tree.map(jnp.asarray, known)
        assert off(encoding.angles(head_dim, pos_BT, known)[0], exact) < tolerance
        assert off(angles_when_running(encoding, head_dim, pos_BT, traced), exact) < tolerance


@pytest.mark.parametrize("base", BASES)
def test_frequencies_in_float32_would_fail(base):
    inv_freq, _ = DynamicNTK(base=base, factor=2, original_length=4096).frequencies(128, 131072)
    pos_BT = np.arange(131072 - LAST, 131072, dtype=np.int32)[None]
    rounded = np.asarray(inv_freq, np.float32).astype(np.float64)
    assert off(compute_angles(pos_BT, rounded), pos_BT[..., None] * inv_freq) > PLACES[131072]
