"""Receipts: what is applied, and the proof, by comparing logits with those of the model as loaded.

The field's commonest fault is an encoding that was asked for and never applied. So every swap is run on a probe, and
one that changes no logit is an error, not a result. The frequencies of a receipt are those by which the encoding
that a layer runs turns a query: read off its output, and compared with what its fields say.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.attention.formula import Pattern
from ropelab.attention.registry import choose_kernel
from ropelab.encodings.base import Context, Encoding
from ropelab.encodings.rotary import Rotary, join_pairs, split_pairs
from ropelab.encodings.scoring import make_context
from ropelab.models.config import Wiring
from ropelab.models.decoding import encodes_once
from ropelab.models.finite import check_finite
from ropelab.models.module import Model
from ropelab.models.tables import LayerTables, divided

PROBE_TOKENS = 256
ANGLE_TOLERANCE = 1e-4  # radians by which a measured angle may differ from the stated one: float32 is within 1e-6
LOGIT_TOLERANCE = 1e-3  # a different frequency moves logits by 1e-2 and more; another order of summation by 3e-5
ENCODED_ONCE = "keys are cached as encoded, once: every query sees them alike"
ENCODED_WHEN_READ = "keys are cached unrotated with their positions, and encoded when read"
ACT_BEYOND = ("original_length", "window", "chunk", "interval")  # fields up to which an encoding may change nothing


class NothingAppliedError(ValueError):
    """The model behaves as if nothing had been plugged in, or turns its queries by other angles than it says."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """The applied encoding and pattern in numbers; `inv_freq` entries are None where nothing rotates.

    Attributes:
        layers: which of the model's layers run which encoding.
        inv_freq_first, inv_freq_last, amplitude: of the first layer that turns its queries.
        inv_freq_hash: first 12 hexadecimal digits of the SHA-256 of the float64 frequencies.
        dimensions_beyond_trained_length: rotated dimensions that never complete a turn within it.
        max_logit_difference: largest over the probe, against the model as loaded.
        first_position: the first position of the probe where a logit differs.
        statement: the proof in words.
    """

    model: str
    encoding: str
    layers: str
    pattern: str
    kernel: str
    head_dim: int
    trained_length: int
    length: int
    inv_freq_first: float | None
    inv_freq_last: float | None
    inv_freq_hash: str | None
    amplitude: float | None
    dimensions_beyond_trained_length: int | None
    cache: str
    probe_tokens: int
    max_logit_difference: float
    first_position: int | None
    statement: str

    def __str__(self) -> str:
        width = max(len(field.name) for field in dataclasses.fields(self))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in dataclasses.asdict(self).items())


def receipt(model: Model, original: Model, probe_1T: np.ndarray, *, name: str, length: int | None = None) -> Receipt:
    """Describe `model` and prove that it is not `original`.

    Args:
        probe_1T: token ids [1, T].
        name: of the checkpoint.
        length: the context for which frequencies are stated; the trained length by default.

    Raises:
        NothingAppliedError: if something was plugged in and no logit moves, or angles are not those of the fields.
        NonFiniteError: if a logit of the probe is not finite.
    """
    wiring = model.wiring
    stated = length or wiring.config.trained_length or probe_1T.shape[1]
    return Receipt(
        model=name,
        encoding=repr(wiring.encoding),
        layers=describe_layers(wiring),
        pattern=repr(wiring.pattern),
        kernel=describe_kernel(wiring, stated),
        head_dim=wiring.config.head_dim,
        trained_length=wiring.config.trained_length,
        length=stated,
        cache=ENCODED_ONCE if all(map(encodes_once, wiring.encoding.unique_encodings())) else ENCODED_WHEN_READ,
        probe_tokens=probe_1T.shape[1],
        **describe_frequencies(model, stated),
        **prove_applied(model, original, probe_1T),
    )


def describe_kernel(wiring: Wiring, length: int) -> str:
    """Describe what evaluates a whole text of this length: the kernel, and the calls that the pattern makes of it."""
    name = choose_kernel(wiring.kernel, length, length, wiring.encoding.unique_encodings()[0])
    arranges = type(wiring.pattern).attend is not Pattern.attend and wiring.kernel != "dense"
    return f"{name}, {wiring.pattern.arrangement(wiring.config.heads)}" if arranges else name


def describe_layers(wiring: Wiring) -> str:
    """Which layers run which encoding."""
    kinds, count = wiring.encoding.unique_encodings(), wiring.config.layers
    if len(kinds) == 1:
        return f"all {count}"
    run = [wiring.encoding.encoding_index(layer) for layer in range(count)]
    numbers = (", ".join(str(layer) for layer in range(count) if run[layer] == n) for n in range(len(kinds)))
    return "; ".join(f"{kind!r} in {which}" for kind, which in zip(kinds, numbers, strict=True) if which)


def describe_frequencies(model: Model, length: int) -> dict[str, Any]:
    """The rotary numbers of a receipt, those of the first layer that turns its queries.

    Raises:
        NothingAppliedError: if a layer turns them by other angles than its encoding states.
    """
    config, kinds = model.config, model.wiring.encoding
    first = {kinds.encoding_index(layer): layer for layer in reversed(range(config.layers))}
    found = (find_rotating_part(model, layer, length) for layer in sorted(first.values()))
    encoding = next((part for part in found if part is not None), None)
    if encoding is None:
        names = ("inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude", "dimensions_beyond_trained_length")
        return dict.fromkeys(names)
    inv_freq, amplitude = encoding.frequencies(config.head_dim, length)
    inv_freq = np.asarray(inv_freq, np.float64)
    with np.errstate(divide="ignore"):
        beyond = 2 * int(np.sum(2 * math.pi / inv_freq > config.trained_length))
    return {
        "inv_freq_first": float(inv_freq[0]),
        "inv_freq_last": float(inv_freq[-1]),
        "inv_freq_hash": hashlib.sha256(inv_freq.tobytes()).hexdigest()[:12],
        "amplitude": float(amplitude),
        "dimensions_beyond_trained_length": beyond,
    }


def find_rotating_part(model: Model, layer: int, length: int) -> Rotary | None:
    """The rotary part of the encoding that a layer runs, if that layer's queries are turned.

    Raises:
        NothingAppliedError: if they are turned by other angles than its frequencies.
    """
    wiring = model.wiring
    number = wiring.encoding.encoding_index(layer)
    kind = wiring.encoding.unique_encodings()[number]
    part = rotary_part(kind)
    if part is None:
        return None
    stacked, shared = divided(wiring, model.params)
    tables = LayerTables(layer, jax.tree.map(lambda t: t[layer], stacked), shared).of(number)
    ctx = make_context(length, wiring.config.heads)
    if kind.per_query_keys:
        ctx = ctx._replace(group=kind.query_group(jnp.zeros((1, 1), jnp.int32))[0, 0])
    angles = measure_query_angles(kind, tables, part, wiring.config.head_dim, ctx)
    if angles is None:
        return part
    if np.abs(angles).max() < ANGLE_TOLERANCE:
        return None
    if type(part).encode_q is not Rotary.encode_q:
        return part  # more than a rotation: it acts, and its angles are its own
    inv_freq = np.asarray(part.frequencies(wiring.config.head_dim, part.effective_length(ctx))[0], np.float64)
    wrong = np.flatnonzero(np.abs(np.angle(np.exp(1j * (angles - inv_freq)))) > ANGLE_TOLERANCE)
    if wrong.size:
        n = wrong[0]
        raise NothingAppliedError(
            f"layer {layer} of the model turns pair {n} of its queries by {angles[n]:.6g} per token, and the "
            f"inv_freq of {part!r} is {inv_freq[n]:.6g}: {kind!r} does not apply it"
        )
    return part


def measure_query_angles(kind: Encoding, tables: Any, part: Rotary, head_dim: int, ctx: Context) -> np.ndarray | None:
    """Radians by which the encoding's first view turns each pair of a query from position 0 to position 1.

    None for an encoding whose views are no turned head dimensions.
    """
    turned = part.rotated_dims(head_dim)
    R = turned // 2
    first = join_pairs((jnp.eye(R), jnp.zeros((R, R))), part.layout)
    q_RTNH = jnp.zeros((R, 2, ctx.num_heads, head_dim)).at[..., :turned].set(first[:, None, None, :])
    pos_RT = jnp.broadcast_to(jnp.arange(2, dtype=jnp.int32), (R, 2))
    view = np.asarray(kind.encode_q(tables, q_RTNH, pos_RT, ctx)[0], np.float64)
    if view.shape[-1] != head_dim:
        return None
    cos_RT, sin_RT = (
        np.stack([np.asarray(x)[n, :, 0, n] for n in range(R)])
        for x in split_pairs(jnp.asarray(view[..., :turned]), part.layout)
    )
    angle_RT = np.arctan2(sin_RT, cos_RT)
    return np.mod(angle_RT[:, 1] - angle_RT[:, 0] + np.pi, 2 * np.pi) - np.pi


def prove_applied(model: Model, original: Model, probe_1T: np.ndarray) -> dict[str, Any]:
    """The difference on consecutive tokens; if there is none, on the same tokens spread over a long context."""
    if model.wiring[:3] == original.wiring[:3]:
        check_finite(model, model.logits(probe_1T), probe_1T, "logits")
        return {"max_logit_difference": 0.0, "first_position": None, "statement": "the model as loaded"}
    largest, first = compare_logits(model, original, probe_1T)
    if first is not None:
        statement = f"differs from the model as loaded from position {first} on"
        return {"max_logit_difference": largest, "first_position": first, "statement": statement}
    T = probe_1T.shape[1]
    stride = math.ceil(2 * longest_defined_length(model) / T) + 1
    largest, first = compare_logits(model, original, probe_1T, positions=np.arange(T) * stride, length=T * stride)
    if first is None:
        raise NothingAppliedError(
            f"nothing was applied: with {model.wiring.encoding!r} and {model.wiring.pattern!r} every logit of {T} "
            f"probe tokens is that of the unchanged model, {original.wiring.encoding!r} and {original.wiring.pattern!r}"
        )
    statement = (
        f"identical to the model as loaded on {T} consecutive tokens, as {explain_identical(model, original)}; "
        f"differs from token {first} on when the same tokens are spread over {T * stride} positions"
    )
    return {"max_logit_difference": largest, "first_position": first * stride, "statement": statement}


def iterate_parts(encoding: Encoding) -> Iterator[Encoding]:
    """The encodings that one is made of: itself, what it wraps, and the kinds of a schedule."""
    for kind in encoding.unique_encodings():
        yield kind
        inner = getattr(kind, "inner", None)
        if isinstance(inner, Encoding):
            yield from iterate_parts(inner)


def rotary_part(encoding: Encoding) -> Rotary | None:
    """The first rotary encoding among the parts."""
    return next((part for part in iterate_parts(encoding) if isinstance(part, Rotary)), None)


def longest_defined_length(model: Model) -> int:
    """The longest context within which what is plugged in may still be defined to change nothing."""
    named = [getattr(part, name, 0) for part in iterate_parts(model.wiring.encoding) for name in ACT_BEYOND]
    return max(model.config.trained_length, model.wiring.pattern.span, *named)


def explain_identical(model: Model, original: Model) -> str:
    """Explain why the swap changes nothing at short distances."""
    encoding, pattern = model.wiring.encoding, model.wiring.pattern
    reasons = []
    if encoding != original.wiring.encoding:
        defined = (
            f"{type(part).__name__} is defined to be within {name}={getattr(part, name)}"
            for part in iterate_parts(encoding)
            for name in ACT_BEYOND
            if hasattr(part, name)
        )
        reasons.append(next(defined, f"{encoding!r} does nothing at so short a distance"))
    if pattern != original.wiring.pattern:
        reasons.append(f"{pattern!r} hides nothing at so short a distance")
    return " and ".join(reasons)


def compare_logits(model: Model, original: Model, probe_1T: np.ndarray, **where: Any) -> tuple[float, int | None]:
    """`(largest |Δ logit|, first position where one exceeds the tolerance)`.

    Where NaN and infinity are allowed, a position with any on either side counts as unmoved: they prove nothing.
    """
    ours, theirs = (np.asarray(jax.device_get(m.logits(probe_1T, **where)))[0] for m in (model, original))
    for which, logits in ((model, ours), (original, theirs)):
        check_finite(which, logits, probe_1T, "logits")
    by_position = np.max(np.abs(ours - theirs), axis=-1, initial=0, where=np.isfinite(ours) & np.isfinite(theirs))
    moved = np.flatnonzero(by_position > LOGIT_TOLERANCE)
    return float(np.max(by_position)), int(moved[0]) if moved.size else None
