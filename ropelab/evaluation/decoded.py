"""The NLL that a decoder sees: each token scored from a cache, under the length that the text has by then.

Under `per="sequence"` this is not the full forward's: a full forward gives every token the frequencies of the whole
text, a decoder those of the text so far, and the hidden states behind it were made under still earlier ones.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.evaluation.perplexity import document_nll
from ropelab.evaluation.protocol import Protocol
from ropelab.evaluation.study import Pass, file_of, keep, kept_pass
from ropelab.evaluation.variants import Variant
from ropelab.models.finite import check_finite
from ropelab.models.generation import Decoder
from ropelab.models.module import Model

WAYS = ("full forward", "decoded")


class Key(NamedTuple):
    """One measurement: an arm, and the way its text was read."""

    arm: str
    way: str


@jax.jit
def loss(logits_BV: jax.Array, tokens_B: jax.Array) -> jax.Array:
    """-log p(token), float32[B]."""
    picked_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits_BV, axis=-1) - picked_B


def nll_decoded(
    model: Model, tokens_T: np.ndarray, first: int, advance: Callable[[int], object] = lambda tokens: None
) -> np.ndarray:
    """float32[T - first]: -log p of the tokens from `first` on; those before are read as a prompt.

    Args:
        advance: told of each token that was scored.
    """
    if not 0 < first < len(tokens_T):
        raise ValueError(f"first={first} must lie between 1 and the {len(tokens_T) - 1} tokens before the last")
    decoder, losses = Decoder(model, [tokens_T[:first].tolist()], len(tokens_T) - first), []
    for t in range(first, len(tokens_T)):
        token_B = jnp.asarray(tokens_T[t : t + 1], jnp.int32)
        losses.append(loss(decoder.logits_BV, token_B))
        advance(1)
        if t + 1 < len(tokens_T):
            decoder.step(token_B)
    found = np.concatenate([np.asarray(x) for x in losses])
    check_finite(model, found, tokens_T[None], "losses")
    return found


def both_ways(
    arms: list[Variant],
    tokens_T: np.ndarray,
    first: int,
    protocol: Protocol,
    folder: Path,
    *,
    begin: Callable[[str], object] = lambda what: None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> dict[Key, np.ndarray]:
    """NLL of the tokens from `first` on, by arm and way; what the folder holds already is not measured again."""
    folder.mkdir(parents=True, exist_ok=True)
    T, found = len(tokens_T), {}
    for arm in arms:
        for way in WAYS:
            begin(f"{arm.name}, {way}")
            path = file_of(Pass(arm, T, (T,), 0), protocol, folder).with_suffix(f".{way[:4]}_{first}.npz")
            if not path.is_file():
                if way == WAYS[0]:
                    nll = document_nll(arm.model, tokens_T, window=None, advance=advance)[first - 1 :]
                else:
                    nll = nll_decoded(arm.model, tokens_T, first, advance)
                keep(path, nll=nll)
            found[Key(arm.name, way)], _ = kept_pass(path)
    return found


def records(found: dict[Key, np.ndarray], band: str, protocol: Protocol) -> list[dict[str, Any]]:
    """One record for each arm and way; `apart`: the largest difference of a token's NLL from the full forward."""
    return [
        {
            "arm": key.arm,
            "way": key.way,
            "band": band,
            "tokens": nll.size,
            "nll": round(float(nll.mean(dtype=np.float64)), 6),
            "perplexity": round(math.exp(float(nll.mean(dtype=np.float64))), 4),
            "apart": float(f"{np.abs(nll - found[Key(key.arm, WAYS[0])]).max():.3g}"),
            "protocol": protocol.line(),
        }
        for key, nll in found.items()
    ]
