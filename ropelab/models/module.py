"""The Flax model: a thin container of parameters and wiring around the pure functions."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Pattern
from ropelab.attention.registry import parse
from ropelab.encodings.base import Encoding
from ropelab.encodings.positions import context_length, normalize_positions, normalize_segments
from ropelab.models import compiled
from ropelab.models.config import Wiring
from ropelab.models.decoding import unstacked
from ropelab.models.family import Config
from ropelab.models.finite import check_finite
from ropelab.models.parameters import initialise
from ropelab.models.stack import empty_cache
from ropelab.models.tables import with_tables

Tokens = np.ndarray | Array | list


class Parameters(nnx.Module):
    """A tree of `nnx.Param`, attribute by attribute."""

    def __init__(self, tree: dict[str, Any]):
        for name, value in tree.items():
            setattr(self, name, Parameters(value) if isinstance(value, dict) else nnx.Param(value))

    def tree(self) -> dict[str, Any]:
        """The arrays themselves, not copied, as the pure functions take them."""
        members = {n: v for n, v in vars(self).items() if isinstance(v, Parameters | nnx.Variable)}
        return {n: v.tree() if isinstance(v, Parameters) else v[...] for n, v in members.items()}


class Model(nnx.Module):
    """Parameters of any family, with an encoding and a pattern plugged in."""

    def __init__(self, wiring: Wiring, parameters: Parameters):
        wiring.encoding.check(wiring.config.head_dim)
        self.wiring = wiring
        self.parameters = parameters

    @property
    def config(self) -> Config:
        return self.wiring.config

    @property
    def params(self) -> dict[str, Any]:
        return self.parameters.tree()

    def rewired(self, encoding: Encoding, pattern: Pattern, kernel: str | Exchange, *, seed: int = 0) -> "Model":
        """The same parameters, nothing copied, under another encoding, pattern or kernel.

        An encoding with learned tables begins with those that it draws from the seed.
        """
        wiring = self.wiring._replace(encoding=encoding, pattern=pattern, kernel=parse(kernel))
        if encoding == self.wiring.encoding:
            return Model(wiring, self.parameters)
        weights = {name: leaf for name, leaf in self.params.items() if name != "encoding"}
        return Model(wiring, Parameters(with_tables(weights, jax.random.key(seed), encoding, self.config)))

    def logits(
        self, tokens: Tokens, *, positions: Any = None, segments: Any = None, length: int | None = None
    ) -> Array:
        """float32[B, T, V]. `length` declares a longer context than the tokens show."""
        tokens_BT, where = self.arranged(tokens, positions, segments, length)
        return compiled.logits(self.wiring, self.params, tokens_BT, **where)

    def nll(self, tokens: Tokens, *, positions: Any = None, segments: Any = None, length: int | None = None) -> Array:
        """-log p(token t+1 | tokens <= t), float32[B, T - 1]; [T, V] is never held.

        Raises:
            NonFiniteError: if a loss is not finite; see `ropelab.allow_nonfinite`.
        """
        tokens_BT, where = self.arranged(tokens, positions, segments, length)
        if tokens_BT.shape[1] < 2:
            raise ValueError("a negative log likelihood needs at least 2 tokens")
        nll_BT = compiled.nll(self.wiring, self.params, tokens_BT, **where)
        check_finite(self, nll_BT, tokens_BT, "losses")
        return nll_BT

    def nll_of_texts(self, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The entries of `nll` of texts of any lengths, float32[T_i - 1] each.

        Shorter texts are padded on the right with a document that no text sees, and scored together; one after another
        under an encoding that depends on the length, which each text has for itself.
        """
        if self.wiring.encoding.depends_on_length:
            return [np.asarray(self.nll([list(text)]))[0] for text in texts]
        lengths = [len(text) for text in texts]
        if min(lengths) < 2:
            raise ValueError(f"text {lengths.index(min(lengths))} has {min(lengths)} tokens; a loss needs at least 2")
        tokens_BT = np.stack([np.pad(np.asarray(text), (0, max(lengths) - len(text))) for text in texts])
        segments_BT = np.where(np.arange(max(lengths)) < np.asarray(lengths)[:, None], 0, 1)
        nll_BT = np.asarray(self.nll(tokens_BT, segments=segments_BT))
        return [row[: length - 1] for row, length in zip(nll_BT, lengths, strict=True)]

    def nll_in_parts(self, tokens: Tokens, *, part: int = 2048) -> Iterator[np.ndarray]:
        """The entries of `nll`, a part of the text at a time: as much memory for a long text as for a short one.

        Earlier parts are read from a cache of unrotated keys, under the length of the whole text.

        Raises:
            ValueError: for part < 1, or fewer than 2 tokens.
        """
        tokens_BT = self.checked(tokens)
        B, T = tokens_BT.shape
        if part < 1:
            raise ValueError(f"part={part} must be at least 1")
        if T < 2:
            raise ValueError(f"a negative log likelihood needs at least 2 tokens, not {T}")
        self.check_positions(T)
        part = min(part, T - 1)
        slots = -(-(T - 1) // part) * part
        padded = jnp.pad(tokens_BT, ((0, 0), (0, slots + 1 - T)))
        cache = empty_cache(self.wiring, B, slots, self.params["embedding"].dtype)
        for start in range(0, T - 1, part):
            inputs, targets = padded[:, start : start + part], padded[:, start + 1 : start + part + 1]
            losses, cache = compiled.nll_part(self.wiring, self.params, inputs, targets, cache=cache, length=T)
            found = np.asarray(losses)[:, : T - 1 - start]
            check_finite(self, found, tokens_BT, "losses")
            yield found

    def decode_logits(self, tokens: Tokens, *, prefill: int) -> Array:
        """As `logits`, but from the cache: `prefill` tokens at once, the others one at a time."""
        tokens_BT = self.checked(tokens)
        if not 0 < prefill <= tokens_BT.shape[1]:
            raise ValueError(f"prefill={prefill} must lie between 1 and the {tokens_BT.shape[1]} tokens given")
        (B, T), params = tokens_BT.shape, self.params
        self.check_positions(T)
        first, cache = compiled.prefill(self.wiring, T, params, tokens_BT[:, :prefill])
        memory, layers, found = compiled.memory_of(self.wiring, params, cache), unstacked(self.wiring, params), [first]
        for t in range(prefill, T):
            pos_B1 = jnp.full((B, 1), t, jnp.int32)
            logits, memory = compiled.step(self.wiring, params, layers, tokens_BT[:, t : t + 1], pos_B1, memory)
            found.append(logits)
        return jnp.concatenate(found, axis=1)

    def arranged(
        self, tokens: Tokens, positions: Any, segments: Any, length: int | None
    ) -> tuple[Array, dict[str, Any]]:
        """Checked tokens and the keyword arguments that place them."""
        tokens_BT = self.checked(tokens)
        (B, T), pos_BT = tokens_BT.shape, None
        if positions is not None:
            pos_BT = normalize_positions(positions, (B, T), self.wiring.encoding)
            self.wiring.pattern.check_positions(pos_BT, "positions")
        self.check_positions(T if pos_BT is None else int(context_length(pos_BT)))
        seg_BT = None if segments is None else normalize_segments(segments, (B, T))
        return tokens_BT, {"pos": pos_BT, "segments": seg_BT, "length": length}

    def check_positions(self, length: int) -> None:
        """Raise `ValueError` if the encoding has no positions for a context of this length."""
        limit = self.wiring.encoding.position_limit
        if limit is not None and length > limit:
            raise ValueError(f"{self.wiring.encoding!r} has {limit} positions and the text reaches {length}; cut it")

    def checked(self, tokens: Tokens) -> Array:
        """Token ids as i32[B, T].

        Raises:
            ValueError: for another rank, no tokens, or ids outside the vocabulary.
        """
        if is_ragged(tokens):
            raise ValueError(
                f"the texts have {', '.join(str(len(text)) for text in tokens)} tokens; give texts of one length, or "
                "take nll, which scores texts of different lengths"
            )
        ids = np.asarray(tokens)
        if ids.ndim != 2 or ids.size == 0 or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"tokens must be integers of shape [B, T], got {ids.dtype} of shape {ids.shape}")
        if ids.min() < 0 or ids.max() >= self.config.vocabulary:
            known = self.config.vocabulary
            raise ValueError(f"token ids run from {ids.min()} to {ids.max()}; the vocabulary has {known}")
        return jnp.asarray(ids, jnp.int32)


def is_ragged(tokens: Any) -> bool:
    """Return whether these are texts of different lengths, a list of lists, and so no array."""
    rows = isinstance(tokens, list | tuple) and all(isinstance(text, list | tuple | np.ndarray) for text in tokens)
    return rows and len({len(text) for text in tokens}) > 1


def from_scratch(
    config: Config,
    encoding: Encoding,
    pattern: Pattern,
    *,
    seed: int,
    dtype: Any = "float32",
    kernel: str | Exchange = "auto",
) -> Model:
    """A model with random parameters, as its family draws them.

    Args:
        encoding: complete: there is no checkpoint whose `base` it could inherit.
        dtype: of the parameters; an encoding's learned tables are float32.

    Raises:
        ValueError: for an encoding that cannot serve these heads, an unknown kernel, or a dtype of no real numbers.
    """
    encoding.check(config.head_dim)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype={dtype!r} holds no parameters; take float32, bfloat16 or float16")
    for_weights, for_tables = jax.random.split(jax.random.key(seed))
    weights = initialise(for_weights, config, jnp.dtype(dtype))
    wiring = Wiring(config, encoding, pattern, parse(kernel))
    return Model(wiring, Parameters(with_tables(weights, for_tables, encoding, config)))
