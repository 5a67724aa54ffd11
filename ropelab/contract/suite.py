"""Properties of every encoding: functions of an instance that raise `AssertionError` with the first counterexample.

    from ropelab import contract
    for verdict in contract.examine(MyEncoding(base=1e4)):
        print(*verdict)

The positions and lengths they try are in `samples.py`, the blocks in `calls.py`.
"""

import inspect
import traceback
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from ropelab.contract import composition, decoding, fields, kernels, learning, positions, values
from ropelab.contract.samples import B, H, N, T, sample_qkv
from ropelab.contract.samples import sample_params as tables_of
from ropelab.encodings import Encoding
from ropelab.encodings.scoring import make_context, select_encoding
from ropelab.spec import iterate_specs

_HOOKS = "its_hooks_can_be_called"
Property = Callable[[Encoding], str | None]  # returns nothing, or the reason why it has nothing to say


def _index_by_name(*properties: Property) -> dict[str, Property]:
    """The properties by name, in the order given."""
    return {holds.__name__: holds for holds in properties}


PROPERTIES: dict[str, Property] = _index_by_name(
    values.the_print_is_the_spec,
    values.equals_are_one_value,
    values.equal_instances_trace_once,
    values.the_dependence_on_the_length_is_declared,
    values.a_growing_length_compiles_nothing,
    values.known_and_traced_lengths_agree,
    values.encoding_bfloat16_rounds_once,
    fields.every_field_changes_the_scores,
    fields.another_base_is_not_served_from_a_stale_table,
    fields.the_same_arguments_give_the_same_scores,
    positions.shifting_all_positions_changes_nothing,
    positions.fractions_are_honoured_or_refused,
    positions.gaps_are_honoured,
    positions.explicit_positions_equal_implicit,
    positions.permuted_tokens_give_permuted_outputs,
    positions.packed_documents_are_separate_documents,
    positions.rotations_equal_a_float64_loop,
    composition.wrapping_multiplies_the_queries,
    decoding.decoding_equals_the_full_forward,
    kernels.blockwise_equals_dense,
    kernels.no_query_sees_the_future,
    kernels.the_receptive_field_is_the_counts,
    kernels.a_shard_of_the_heads_is_a_slice_of_the_whole,
    learning.learned_tables_get_gradients,
)


class Verdict(NamedTuple):
    """One property of one encoding.

    Attributes:
        words: of a failure its first counterexample; why the property has nothing to say; else empty.
    """

    name: str
    result: Literal["pass", "FAIL", "n/a"]
    words: str


def examine(encoding: Encoding) -> Iterator[Verdict]:
    """Yield the verdict on every property, in order.

    Raises:
        ValueError: as `ready`.
    """
    ready(encoding)
    broken = broken_hook(encoding)
    yield from [broken] if broken else (verdict(encoding, name) for name in PROPERTIES)


def ready(encoding: Encoding) -> None:
    """Check that the contract can run.

    Raises:
        ValueError: if the encoding is incomplete or cannot serve the small heads it is tried on, or under `python -O`,
            which removes every check.
    """
    if not __debug__:
        raise ValueError("python -O removes the checks of the contract; run it without -O")
    encoding.check(H)


def broken_hook(encoding: Encoding) -> Verdict | None:
    """Return the verdict on an encoding whose hooks raise or return invalid arrays; None if they work.

    Every property would fail on it alike, so this one stands for all.
    """
    (q, k, _), pos = sample_qkv(), np.broadcast_to(np.arange(T, dtype=np.int32), (B, T))
    kind, params = select_encoding(encoding, tables_of(encoding), 0)
    try:
        ctx = make_context(T, N)
        ctx = ctx._replace(group=kind.query_group(jnp.asarray(pos))[0, 0]) if kind.per_query_keys else ctx
        views = {}
        for hook, x in (("encode_q", q), ("encode_k", k)):
            views[hook] = getattr(kind, hook)(params, jnp.asarray(x), jnp.asarray(pos), ctx)
            if not isinstance(views[hook], tuple):
                given = type(views[hook]).__name__
                return Verdict(_HOOKS, "FAIL", f"{hook} must return a tuple of arrays, (q,) for one view, not {given}")
        if not kind.needs_full_rows:
            scores = tuple(jnp.zeros((B, N, T, T)) for _ in views["encode_q"])
            shape = jnp.shape(kind.combine(params, scores, jnp.asarray(pos), jnp.asarray(pos), ctx))
            if shape != (B, N, T, T):
                return Verdict(_HOOKS, "FAIL", f"combine must return scores of {(B, N, T, T)} as it gets, not {shape}")
    except Exception as error:
        return Verdict(_HOOKS, "FAIL", _describe_exception(error, encoding))
    return None


def verdict(encoding: Encoding, name: str) -> Verdict:
    """Return whether one property holds; any exception from the encoding's code is a counterexample too."""
    try:
        reason = PROPERTIES[name](encoding)
    except AssertionError as error:
        return Verdict(name, "FAIL", str(error) or _describe_exception(error, encoding))
    except Exception as error:
        return Verdict(name, "FAIL", _describe_exception(error, encoding))
    return Verdict(name, "n/a", reason) if reason else Verdict(name, "pass", "")


def _describe_exception(error: Exception, encoding: Encoding) -> str:
    """Describe an exception in one line, with the last location in the encoding's own file, or where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = {inspect.getfile(type(part)) for part in iterate_specs(encoding)}
    place = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1])
    words = " ".join(str(error).split())
    return f"{type(error).__name__} at {place.filename}:{place.lineno}{': ' + words if words else ''}"
