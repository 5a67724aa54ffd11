"""The same training on one, two, four and eight devices: the same parameters to begin with, the same losses."""

import jax
import numpy as np
import pytest

from ropelab.attention.exchanges import Ring
from ropelab.training import trainer
from ropelab.training.checkpointing import Saving
from ropelab.training.config import Compute, EvalSetConfig
from ropelab.training.distributed import MeshShape, check_batch, local_rows, make_mesh
from ropelab.training.manifest import array_sums
from ropelab.training.metrics import read_rows
from ropelab.training.state import Setup
from ropelab.training.trainer import Trainer, train
from tests.training.tiny import tiny_plan

SHAPES = [MeshShape(data=2), MeshShape(data=2, fsdp=2), MeshShape(data=1, fsdp=4, tensor=2)]


def on(shape, monkeypatch):
    count = int(np.prod(list(vars(shape).values())))
    monkeypatch.setattr(trainer, "make_mesh", lambda _: make_mesh(shape, jax.devices()[:count]))


def short(**changes):
    """Four steps, saved after two, measured at the end: each mesh compiles everything anew."""
    return tiny_plan(
        **{"steps": 4, "held": EvalSetConfig(lengths=(16,), tokens=128), "saving": Saving(every=2)} | changes
    )


def trained(shape, folder, monkeypatch, **changes):
    on(shape, monkeypatch)
    train(short(mesh=shape, **changes), folder, show=False)
    metrics = read_rows(type(folder)(folder / "metrics.jsonl"))
    measured = read_rows(type(folder)(folder / "evaluations.jsonl"))
    return [r["loss"] for r in metrics], [r["nll"] for r in measured]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return trained(MeshShape(data=1), tmp_path_factory.mktemp("alone"), patch)


def initial(shape):
    """The sums of the parameters that a mesh begins with."""
    mesh = make_mesh(shape, jax.devices()[: int(np.prod(list(vars(shape).values())))])
    with jax.set_mesh(mesh):
        setup = Setup(short(), mesh)
        state, _ = setup.begin(setup.stages[0])
        return array_sums(state), state


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_the_beginning_is_the_same_to_the_last_bit(shape):
    sums, state = initial(shape)
    assert sums == initial(MeshShape(data=1))[0]
    cut = [leaf for leaf in jax.tree.leaves(state.trainable) if not leaf.is_fully_replicated]
    assert bool(cut) == (shape.fsdp > 1 or shape.tensor > 1)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_the_losses_are_the_same(shape, alone, tmp_path, monkeypatch):
    for found, wanted in zip(trained(shape, tmp_path, monkeypatch), alone, strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)


def test_the_sequence_may_be_cut_as_well(alone, tmp_path, monkeypatch):
    shape = MeshShape(data=2, sequence=2)
    found = trained(shape, tmp_path, monkeypatch, compute=Compute(kernel="Ring()"))
    for one, wanted in zip(found, alone, strict=True):
        assert one == pytest.approx(wanted, rel=1e-5)


def test_a_run_goes_on_on_another_mesh_when_that_is_declared(alone, tmp_path, monkeypatch):
    on(MeshShape(data=2), monkeypatch)
    half = short(mesh=MeshShape(data=2))
    before = Trainer.run_step

    class Enough(Exception):
        pass

    def one_step(run, reporter):
        if run.step == 2:
            raise Enough
        before(run, reporter)

    monkeypatch.setattr(Trainer, "run_step", one_step)
    with pytest.raises(Enough):
        train(half, tmp_path, show=False)
    monkeypatch.setattr(Trainer, "run_step", before)
    on(MeshShape(data=2, fsdp=2), monkeypatch)
    with pytest.raises(ValueError, match=r"mesh\.fsdp was 1 and is 2"):
        train(short(mesh=MeshShape(data=2, fsdp=2)), tmp_path, show=False)
    train(short(mesh=MeshShape(data=2, fsdp=2)), tmp_path, accept=["mesh.fsdp"], show=False)
    losses = [r["loss"] for r in read_rows(type(tmp_path)(tmp_path / "metrics.jsonl"))]
    assert losses == pytest.approx(alone[0], rel=1e-5)


def test_axes_that_do_not_make_the_devices_are_refused():
    with pytest.raises(ValueError, match="there are 8 devices and the axes make 3"):
        MeshShape(data=3).filled(8)
    with pytest.raises(ValueError, match="only one axis can be -1"):
        MeshShape(data=-1, fsdp=-1)
    assert MeshShape(data=-1, fsdp=2, tensor=2).filled(8) == {"data": 2, "fsdp": 2, "tensor": 2, "sequence": 1}


def test_rows_that_do_not_divide_are_refused():
    mesh = make_mesh(MeshShape(data=2, fsdp=2), jax.devices()[:4])
    with pytest.raises(ValueError, match="batch=12 does not divide into 2 parts of rows for 4 devices"):
        check_batch(12, 2, mesh)
    check_batch(16, 2, mesh)
    assert local_rows(16, mesh) == range(16)


def test_a_cut_sequence_needs_an_exchange(tmp_path, monkeypatch):
    shape = MeshShape(data=1, sequence=2)
    on(shape, monkeypatch)
    with pytest.raises(ValueError, match="needs an exchange"):
        train(short(mesh=shape), tmp_path, show=False)
    assert Ring().axis == "sequence"
