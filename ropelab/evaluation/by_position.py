"""Negative log likelihood of every token of a text under variants, at several lengths; and what a decoder sees of it.

A pass is one document read by one variant; its losses are one measurement of the store, so an interrupted run resumes
where it stopped. One pass answers every length at which the variant gives equal positions equal frequencies.

A decoder scores each token from a cache, under the length that the text has by then. With `per="sequence"` this is not
what a full forward pass scores: that gives every token the frequencies of the whole text, and a decoder those of the
text so far, with hidden states made under still earlier ones.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ropelab.encodings.user_module import source_modules
from ropelab.evaluation.perplexity import Band, Score, document_nll, make_bands, score_band
from ropelab.evaluation.record import Protocol, Record
from ropelab.evaluation.store import Store, describe_versions
from ropelab.evaluation.variants import Variant, group_lengths
from ropelab.models.finite import check_finite
from ropelab.models.generation import Decoder
from ropelab.models.module import Model

EVALUATION, DECODING = "perplexity_by_position", "decoding"


class PositionSettings(NamedTuple):
    """All that losses by position depend on, apart from the variant.

    Attributes:
        model, weights: the checkpoint by name, and the fingerprint of its parameters.
        text, text_sha256: where the text came from, and the hash of its UTF-8 bytes.
        lengths: tokens per window.
        windows: documents measured, the first ones of the token stream, not overlapping.
        edges: positions at which bands begin and end.
        last: size of the band at the end of each length.
        kernel: as requested for all variants.
        part: tokens scored at a time, the earlier ones being read from a cache.
    """

    model: str
    weights: str
    text: str
    text_sha256: str
    lengths: tuple[int, ...]
    windows: int
    edges: tuple[int, ...]
    last: int
    dtype: str
    kernel: str
    part: int
    bos: str = "none added"

    @property
    def stride(self) -> int:
        """Tokens from the beginning of one document to that of the next."""
        return max(self.lengths)

    def protocol(self) -> Protocol:
        """Return the protocol of all records."""
        scored = ", ".join(str((length - 1) * self.windows) for length in self.lengths)
        return Protocol(
            model=self.model,
            weights=self.weights,
            text=self.text,
            text_sha256=self.text_sha256,
            method=f"{_count_windows(self.windows, self.lengths)} from the beginning, no overlap, BOS {self.bos}; "
            f"{scored} tokens scored",
            compute=f"{self.dtype}, kernel {self.kernel}",
            versions=describe_versions(),
        )

    def facts(self) -> dict[str, Any]:
        """Return what one pass depends on, apart from the variant."""
        names = ("weights", "text", "text_sha256", "dtype", "kernel", "part", "bos", "stride")
        return {name: getattr(self, name) for name in names} | {"versions": describe_versions()}


def _count_windows(windows: int, lengths: Sequence[int]) -> str:
    *others, longest = map(str, sorted(lengths))
    tokens = f"{', '.join(others)} and {longest}" if others else longest
    each = " each" if others else ""
    return f"{windows} window{'' if windows == 1 else 's'}{each} of {tokens} tokens"


class Pass(NamedTuple):
    """One document read by one variant, and the lengths that it answers."""

    variant: Variant
    length: int
    answers: tuple[int, ...]
    window: int


class Losses(NamedTuple):
    """One variant at one length.

    Attributes:
        nll: float32[windows, length - 1], entry t for token t + 1.
        seconds: time of the passes, compilation included, for `scored` tokens.
    """

    variant: Variant
    length: int
    nll: np.ndarray
    seconds: float
    scored: int


def plan_passes(variants: Sequence[Variant], settings: PositionSettings) -> list[Pass]:
    """Return every pass that the table needs, variant by variant."""
    return [
        Pass(variant, length, answers, window)
        for variant in variants
        for length, answers in group_lengths(variant, settings.lengths).items()
        for window in range(settings.windows)
    ]


def facts_of(one: Pass, settings: PositionSettings) -> dict[str, Any]:
    """Return all that the losses of a pass depend on."""
    wiring = one.variant.model.wiring
    chop = one.variant.window if one.variant.window and one.variant.window < one.length else None
    return settings.facts() | {
        "evaluation": EVALUATION,
        "encoding": repr(wiring.encoding),
        "sources": list(source_modules(wiring.encoding)),
        "pattern": repr(wiring.pattern),
        "variant_kernel": str(wiring.kernel),
        "chopped": chop,
        "length": one.length,
        "window": one.window,
    }


def measure(
    variants: Sequence[Variant],
    documents: np.ndarray,
    settings: PositionSettings,
    store: Store,
    *,
    begin: Callable[[Pass], object] = lambda one: None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> list[Losses]:
    """Measure all variants at all lengths, in the order of the variants.

    Args:
        documents: token ids [windows, longest length].
        begin, advance: called with the pass that begins, and with numbers of scored tokens.
    """
    found: dict[tuple[str, int], list[tuple[np.ndarray, float]]] = {}
    for one in plan_passes(variants, settings):
        begin(one)
        passed = _measure_pass(one, documents[one.window, : one.length], settings, store, advance)
        for length in one.answers:
            found.setdefault((one.variant.name, length), []).append(passed)
    return [
        _join_windows(variant, length, found[variant.name, length])
        for variant in variants
        for length in settings.lengths
    ]


def _join_windows(variant: Variant, length: int, windows: Sequence[tuple[np.ndarray, float]]) -> Losses:
    scored = sum(nll.size for nll, _ in windows)
    nll = np.stack([nll[: length - 1] for nll, _ in windows])
    return Losses(variant, length, nll, sum(seconds for _, seconds in windows), scored)


def _measure_pass(
    one: Pass, tokens_T: np.ndarray, settings: PositionSettings, store: Store, advance: Callable[[int], object]
) -> tuple[np.ndarray, float]:
    """Return `(nll, seconds)` of one pass."""
    facts = facts_of(one, settings)
    if facts in store:
        kept = store.get(facts)
        advance(one.length - 1)
        return kept["nll"], kept["seconds"]
    beginning, seconds = _known_beginning(one, settings, store)
    start = time.perf_counter()
    nll = document_nll(one.variant.model, tokens_T, window=one.variant.window, beginning=beginning, advance=advance)
    seconds += time.perf_counter() - start
    store.put(facts, {"nll": nll, "seconds": seconds})
    return nll, seconds


def _known_beginning(one: Pass, settings: PositionSettings, store: Store) -> tuple[np.ndarray | None, float]:
    """Return the losses of the first piece of a chopped document and their time, where the whole was read already.

    The first piece is the beginning of the whole, and is scored alike unless the encoding depends on the length.
    """
    if one.variant.window is None or one.variant.model.wiring.encoding.depends_on_length:
        return None, 0.0
    whole = store.get(facts_of(one._replace(variant=one.variant._replace(window=None)), settings))
    if whole is None:
        return None, 0.0
    beginning = whole["nll"][: one.variant.window - 1]
    return beginning, whole["seconds"] * beginning.size / whole["nll"].size


def make_records(measured: Sequence[Losses], settings: PositionSettings) -> list[Record]:
    """Return one record per variant, length and band of positions, and the speed of each variant and length.

    Metric "nll" is the mean over all positions, or over [first, last); "nll_tail" that over the last positions.
    """
    protocol, records = settings.protocol(), []
    for one in measured:
        shared: dict[str, Any] = _columns(one.variant, settings.model, one.length) | {"protocol": protocol}
        for band in make_bands(settings.edges, one.length, settings.last):
            total = sum((score_band(nll_T, band) for nll_T in one.nll), start=Score(0.0, 0))
            records.append(Record(evaluation=EVALUATION, value=total.mean, count=total.tokens, **_band(band), **shared))
        speed = one.scored / one.seconds
        records.append(
            Record(evaluation=EVALUATION, metric="tokens_per_second", value=speed, count=one.scored, **shared)
        )
    return records


def _band(band: Band) -> dict[str, Any]:
    if band.name == "all":
        return {"metric": "nll"}
    return {"metric": "nll_tail" if band.name.startswith("last") else "nll", "first": band.first, "last": band.last}


def _columns(variant: Variant, model: str, length: int) -> dict[str, Any]:
    wiring = variant.model.wiring
    return {
        "model": model,
        "variant": variant.name,
        "encoding": repr(wiring.encoding),
        "pattern": repr(wiring.pattern),
        "kernel": str(wiring.kernel),
        "window": variant.window,
        "length": length,
    }


@jax.jit
def _loss(logits_BV: jax.Array, tokens_B: jax.Array) -> jax.Array:
    """Return -log p(token), float32[B]."""
    picked_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits_BV, axis=-1) - picked_B


def decoded_nll(
    model: Model, tokens_T: np.ndarray, first: int, advance: Callable[[int], object] = lambda tokens: None
) -> np.ndarray:
    """Return float32[T - first]: -log p of the tokens from `first` on; those before are read as a prompt.

    Args:
        advance: called for each scored token.

    Raises:
        ValueError: if `first` leaves no prompt or no token to score.
    """
    if not 0 < first < len(tokens_T):
        raise ValueError(f"first={first} must lie between 1 and the {len(tokens_T) - 1} tokens before the last")
    decoder, losses = Decoder(model, [tokens_T[:first].tolist()], len(tokens_T) - first), []
    for t in range(first, len(tokens_T)):
        token_B = jnp.asarray(tokens_T[t : t + 1], jnp.int32)
        losses.append(_loss(decoder.logits_BV, token_B))
        advance(1)
        if t + 1 < len(tokens_T):
            decoder.step(token_B)
    found = np.concatenate([np.asarray(x) for x in losses])
    check_finite(model, found, tokens_T[None], "losses")
    return found


class Decoded(NamedTuple):
    """Losses of one variant from token `first` on: of a full forward pass, and of a decoder."""

    variant: Variant
    full: np.ndarray
    decoded: np.ndarray


def measure_decoding(
    variants: Sequence[Variant],
    tokens_T: np.ndarray,
    first: int,
    settings: PositionSettings,
    store: Store,
    *,
    begin: Callable[[str], object] = lambda what: None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> Iterator[Decoded]:
    """Measure each variant in a full forward pass and decoded, token by token."""
    T = len(tokens_T)
    for variant in variants:
        facts = facts_of(Pass(variant, T, (T,), 0), settings) | {"evaluation": DECODING, "first": first}

        def full(variant: Variant = variant) -> np.ndarray:
            return document_nll(variant.model, tokens_T, window=None, advance=advance)[first - 1 :]

        def decoded(variant: Variant = variant) -> np.ndarray:
            return decoded_nll(variant.model, tokens_T, first, advance)

        begin(f"{variant.name}, full forward")
        losses = store.get_or_measure(facts | {"way": "full forward"}, full)
        begin(f"{variant.name}, decoded")
        yield Decoded(variant, losses, store.get_or_measure(facts | {"way": "decoded"}, decoded))


def make_decoding_records(measured: Sequence[Decoded], first: int, settings: PositionSettings) -> list[Record]:
    """Return three records per variant: `nll_full`, `nll_decoded`, and their largest difference at a token."""
    records = []
    for one in measured:
        length = settings.stride
        values = {
            "nll_full": float(one.full.mean(dtype=np.float64)),
            "nll_decoded": float(one.decoded.mean(dtype=np.float64)),
            "largest_difference": float(np.abs(one.full - one.decoded).max()),
        }
        shared: dict[str, Any] = _columns(one.variant, settings.model, length) | {
            "protocol": settings.protocol(),
            "first": first,
            "last": length,
        }
        records += [
            Record(evaluation=DECODING, metric=metric, value=value, count=one.full.size, **shared)
            for metric, value in values.items()
        ]
    return records
