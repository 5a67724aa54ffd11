"""Checkpoints: what is kept, what is believed, and what a damaged one does."""

import contextlib
import hashlib
import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ropelab.training import checkpointing, manifest
from ropelab.training.checkpointing import Checkpoints, Saving
from ropelab.training.manifest import DamagedError, array_sums
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


def test_what_a_user_keeps_beside_the_steps_is_left_alone(tmp_path):
    """Copies, links, files of a desktop, digits of other scripts: only steps and Orbax's own are ever deleted."""
    folder = tmp_path / "c"
    filled(folder, Saving(keep=2), [10, 20])
    shutil.copytree(folder / "20", folder / "best-model")
    shutil.copytree(folder / "20", folder / "20-copy")
    for name in ("notes", "²", "007", "damaged-20", "x.orbax-checkpoint-tmp"):
        (folder / name).mkdir()
        (folder / name / "kept.txt").write_text("kept")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "latest").symlink_to("20")
    (folder / "nowhere").symlink_to("gone")
    (folder / "20" / "state" / "_METADATA").write_text("hurt")
    before = {p.name for p in folder.iterdir()}
    again, _ = filled(folder, Saving(keep=1), [])
    assert again.restore(places).step == 10
    again.save(30, some_state(30), {}, {"base": "b", "loss": None})
    again.close()
    assert {p.name for p in folder.iterdir()} == before - {"10", "20"} | {"30", "damaged-20-2"}
    assert (folder / "damaged-20" / "kept.txt").read_text() == "kept"


def test_a_link_to_a_step_is_read_and_not_removed(tmp_path):
    filled(tmp_path / "c", Saving(keep=2), [10, 20])
    (tmp_path / "c" / "20").rename(tmp_path / "elsewhere")
    (tmp_path / "c" / "20").symlink_to(tmp_path / "elsewhere")
    again, _ = filled(tmp_path / "c", Saving(keep=1), [])
    assert again.restore(places).step == 20
    again.save(30, some_state(30), {}, {"base": "b", "loss": None})
    again.close()
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"20", "30"}
    assert (tmp_path / "elsewhere" / "manifest.json").exists()


def test_a_folder_of_a_user_s_with_the_name_of_a_step_is_refused(tmp_path):
    (tmp_path / "c" / "30").mkdir(parents=True)
    (tmp_path / "c" / "30" / "thesis.tex").write_text("kept")
    with pytest.raises(ValueError, match=r"30 has thesis\.tex in it"):
        filled(tmp_path / "c", Saving(), [])
    assert (tmp_path / "c" / "30" / "thesis.tex").exists()


def test_a_step_under_another_number_is_not_believed(tmp_path):
    filled(tmp_path / "c", Saving(keep=3), [10, 20])
    (tmp_path / "c" / "20").rename(tmp_path / "c" / "50")
    again, said = filled(tmp_path / "c", Saving(keep=3), [])
    assert again.restore(places).step == 10
    assert "step 20" in said[0]
    assert (tmp_path / "c" / "damaged-50").exists()
    again.close()


@pytest.mark.parametrize("gone", [1, 3])
def test_a_step_that_is_replaced_while_it_is_read_leads_to_the_one_in_its_place(tmp_path, monkeypatch, gone):
    """As a training with keep=1 does: the folder is listed anew, and nothing is said of damage."""
    writer, _ = filled(tmp_path / "c", Saving(keep=1), [10])
    said, read, newer = [], manifest.read, iter(range(20, 20 + 10 * gone, 10))

    def replaced(step):
        facts = read(step)
        following = next(newer, None)
        if following is not None:
            writer.save(following, some_state(following), {}, {"base": "b", "loss": None})
            writer.finish()
        return facts

    monkeypatch.setattr(manifest, "read", replaced)
    reader = Checkpoints(epath.Path(tmp_path / "c"), Saving(), said=said.append, writes=False)
    found = reader.restore(places)
    assert (found.step, said) == (10 + 10 * gone, [])
    assert same(found.state, some_state(found.step))
    writer.close()


def test_steps_that_are_always_replaced_are_no_damage(tmp_path, monkeypatch):
    filled(tmp_path / "c", Saving(keep=1), [10])
    monkeypatch.setattr(checkpointing, "RESTORE_TIMEOUT", 0.0)
    seals = iter([b"1", b"2"])
    reader = Checkpoints(epath.Path(tmp_path / "c"), Saving(), writes=False)
    monkeypatch.setattr(Checkpoints, "_seal_of", lambda *_: next(seals))
    monkeypatch.setattr(Checkpoints, "_read", lambda *_: (_ for _ in ()).throw(FileNotFoundError("gone")))
    with pytest.raises(ValueError, match="was replaced while it was read") as refused:
        reader.restore(places)
    assert not isinstance(refused.value, DamagedError)


def resealed(folder, /, **changes):
    """Entries of a manifest changed, and the digests made to fit; None removes one."""
    path = folder / manifest.NAME
    body = json.loads(json.loads(path.read_text())["body"]) | changes
    text = json.dumps({name: value for name, value in body.items() if value is not None})
    path.write_text(json.dumps({"body": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.mark.parametrize(
    "changes",
    [
        {"files": 5},
        {"files": {"a": 5}},
        {"arrays": []},
        {"arrays": {"x": None}},
        {"base": ["b"]},
        {"step": "10"},
        {"step": True},
        {"loss": "low"},
        {"shapes": 5},
        {"files": ""},
    ],
    ids=repr,
)
def test_a_manifest_with_an_entry_of_another_type_is_damaged(tmp_path, changes):
    (tmp_path / "10").mkdir()
    manifest.write(epath.Path(tmp_path / "10"), {"base": "b", "loss": None, "step": 10, "arrays": {}})
    step = epath.Path(tmp_path / "10")
    manifest.read_facts(step)
    resealed(tmp_path / "10", **changes)
    with pytest.raises(DamagedError, match="10"):
        manifest.read_facts(step)
    resealed(tmp_path / "10", **dict.fromkeys(changes))
    if not {"shapes", "loss"} & set(changes):
        with pytest.raises(DamagedError, match="10"):
            manifest.read_facts(step)


@pytest.mark.parametrize("text", ["", "null", "5", "[]", "{}", '{"body": 5, "sha256": 5}', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_something_else_is_damaged(tmp_path, text):
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / manifest.NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedError, match="10"):
        manifest.read(epath.Path(tmp_path / "10"))


@pytest.mark.parametrize("name", ["_CHECKPOINT_METADATA", "state/_METADATA", "state/manifest.ocdbt", "data/metadata"])
def test_damage_whose_digests_were_made_to_fit_is_damage(tmp_path, name):
    """Whatever Orbax makes of it."""
    for number, content in enumerate((b"", b"{}", b"null", None)):
        folder = tmp_path / str(number)
        filled(folder, Saving(), [10])
        path = folder / "10" / name
        path.unlink() if content is None else path.write_bytes(content)
        resealed(folder / "10", files=manifest._file_digests(epath.Path(folder / "10")))
        reader = Checkpoints(epath.Path(folder), Saving(), said=lambda _: None, writes=False)
        with contextlib.suppress(DamagedError):
            assert same(reader.restore(places).state, some_state(10))


def test_a_step_of_another_plan_is_refused_and_left_where_it_is(tmp_path):
    """What differs is the plan, so nothing is set aside, with shapes in the manifest and, as before, without."""
    filled(tmp_path / "c", Saving(), [10])
    other = places() | {"weights": jax.ShapeDtypeStruct((64, 97), jnp.float32, sharding=places()["step"].sharding)}
    fewer = {name: leaf for name, leaf in places().items() if name != "half"}
    checkpoints, said = filled(tmp_path / "c", Saving(), [])
    for like, name in ((other, "weights"), (fewer, "half")):
        with pytest.raises(ValueError, match=name) as refused:
            checkpoints.restore(lambda _, like=like: like)
        assert not isinstance(refused.value, DamagedError)
    resealed(tmp_path / "c" / "10", shapes=None)
    with pytest.raises(ValueError, match="shape") as refused:
        checkpoints.restore(lambda _: other)
    assert not isinstance(refused.value, DamagedError)
    assert (checkpoints.steps(), said) == ([10], [])


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
    with pytest.raises(DamagedError, match=r"no checkpoint in .* is whole"):
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
        manifest.read_facts(epath.Path(tmp_path / "c" / "10"))


def test_a_bucket_has_no_folder_before_something_is_in_it(tmp_path, monkeypatch):
    """There, making a folder does nothing, and to list what is not there is an error."""
    folder = epath.Path(tmp_path / "none")
    monkeypatch.setattr(type(folder), "mkdir", lambda *_, **__: None)
    checkpoints = Checkpoints(folder, Saving())
    assert checkpoints.steps() == []
    assert checkpoints.restore(lambda step: None) is None
    checkpoints.close()
