"""Numbers that are not finite: refused wherever a model is measured, used or exported, with the place where they begin.

A model that computes NaN passes every comparison that is written the wrong way round: its receipt would prove that an
encoding is applied, its text would be token 0. So whatever reads a model's logits calls `check_finite`. Who studies
overflow turns it off:

    with ropelab.allow_nonfinite():
        lab.nll(tokens)
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ropelab.attention.exchanges import Exchange
from ropelab.models.config import Wiring
from ropelab.models.stack import Placed, mix
from ropelab.models.tables import LayerTables, divided, embedded

if TYPE_CHECKING:
    from ropelab.models.module import Model

PROBE = 2048  # tokens at most that are read again to find where it begins
_ALLOWED: ContextVar[bool] = ContextVar("allow_nonfinite", default=False)


class NonFiniteError(ValueError):
    """A model computes NaN or infinity."""


@contextlib.contextmanager
def allow_nonfinite(allowed: bool = True) -> Iterator[None]:
    """Within this context NaN and infinity are results like others."""
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def check_finite(model: "Model", values: Any, tokens_BT: Any, what: str) -> None:
    """Raise unless all values are finite, or `allow_nonfinite` is in effect.

    Args:
        values: what the model computed of the tokens.
        what: what they are, for the error.

    Raises:
        NonFiniteError: naming the first tensor or layer that is not finite.
    """
    if not _ALLOWED.get() and not bool(jnp.all(jnp.isfinite(values))):
        raise NonFiniteError(
            f"the model computes {what} that are not finite under {model.wiring.encoding!r}: "
            f"{locate_nonfinite(model, tokens_BT)}; use other weights, encoding or dtype; allow_nonfinite lets it pass"
        )


def check_finite_parameters(params: Any, what: str) -> None:
    """Raise `NonFiniteError` for parameters that hold NaN or infinity, unless `allow_nonfinite` is in effect."""
    if not _ALLOWED.get() and (parameter := describe_nonfinite_parameter(params)):
        raise NonFiniteError(f"{what} has parameters that are not finite: {parameter}; allow_nonfinite lets it pass")


def locate_nonfinite(model: "Model", tokens_BT: Any) -> str:
    """Return where NaN or infinity begins: in a parameter, else in the first layer that computes one."""
    parameter = describe_nonfinite_parameter(model.params)
    if parameter:
        return parameter
    tokens_BT = jnp.asarray(tokens_BT, jnp.int32)[:, :PROBE]
    embedding, layers = _finite_by_layer(model.wiring, model.params, tokens_BT)
    if not embedding:
        return "all parameters are finite, the embedded tokens are not"
    for layer in range(model.config.layers):
        for name, finite in layers.items():
            if not finite[layer]:
                return f"all parameters are finite, {name} of layer {layer} are the first that are not"
    return f"all parameters and all layers are finite on the first {tokens_BT.shape[1]} tokens, the result is not"


def describe_nonfinite_parameter(params: Any) -> str | None:
    """Return the first parameter of a tree that holds NaN or infinity, and its layer; None if none does."""
    for path, leaf in jax.tree.leaves_with_path(params):
        finite = np.asarray(jnp.isfinite(leaf))
        if not finite.all():
            name = "/".join(str(getattr(key, "key", key)) for key in path)
            layer = f", first in layer {np.argwhere(~finite)[0][0]}" if name.startswith("layers/") else ""
            return f"{finite.size - finite.sum()} of {finite.size} values of the parameter {name} are not{layer}"
    return None


@partial(jax.jit, static_argnums=0)
def _finite_by_layer(wiring: Wiring, params: dict[str, Any], tokens_BT: Array) -> tuple[Array, dict[str, Array]]:
    """Whether the embedded tokens are finite, and in each layer its queries and keys, its attention, its output."""
    config, family = wiring.config, wiring.config.family
    wiring = wiring._replace(kernel="auto") if isinstance(wiring.kernel, Exchange) else wiring
    stacked, shared = divided(wiring, params)
    B, T = tokens_BT.shape
    where = Placed(jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32), (B, T)), None, T, in_order=True)

    def body(x_BTD: Array, xs: tuple) -> tuple[Array, dict[str, Array]]:
        layer, number, own = xs
        q, k, v = family.projections(config, layer, x_BTD)
        mixed = mix(wiring, LayerTables(number, own, shared), q, (k, v), where, where, layer.get("sink_logits"))
        out = family.finish_layer(config, layer, x_BTD, mixed)
        finite = {
            "queries, keys or values": jnp.all(jnp.isfinite(jnp.concatenate([x.ravel() for x in (q, k, v)]))),
            "the results of attention": jnp.all(jnp.isfinite(mixed)),
            "the outputs": jnp.all(jnp.isfinite(out)),
        }
        return out, finite

    x_BTD = embedded(wiring, params, tokens_BT, where.pos)
    xs = (params["layers"], jnp.arange(config.layers), stacked)
    return jnp.all(jnp.isfinite(x_BTD)), lax.scan(body, x_BTD, xs)[1]
