"""A folder that a training wrote, as something to begin from: to measure, to extend, to export."""

import dataclasses
import os
from typing import Any, NamedTuple, cast

import jax
from jax.sharding import Mesh

from ropelab.checkpoints.hugging_face.writing import extend_length
from ropelab.checkpoints.tokenizer import Tokenizer, make_byte_tokenizer
from ropelab.data.synthetic import Passkey, parse_task
from ropelab.encodings.base import Encoding
from ropelab.models.config import Wiring
from ropelab.models.family import Tree
from ropelab.training import plan as plans
from ropelab.training.folder import place, read_plan
from ropelab.training.mesh import MeshShape, make_mesh
from ropelab.training.plan import Plan
from ropelab.training.saving import Checkpoints, Saving
from ropelab.training.setup import Setup
from ropelab.training.step import State
from ropelab.training.step_folders import sealed_steps


class Outline(NamedTuple):
    """A run, before any array of it is read.

    Attributes:
        step: of the newest checkpoint.
        wiring: what the last of so many steps were made under, by any kernel. Its `trained_length` is what the run has
            come to: see `trained_length`.
        original: the encoding that the training began from; None if it began from random parameters.
        tokenizer: what the model reads text with, None if it reads none: see `tokenizer_of`.
        weights: what the weights were that the training began from; "" if they were random.
    """

    plan: Plan
    step: int
    wiring: Wiring
    original: Encoding | None
    tokenizer: Tokenizer | None
    weights: str


class Trained(NamedTuple):
    """What a run has come to: all that an `Outline` has, and the arrays."""

    plan: Plan
    step: int
    wiring: Wiring
    original: Encoding | None
    tokenizer: Tokenizer | None
    weights: str
    trainable: Tree
    frozen: Tree


def plan_of(folder: str | os.PathLike[str]) -> Plan:
    """What a run was asked to do.

    Raises:
        ValueError: if plan.json cannot be read, or was made with an encoding that is not in the catalogue.
    """
    text = read_plan(place(folder)[0])["plan"]
    try:
        found = plans.parse(text)
        if not isinstance(found, Plan):
            raise ValueError(f"{text[:80]!r} is no plan.")
        return found
    except ValueError as error:
        why = str(error).partition(" Known:")[0].partition(" Did you mean")[0]
        raise ValueError(
            f"{folder} cannot be opened: {why} A run under an encoding of your own goes on by its command, and is read "
            "by nothing else until that encoding is in the catalogue"
        ) from None


def outline(folder: str | os.PathLike[str]) -> Outline:
    """What a run has come to, so far as its folder says without an array.

    Raises:
        ValueError: if the run did not save that step or anything, or what it began from is gone.
    """
    return described(Setup(plan_of(folder), one_device()), saved(folder)[-1])


def saved(folder: str | os.PathLike[str]) -> list[int]:
    """The steps of a run that can be had, ascending; of `runs/x@100` that one.

    Raises:
        ValueError: if it is not there, or nothing is.
    """
    path, step = place(folder)
    steps = sealed_steps(path / "checkpoints")
    if not steps:
        raise ValueError(f"{folder} has no checkpoint yet; train first")
    if step is not None and step not in steps:
        raise ValueError(f"{path} has no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
    return steps if step is None else [step]


def open_run(folder: str | os.PathLike[str], *, mesh: Mesh | None = None) -> Trained:
    """The newest whole checkpoint of a run, or the one that is named as in `runs/x@100`, its arrays on the mesh, or on
    the first device. The run may be training meanwhile.

    Raises:
        ValueError: if the run did not save that step or anything, or what it began from has changed since.
        DamagedError: if there are checkpoints and none is whole.
    """
    saved(folder)
    checkpoints = Checkpoints(place(folder)[0] / "checkpoints", Saving(), writes=False)
    setup = Setup(plan_of(folder), one_device() if mesh is None else mesh)
    found = checkpoints.restore(lambda step: setup.like(setup.stage_before(step)), place(folder)[1])
    if found is None:
        raise ValueError(f"{folder} has lost its checkpoints while it was opened")
    frozen, state = setup.frozen(found.facts["base"]), cast(State, found.state)
    return Trained(*described(setup, found.step), state.trainable, frozen)


def merged(run: Trained) -> Tree:
    """The parameters, float32, an adapter merged."""
    return run.plan.adaptation.merge(run.trainable, run.frozen)


def described(setup: Setup, step: int) -> Outline:
    """The outline of a run after so many steps."""
    stage = setup.stage_before(step)
    config = dataclasses.replace(cast(Any, setup.config), trained_length=trained_length(setup, step))
    wiring = Wiring(config, setup.encoding(stage), stage.pattern)
    return Outline(setup.plan, step, wiring, setup.origin.encoding, tokenizer_of(setup), setup.origin.weights)


def trained_length(setup: Setup, step: int) -> int:
    """Tokens of context after so many steps.

    The longest window, or the text that drawn positions stand in; of an extended model, at least as much as its
    encoding makes of what it had.
    """
    lengths = [stage.length for stage in setup.stages if stage.start <= max(step - 1, 0)]
    drawn_from = getattr(setup.plan.data.positions, "length", 0)
    was, now = setup.origin.encoding, setup.encoding(setup.stage_before(step))
    extended = 0 if was is None else extend_length(setup.config.trained_length, was, now)
    return max(*lengths, drawn_from, extended)


def tokenizer_of(setup: Setup) -> Tokenizer | None:
    """What its training has read text with: bytes, or the tokenizer of what it began from.

    A task on symbols is no text, and leaves that of what it began from.
    """
    data = setup.plan.data
    task = parse_task(data.source)
    text = task is None or isinstance(task, Passkey)
    return make_byte_tokenizer() if text and data.tokenizer == "bytes" else setup.tokenizer


def one_device() -> Mesh:
    return make_mesh(MeshShape(data=1), jax.devices()[:1])
