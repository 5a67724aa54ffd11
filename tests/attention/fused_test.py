"""Fused kernels as far as a CPU can hold them: jax.nn's "xla" for cuDNN, splash interpreted, and every refusal.

What a GPU would run is lowered for it here and read: one cuDNN call forward and one back, and their masks.
"""

import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.attention import Bidirectional, Causal, Dilated, Pattern, Sinks, SlidingWindow, attend
from ropelab.attention.formula import Formula, Operands, Tokens
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.attention.kernels.dense import dense
from ropelab.attention.kernels.fused import cudnn, fused, make_jax_nn, make_splash, splash
from ropelab.attention.support import find_unsupported
from ropelab.contract.calls import fast_jit
from ropelab.contract.samples import assert_same
from ropelab.encodings import KERPLE, ALiBi, CoPE, LogN, NoPE, ReRoPE, RoPE, Sandwich, XPos

N, K, H = 4, 2, 16
ROPE = RoPE(base=1e4)
HAS_LSE = "return_residual" in inspect.signature(jax.nn.dot_product_attention).parameters
needs_lse = pytest.mark.skipif(not HAS_LSE, reason="this jax returns no log-sum-exp; the refusal is tested below")
in_xla = partial(fused, make_jax_nn("xla"))
interpreted = partial(fused, make_splash(interpret=True))


def sample(length, dtype=np.float32, batch=2):
    rng = np.random.default_rng(length)
    q, k, v, dout = (rng.standard_normal((batch, length, heads, H)) for heads in (N, K, K, N))
    return tuple(jnp.asarray(x, dtype) for x in (2 * q, k, v, dout)), rng.standard_normal((batch, length, N))


@partial(fast_jit, static_argnums=(0, 1, 2))
def everything(kernel, encoding, pattern, arrays, dlse):
    """`out, lse`, the gradients without a cotangent of lse, and those with one."""
    *qkv, dout = arrays

    def call(qkv):
        return attend(*qkv, encoding=encoding, pattern=pattern, kernel=kernel)

    (out, lse), pull = jax.vjp(call, qkv)
    _, pull_out = jax.vjp(lambda qkv: call(qkv)[0], qkv)
    return out, lse, *pull_out(dout)[0], *pull((dout, dlse.astype(lse.dtype)))[0]


def equals_dense(kernel, encoding, pattern, length, batch=2):
    given = sample(length, batch=batch)
    found, expected = (everything(which, encoding, pattern, *given) for which in (kernel, dense))
    names = ("out", "lse", "dq", "dk", "dv", "dq with dlse", "dk with dlse", "dv with dlse")
    for what, a, b in zip(names, found, expected, strict=True):
        assert_same(a, b, 2e-5, what)


CALLS = [
    (ROPE, Causal()),
    (LogN(inner=ALiBi(), original_length=16), SlidingWindow(window=9)),
    (NoPE(), Bidirectional()),
]


@needs_lse
@pytest.mark.parametrize("encoding, pattern", CALLS, ids=repr)
def test_jax_nn_equals_dense(encoding, pattern):
    equals_dense(in_xla, encoding, pattern, 21)


@pytest.mark.parametrize("encoding, pattern, length", [(ALiBi(), SlidingWindow(window=50), 128), (ROPE, Causal(), 256)])
def test_splash_equals_dense(encoding, pattern, length):
    equals_dense(interpreted, encoding, pattern, length, batch=1)


def test_splash_sees_everything_under_bidirectional():
    (q, k, v, _), _ = sample(128, batch=1)
    found, expected = (
        jax.jit(partial(attend, encoding=NoPE(), pattern=Bidirectional(), kernel=which))(q, k, v)
        for which in (interpreted, dense)
    )
    for what, a, b in zip(("out", "lse"), found, expected, strict=True):
        assert_same(a, b, 2e-5, what)


def test_the_kernel_s_own_backward_runs_unless_lse_has_a_cotangent():
    """A kernel whose own dq is 1 everywhere, in a scan over layers that are computed again, as a model calls it."""

    @jax.custom_vjp
    def marked(q, k, v):
        return jnp.zeros_like(q)

    marked.defvjp(lambda *qkv: (marked(*qkv), qkv[1:]), lambda kv, dout: (jnp.ones_like(dout), *kv))
    kernel = partial(fused, lambda pattern, q, k, v: (marked(q, k, v), jnp.zeros(q.shape[:3])))
    (q, k, v, _), _ = sample(8)

    @partial(jax.jit, static_argnums=0)
    def gradient(weight, q):
        def layer(x, _):
            out, lse = attend(x, k, v, encoding=NoPE(), kernel=kernel)
            return x + out, weight * jnp.sum(lse) if weight else None

        def loss(q):
            x, more = jax.lax.scan(jax.checkpoint(layer), q, None, length=2)
            return jnp.sum(x) + (jnp.sum(more) if weight else 0)

        return jax.grad(loss)(q)

    own = 1 + 2 / np.sqrt(H)  # what passes by, and a mark from each of two layers, of views that are divided
    np.testing.assert_allclose(gradient(0, q), own, rtol=1e-6)
    assert np.abs(np.asarray(gradient(1, q)) - own).max() > 0.1


@needs_lse
def test_a_rounded_lse_is_not_trusted_with_gradients():
    """jax.nn's xla hands out bfloat16; probabilities from it would be wrong by 3 %."""
    arrays, dlse = sample(21, jnp.bfloat16)
    found, expected = (everything(which, ROPE, Causal(), arrays, dlse) for which in (in_xla, blockwise))
    assert found[1].dtype == jnp.float32
    assert 1e-3 < np.abs(np.asarray(found[1] - expected[1])).max() < 2**-7 * np.abs(np.asarray(expected[1])).max()
    for what, a, b in zip(("dq", "dk", "dv"), found[5:], expected[5:], strict=True):
        assert_same(a, b, 1e-6, what)


@needs_lse
@pytest.mark.parametrize(
    "encoding, pattern, with_lse, says",
    [
        (ALiBi(), SlidingWindow(window=50), False, ("CAUSAL", "50")),
        (ROPE, Bidirectional(), False, ("NO_MASK", "0")),
        (ROPE, Causal(), True, ("CAUSAL", "0")),
    ],
    ids=str,
)
def test_what_a_gpu_would_run(monkeypatch, encoding, pattern, with_lse, says):
    """Lowered for CUDA, with jax's questions to the GPU answered for it; a float32 lse in bfloat16's company."""
    from jax._src.cudnn import fused_attention_stablehlo as stablehlo

    monkeypatch.setattr(stablehlo, "check_cudnn_version", lambda: 91300)
    monkeypatch.setattr(stablehlo, "check_compute_capability", lambda capability: True)
    shapes = [jax.ShapeDtypeStruct((2, 256, heads, 64), jnp.bfloat16) for heads in (N, K, K)]
    kernel = partial(fused, make_jax_nn("cudnn"))

    def loss(qkv):
        out, lse = attend(*qkv, encoding=encoding, pattern=pattern, kernel=kernel)
        return jnp.sum(out.astype(jnp.float32)) + (jnp.sum(lse) if with_lse else 0)

    text = jax.jit(jax.value_and_grad(loss)).trace(shapes).lower(lowering_platforms=("cuda",)).as_text()
    assert "tensor<2x256x4xbf16>" not in text  # lse as jax hands it out
    calls = sorted(re.findall(r"__cudnn\$(\w+)", text))
    assert calls == (["fmhaSoftmax"] if with_lse else ["fmhaSoftmax", "fmhaSoftmaxBackward"])
    mask, window = says
    assert set(re.findall(r"mask_type\\22: \\22(\w+)", text)) == {mask}
    assert set(re.findall(r"sliding_window_length\\22: (\w+)", text)) == {window}
    assert set(re.findall(r"fmha_scale\\22: ([\d.]+)", text)) == {"1.0"}


@pytest.mark.parametrize("with_lse, calls", [(False, ["dkv", "dq", "fwd"]), (True, ["fwd"])])
def test_what_a_tpu_would_run(with_lse, calls):
    """Lowered for a TPU: one call forward, lse or none, at a head dimension of 64 + 8."""
    shapes = [jax.ShapeDtypeStruct((1, 256, heads, 64), jnp.bfloat16) for heads in (N, K, K)]
    kernel = partial(fused, make_splash(interpret=False))

    def loss(qkv):
        out, lse = attend(*qkv, encoding=ALiBi(), pattern=SlidingWindow(window=50), kernel=kernel)
        return jnp.sum(out.astype(jnp.float32)) + (jnp.sum(lse) if with_lse else 0)

    text = jax.jit(jax.value_and_grad(loss)).trace(shapes).lower(lowering_platforms=("tpu",)).as_text()
    assert sorted(re.findall(r'kernel_name = "splash_mha_([a-z]+)', text)) == calls


def operands(T=128, S=None, views=1, dtype=jnp.bfloat16, head_dim=64, segments=False, params=None, heads=N):
    """Zeros in the shapes of a call."""

    def tokens(length, heads):
        pos = np.zeros((1, length), np.int32)
        return Tokens((np.zeros((1, heads, length, head_dim), dtype),) * views, pos, pos if segments else None)

    keys = tokens(S or T, K)
    return Operands(params or {}, tokens(T, heads), keys, keys.views[0], T, np.arange(heads))


class Doubled(Pattern):
    """Of another class, so of counts that no fused kernel knows."""


BOTH = [
    (CoPE(max_position=9), Causal(), {}, "depends on the other keys"),
    (XPos(base=1e4, scale_base=16), Causal(), {}, "differently for different queries"),
    (ReRoPE(base=1e4, window=7), Causal(), {"views": 2}, "among 2 products"),
    (Sandwich(dim=32), Causal(), {}, "not linear in the distance"),
    (KERPLE(kind="log"), Causal(), {"params": {"r": np.ones(N)}}, "is learned"),
    (ALiBi(), Bidirectional(), {}, "for j <= i only"),
    (ALiBi(), Causal(), {"dtype": np.float16}, "overflow float16"),
    (ROPE, Doubled(), {}, "of patterns it knows"),
    (ROPE, Dilated(segments=(8,), rates=(2,)), {}, "of patterns it knows"),
    (ROPE, Sinks(sinks=2, window=8), {}, "of patterns it knows"),
    (ROPE, Causal(), {"segments": True}, "segments="),
    (ROPE, Causal(), {"S": 256}, "128 queries and 256 keys are not known to be the same tokens"),
]
CUDNN = [
    (ROPE, Causal(), {"dtype": np.float32}, "not float32"),
    (ROPE, Causal(), {"head_dim": 60}, "head dimension 60 must be a multiple of 8"),
    (ROPE, Causal(), {"head_dim": 264}, "at most 256"),
    (ALiBi(), Causal(), {"head_dim": 256}, "head dimension 264, 8 of them for the bias"),
]
SPLASH = [(ROPE, Causal(), {"T": 200}, "200 tokens are not a multiple of 128")]
TABLE = [(name, *row) for name, own in (("cudnn", CUDNN), ("splash", SPLASH)) for row in BOTH + own]
BACKEND = {"cudnn": "gpu", "splash": "tpu"}


@pytest.mark.parametrize("name, encoding, pattern, what, reason", TABLE, ids=str)
def test_what_is_refused_and_why(name, encoding, pattern, what, reason, monkeypatch):
    if not HAS_LSE:
        monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *qkv, return_residual=False: None)
    formula = Formula(encoding, pattern, N)
    found = find_unsupported(name, formula, operands(**what), in_order=True, backend=BACKEND[name], hopper=True)
    assert found is not None
    assert reason in found
    assert found.startswith(f"kernel='{name}'")
    assert found.endswith('kernel="blockwise" takes it')


@pytest.mark.parametrize("name", BACKEND)
@pytest.mark.parametrize("encoding, pattern", CALLS, ids=repr)
def test_what_is_legal(name, encoding, pattern, monkeypatch):
    if not HAS_LSE:
        monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *qkv, return_residual=False: None)
    formula = Formula(encoding, pattern, N)
    judge = partial(find_unsupported, name, formula, backend=BACKEND[name], hopper=False)
    assert judge(operands(), in_order=True) is None
    assert judge(operands(), in_order=False) is not None


def test_a_gpu_before_hopper_takes_128_dimensions(monkeypatch):
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *qkv, return_residual=False: None)
    judge = partial(find_unsupported, "cudnn", in_order=True, backend="gpu", hopper=False)
    assert judge(Formula(ROPE, Causal(), N), operands(head_dim=128)) is None
    assert "136" in str(judge(Formula(ALiBi(), Causal(), N), operands(head_dim=128)))


def test_a_jax_without_lse_is_refused(monkeypatch):
    if HAS_LSE:
        monkeypatch.setattr(jax.nn, "dot_product_attention", lambda query, key, value: None)
    found = find_unsupported("cudnn", Formula(ROPE, Causal(), N), operands(), in_order=True, backend="gpu", hopper=True)
    assert "jax>=0.10.2" in str(found)


@pytest.mark.parametrize("kernel, machine", [(cudnn, "GPU"), (splash, "TPU")])
def test_an_illegal_kernel_raises_its_reason(kernel, machine):
    (q, k, v, _), _ = sample(8)
    with pytest.raises(ValueError, match=machine):
        attend(q, k, v, encoding=ROPE, kernel=partial(kernel, in_order=True))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="there are cudnn, splash"):
        find_unsupported("flash", Formula(ROPE, Causal(), N), operands(), in_order=True)
