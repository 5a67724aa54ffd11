"""One step: what it computes, however it is cut, and what a bad batch does not change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ropelab import models
from ropelab.attention.patterns import Causal
from ropelab.data.batch import Batch
from ropelab.encodings import RoPE, T5Bias
from ropelab.models.compiled import logits
from ropelab.models.config import Wiring
from ropelab.models.module import from_scratch
from ropelab.training.lora import Full, LoRA
from ropelab.training.optimizer import Optimizer, decay_mask, make_schedule
from ropelab.training.step import (
    NORM_WINDOW,
    BatchFields,
    SkipConfig,
    StepConfig,
    init_state,
    loss_and_gradient,
    train_step,
)
from tests.training.tiny import MODEL

CONFIG = models.parse(MODEL)
T5 = T5Bias(buckets=8, max_distance=16)
graded = jax.jit(loss_and_gradient, static_argnums=0)


def recipe(encoding=T5, **changes):
    fields = {
        "wiring": Wiring(CONFIG, encoding, Causal()),
        "adaptation": Full(),
        "optimizer": Optimizer(lr=1e-2),
        "guard": SkipConfig(),
        "given": BatchFields(),
        "steps": 100,
    }
    return StepConfig(**(fields | changes))


@pytest.fixture(scope="module")
def params():
    """Ten times what is drawn, or attention would hardly tell one key from another."""
    drawn = from_scratch(CONFIG, T5, Causal(), seed=0).params
    return drawn | {"layers": {n: x if n.endswith("norm") else 10 * x for n, x in drawn["layers"].items()}}


def batch(seed, rows=4, length=12):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, CONFIG.vocabulary, (rows, length + 1)).astype(np.int32)
    weights = rng.integers(0, 2, (rows, length)).astype(np.float32)
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length))
    return Batch(ids[:, :-1], ids[:, 1:], weights, positions, np.zeros((rows, length), np.int32))


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def far(a, b):
    """The largest difference of two trees, by the largest value of each leaf."""
    worst = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max() / (jnp.abs(y).max() + 1e-12)), a, b)
    return max(jax.tree.leaves(worst))


@jax.jit
def written_out(params, batch):
    """The loss as its formula has it, from all logits at once."""
    scores = logits(Wiring(CONFIG, T5, Causal()), params, batch.tokens, None, None, length=None)
    nll = -jnp.take_along_axis(jax.nn.log_softmax(scores), batch.targets[..., None], -1)[..., 0]
    return jnp.sum(nll * batch.weights) / jnp.sum(batch.weights)


def test_the_loss_is_the_weighted_mean_and_the_gradient_its_slope(params):
    one = jax.tree.map(jnp.asarray, batch(0))
    wanted = jax.jit(jax.value_and_grad(written_out))(params, one)
    assert far(graded(recipe(), params, {}, one), wanted) < 2e-6


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_same_graded(params, parts):
    """Although the parts have other numbers of predictions."""
    whole = graded(recipe(), params, {}, batch(1))
    cut = graded(recipe(accumulate=parts), params, {}, batch(1))
    assert far(cut, whole) < 2e-6


@pytest.mark.parametrize("remat", ["products", "layers"])
def test_what_is_computed_again_is_the_same(params, remat):
    again = recipe(wiring=recipe().wiring._replace(remat=remat))
    assert far(graded(again, params, {}, batch(1)), graded(recipe(), params, {}, batch(1))) < 2e-6


def test_a_step_is_optax_s(params):
    state, happened = train_step(recipe(), init_state(recipe(), copied(params)), {}, batch(0))
    loss, gradient = graded(recipe(), params, {}, batch(0))
    lr = optax.cosine_decay_schedule(1e-2, 100, alpha=0.1)
    rule = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(lr, b1=0.9, b2=0.95, weight_decay=0.1, mask=decay_mask)
    )
    updates, _ = rule.update(gradient, rule.init(params), params)
    assert far(state.trainable, optax.apply_updates(params, updates)) < 1e-5
    assert float(happened.norm) == pytest.approx(float(optax.tree_utils.tree_norm(gradient)), rel=1e-5)
    assert float(happened.loss) == pytest.approx(float(loss), rel=1e-6)
    assert int(happened.tokens) == int(batch(0).weights.sum())


def copied(tree):
    return jax.tree.map(jnp.array, tree)


def test_a_batch_that_is_no_number_leaves_no_trace(params):
    """The state is the one of a run that never saw it, bit for bit, but for the counts of batches."""
    poisoned = batch(1)._replace(weights=np.full((4, 12), np.nan, np.float32))
    with_it, without = (init_state(recipe(), copied(params)) for _ in range(2))
    for one in (batch(0), poisoned, batch(2)):
        with_it, happened = train_step(recipe(), with_it, {}, one)
    for one in (batch(0), batch(2)):
        without, _ = train_step(recipe(), without, {}, one)
    assert same(with_it.trainable, without.trainable)
    assert same(with_it.moments, without.moments)
    assert (int(with_it.step), int(without.step)) == (3, 2)
    assert (int(happened.skipped), int(happened.in_a_row), bool(happened.taken)) == (1, 0, True)


def test_spikes_are_left_out_after_some_batches(params):
    steady = recipe(optimizer=Optimizer(lr=1e-12, schedule="constant", weight_decay=0.0), guard=SkipConfig(spike=3.0))
    state = init_state(steady, copied(params))
    for _ in range(NORM_WINDOW):
        state, happened = train_step(steady, state, {}, batch(0))
        assert happened.taken
    usual = float(state.watch.norm)
    assert usual == pytest.approx(float(happened.norm), rel=1e-3)
    louder = batch(0)._replace(weights=batch(0).weights * 1.0)
    high = copied(state.trainable) | {"norm": 10 * state.trainable["norm"]}
    state, happened = train_step(steady, state._replace(trainable=high), {}, louder)
    assert float(happened.norm) > 3 * usual
    assert not happened.taken
    assert int(happened.in_a_row) == 1


def test_only_the_adapter_moves(params):
    lora = recipe(adaptation=LoRA(rank=2), optimizer=Optimizer(lr=1e-2, schedule="constant"))
    trainable, frozen = lora.adaptation.split(jax.random.key(0), params)
    before = graded(lora, trainable, frozen, batch(0))[0]
    state = init_state(lora, copied(trainable))
    for _ in range(5):
        state, happened = train_step(lora, state, frozen, batch(0))
    assert float(happened.loss) < float(before)
    sizes = sum(x.size for x in jax.tree.leaves(state.trainable))
    moments = sum(x.size for x in jax.tree.leaves(state.moments) if x.ndim)
    assert moments == 2 * sizes < 0.6 * sum(x.size for x in jax.tree.leaves(params))


def test_half_precision_is_of_the_computation_alone(params):
    coarse = recipe(dtype="bfloat16")
    loss, gradient = graded(coarse, params, {}, batch(0))
    exact, wanted = graded(recipe(), params, {}, batch(0))
    assert 0 < abs(float(loss) - float(exact)) < 0.02
    assert {x.dtype for x in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    assert far(gradient, wanted) < 0.1


def test_positions_are_told_only_where_they_matter(params):
    rope = recipe(RoPE(base=100.0))
    plain = {name: leaf for name, leaf in params.items() if name != "encoding"}
    moved = batch(0)._replace(positions=batch(0).positions * 7)
    told = rope._replace(given=BatchFields(positions=True))
    unmoved = graded(rope, plain, {}, batch(0))[0]
    assert float(graded(rope, plain, {}, moved)[0]) == float(unmoved)
    assert abs(float(graded(told, plain, {}, moved)[0]) - float(unmoved)) > 1e-5
    assert float(graded(told, plain, {}, batch(0))[0]) == pytest.approx(float(unmoved), rel=1e-6)


@pytest.mark.parametrize(
    "schedule, middle, end", [("constant", 1.0, 1.0), ("linear", 0.55, 0.1), ("cosine", 0.55, 0.1)]
)
def test_the_learning_rate_s_course(schedule, middle, end):
    course = make_schedule(Optimizer(lr=2.0, schedule=schedule, warmup=10), 110)
    assert [float(course(n)) for n in (0, 5, 10)] == pytest.approx([0.0, 1.0, 2.0])
    assert float(course(60)) == pytest.approx(2 * middle, rel=1e-5)
    assert float(course(110)) == pytest.approx(2 * end, rel=1e-5)


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(ValueError, match="warmup=10 must be less than the 10 steps"):
        make_schedule(Optimizer(lr=1.0, warmup=10), 10)


def test_weight_decay_shrinks_matrices_alone(params):
    shrunk = jax.tree.leaves_with_path(decay_mask(params))
    names = {"".join(str(getattr(k, "key", "")) + "." for k in path) for path, yes in shrunk if not yes}
    assert {n.split(".")[-2] for n in names if not n.startswith("encoding")} == {"norm", "attention_norm", "mlp_norm"}
    assert any(n.startswith("encoding") for n in names)
