"""Checkpoints: what is kept, what is believed, and what a damaged one does."""

import json
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ropelab.training import manifest
from ropelab.training.manifest import DamagedError, array_sums
from ropelab.training.saving import Checkpoints, Saving
from tests.reliability.flips import some_state


def places(step=0):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), some_state(step))


def filled(folder, saving, steps, losses=None):
    said = []
    checkpoints = Checkpoints(epath.Path(folder), saving, said=said.append)
    for step in steps:
        loss = None if losses is None else losses[step]
        checkpoints.save(step, some_state(step), {"lanes": {"0": step}}, {"base": "b", "loss": loss})
    checkpoints.finish()
    return checkpoints, said


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()) and x.dtype == y.dtype, a, b)))


def test_what_is_saved_comes_back(tmp_path):
    checkpoints, said = filled(tmp_path / "c", Saving(keep=2), [10, 20])
    found = checkpoints.restore(places)
    assert (found.step, found.data, found.facts["base"], said) == (20, {"lanes": {"0": 20}}, "b", [])
    assert same(found.state, some_state(20))


def test_the_last_and_the_best_are_kept(tmp_path):
    losses = {10: 3.0, 20: 1.0, 30: 2.0, 40: 4.0, 50: 5.0}
    checkpoints, _ = filled(tmp_path / "c", Saving(keep=2, best=1), list(losses), losses)
    assert checkpoints.steps() == [20, 40, 50]
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"20", "40", "50"}


def test_an_unfinished_step_is_swept_away(tmp_path):
    checkpoints, _ = filled(tmp_path / "c", Saving(keep=3), [10, 20])
    (tmp_path / "c" / "20" / manifest.NAME).unlink()
    (tmp_path / "c" / "30.orbax-checkpoint-tmp").mkdir()
    again, said = filled(tmp_path / "c", Saving(keep=3), [])
    assert again.restore(places).step == 10
    assert said == []
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"10"}
    checkpoints.close()


@pytest.mark.parametrize("hurt", ["flip", "truncate", "remove", "add", "swap"])
def test_a_damaged_step_is_set_aside_and_the_one_before_restored(tmp_path, hurt):
    filled(tmp_path / "c", Saving(keep=2), [10, 20])
    step = tmp_path / "c" / "20"
    largest = max(
        (p for p in step.rglob("*") if p.is_file() and p.name != manifest.NAME), key=lambda p: p.stat().st_size
    )
    data = bytearray(largest.read_bytes())
    if hurt == "flip":
        data[len(data) // 2] ^= 1
    largest.write_bytes(data[:-1] if hurt == "truncate" else data)
    if hurt == "remove":
        largest.unlink()
    if hurt == "add":
        (step / "state" / "more").write_text("x")
    if hurt == "swap":
        (step / manifest.NAME).write_bytes((tmp_path / "c" / "10" / manifest.NAME).read_bytes())
    checkpoints, said = filled(tmp_path / "c", Saving(keep=2), [])
    found = checkpoints.restore(places)
    assert found.step == 10
    assert same(found.state, some_state(10))
    assert len(said) == 1
    assert "going back to the checkpoint before it" in said[0]
    assert (tmp_path / "c" / "damaged-20").exists()


def test_if_none_is_whole_training_does_not_begin_anew_by_itself(tmp_path):
    filled(tmp_path / "c", Saving(keep=2), [10])
    (tmp_path / "c" / "10" / manifest.NAME).write_text("{}")
    checkpoints, _ = filled(tmp_path / "c", Saving(keep=2), [])
    with pytest.raises(DamagedError, match="remove the folder to begin anew"):
        checkpoints.restore(places)


def test_arrays_that_orbax_gives_back_wrong_are_seen(tmp_path):
    """Not only what lies on the disk: the sums are of the arrays themselves."""
    filled(tmp_path / "c", Saving(), [10])
    facts = manifest.read(epath.Path(tmp_path / "c" / "10"))
    wrong = some_state(10) | {"weights": some_state(10)["weights"].at[3, 5].add(1e-7)}
    with pytest.raises(DamagedError, match="weights"):
        manifest.check_sums(wrong, facts["arrays"], epath.Path("10"))


def test_every_single_bit_changes_a_sum():
    rng = random.Random(0)
    x = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    whole = array_sums({"x": jnp.asarray(x)})
    for _ in range(100):
        bits = x.copy().view(np.uint32)
        bits.flat[rng.randrange(bits.size)] ^= np.uint32(1 << rng.randrange(32))
        assert array_sums({"x": jnp.asarray(bits.view(np.float32))}) != whole


def test_two_values_that_change_places_change_the_sum():
    x = jnp.arange(12.0).reshape(3, 4)
    assert array_sums({"x": x}) != array_sums({"x": x[::-1]})
    assert array_sums({"x": x}) != array_sums({"x": x.T.reshape(3, 4)})


def test_sums_do_not_depend_on_how_an_array_is_cut():
    state = some_state(3)
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("a", "b"))
    specs = {"weights": P("a", "b"), "half": P("b", None)}
    cut = {name: jax.device_put(state[name], NamedSharding(mesh, spec)) for name, spec in specs.items()}
    assert array_sums(cut) == array_sums({name: state[name] for name in specs})


def test_a_manifest_says_itself_when_it_is_damaged(tmp_path):
    filled(tmp_path / "c", Saving(), [10])
    path = tmp_path / "c" / "10" / manifest.NAME
    outer = json.loads(path.read_text())
    outer["body"] = outer["body"].replace('"b"', '"c"')
    path.write_text(json.dumps(outer))
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged"):
        manifest.said_of(epath.Path(tmp_path / "c" / "10"))


def test_a_bucket_has_no_folder_before_something_is_in_it(tmp_path, monkeypatch):
    """There, making a folder does nothing, and to list what is not there is an error."""
    folder = epath.Path(tmp_path / "none")
    monkeypatch.setattr(type(folder), "mkdir", lambda *_, **__: None)
    checkpoints = Checkpoints(folder, Saving())
    assert checkpoints.steps() == []
    assert checkpoints.restore(lambda step: None) is None
    checkpoints.close()
