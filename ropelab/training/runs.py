"""A folder that a training wrote, as something to begin from: to measure, to extend, to export."""

import json
import os
from typing import Any, NamedTuple

import jax
from etils import epath
from jax.sharding import Mesh

from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.encodings.base import Encoding
from ropelab.models.config import Wiring
from ropelab.training import plan as plans
from ropelab.training.folder import PLAN
from ropelab.training.mesh import MeshShape, make_mesh
from ropelab.training.plan import Plan
from ropelab.training.saving import Checkpoints, Saving
from ropelab.training.setup import Setup, like
from ropelab.training.step import State

Tree = dict[str, Any]


class Trained(NamedTuple):
    """What a run has come to.

    Attributes:
        step: of the checkpoint that was read.
        original: the encoding that the training began from; None if it began from random parameters.
        tokenizer: that of the checkpoint that the training began from, if there was one.
    """

    plan: Plan
    step: int
    wiring: Wiring
    trainable: Tree
    frozen: Tree
    original: Encoding | None
    tokenizer: Tokenizer | None


def plan_of(folder: str | os.PathLike[str]) -> Plan:
    """What a run was asked to do.

    Raises:
        ValueError: if it was made with an encoding that is not in the catalogue.
    """
    return plans.parse(json.loads((epath.Path(os.fspath(folder)).expanduser() / PLAN).read_text())["plan"])


def open_run(folder: str | os.PathLike[str], *, mesh: Mesh | None = None) -> Trained:
    """The newest whole checkpoint of a run, its arrays on the mesh, or on the first device.

    Raises:
        ValueError: if the run saved nothing, or what it began from has changed since.
        DamagedError: if there are checkpoints and none is whole.
    """
    plan = plan_of(folder)
    mesh = make_mesh(MeshShape(data=1), jax.devices()[:1]) if mesh is None else mesh
    checkpoints = Checkpoints(epath.Path(os.fspath(folder)).expanduser() / "checkpoints", Saving(), writes=False)
    if not checkpoints.steps():
        raise ValueError(f"{folder} has no checkpoint yet; train first")
    setup = Setup(plan, mesh)
    original = setup.origin.encoding
    state, frozen = setup.begin(setup.stages[0])
    templates = [like(setup.carried(state, setup.stages[0], stage)) for stage in setup.stages]
    del state
    found = checkpoints.restore(lambda step: templates[setup.stages.index(setup.stage_before(step))])
    assert found is not None
    setup.check_base(found.facts["base"])
    state: State = found.state
    wiring = setup.recipe(setup.stage_before(found.step)).wiring
    return Trained(plan, found.step, wiring, state.trainable, frozen, original, setup.tokenizer)
