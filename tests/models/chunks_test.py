"""Position-wise work in chunks is the work as a whole, for any number of tokens."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from ropelab.models import chunks
from ropelab.models.stack import Placed, hidden_states
from tests.models import tiny


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CPU_CHUNK", 8)


def both(x_BTD: Array, y_BTND: Array) -> tuple[Array, dict[str, Array]]:
    """Two results of different rank from two arguments."""
    return x_BTD * 2 + 1, {"sum": y_BTND.sum(axis=-1) + x_BTD[..., :1]}


@pytest.mark.parametrize("T", [7, 16, 21])
def test_chunks_join_to_the_whole(T: int) -> None:
    rng = np.random.default_rng(0)
    x_BTD, y_BTND = rng.normal(size=(3, T, 5)), rng.normal(size=(3, T, 2, 4))
    got = jax.jit(partial(chunks.by_tokens, both))(x_BTD, y_BTND)
    expected = both(x_BTD, y_BTND)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, expected)
    assert jax.tree.map(np.shape, got) == jax.tree.map(np.shape, expected)


def test_split_and_merge_are_inverses() -> None:
    x = jnp.arange(2 * 24 * 3).reshape(2, 24, 3)
    assert chunks.split(x).shape == (3, 2, 8, 3)
    np.testing.assert_array_equal(chunks.merge(chunks.split(x)), x)


def test_a_chunk_is_what_the_function_sees() -> None:
    """The point of it: no intermediate of the function is longer than a chunk."""
    seen: list[int] = []

    def function(x_BTD: Array) -> Array:
        seen.append(x_BTD.shape[1])
        return x_BTD

    jax.eval_shape(partial(chunks.by_tokens, function), jnp.zeros((1, 21, 2)))
    assert set(seen) == {8, 5}


def test_a_model_in_chunks_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, T = tiny.lab("biased").model, 21
    tokens_BT = jnp.asarray(tiny.SHORT[:, :T])
    placed = Placed(jnp.broadcast_to(jnp.arange(T), (2, T)), None, T)
    in_chunks = hidden_states(model.wiring, model.params, tokens_BT, placed)
    monkeypatch.setattr(chunks, "CPU_CHUNK", 512)
    whole = hidden_states(model.wiring, model.params, tokens_BT, placed)
    np.testing.assert_allclose(in_chunks, whole, atol=2e-5)
