"""Public `attend`: validates inputs, encodes q and k, selects a kernel; and `attend_sharded` over a mesh axis."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P

from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Formula, Operands, Pattern, Result, Tokens
from ropelab.attention.kernels.dense import dense
from ropelab.attention.patterns.causal import Causal
from ropelab.attention.registry import FUSED, KERNELS, Kernel, choose_kernel, parse, select_kernel
from ropelab.encodings.base import Context, Encoding, Params
from ropelab.encodings.positions import context_length, normalize_positions, normalize_segments
from ropelab.encodings.scoring import (
    check_params,
    jit_for_float64,
    make_context,
    prepare_keys,
    prepare_queries,
    require_type,
    select_encoding,
)


def attend(
    q_BTNH: Array,
    k_BSKH: Array,
    v_BSKH: Array,
    *,
    encoding: Encoding,
    pattern: Pattern | None = None,
    params: Params | None = None,
    q_pos: Array | None = None,
    k_pos: Array | None = None,
    segments: Array | tuple[Array, Array] | None = None,
    length: int | Array | None = None,
    heads: Array | None = None,
    num_heads: int | None = None,
    kernel: str | Kernel = "auto",
    layer: int = 0,
    sink_logits: Array | None = None,
) -> tuple[Array, Array]:
    """Compute attention, `(out_BTNH, lse_BTN)`, for any encoding and any pattern.

    Queries without any visible key have `out` 0 and `lse` -inf.

    Args:
        q_BTNH, k_BSKH, v_BSKH: not yet encoded; N must be a multiple of K.
        pattern: `Causal()` if not given.
        params: the encoding's learned tables.
        q_pos, k_pos: positions [T] and [S] or with a batch axis, fractions where encoding and pattern take them;
            0, 1, 2, ... if neither is given.
        segments: the number of each token's document, [T] or [B, T], or a pair of them for queries and for keys.
        length: tokens in context; the largest position plus one if not given.
        heads, num_heads: global numbers of the query heads present, and how many the model has.
        kernel: "dense", "blockwise", "auto" for the faster of the two; "cudnn" or "splash" where they are legal; a
            function that evaluates the formula; within `jax.shard_map` an exchange.
        layer: which layer, for an encoding that is a schedule over layers.
        sink_logits: float[N], a learned score of each head that belongs to no key (gpt-oss): it takes its share of the
            softmax, and of lse, and brings no value.

    Raises:
        ValueError: for shapes that do not fit together, positions given for one side only, heads without
            the number there are in the model, or an unknown kernel.
    """
    _check_shapes(q_BTNH, k_BSKH, v_BSKH)
    encoding, pattern = require_type(encoding, Encoding), require_type(pattern or Causal(), Pattern)
    encoding, params = select_encoding(encoding, params or {}, layer)
    encoding.check(q_BTNH.shape[-1])
    check_params(encoding, params, num_heads or q_BTNH.shape[2], q_BTNH.shape[-1])
    if heads is not None and num_heads is None:
        raise ValueError("heads= are numbers within the whole model; pass its number of heads as num_heads=")
    kernel = parse(kernel) if isinstance(kernel, str) else kernel
    if not q_BTNH.shape[1] or not k_BSKH.shape[1]:
        found = _empty_result(q_BTNH, v_BSKH)
        return found if sink_logits is None else _add_sinks(*found, sink_logits)
    q_pos_BT, k_pos_BS, natural = _resolve_positions(q_BTNH, k_BSKH, q_pos, k_pos, encoding, pattern)
    ctx = make_context(natural if length is None else length, num_heads or q_BTNH.shape[2], heads)
    q_seg, k_seg = segments if isinstance(segments, tuple) else (segments, segments)
    q_seg = None if q_seg is None else normalize_segments(q_seg, q_pos_BT.shape, "segments of the queries")
    k_seg = None if k_seg is None else normalize_segments(k_seg, k_pos_BS.shape, "segments of the keys")
    in_order = q_pos is None and heads is None
    queries = Tokens(prepare_queries(encoding, params, q_BTNH, q_pos_BT, ctx), q_pos_BT, q_seg)
    keys = Tokens(prepare_keys(encoding, params, k_BSKH, k_pos_BS, ctx), k_pos_BS, k_seg)
    v_BKSH = jnp.swapaxes(v_BSKH, 1, 2)
    if length is None and isinstance(kernel, Exchange) and encoding.depends_on_length:
        raise ValueError(f"{encoding!r} depends on the length of the text, which a shard does not have; pass length=")
    evaluate = _plan_calls(encoding, pattern, ctx.num_heads, kernel, q_pos_BT.shape[1], k_pos_BS.shape[1], in_order)
    out_BNTH, lse_BNT = evaluate(Operands(params, queries, keys, v_BKSH, ctx.length, ctx.heads))
    return _finish(out_BNTH, lse_BNT, sink_logits)


def attend_encoded(
    encoding: Encoding,
    pattern: Pattern,
    params: Params,
    queries: Tokens,
    keys: Tokens,
    v_BKSH: Array,
    ctx: Context,
    kernel: str | Kernel,
    *,
    in_order: bool = False,
    sink_logits: Array | None = None,
) -> tuple[Array, Array]:
    """Evaluate the formula on head-major tokens that are encoded already (raw if keys are encoded per query).

    Args:
        in_order: whether queries and keys are the same tokens, token t at position t, under all heads of the model.
    """
    T, S = queries.pos.shape[1], keys.pos.shape[1]
    evaluate = _plan_calls(encoding, pattern, ctx.num_heads, kernel, T, S, in_order)
    out_BNTH, lse_BNT = evaluate(Operands(params, queries, keys, v_BKSH, ctx.length, ctx.heads))
    return _finish(out_BNTH, lse_BNT, sink_logits)


def _plan_calls(
    encoding: Encoding, pattern: Pattern, num_heads: int, kernel: str | Kernel, T: int, S: int, in_order: bool
) -> Callable[[Operands], Result]:
    """Return the function that evaluates the formula on its operands: one call of a kernel, or as the pattern arranges.

    `dense`, the specification, is always one call. Fused kernels count tokens from 0 and so need to know whether the
    tokens are in order.
    """
    arranges = type(pattern).attend is not Pattern.attend
    in_order = in_order and kernel not in ("dense", dense)
    if not isinstance(kernel, str):
        run = kernel
    elif kernel in FUSED:
        run = partial(FUSED[kernel], in_order=in_order and not arranges)
    else:
        run = partial(select_kernel, kernel) if arranges else KERNELS[choose_kernel(kernel, T, S, encoding)]
    formula = Formula(encoding, pattern, num_heads)
    evaluate = partial(pattern.attend, run, formula, in_order=in_order) if arranges else partial(run, formula)
    return jit_for_float64(evaluate) if encoding.per_query_keys else evaluate


def _finish(out_BNTH: Array, lse_BNT: Array, sink_logits_N: Array | None) -> tuple[Array, Array]:
    """Return a kernel's result in the model's layout, with learned sinks added."""
    out_BTNH, lse_BTN = jnp.swapaxes(out_BNTH, 1, 2), jnp.swapaxes(lse_BNT, 1, 2)
    return (out_BTNH, lse_BTN) if sink_logits_N is None else _add_sinks(out_BTNH, lse_BTN, sink_logits_N)


def _empty_result(q_BTNH: Array, v_BSKH: Array) -> tuple[Array, Array]:
    """Return the result for no queries, or for queries without any key."""
    shape, dtype = q_BTNH.shape[:-1], jnp.promote_types(q_BTNH.dtype, jnp.float32)
    return jnp.zeros((*shape, v_BSKH.shape[-1]), v_BSKH.dtype), jnp.full(shape, -jnp.inf, dtype)


def _add_sinks(out_BTNH: Array, lse_BTN: Array, sink_logits_N: Array) -> tuple[Array, Array]:
    """Add one score without a value to every softmax: out e^(lse - lse'), lse' = log(e^lse + e^sink).

    Source: gpt-oss, openai/gpt-oss torch/model.py (`sdpa`, sinks), after Xiao et al., arXiv 2309.17453, section 3.3.
    """
    total_BTN = jnp.logaddexp(lse_BTN, sink_logits_N.astype(lse_BTN.dtype))
    kept_BTN = jnp.exp(lse_BTN - total_BTN)
    return (out_BTNH * kept_BTN[..., None]).astype(out_BTNH.dtype), total_BTN


def _resolve_positions(
    q_BTNH: Array, k_BSKH: Array, q_pos: Array | None, k_pos: Array | None, encoding: Encoding, pattern: Pattern
) -> tuple[Array, Array, int | Array]:
    """Return positions with a batch axis and the length they imply, an int if the positions are 0, 1, 2, ..."""
    (B, T), S = q_BTNH.shape[:2], k_BSKH.shape[1]
    if q_pos is None and k_pos is None:
        if T != S:
            raise ValueError(f"q has {T} tokens and k has {S}: pass their positions as q_pos= and k_pos=")
        pos_BT = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32), (B, T))
        return pos_BT, pos_BT, T
    if q_pos is None or k_pos is None:
        raise ValueError("give both q_pos and k_pos, or neither")
    q_pos_BT = normalize_positions(q_pos, (B, T), encoding, "q_pos")
    k_pos_BS = normalize_positions(k_pos, (B, S), encoding, "k_pos")
    for name, pos in (("q_pos", q_pos_BT), ("k_pos", k_pos_BS)):
        pattern.check_positions(pos, name)
    return q_pos_BT, k_pos_BS, context_length(q_pos_BT, k_pos_BS)


def _check_shapes(q_BTNH: Array, k_BSKH: Array, v_BSKH: Array) -> None:
    for name, array in (("q", q_BTNH), ("k", k_BSKH), ("v", v_BSKH)):
        if jnp.ndim(array) != 4:
            raise ValueError(f"{name} has the shape {jnp.shape(array)}; give [batch, tokens, heads, head_dim]")
    B, _, N, H = q_BTNH.shape
    if k_BSKH.shape[0] != B or k_BSKH.shape[3] != H or v_BSKH.shape[:3] != k_BSKH.shape[:3]:
        raise ValueError(f"shapes do not fit: q {q_BTNH.shape}, k {k_BSKH.shape}, v {v_BSKH.shape} as BTNH, BSKH, BSKH")
    if N % k_BSKH.shape[2]:
        raise ValueError(f"{N} query heads cannot share {k_BSKH.shape[2]} key heads evenly")


def attend_sharded(
    q_BTNH: Array,
    k_BTKH: Array,
    v_BTKH: Array,
    *,
    exchange: Exchange,
    mesh: Mesh,
    encoding: Encoding,
    pattern: Pattern | None = None,
    params: Params | None = None,
    pos: Array | None = None,
    segments: Array | None = None,
    length: int | Array | None = None,
) -> tuple[Array, Array]:
    """Compute self-attention, `(out_BTNH, lse_BTN)`, over a text whose tokens are sharded over a mesh axis.

    The result equals that of `attend` on one device, forward and backward. Arguments and results are in the order of
    the text; on the devices, tokens are in the exchange's order.

    Args:
        pos, segments: as `attend` takes them for queries and keys alike.
        length: tokens in context; the largest position plus one if not given.

    Raises:
        ValueError: for an axis that the mesh lacks, or a call that the exchange does not support.
    """
    pattern = pattern or Causal()
    devices = check_exchange(exchange, mesh, encoding, pattern, q_BTNH.shape[1])
    pos_BT, _, natural = _resolve_positions(q_BTNH, k_BTKH, pos, pos, encoding, pattern)
    segments_BT = None if segments is None else normalize_segments(segments, pos_BT.shape)
    order = exchange.order(q_BTNH.shape[1], devices)

    def local(params: Params, qkv: tuple, pos_BT: Array, segments_BT: Array | None, length: int | Array) -> tuple:
        where = {"q_pos": pos_BT, "k_pos": pos_BT, "segments": segments_BT, "length": length}
        return attend(*qkv, encoding=encoding, pattern=pattern, params=params, kernel=exchange, **where)

    tokens = P(None, exchange.axis)
    specs = (P(), tokens, tokens, tokens, P())
    run: Callable[..., tuple[Array, Array]] = jax.shard_map(
        local, mesh=mesh, in_specs=specs, out_specs=tokens, check_vma=False
    )
    arrays = reorder(((q_BTNH, k_BTKH, v_BTKH), pos_BT, segments_BT), order)
    found = run(params or {}, *arrays, jnp.asarray(natural if length is None else length, jnp.int32))
    return reorder(found, np.argsort(order))


def reorder(tree: Any, order: np.ndarray) -> Any:
    """Reorder tokens, on axis 1; the natural order is free of computation and communication."""
    if np.array_equal(order, np.arange(order.size)):
        return tree
    return jax.tree.map(lambda x: jnp.take(x, order, axis=1), tree)


def check_exchange(
    exchange: Exchange, mesh: Mesh | AbstractMesh, encoding: Encoding, pattern: Pattern, tokens: int
) -> int:
    """Return the number of devices over which the tokens are sharded."""
    if exchange.axis not in mesh.shape:
        raise ValueError(f"the mesh has the axes {', '.join(mesh.shape)}, and {exchange!r} wants {exchange.axis!r}")
    exchange.check(encoding, pattern, tokens, mesh.shape[exchange.axis])
    return mesh.shape[exchange.axis]
