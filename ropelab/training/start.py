"""Where a training begins: random parameters, a checkpoint's, or those of another run."""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ropelab import models
from ropelab.checkpoints.locate import open_source
from ropelab.checkpoints.source import Source, assemble
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings.base import Encoding
from ropelab.models.family import Config, Tree
from ropelab.models.parameters import initialise
from ropelab.models.tables import initialise_tables
from ropelab.training.folder import is_run, place
from ropelab.training.mesh import made_on

GENERATIONS = 50  # runs that begin from one another


class Arrays(NamedTuple):
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
    read: Callable[[Mesh], Arrays]


def origin(model: str, *, seed: int) -> Origin:
    """What `model` names.

    Raises:
        ValueError: if there is no such checkpoint, or it cannot be read.
    """
    config = sizes(model)
    if config is not None:
        return Origin(config, None, None, "", partial(drawn, config, seed))
    if is_run(model):
        check_ancestry(model)
        return of_run(model)
    opened = open_source(model)
    return Origin(opened.config, opened.encoding, opened.tokenizer, opened.weights, partial(read, opened))


def sizes(model: str) -> Config | None:
    """The sizes of a model that begins from random parameters; None if `model` names a checkpoint.

    Raises:
        ValueError: for sizes that cannot be read.
    """
    return models.parse(model) if model.split("(")[0].strip() in models.CLASSES or "(" in model else None


def drawn(config: Config, seed: int, mesh: Mesh) -> Arrays:
    def draw(key: jax.Array) -> Tree:
        return initialise(key, config, jnp.float32)

    return Arrays(None, made_on(mesh, draw, keys(seed)[0]), {})


def read(opened: Source, mesh: Mesh) -> Arrays:
    return Arrays(opened.encoding, assemble(opened, dtype=jnp.float32, mesh=mesh), {})


def check_ancestry(folder: str) -> None:
    """Raise `ValueError` for a run that begins from a run and so on, too often or in a circle."""
    from ropelab.training import runs

    model, ancestry = folder, []
    while sizes(model) is None and is_run(model):
        path = os.path.realpath(place(model)[0])
        if path in ancestry:
            raise ValueError(f"{folder} begins from {model}, which begins from itself; a plan.json names a wrong model")
        if len(ancestry) == GENERATIONS:
            raise ValueError(f"{folder} begins from more than {GENERATIONS} runs, one from another; export one of them")
        ancestry.append(path)
        model = runs.plan_of(model).model


def of_run(folder: str) -> Origin:
    """What another run has come to, its adapter merged."""
    from ropelab.training import runs  # a run begins from something itself

    def read_run(mesh: Mesh) -> Arrays:
        run = runs.open_run(folder, mesh=mesh)
        params = runs.merged(run)
        weights = {name: leaf for name, leaf in params.items() if name != "encoding"}
        return Arrays(run.wiring.encoding, weights, params.get("encoding", {}))

    run = runs.outline(folder)
    return Origin(run.wiring.config, run.wiring.encoding, run.tokenizer, run.weights, read_run)


def keys(seed: int) -> tuple[jax.Array, jax.Array]:
    """For the weights, and for an encoding's tables: as `models.from_scratch` splits them."""
    for_weights, for_tables = jax.random.split(jax.random.key(seed))
    return for_weights, for_tables


def tables(encoding: Encoding, config: Config, *, seed: int, mesh: Mesh) -> Tree:
    """Fresh tables of an encoding that learns, on the mesh; `{}` of any other."""
    made = partial(initialise_tables, encoding=encoding, config=config)
    return made_on(mesh, made, keys(seed)[1])
