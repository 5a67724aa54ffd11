"""What a training has made is what the bench loads: its own measurements come out again, whatever was trained."""

import dataclasses
import json
import re
import shutil
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from jax.sharding import AxisType

import ropelab
from ropelab.attention.patterns import ShiftedSparse
from ropelab.checkpoints.tokenizer import Tokenizer
from ropelab.cli import export, generate, swap
from ropelab.data.held_out import load_held_out
from ropelab.data.positions import PoSE
from ropelab.data.settings import DataSettings
from ropelab.encodings import NTK, PI, RoPE, YaRN
from ropelab.training import loop
from ropelab.training.adaptation import LoRA
from ropelab.training.loop import train
from ropelab.training.mesh import make_mesh
from ropelab.training.optimizer import Optimizer
from ropelab.training.plan import Held, Phase, settings_of
from ropelab.training.records import rows_of
from ropelab.training.runs import open_run, outline, plan_of
from ropelab.training.saving import Saving
from ropelab.training.start import origin
from tests.cli.tiny_run import TEXT
from tests.models import tiny
from tests.training.tiny import tiny_plan, untrained

YARN = YaRN(factor=4.0, original_length=32)
SOON = {"steps": 3, "optimizer": Optimizer(lr=1e-2), "held": Held(lengths=(16,), tokens=256)}
LATER = Phase(start=2, encoding=NTK(base=100.0, alpha=2.0), pattern=ShiftedSparse(group=8), length=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with a tokenizer, a training from random parameters in two stages, and an adapter of the base."""
    folder = tmp_path_factory.mktemp("runs")
    tiny.write(folder / "base", tokenizer=True)
    train(tiny_plan(**SOON, phases=(LATER,)), folder / "scratch", show=False)
    lora = LoRA(rank=2, targets=("q", "up"), also=("norms",))
    train(tiny_plan(**SOON, model=str(folder / "base"), encoding=YARN, adaptation=lora), folder / "lora", show=False)
    return folder


def measured_anew(folder: Path) -> float:
    """The loss on the run's held-out rows, by the bench."""
    plan = open_run(folder).plan
    rows = load_held_out(plan.data, length=16, tokens=plan.held.tokens)
    windows = np.concatenate([rows.tokens, rows.targets[:, -1:]], axis=1)
    nll = np.asarray(ropelab.load(folder).nll(windows), np.float64)
    return float((nll * rows.weights).sum() / rows.weights.sum())


@pytest.mark.parametrize("name", ["scratch", "lora"])
def test_the_bench_measures_what_the_training_has_measured(name: str, folder: Path) -> None:
    (row,) = rows_of(epath.Path(folder / name / "evaluations.jsonl"))
    assert measured_anew(folder / name) == pytest.approx(row["nll"], abs=1e-5)


def test_the_last_stage_is_what_is_on_the_bench(folder: Path) -> None:
    lab = ropelab.load(folder / "scratch")
    assert (lab.encoding, lab.pattern) == (LATER.encoding, LATER.pattern)
    assert lab.config.trained_length == 24  # the longest window
    assert lab.tokenizer is None  # symbols are no text
    assert lab.receipt().statement == "the model as loaded"
    assert lab.swap("ALiBi()").receipt().first_position is not None


def test_an_adapter_is_merged_and_the_context_is_the_extended_one(folder: Path) -> None:
    lab, base = ropelab.load(folder / "lora"), ropelab.load(folder / "base")
    assert lab.encoding == YARN.inherit(base.encoding)
    assert lab.config == dataclasses.replace(base.config, trained_length=128)  # pyright: ignore
    assert lab.weights == "trained from float32 safetensors"
    assert ropelab.load(folder / "scratch").weights == ""
    assert isinstance(lab.tokenizer, Tokenizer)
    assert lab.tokenizer.encode("a b") == tiny.lab(tokenizer=True).tokenizer.encode("a b")  # pyright: ignore
    changed = {
        name
        for name, leaf in lab.params["layers"].items()
        if not np.array_equal(leaf, np.asarray(base.params["layers"][name]))
    }
    assert changed == {"q", "up", "attention_norm", "mlp_norm"}


def test_a_run_begins_from_a_run(folder: Path, tmp_path: Path) -> None:
    """With its tokenizer and the context that it has come to."""
    plan = tiny_plan(model=str(folder / "lora"), encoding=None)
    assert outline(untrained(plan, tmp_path / "same")).wiring.config.trained_length == 128
    data = DataSettings(source="Copy(symbols=16)", positions=PoSE(length=512))
    found = outline(untrained(tiny_plan(model=plan.model, encoding=PI(factor=2.0), data=data), tmp_path / "posed"))
    assert found.wiring.config.trained_length == 512
    assert found.original == YARN.inherit(RoPE(base=1e4))
    assert isinstance(found.tokenizer, Tokenizer)
    weights = [open_run(tmp_path / "same").trainable, ropelab.load(folder / "lora").params]
    jax.tree.map(np.testing.assert_array_equal, *weights)


def test_parameters_lie_on_a_mesh_and_in_a_type(folder: Path) -> None:
    kinds = (AxisType.Auto,) * 2
    mesh = jax.make_mesh((2, 2), ("fsdp", "tensor"), devices=jax.devices()[:4], axis_types=kinds)
    one, many = ropelab.load(folder / "scratch"), ropelab.load(folder / "scratch", mesh=mesh)
    assert len(many.params["layers"]["q"].devices()) == 4
    ids = np.arange(24)[None] % 18
    np.testing.assert_allclose(many.logits(ids), one.logits(ids), atol=1e-5)
    half = ropelab.load(folder / "scratch", dtype="bfloat16")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(half.params)} == {"bfloat16"}


def test_a_damaged_checkpoint_is_passed_over_and_left_where_it_is(folder: Path, tmp_path: Path) -> None:
    run = untrained(tiny_plan(), tmp_path / "run")
    shutil.copytree(run / "checkpoints" / "1", run / "checkpoints" / "2")
    (run / "checkpoints" / "2" / "manifest.json").write_text("{}")
    assert open_run(run).step == 1
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["1", "2"]
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(ValueError, match="has no checkpoint yet; train first"):
        ropelab.load(run)


def test_an_encoding_that_is_not_in_the_catalogue_is_named(tmp_path: Path) -> None:
    run = untrained(tiny_plan(), tmp_path / "run")
    plan = (run / "plan.json").read_text()
    (run / "plan.json").write_text(plan.replace("RoPE(base=100.0)", "Mine(a=1)"))
    with pytest.raises(ValueError, match=r"run cannot be opened: unknown part of a plan 'Mine'\. A run under an enc"):
        ropelab.load(run)


def test_a_model_of_bytes_reads_and_writes_text(tmp_path: Path) -> None:
    """With every tool: here those that swap and generate."""
    model = (
        "LlamaConfig(vocabulary=256, width=16, layers=1, heads=2, key_heads=2, head_dim=8, feed_forward=32, "
        "norm_eps=1e-5, trained_length=0, tied_head=True)"
    )
    (tmp_path / "text.txt").write_text(TEXT)
    task = DataSettings(source="Passkey(digits=1)")
    lab = ropelab.load(untrained(tiny_plan(model=model, data=task, length=300), tmp_path / "run"))
    assert lab.tokenizer is not None
    assert lab.tokenizer.encode("é\n") == [0xC3, 0xA9, 10]
    assert isinstance(lab.generate("The pass key", max_new_tokens=3), str)
    fields = {"model": tmp_path / "run", "text": tmp_path / "text.txt", "encodings": "ALiBi()", "lengths": "16,400"}
    argv = [f"--config.{name}={value}" for name, value in (fields | {"edges": "16", "last": 8}).items()]
    run = swap.main(["swap", f"--workdir={tmp_path / 'out'}", *argv])
    assert run == 0
    assert "unchanged, chopped at 300" in (tmp_path / "out" / "records.csv").read_text()


def test_an_earlier_step_is_named_with_an_at(folder: Path) -> None:
    plan = tiny_plan(**SOON, saving=Saving(every=1, keep=3))
    train(plan, folder / "kept", show=False)
    newest, first = (ropelab.load(f"{folder / 'kept'}{at}") for at in ("", "@1"))
    assert first.name.endswith("kept@1")
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), newest.params, first.params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    same = ropelab.load(f"{folder / 'kept'}@3")
    jax.tree.map(np.testing.assert_array_equal, newest.params, same.params)
    assert outline(f"{folder / 'kept'}@1").step == 1
    with pytest.raises(ValueError, match="has no checkpoint of step 7; there are 1, 2, 3"):
        ropelab.load(f"{folder / 'kept'}@7")


def test_a_command_answers_a_run_without_a_whole_checkpoint_in_one_line(tmp_path: Path, capsys) -> None:
    run = untrained(tiny_plan(), tmp_path / "run")
    (run / "checkpoints" / "1" / "manifest.json").write_text("x")
    for main, word in ((generate.main, "--model"), (export.main, "--run")):
        assert main(["command", f"{word}={run}", "--prompt=a" if word == "--model" else f"--to={tmp_path / 'to'}"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert str(run / "checkpoints") in line


def test_a_run_is_loaded_while_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step a moment, the last alone kept: every load is a whole one."""
    monkeypatch.setattr(loop, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:1]))
    plan = tiny_plan(steps=8, saving=Saving(every=1, keep=1), held=Held(tokens=0))
    folder, found, failures = tmp_path / "run", [], []
    training = threading.Thread(target=lambda: train(plan, folder, show=False))
    training.start()
    while not (folder / "checkpoints" / "2" / "manifest.json").exists() and training.is_alive():
        time.sleep(0.01)
    while training.is_alive():
        try:
            found.append(open_run(folder).step)
        except Exception as error:
            failures.append(error)
    training.join()
    assert (failures, found) == ([], sorted(found))
    assert open_run(folder).step == 8


def begins_from(folder: Path, model: str) -> Path:
    """A folder whose plan names another model, the rest as it was."""
    settings = settings_of(tiny_plan(model=model, encoding=None))
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"plan": repr(tiny_plan(model=model, encoding=None)), "settings": settings}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def test_a_run_that_begins_from_itself_is_named(tmp_path: Path) -> None:
    begins_from(tmp_path / "a", str(tmp_path / "a"))
    begins_from(tmp_path / "b", str(tmp_path / "c"))
    begins_from(tmp_path / "c", f"{tmp_path / 'b'}@3")
    for name in "abc":
        (tmp_path / name / "checkpoints" / "1").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "1" / "manifest.json").write_text("{}")
        with pytest.raises(ValueError, match="begins from itself"):
            ropelab.load(tmp_path / name)
    for number in range(60):
        begins_from(tmp_path / f"r{number}", str(tmp_path / f"r{number + 1}"))
    with pytest.raises(ValueError, match="from more than 50 runs"):
        origin(str(tmp_path / "r0"), seed=0)


@pytest.mark.parametrize("text", ["RoPE(base=1.0)", "Phase(start=1)", "5", "", "(" * 5000])
def test_a_plan_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"plan": text, "settings": {}}))
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        plan_of(tmp_path)
