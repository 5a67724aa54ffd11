"""Encodings with learned tables and schedules over layers, inside a model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ropelab.encodings import CoPE, Layers, NoPE, RoPE, T5Bias
from ropelab.models import compiled
from ropelab.models.tables import initialise_tables
from tests.models import tiny

TOKENS = jnp.asarray(tiny.SHORT)


def test_each_layer_has_its_own_tables_unless_they_are_shared() -> None:
    config = tiny.lab().config
    own = initialise_tables(jax.random.key(0), CoPE(max_position=5), config)["0"]["table"]
    assert own.shape == (config.layers, 5, config.head_dim)
    assert not np.array_equal(own[0], own[1])
    assert initialise_tables(jax.random.key(0), T5Bias(), config)["0"]["table"].shape == (32, config.heads)
    assert initialise_tables(jax.random.key(0), RoPE(), config) == {}


@pytest.mark.parametrize("spec", ["CoPE(max_position=9)", "T5Bias()", "LearnedAbsolute(max_length=64)", "FIRE()"])
def test_the_loss_teaches_the_tables(spec: str) -> None:
    model = tiny.lab().swap(spec).model
    pos = jnp.arange(TOKENS.shape[1])

    def loss(tables: dict) -> jax.Array:
        params = model.params | {"encoding": tables}
        return jnp.mean(compiled.nll(model.wiring, params, TOKENS, pos, None, length=TOKENS.shape[1]))

    for gradient in jax.tree.leaves(jax.grad(loss)(model.params["encoding"])):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_a_schedule_runs_each_layer_under_its_own_encoding() -> None:
    """Two layers: the schedule's logits are those of a model whose layers are wired by hand."""
    lab = tiny.lab()
    both = {spec: np.asarray(lab.swap(spec).logits(TOKENS)) for spec in ("RoPE()", "NoPE()")}
    mixed = lab.swap("Layers((RoPE(), NoPE()))")
    other = lab.swap("Layers((NoPE(), RoPE()))")
    assert repr(mixed.encoding) == "Layers((RoPE(base=10000.0), NoPE()))"
    found = [np.asarray(x.logits(TOKENS)) for x in (mixed, other)]
    for a in (*both.values(), found[1]):
        assert np.abs(found[0] - a).max() > 1e-2
    np.testing.assert_array_equal(lab.swap("Layers((RoPE(), RoPE()))").logits(TOKENS), both["RoPE()"])
    np.testing.assert_allclose(by_hand(mixed), found[0], atol=1e-5)


def by_hand(lab: object) -> np.ndarray:
    """The schedule's layers one after another, each a model of one layer under one encoding."""
    from ropelab.models import head, llama, stack
    from ropelab.models.compiled import place
    from ropelab.models.tables import LayerTables

    wiring, params = lab.model.wiring, lab.model.params  # type: ignore[attr-defined]
    placed = place(jnp.arange(TOKENS.shape[1]), None, TOKENS.shape[1], TOKENS.shape[0])
    x = params["embedding"][TOKENS]
    for n, encoding in enumerate((RoPE(base=1e4), NoPE())):
        one = wiring._replace(encoding=encoding)
        layer = jax.tree.map(lambda leaf, n=n: leaf[n], params["layers"])
        q, k, v = llama.projections(one.config, layer, x)
        mixed = stack.mix(one, LayerTables(n, {}, {}), q, (k, v), placed, placed, None)
        x = llama.finish_layer(one.config, layer, x, mixed)
    return np.asarray(head.logits(params, llama.last_norm(wiring.config, params, x)))


def test_a_longer_schedule_is_cycled() -> None:
    schedule = Layers((RoPE(base=1e4), RoPE(base=1e4), NoPE()))
    assert [schedule.encoding_index(layer) for layer in range(7)] == [0, 0, 1, 0, 0, 1, 0]
    assert dataclasses.replace(schedule) == schedule
