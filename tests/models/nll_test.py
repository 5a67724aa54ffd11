"""The negative log likelihood is log-softmax of the logits, whole or in parts, and never holds [T, V]."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ropelab
from ropelab.models import compiled, head
from tests.models import tiny


def from_logits(logits_BTV: np.ndarray, targets_BT: np.ndarray) -> np.ndarray:
    """-log softmax at the targets, in float64."""
    wide = np.asarray(logits_BTV, np.float64)
    return np.log(np.exp(wide).sum(axis=-1)) - np.take_along_axis(wide, targets_BT[..., None], axis=-1)[..., 0]


def test_nll_is_log_softmax_of_the_logits() -> None:
    for variant in (tiny.PLAIN, "default_5e5_untied"):
        model = tiny.lab(variant).model
        nll = model.nll(tiny.SHORT)
        assert nll.shape == (2, 23)
        assert nll.dtype == np.float32
        np.testing.assert_allclose(nll, from_logits(model.logits(tiny.SHORT)[:, :-1], tiny.SHORT[:, 1:]), atol=2e-5)


@pytest.mark.parametrize(("tokens", "words"), [(10, 32), (23, 97), (1, 96)])
def test_blocks_of_tokens_and_words_may_be_ragged(tokens: int, words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running maximum over the words: large logits and an improbable target lose nothing."""
    monkeypatch.setattr(head, "TOKENS", tokens)
    monkeypatch.setattr(head, "WORDS", words)
    params, targets_BT = tiny.lab().params, tiny.SHORT[:, 1:]
    x_BTD = 20 * np.random.default_rng(0).normal(size=(2, 23, 64)).astype(np.float32)
    losses = jax.jit(head.negative_log_likelihood)(params, x_BTD, targets_BT)
    np.testing.assert_allclose(losses, from_logits(x_BTD @ np.asarray(params["embedding"]).T, targets_BT), rtol=1e-5)


@pytest.mark.parametrize(
    ("swap", "part"),
    [(None, 2048), (None, 20), ("DynamicNTK(factor=2.0, original_length=32)", 13)],
)
def test_parts_give_what_the_whole_gives(swap: str | None, part: int) -> None:
    """A part reads the earlier ones from the cache under the length of the whole, so even DynamicNTK agrees."""
    model = tiny.lab().swap(swap).model
    pieces = list(model.nll_in_parts(tiny.LONG, part=part))
    assert [p.shape[1] for p in pieces] == [min(part, 79 - start) for start in range(0, 79, part)]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), model.nll(tiny.LONG), atol=5e-5)


def test_parts_of_a_batch_keep_its_rows_apart() -> None:
    model = tiny.lab().model
    pieces = np.concatenate(list(model.nll_in_parts(tiny.SHORT, part=10)), axis=1)
    np.testing.assert_allclose(pieces, model.nll(tiny.SHORT), atol=2e-5)


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a program, those of its loops and branches included."""
    for equation in jaxpr.eqns:
        yield equation
        inner = [getattr(v, "jaxpr", v) for p in equation.params.values() for v in (p if type(p) is tuple else (p,))]
        for program in inner:
            if hasattr(program, "eqns"):
                yield from equations(program)


def holds_all_logits(function: Any, params: Any, T: int) -> bool:
    """Whether any value of the program has one entry for each token and word."""
    program = jax.make_jaxpr(function)(params, jnp.zeros((1, T), jnp.int32), jnp.arange(T)[None])
    shapes = (v.aval.shape for e in equations(program.jaxpr) for v in e.outvars)
    return any(shape and shape[-1] == tiny.VOCABULARY and np.prod(shape[:-1]) >= T - 1 for shape in shapes)


def test_no_value_of_the_program_has_tokens_times_words() -> None:
    """At 8192 tokens and 49152 words it would be 1.6 GB. The logits, which have it, show that it would be seen."""
    model = tiny.lab().model
    T = 2 * head.TOKENS + 7
    nll, logits = (partial(call_with, c, model.wiring) for c in (compiled.nll, compiled.logits))
    assert holds_all_logits(logits, model.params, T)
    assert not holds_all_logits(nll, model.params, T)
    assert not holds_all_logits(jax.grad(lambda *xs: nll(*xs).sum()), model.params, T)


def call_with(entry: Any, wiring: Any, params: Any, tokens_BT: Any, pos: Any) -> Any:
    return entry(wiring, params, tokens_BT, pos, None, length=tokens_BT.shape[1])


def test_every_parameter_has_a_gradient(tmp_path: Path) -> None:
    """A parameter that no loss reaches is one that the model does not use."""
    settings = tiny.config("biased", tie_word_embeddings=False)
    every_kind = tiny.tensors("biased") | tiny.tensors("default_5e5_untied")
    model = ropelab.load(tiny.write(tmp_path, settings=settings, weights=every_kind)).model
    tokens_BT, where = model.arranged(tiny.SHORT, None, None, None)
    gradients = jax.grad(lambda p: compiled.nll(model.wiring, p, tokens_BT, **where).mean())(model.params)
    for path, gradient in jax.tree.leaves_with_path(gradients):
        by_layer = np.abs(np.asarray(gradient)).reshape(gradient.shape[0], -1).max(axis=1)
        assert np.isfinite(by_layer).all(), jax.tree_util.keystr(path)
        stacked = len(path) > 1
        assert (by_layer > 0).all() if stacked else by_layer.max() > 0, jax.tree_util.keystr(path)
