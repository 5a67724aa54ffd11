"""What cannot go together in a plan, found before anything is read or compiled."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import psutil

from ropelab.attention.api import check_exchange as check_exchange
from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Pattern
from ropelab.attention.patterns.shifted_sparse import Grouped, ShiftedSparse
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.data.batch import Batch
from ropelab.data.settings import BYTE_VOCAB_SIZE, make_coder
from ropelab.data.synthetic import Passkey, parse_task
from ropelab.models.parameters import initialise
from ropelab.models.tables import with_tables
from ropelab.training import step
from ropelab.training.config import Stage
from ropelab.training.distributed import BATCH_AXES, check_batch, shardings
from ropelab.training.lora import Full
from ropelab.training.state import Setup

_BYTES_PER_TOKEN = 20  # per token: five arrays of four bytes


def check_memory(setup: Setup, stage: Stage) -> None:
    """Raise `ValueError` if a stage, or its evaluation, needs more memory than a device has.

    The estimate is a lower bound, so nothing that fits is refused. Per device:

        state + gradient + frozen parameters + batch + layers x rows x T x D

    with parameters and moments as they are sharded, and the residual stream that each layer keeps for the backward
    pass.
    """
    there = device_bytes()
    if there is None:
        return
    for what, needed in {**_training_bytes(setup, stage), **_evaluation_bytes(setup)}.items():
        if needed > there:
            raise ValueError(
                f"{what} need at least {needed / 1e9:,.1f} GB per device, which has {there / 1e9:,.1f} GB; give "
                "smaller ones, or more devices along mesh.fsdp or mesh.data"
            )


def _training_bytes(setup: Setup, stage: Stage) -> dict[str, int]:
    """Bytes per device of the arrays of a step, each with the settings that they come from."""
    state, frozen = setup.like(stage), _frozen_shapes(setup, stage)
    places = shardings(frozen, setup.mesh)
    parameters = _tree_bytes(state) + _tree_bytes(state.trainable)
    parameters += sum(map(_leaf_bytes, jax.tree.leaves(frozen), jax.tree.leaves(places)))
    shards, config = math.prod(setup.mesh.shape[axis] for axis in BATCH_AXES), setup.config
    tokens = stage.batch * stage.length // shards
    part = tokens // setup.plan.compute.accumulate // setup.mesh.shape["sequence"]
    kept = config.layers * part * config.width * jnp.dtype(setup.plan.compute.dtype).itemsize
    return {
        f"{setup.plan.model}, {setup.encoding(stage)!r} and {setup.plan.adaptation!r}": parameters,
        f"batch={stage.batch} of length={stage.length}": tokens * _BYTES_PER_TOKEN + kept,
    }


def _evaluation_bytes(setup: Setup) -> dict[str, int]:
    """Bytes of one window of each length that is measured, and of the examples of a task."""
    plan, width = setup.plan, setup.config.width * 4
    if not plan.held.tokens:
        return {}
    lengths = plan.held.lengths or (setup.stages[-1].length,)
    examples = plan.held.tokens * _BYTES_PER_TOKEN if parse_task(plan.data.source) is not None else 0
    return {
        f"held.lengths={max(lengths)}": max(lengths) * (_BYTES_PER_TOKEN + width // setup.mesh.shape["sequence"]),
        f"held.tokens={plan.held.tokens}": examples,
    }


def _frozen_shapes(setup: Setup, stage: Stage) -> Any:
    """The shapes of the parameters that are not trained."""

    def split_frozen() -> Any:
        key = jax.random.key(0)
        params = with_tables(initialise(key, setup.config), key, setup.encoding(stage), setup.config)
        return setup.plan.adaptation.split(key, params)[1]

    return jax.eval_shape(split_frozen)


def _tree_bytes(tree: Any) -> int:
    """Bytes of a tree of shapes with shardings, on one device."""
    return sum(_leaf_bytes(leaf, leaf.sharding) for leaf in jax.tree.leaves(tree))


def _leaf_bytes(leaf: Any, place: Any) -> int:
    return math.prod(place.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def device_bytes() -> int | None:
    """What each device has, in use or not; devices of a CPU share the host's. None if nothing tells."""
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return psutil.virtual_memory().total // len(devices)
    limits: list[Any] = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    return min((limit for limit in limits if limit), default=None)


def check_config(setup: Setup) -> None:
    """Raise `ValueError` unless this plan can run on this mesh, from beginning to end."""
    if setup.origin.encoding is None and setup.plan.encoding is None:
        raise ValueError(
            "a model from random parameters has no encoding of its own; give one, encoding=RoPE(base=10000.0)"
        )
    _check_origin(setup)
    _check_data(setup)
    try:
        for stage in setup.stages:
            _check_stage(setup, stage)
    except OverflowError as error:
        raise ValueError(f"a number of this plan is too large for an array: {error}") from error


def _check_stage(setup: Setup, stage: Stage) -> None:
    """Raise `ValueError` unless the steps of a stage can be made."""
    check_batch(stage.batch, setup.plan.compute.accumulate, setup.mesh)
    setup.encoding(stage).check(setup.config.head_dim)
    with jax.set_mesh(setup.mesh):
        check_memory(setup, stage)
    _check_groups(stage)
    _check_positions(setup, stage)
    _check_kernel(setup, stage)
    _check_shapes(setup, stage)


def _check_origin(setup: Setup) -> None:
    """Raise `ValueError` for an adapter beside random parameters, and text in other tokens than the model's."""
    plan, random = setup.plan, setup.origin.encoding is None
    if random and not isinstance(plan.adaptation, Full) and not plan.adapt_random:
        raise ValueError(
            f"adaptation={plan.adaptation!r} leaves most of the model as it is, and here that is random; give a model "
            "to begin from, or adapt_random=True if that is meant"
        )
    task, own = parse_task(plan.data.source), setup.tokenizer
    text = task is None or isinstance(task, Passkey)
    if (
        text
        and plan.data.tokenizer == "bytes"
        and not random
        and isinstance(own, Tokenizer)
        and not _is_byte_tokenizer(own)
    ):
        raise ValueError(
            f"{plan.model!r} was trained on the tokens of its own tokenizer, and data.tokenizer='bytes' means others "
            "by the same ids; give data.tokenizer=model"
        )


def _is_byte_tokenizer(tokenizer: Tokenizer) -> bool:
    """Whether every byte is a token, by its own number."""
    probe = "".join(map(chr, range(128))) + "é"
    return list(tokenizer.encode(probe)) == list(probe.encode())


def _check_data(setup: Setup) -> None:
    """Raise `ValueError` for tokens that the model has not, or windows and batches that the data cannot fill."""
    settings, vocabulary = setup.plan.data, setup.config.vocabulary
    task, text = parse_task(settings.source), make_coder(settings.tokenizer, setup.tokenizer)
    symbols = task is not None and not isinstance(task, Passkey)
    needed = task.vocabulary if task is not None and symbols else BYTE_VOCAB_SIZE
    if (symbols or settings.tokenizer == "bytes") and needed > vocabulary:
        what = f"{settings.source} has" if symbols else 'tokenizer="bytes" makes'
        other = "" if symbols or setup.tokenizer is None else ', or tokenizer="model"'
        raise ValueError(f"{what} {needed} tokens and the model a vocabulary of {vocabulary}; give it more{other}")
    for stage in setup.stages:
        settings.positions.check(stage.length)
        if task is not None:
            task.check(stage.length + 1, text)
        elif settings.lanes and stage.batch % settings.lanes:
            raise ValueError(f"batch={stage.batch} does not divide among lanes={settings.lanes}; give a multiple of it")


def _check_groups(stage: Stage) -> None:
    """Raise `ValueError` for groups that do not divide the windows: those at the ends would train on less."""
    pattern, length = stage.pattern, stage.length
    if isinstance(pattern, Grouped | ShiftedSparse) and length % pattern.group:
        fitting = [n for n in range(2, length + 1, 2) if length % n == 0]
        nearest = min(fitting, key=lambda n: abs(n - pattern.group), default=None)
        remedy = f"give group={nearest}" if nearest else "give windows of an even length"
        raise ValueError(f"{pattern!r} does not divide windows of length={length}; {remedy}")


def _window_patterns(setup: Setup, stage: Stage) -> Iterator[tuple[int, Pattern]]:
    """The windows that a stage trains on, and those that are measured."""
    held = setup.plan.held
    yield stage.length, stage.pattern
    if held.tokens:
        for length in held.lengths or (setup.stages[-1].length,):
            yield from ((length, pattern) for pattern in held.patterns or (stage.pattern,))


def _check_positions(setup: Setup, stage: Stage) -> None:
    """Raise `ValueError` for windows, or places in a longer text, that the encoding has no positions for."""
    encoding, drawn_from = setup.encoding(stage), getattr(setup.plan.data.positions, "length", 0)
    limit, longest = encoding.position_limit, max(length for length, _ in _window_patterns(setup, stage))
    if limit is not None and max(longest, drawn_from) > limit:
        asked = f"{longest} in a window" if longest > limit else f"{drawn_from} in data.positions"
        raise ValueError(f"{encoding!r} has {limit} positions, and {asked} are asked for; give it more, or cut these")


def _check_kernel(setup: Setup, stage: Stage) -> None:
    """Raise `ValueError` for tokens cut over devices without a way to bring them together, or one that does not fit."""
    kernel, over = setup.plan.kernel(), setup.mesh.shape["sequence"]
    if isinstance(kernel, Exchange):
        for kind in setup.encoding(stage).unique_encodings():
            for length, pattern in _window_patterns(setup, stage):
                check_exchange(kernel, setup.mesh, kind, pattern, length)
    elif over > 1:
        why = f"mesh.sequence={over} cuts the tokens, so attention needs an exchange, and compute.kernel={kernel!r}"
        raise ValueError(f'{why} is none; give compute.kernel="Ring()"')


def _check_shapes(setup: Setup, stage: Stage) -> None:
    """Have the state and the loss say what they have against each other, by their shapes alone."""
    recipe, encoding, shape = setup.recipe(stage), setup.encoding(stage), (stage.batch, stage.length)
    kinds = Batch(jnp.int32, jnp.int32, jnp.float32, jnp.int32, jnp.int32)
    batch = jax.tree.map(lambda kind: jax.ShapeDtypeStruct(shape, kind), kinds)

    def loss(batch: Batch) -> Any:
        key = jax.random.key(0)
        params = with_tables(initialise(key, setup.config), key, encoding, setup.config)
        return step.weighted_nll(recipe.wiring, params, batch, recipe.given, recipe.dtype)

    with jax.set_mesh(setup.mesh):
        jax.eval_shape(loss, batch)
