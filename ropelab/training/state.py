"""From a configuration to the initial state, and from a run folder back to parameters.

`Setup` resolves a `TrainConfig` on a mesh: where the weights come from (`Origin`: random, a checkpoint, or another
run), which encoding each stage uses, and the `StepConfig` that a step is compiled for. `open_run` reads what a training
saved. Origins and runs are in one module because a run may begin from a run.
"""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from ropelab import models
from ropelab.checkpoints.hugging_face.writing import extend_length
from ropelab.checkpoints.locate import open_source
from ropelab.checkpoints.source import Source, assemble
from ropelab.checkpoints.tokenizer import Tokenizer, make_byte_tokenizer
from ropelab.data.batch import Batch
from ropelab.data.positions import Consecutive
from ropelab.data.synthetic import Passkey, parse_task
from ropelab.encodings.base import Encoding
from ropelab.models.config import Wiring
from ropelab.models.family import Config, Tree
from ropelab.models.parameters import fingerprint, initialise
from ropelab.models.tables import initialise_tables, with_tables
from ropelab.training.checkpointing import Checkpoints, Saving, sealed_steps
from ropelab.training.config import Stage, TrainConfig, parse
from ropelab.training.distributed import MeshShape, init_on_mesh, make_mesh, shardings
from ropelab.training.lora import Full
from ropelab.training.run_folder import is_run, parse_run_path, read_config_file
from ropelab.training.step import BatchFields, StepConfig, TrainState, init_state

_MAX_ANCESTORS = 50  # runs that begin from one another


class InitialArrays(NamedTuple):
    """What a training begins from, on a mesh.

    Attributes:
        encoding: that the parameters were trained under; None for random ones.
        weights: float32, without an encoding's tables.
        tables: an encoding's tables that came with the weights.
    """

    encoding: Encoding | None
    weights: Tree
    tables: Tree


class Origin(NamedTuple):
    """What a training begins from, before any of it is read.

    Attributes:
        encoding: as of the arrays.
        tokenizer: what the model reads text with; None for random parameters.
        weights: what the stored weights are, as of a `Source`; "" for random parameters.
        read: the arrays, each where the mesh wants it.
    """

    config: Config
    encoding: Encoding | None
    tokenizer: Tokenizer | None
    weights: str
    read: Callable[[Mesh], InitialArrays]


def open_origin(model: str, *, seed: int) -> Origin:
    """What `model` names.

    Raises:
        ValueError: if there is no such checkpoint, or it cannot be read.
    """
    config = _parse_model(model)
    if config is not None:
        return Origin(config, None, None, "", partial(_init_random, config, seed))
    if is_run(model):
        _check_ancestry(model)
        return _open_run_origin(model)
    opened = open_source(model)
    return Origin(opened.config, opened.encoding, opened.tokenizer, opened.weights, partial(_read_source, opened))


def _parse_model(model: str) -> Config | None:
    """The sizes of a model that begins from random parameters; None if `model` names a checkpoint.

    Raises:
        ValueError: for sizes that cannot be read.
    """
    return models.parse(model) if model.split("(")[0].strip() in models.CLASSES or "(" in model else None


def _init_random(config: Config, seed: int, mesh: Mesh) -> InitialArrays:
    def draw(key: jax.Array) -> Tree:
        return initialise(key, config, jnp.float32)

    return InitialArrays(None, init_on_mesh(mesh, draw, _split_seed(seed)[0]), {})


def _read_source(opened: Source, mesh: Mesh) -> InitialArrays:
    return InitialArrays(opened.encoding, assemble(opened, dtype=jnp.float32, mesh=mesh), {})


def _check_ancestry(folder: str) -> None:
    """Raise `ValueError` for a run that begins from a run and so on, too often or in a circle."""
    model, ancestry = folder, []
    while _parse_model(model) is None and is_run(model):
        path = os.path.realpath(parse_run_path(model)[0])
        if path in ancestry:
            raise ValueError(f"{folder} begins from {model}, which begins from itself; a plan.json names a wrong model")
        if len(ancestry) == _MAX_ANCESTORS:
            raise ValueError(
                f"{folder} begins from more than {_MAX_ANCESTORS} runs, one from another; export one of them"
            )
        ancestry.append(path)
        model = read_config(model).model


def _open_run_origin(folder: str) -> Origin:
    """What another run has come to, its adapter merged."""

    def read_run(mesh: Mesh) -> InitialArrays:
        run = open_run(folder, mesh=mesh)
        params = merge_params(run)
        weights = {name: leaf for name, leaf in params.items() if name != "encoding"}
        return InitialArrays(run.wiring.encoding, weights, params.get("encoding", {}))

    run = summarize_run(folder)
    return Origin(run.wiring.config, run.wiring.encoding, run.tokenizer, run.weights, read_run)


def _split_seed(seed: int) -> tuple[jax.Array, jax.Array]:
    """For the weights, and for an encoding's tables: as `models.from_scratch` splits them."""
    for_weights, for_tables = jax.random.split(jax.random.key(seed))
    return for_weights, for_tables


def _init_encoding_params(encoding: Encoding, config: Config, *, seed: int, mesh: Mesh) -> Tree:
    """Fresh tables of an encoding that learns, on the mesh; `{}` of any other."""
    made = partial(initialise_tables, encoding=encoding, config=config)
    return init_on_mesh(mesh, made, _split_seed(seed)[1])


class Setup:
    """A plan on a mesh.

    Attributes:
        arrays: what the training begins from, once they are read.
        base: fingerprint of its weights.

    Raises:
        ValueError: if what the plan begins from is not there.
    """

    arrays: InitialArrays | None = None
    base: str = ""

    def __init__(self, plan: TrainConfig, mesh: Mesh):
        self.plan, self.mesh, self.stages = plan, mesh, plan.stages()
        self.origin = open_origin(plan.model, seed=plan.seed)
        self.config, self.tokenizer = self.origin.config, self.origin.tokenizer

    def read(self) -> InitialArrays:
        """Read the weights that the training begins from."""
        self.arrays = arrays = self.origin.read(self.mesh)
        self.base = fingerprint(arrays.weights)
        if arrays.encoding != self.origin.encoding:  # of a run that went back behind a damaged checkpoint
            self.origin = self.origin._replace(encoding=arrays.encoding)
        return arrays

    def check_tokens(self, batch: Batch) -> None:
        """Raise `ValueError` for ids that the embedding has no row for: a gather would take another without a word."""
        ids = np.asarray([part.min() for part in batch[:2]] + [part.max() for part in batch[:2]])
        strange = ids[(ids < 0) | (ids >= self.config.vocabulary)]
        if len(strange):
            raise ValueError(
                f"{self.plan.data.source!r} as {self.plan.data.tokenizer} has the token {strange[0]}, the model a "
                f"vocabulary of {self.config.vocabulary}; give the model more, or take another tokenizer"
            )

    def check_base(self, base: str) -> None:
        """Raise `ValueError` unless a checkpoint was trained from these weights."""
        if base != self.base:
            raise ValueError(
                f"the checkpoint was trained from weights {base}, and {self.plan.model!r} now has {self.base}; "
                "take another folder, or bring the old weights back"
            )

    def stage_at(self, step: int) -> Stage:
        """What held in the last of so many steps."""
        return [stage for stage in self.stages if stage.start <= max(step - 1, 0)][-1]

    def encoding(self, stage: Stage) -> Encoding:
        """What is plugged in, complete: what is left out is the checkpoint's."""
        own = self.origin.encoding
        if own is None:
            assert stage.encoding is not None
            return stage.encoding
        return own if stage.encoding is None else stage.encoding.inherit(own)

    def recipe(self, stage: Stage) -> StepConfig:
        plan, compute = self.plan, self.plan.compute
        wiring = Wiring(self.config, self.encoding(stage), stage.pattern, plan.kernel(), compute.remat)
        drawn = not isinstance(plan.data.positions, Consecutive)
        given = BatchFields(positions=drawn, segments=plan.data.separate_documents)
        return StepConfig(
            wiring,
            plan.adaptation,
            plan.optimizer,
            plan.guard,
            given,
            plan.steps,
            compute.accumulate,
            compute.dtype,
        )

    def begin(self, stage: Stage) -> tuple[TrainState, Tree]:
        """`(state, frozen)` before the first step. The weights that were read belong to them from then on."""
        arrays = self.read() if self.arrays is None else self.arrays
        params = arrays.weights | self.tables(stage)
        adaptation = self.plan.adaptation
        key = jax.random.fold_in(jax.random.key(self.plan.seed), 1)
        trainable, frozen = adaptation.split(key, params)
        if not isinstance(adaptation, Full):
            trainable = init_on_mesh(self.mesh, lambda params: adaptation.split(key, params)[0], params)
            frozen = jax.tree.map(lambda x: x if isinstance(x.sharding, NamedSharding) else np.asarray(x), frozen)
        self.arrays = arrays._replace(weights={}, tables={})
        return self.state(stage, trainable), frozen

    def like(self, stage: Stage) -> TrainState:
        """The shapes, types and places of the state in a stage, nothing of it computed."""
        encoding, adaptation = self.encoding(stage), self.plan.adaptation

        def first() -> TrainState:
            key = jax.random.key(0)
            params = with_tables(initialise(key, self.config), key, encoding, self.config)
            return init_state(self.recipe(stage), adaptation.split(key, params)[0])

        state = jax.eval_shape(first)
        placed = partial(jax.tree.map, lambda x, to: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=to))
        return placed(state, shardings(state, self.mesh))

    def frozen(self, base: str) -> Tree:
        """What stays as it was, of weights with this fingerprint; nothing of it is read if everything is trained.

        Raises:
            ValueError: if the weights are others now.
        """
        if isinstance(self.plan.adaptation, Full):
            return {}
        arrays = self.read()
        self.check_base(base)
        return self.plan.adaptation.split(jax.random.key(0), arrays.weights)[1]

    def state(self, stage: Stage, trainable: Tree) -> TrainState:
        """A state with fresh moments; the trainable parameters are used up."""
        first = partial(init_state, self.recipe(stage))
        places = shardings(jax.eval_shape(first, trainable), self.mesh)
        return jax.jit(first, out_shardings=places, donate_argnums=0)(trainable)

    def tables(self, stage: Stage) -> Tree:
        """An encoding's tables: those that came with the weights, if they are of this encoding, or fresh ones."""
        encoding = self.encoding(stage)
        came = self.arrays.tables if self.arrays is not None else {}
        if came and encoding == self.origin.encoding:
            return {"encoding": came}
        made = _init_encoding_params(encoding, self.config, seed=self.plan.seed, mesh=self.mesh)
        return {"encoding": made} if made else {}

    def carried(self, state: TrainState, before: Stage, stage: Stage) -> TrainState:
        """The state as it goes on in a later stage: another encoding begins with tables and moments of its own."""
        if self.encoding(before) == self.encoding(stage):
            return state
        tables = self.tables(stage)
        if not tables and "encoding" not in state.trainable:
            return state
        weights = {name: leaf for name, leaf in state.trainable.items() if name != "encoding"}
        kept = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}
        fresh = self.state(stage, jax.tree.map(lambda x: x.copy(), weights | tables))

        def older(path: tuple, leaf: Any) -> Any:
            name = jax.tree_util.keystr(path)
            same = name in kept and kept[name].shape == leaf.shape and "['encoding']" not in name
            return kept[name] if same else leaf

        return jax.tree.map_with_path(older, fresh)


class RunSummary(NamedTuple):
    """A run, before any array of it is read.

    Attributes:
        step: of the newest checkpoint.
        wiring: what the last of so many steps were made under, by any kernel. Its `trained_length` is what the run has
            come to: see `trained_length`.
        original: the encoding that the training began from; None if it began from random parameters.
        tokenizer: what the model reads text with, None if it reads none: see `tokenizer_of`.
        weights: what the weights were that the training began from; "" if they were random.
    """

    plan: TrainConfig
    step: int
    wiring: Wiring
    original: Encoding | None
    tokenizer: Tokenizer | None
    weights: str


class LoadedRun(NamedTuple):
    """What a run has come to: all that an `Outline` has, and the arrays."""

    plan: TrainConfig
    step: int
    wiring: Wiring
    original: Encoding | None
    tokenizer: Tokenizer | None
    weights: str
    trainable: Tree
    frozen: Tree


def read_config(folder: str | os.PathLike[str]) -> TrainConfig:
    """What a run was asked to do.

    Raises:
        ValueError: if plan.json cannot be read, or was made with an encoding that is not in the catalogue.
    """
    text = read_config_file(parse_run_path(folder)[0])["plan"]
    try:
        found = parse(text)
        if not isinstance(found, TrainConfig):
            raise ValueError(f"{text[:80]!r} is no plan.")
        return found
    except ValueError as error:
        why = str(error).partition(" Known:")[0].partition(" Did you mean")[0]
        raise ValueError(
            f"{folder} cannot be opened: {why} A run under an encoding of your own goes on by its command, and is read "
            "by nothing else until that encoding is in the catalogue"
        ) from None


def summarize_run(folder: str | os.PathLike[str]) -> RunSummary:
    """What a run has come to, so far as its folder says without an array.

    Raises:
        ValueError: if the run did not save that step or anything, or what it began from is gone.
    """
    return _summarize(Setup(read_config(folder), _one_device()), saved_steps(folder)[-1])


def saved_steps(folder: str | os.PathLike[str]) -> list[int]:
    """The steps of a run that can be had, ascending; of `runs/x@100` that one.

    Raises:
        ValueError: if it is not there, or nothing is.
    """
    path, step = parse_run_path(folder)
    steps = sealed_steps(path / "checkpoints")
    if not steps:
        raise ValueError(f"{folder} has no checkpoint yet; train first")
    if step is not None and step not in steps:
        raise ValueError(f"{path} has no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
    return steps if step is None else [step]


def open_run(folder: str | os.PathLike[str], *, mesh: Mesh | None = None) -> LoadedRun:
    """The newest whole checkpoint of a run, or the one that is named as in `runs/x@100`, its arrays on the mesh, or on
    the first device. The run may be training meanwhile.

    Raises:
        ValueError: if the run did not save that step or anything, or what it began from has changed since.
        DamagedError: if there are checkpoints and none is whole.
    """
    saved_steps(folder)
    checkpoints = Checkpoints(parse_run_path(folder)[0] / "checkpoints", Saving(), writes=False)
    setup = Setup(read_config(folder), _one_device() if mesh is None else mesh)
    found = checkpoints.restore(lambda step: setup.like(setup.stage_at(step)), parse_run_path(folder)[1])
    if found is None:
        raise ValueError(f"{folder} has lost its checkpoints while it was opened")
    frozen, state = setup.frozen(found.facts["base"]), cast(TrainState, found.state)
    return LoadedRun(*_summarize(setup, found.step), state.trainable, frozen)


def merge_params(run: LoadedRun) -> Tree:
    """The parameters, float32, an adapter merged."""
    return run.plan.adaptation.merge(run.trainable, run.frozen)


def _summarize(setup: Setup, step: int) -> RunSummary:
    """The outline of a run after so many steps."""
    stage = setup.stage_at(step)
    config = dataclasses.replace(cast(Any, setup.config), trained_length=_trained_length(setup, step))
    wiring = Wiring(config, setup.encoding(stage), stage.pattern)
    return RunSummary(setup.plan, step, wiring, setup.origin.encoding, _tokenizer_of(setup), setup.origin.weights)


def _trained_length(setup: Setup, step: int) -> int:
    """Tokens of context after so many steps.

    The longest window, or the text that drawn positions stand in; of an extended model, at least as much as its
    encoding makes of what it had.
    """
    lengths = [stage.length for stage in setup.stages if stage.start <= max(step - 1, 0)]
    drawn_from = getattr(setup.plan.data.positions, "length", 0)
    was, now = setup.origin.encoding, setup.encoding(setup.stage_at(step))
    extended = 0 if was is None else extend_length(setup.config.trained_length, was, now)
    return max(*lengths, drawn_from, extended)


def _tokenizer_of(setup: Setup) -> Tokenizer | None:
    """What its training has read text with: bytes, or the tokenizer of what it began from.

    A task on symbols is no text, and leaves that of what it began from.
    """
    data = setup.plan.data
    task = parse_task(data.source)
    text = task is None or isinstance(task, Passkey)
    return make_byte_tokenizer() if text and data.tokenizer == "bytes" else setup.tokenizer


def _one_device() -> Mesh:
    return make_mesh(MeshShape(data=1), jax.devices()[:1])
