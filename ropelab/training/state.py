"""From a plan to what the steps of each stage are compiled for, and to the state that they begin from."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from ropelab.data.batch import Batch
from ropelab.data.positions import Consecutive
from ropelab.encodings.base import Encoding
from ropelab.models.config import Wiring
from ropelab.models.family import Tree
from ropelab.models.parameters import fingerprint, initialise
from ropelab.models.tables import with_tables
from ropelab.training import start
from ropelab.training.adaptation import Full
from ropelab.training.checks import check
from ropelab.training.mesh import made_on, shardings
from ropelab.training.objective import Given
from ropelab.training.plan import Plan, Stage
from ropelab.training.step import Recipe, State, first_state


class Setup:
    """A plan on a mesh.

    Attributes:
        arrays: what the training begins from, once they are read.
        base: fingerprint of its weights.

    Raises:
        ValueError: if what the plan begins from is not there.
    """

    arrays: start.Arrays | None = None
    base: str = ""

    def __init__(self, plan: Plan, mesh: Mesh):
        self.plan, self.mesh, self.stages = plan, mesh, plan.stages()
        self.origin = start.origin(plan.model, seed=plan.seed)
        self.config, self.tokenizer = self.origin.config, self.origin.tokenizer

    def read(self) -> start.Arrays:
        """Read the weights that the training begins from."""
        self.arrays = arrays = self.origin.read(self.mesh)
        self.base = fingerprint(arrays.weights)
        if arrays.encoding != self.origin.encoding:  # of a run that went back behind a damaged checkpoint
            self.origin = self.origin._replace(encoding=arrays.encoding)
            check(self)
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

    def stage_before(self, step: int) -> Stage:
        """What held in the last of so many steps."""
        return [stage for stage in self.stages if stage.start <= max(step - 1, 0)][-1]

    def encoding(self, stage: Stage) -> Encoding:
        """What is plugged in, complete: what is left out is the checkpoint's."""
        own = self.origin.encoding
        if own is None:
            assert stage.encoding is not None
            return stage.encoding
        return own if stage.encoding is None else stage.encoding.inherit(own)

    def recipe(self, stage: Stage) -> Recipe:
        plan, compute = self.plan, self.plan.compute
        wiring = Wiring(self.config, self.encoding(stage), stage.pattern, plan.kernel(), compute.remat)
        drawn = not isinstance(plan.data.positions, Consecutive)
        given = Given(positions=drawn, segments=plan.data.separate_documents)
        return Recipe(
            wiring,
            plan.adaptation,
            plan.optimizer,
            plan.guard,
            given,
            plan.steps,
            compute.accumulate,
            compute.dtype,
        )

    def begin(self, stage: Stage) -> tuple[State, Tree]:
        """`(state, frozen)` before the first step. The weights that were read belong to them from then on."""
        arrays = self.read() if self.arrays is None else self.arrays
        params = arrays.weights | self.tables(stage)
        adaptation = self.plan.adaptation
        key = jax.random.fold_in(jax.random.key(self.plan.seed), 1)
        trainable, frozen = adaptation.split(key, params)
        if not isinstance(adaptation, Full):
            trainable = made_on(self.mesh, lambda params: adaptation.split(key, params)[0], params)
            frozen = jax.tree.map(lambda x: x if isinstance(x.sharding, NamedSharding) else np.asarray(x), frozen)
        self.arrays = arrays._replace(weights={}, tables={})
        return self.state(stage, trainable), frozen

    def like(self, stage: Stage) -> State:
        """The shapes, types and places of the state in a stage, nothing of it computed."""
        encoding, adaptation = self.encoding(stage), self.plan.adaptation

        def first() -> State:
            key = jax.random.key(0)
            params = with_tables(initialise(key, self.config), key, encoding, self.config)
            return first_state(self.recipe(stage), adaptation.split(key, params)[0])

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

    def state(self, stage: Stage, trainable: Tree) -> State:
        """A state with fresh moments; the trainable parameters are used up."""
        first = partial(first_state, self.recipe(stage))
        places = shardings(jax.eval_shape(first, trainable), self.mesh)
        return jax.jit(first, out_shardings=places, donate_argnums=0)(trainable)

    def tables(self, stage: Stage) -> Tree:
        """An encoding's tables: those that came with the weights, if they are of this encoding, or fresh ones."""
        encoding = self.encoding(stage)
        came = self.arrays.tables if self.arrays is not None else {}
        if came and encoding == self.origin.encoding:
            return {"encoding": came}
        made = start.tables(encoding, self.config, seed=self.plan.seed, mesh=self.mesh)
        return {"encoding": made} if made else {}

    def carried(self, state: State, before: Stage, stage: Stage) -> State:
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
