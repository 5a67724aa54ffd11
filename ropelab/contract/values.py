"""An encoding is a value: its print is its spec, equals are equal to jit, and a growing length compiles nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ropelab import encodings, spec
from ropelab.attention import Causal
from ropelab.contract.calls import KERNELS, TokenPositions, fast_jit, run_attention
from ropelab.contract.samples import N, assert_same, find_trained_length, sample_params, sample_positions, sample_qkv
from ropelab.encodings import Encoding
from ropelab.encodings.scoring import make_context, select_encoding


def the_print_is_the_spec(encoding: Encoding) -> None:
    """`parse(repr(e)) == e`, so that flags, configurations, records and checkpoints can name it."""
    text, named = repr(encoding), [type(part) for part in spec.iterate_specs(encoding)]
    catalogue = [type(e) for e in encodings.ALL]
    read = spec.parse(text, {cls.__name__: cls for cls in (*catalogue, *named)}, kind="encoding")
    assert read == encoding, f"{text} reads as {read}"
    assert repr(read) == text, f"{text} prints again as {read!r}"
    if set(named) <= set(catalogue):
        assert encodings.parse(text) == encoding, f"encodings.parse reads {text} as {encodings.parse(text)}"


def equals_are_one_value(encoding: Encoding) -> None:
    """A copy is equal and hashes alike, and no field can be set afterwards."""
    copy = dataclasses.replace(encoding)
    assert copy == encoding, f"a copy of {encoding} does not equal it"
    assert hash(copy) == hash(encoding), f"a copy of {encoding} has another hash"
    for field in dataclasses.fields(encoding):
        try:
            setattr(copy, field.name, getattr(copy, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(f"{field.name} of {encoding} can be changed in place")


def equal_instances_trace_once(encoding: Encoding) -> None:
    """As a static argument of a jitted function, an equal instance compiles nothing."""
    traces = []

    def length_of(e: Encoding, x: jax.Array) -> jax.Array:
        traces.append(e)
        return x

    jitted = jax.jit(length_of, static_argnums=0)
    for e in (encoding, dataclasses.replace(encoding)):
        jitted(e, jnp.zeros(()))
    assert len(traces) == 1, f"two equal instances of {encoding} were traced {len(traces)} times"


def a_growing_length_compiles_nothing(encoding: Encoding) -> None:
    """One trace serves every length: a cache that grows must not recompile with each token."""
    traces = []
    q, k, v = sample_qkv()

    @fast_jit
    def step(pos: jax.Array, length: jax.Array) -> jax.Array:
        traces.append(length)
        placement = TokenPositions(pos, pos, None, length)
        return run_attention(encoding, Causal(), KERNELS["dense"], sample_params(encoding), (q, k, v), placement)[0]

    try:
        for length in (len(q[0]), find_trained_length(encoding), 4 * find_trained_length(encoding)):
            step(jnp.arange(len(q[0])), jnp.asarray(length))
    except jax.errors.ConcretizationTypeError as error:
        raise AssertionError(f"{encoding} wants to know the length while tracing: {error}") from error
    assert len(traces) == 1, f"three lengths of {encoding} were traced {len(traces)} times"


def the_dependence_on_the_length_is_declared(encoding: Encoding) -> None:
    """`depends_on_length` is true exactly where the same positions score differently in a longer context."""
    q, k, _ = sample_qkv()
    pos, most = jnp.arange(len(q[0])), find_trained_length(encoding)
    short, long = (
        np.asarray(encodings.scores(encoding, q, k, pos, pos, params=sample_params(encoding), length=length))
        for length in (most, 8 * most)
    )
    if encoding.depends_on_length:
        assert np.abs(short - long).max() > 1e-3, f"{encoding} says it depends on the length, and does not"
    else:
        assert_same(long, short, 0.0, f"{encoding} depends on the length and does not say so: scores")


def known_and_traced_lengths_agree(encoding: Encoding) -> None:
    """A length known when compiling and one that is traced give the same scores, to what float32 frequencies allow."""
    q, k, _ = sample_qkv()
    pos, params, length = sample_positions(encoding), sample_params(encoding), int(sample_positions(encoding).max()) + 1

    @fast_jit
    def traced(length: jax.Array) -> jax.Array:
        return encodings.scores(encoding, q, k, pos, pos, params=params, length=length)

    known = encodings.scores(encoding, q, k, pos, pos, params=params, length=length)
    assert_same(traced(jnp.asarray(length)), known, 1e-4, f"scores of {encoding} for a traced length")


def encoding_bfloat16_rounds_once(encoding: Encoding) -> None:
    """Whatever the model's dtype, positions are applied in float32 and only the result is rounded.

    Positions beyond 256 in bfloat16 fall together, and sines in bfloat16 lose half of the score's digits.
    """
    q, k, _ = sample_qkv()
    pos = jnp.broadcast_to(sample_positions(encoding) + 4096, q.shape[:2])
    ctx, (encoding, params) = make_context(int(pos.max()) + 1, N), select_encoding(encoding, sample_params(encoding), 0)
    ctx = ctx._replace(group=int(encoding.query_group(pos).max())) if encoding.per_query_keys else ctx
    for x, encode in ((q, encoding.encode_q), (k, encoding.encode_k)):
        rounded = jnp.asarray(x, jnp.bfloat16)
        views = (encode(params, x, pos, ctx) for x in (rounded, rounded.astype(jnp.float32)))
        for narrow, wide in zip(*views, strict=True):
            a, b = np.asarray(narrow, np.float64), np.asarray(wide, np.float64)
            worst = np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-30))
            assert worst <= 2.0**-7, f"{encode.__name__} of {encoding} in bfloat16 is off by {worst:.1%} of a value"
