"""A sequence on eight devices gives what one device gives, forward and backward, for the bytes the formula says."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from ropelab.attention import (
    AllGather,
    BlockwiseCausal,
    Causal,
    Dilated,
    Ring,
    ShiftedSparse,
    Sinks,
    SparseGather,
    attend,
    attend_sharded,
)
from ropelab.attention.exchanges import zigzag_order
from ropelab.attention.traffic import SHAPE, count_received_bytes, estimate_forward_bytes
from ropelab.contract.calls import fast_jit
from ropelab.contract.samples import assert_same
from ropelab.encodings import ALiBi, CoPE, DynamicNTK, ReRoPE, RoPE, T5Bias, XPos
from tests.errors import names

DEVICES, B, T, N, K, H = 8, 2, 64, 4, 2, 16
ROPE = RoPE(base=1e4)
LONGNET = Dilated(segments=(8, 16, 64), rates=(1, 2, 8))
CODE = Dilated(segments=(4, 32), rates=(1, 4), head_offset="contiguous", mix_gradient=False)
PER_QUERY = DynamicNTK(base=1e4, factor=2.0, original_length=20, per="query", step=8)


def mesh():
    return jax.make_mesh((DEVICES,), ("sequence",), axis_types=(AxisType.Auto,))


def arrays():
    rng = np.random.default_rng(0)
    q, dout = rng.standard_normal((2, B, T, N, H)).astype(np.float32)
    k, v = rng.standard_normal((2, B, T, K, H)).astype(np.float32)
    return (2 * q, k, v), (dout, rng.standard_normal((B, T, N)).astype(np.float32))


def with_gradients(run, params):
    """`((out, lse), dparams, (dq, dk, dv))`, with cotangents on both results."""
    qkv, (dout, dlse) = arrays()

    @fast_jit
    def all_of_it(params, qkv):
        (out, lse), pull = jax.vjp(lambda p, x: run(*x, params=p), params, qkv)
        return (out, lse), *pull((dout, jnp.where(lse > -jnp.inf, dlse, 0)))

    return all_of_it(params, qkv)


@pytest.mark.parametrize(
    "exchange, encoding, pattern, placed",
    [
        (AllGather(), CoPE(max_position=9), Causal(), False),
        (Ring(), T5Bias(), Sinks(sinks=3, window=11), True),
        (Ring(), PER_QUERY, BlockwiseCausal(block=24), False),
        (Ring(layout="natural"), ReRoPE(base=1e4, window=7), ShiftedSparse(group=12), False),
        (SparseGather(), T5Bias(), LONGNET, False),
        (SparseGather(), XPos(base=1e4), CODE, False),
    ],
    ids=repr,
)
def test_eight_devices_equal_one(exchange, encoding, pattern, placed):
    """Placed: two documents whose tokens stand at positions of their own, in no order."""
    rng = np.random.default_rng(1)
    pos = np.stack([rng.permutation(2 * T)[:T] for _ in range(B)]).astype(np.int32) if placed else None
    segments = np.broadcast_to(np.arange(T) >= 27, (B, T)).astype(np.int32) if placed else None
    params = encoding.init(jax.random.key(0), num_heads=N, head_dim=H)
    same = {"encoding": encoding, "pattern": pattern, "segments": segments}
    one = partial(attend, q_pos=pos, k_pos=pos, kernel="dense", **same)
    if pattern is CODE:  # without its gradient, mixing is not one softmax: the branches by their counts
        natural = np.broadcast_to(np.arange(T), (B, T))
        one = partial(attend, q_pos=natural, k_pos=natural, kernel="blockwise", **same)
    expected = with_gradients(one, params)
    found = with_gradients(partial(attend_sharded, pos=pos, exchange=exchange, mesh=mesh(), **same), params)
    for (path, a), (_, b) in zip(*map(jax.tree_util.tree_leaves_with_path, (found, expected)), strict=True):
        assert_same(a, b, 1e-5, jax.tree_util.keystr(path))


def compiled(exchange, pattern, tokens):
    along = NamedSharding(mesh(), P(None, "sequence"))
    q, k = (jax.ShapeDtypeStruct((1, tokens, heads, H), jnp.float32, sharding=along) for heads in (N, K))
    run = jax.jit(partial(attend_sharded, encoding=ROPE, pattern=pattern, exchange=exchange, mesh=mesh()))
    return run.lower(q, k, k).compile().as_text()


SIZES = {"devices": DEVICES, "heads": N, "key_heads": K, "head_dim": H}


@pytest.mark.parametrize(
    "exchange, kind",
    [(AllGather(), "all-gather"), (Ring(layout="natural"), "collective-permute")],
)
def test_every_key_is_received_once(exchange, kind):
    expected = estimate_forward_bytes(exchange, Causal(), tokens=T, **SIZES)
    assert expected == 7 * T // 8 * (2 * K * H + 1) * 4
    assert count_received_bytes(compiled(exchange, Causal(), T)) == {kind: expected}


def test_what_longnet_receives_does_not_grow_with_the_text():
    """Twice the text, twice the segment, twice the rate: the same tokens kept, the same bytes."""
    bytes_of = {}
    for tokens, rate in ((128, 8), (256, 16)):
        pattern = Dilated(segments=(8, tokens), rates=(1, rate))
        found = count_received_bytes(compiled(SparseGather(), pattern, tokens))
        assert found == {"all-gather": estimate_forward_bytes(SparseGather(), pattern, tokens=tokens, **SIZES)}
        bytes_of[tokens] = found["all-gather"]
    assert bytes_of[128] == bytes_of[256] == 7 * 2 * N * (2 * H + 1) * 4  # two tokens a device for each of four heads


def test_the_compiled_program_holds_no_square():
    """No device holds a score for each pair of its own queries and all keys: a block of 512 x 256 is the most."""
    text = compiled(Ring(layout="natural"), Causal(), 4096)
    sizes = [math.prod(map(int, filter(None, dims.split(",")))) for _, dims in SHAPE.findall(text)]
    assert max(sizes) == N * 512 * 256


def test_zigzag_gives_each_device_a_beginning_and_an_end():
    assert zigzag_order(16, 4).tolist() == [0, 1, 14, 15, 2, 3, 12, 13, 4, 5, 10, 11, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "exchange, encoding, pattern, tokens, said",
    [
        (Ring(), CoPE(max_position=9), Causal(), T, names("CoPE(max_position=9)")),
        (SparseGather(), CoPE(max_position=9), LONGNET, T, names("AllGather()")),
        (SparseGather(), ROPE, Causal(), T, names("Causal()", "Ring()")),
        (SparseGather(), ROPE, Dilated(segments=(48,), rates=(3,)), T, "rate 3"),
        (SparseGather(), ROPE, Dilated(segments=(12,), rates=(1,)), T, "12"),
        (SparseGather(), ROPE, Dilated(segments=(24,), rates=(1,)), T, "3 shards"),
        (AllGather(), ALiBi(), Causal(), 60, names(60, 8)),
        (Ring(), ALiBi(), Causal(), 72, names(72, 16)),
        (Ring(axis="seq"), ALiBi(), Causal(), T, "sequence"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(exchange, encoding, pattern, tokens, said):
    q, k = np.zeros((1, tokens, N, H), np.float32), np.zeros((1, tokens, K, H), np.float32)
    with pytest.raises(ValueError, match=said):
        attend_sharded(q, k, k, encoding=encoding, pattern=pattern, exchange=exchange, mesh=mesh())
