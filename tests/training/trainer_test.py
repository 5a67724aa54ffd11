"""Trainings in a folder: they learn, they go on to the last bit, and they are not taken for one another."""

import json
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from etils import epath

from ropelab.attention.patterns import BlockwiseCausal, Causal
from ropelab.cli import launching
from ropelab.cli import train as command
from ropelab.data.positions import PoSE
from ropelab.data.settings import DataSettings
from ropelab.encodings import ALiBi, T5Bias
from ropelab.training import manifest, trainer
from ropelab.training.checkpointing import Saving
from ropelab.training.config import Compute, EvalSetConfig, Phase
from ropelab.training.distributed import MeshShape
from ropelab.training.lora import LoRA
from ropelab.training.manifest import DamagedError
from ropelab.training.metrics import Diverged, read_rows
from ropelab.training.optimizer import Optimizer
from ropelab.training.run_folder import check_same_config
from ropelab.training.state import read_config
from ropelab.training.step import SkipConfig
from ropelab.training.trainer import SignalListener, Stopped, train
from tests.training.tiny import tiny_plan, untrained

RECORDS = ("metrics.csv", "metrics.jsonl", "evaluations.csv", "evaluations.jsonl")


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """The tests' eight simulated devices are for the meshes; a tiny model is slower on them."""
    monkeypatch.setattr(trainer, "make_mesh", lambda shape: loop_mesh(shape))


def loop_mesh(shape):
    from ropelab.training.distributed import make_mesh

    count = 1 if shape == MeshShape() else np.prod(list(vars(shape).values()))
    return make_mesh(shape, jax.devices()[: int(count)])


def lost(folder, name, rows):
    """Keep so many rows of the JSON lines of a table; the CSV stays."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:rows]))


def digest(folder, step):
    return {name: (folder / name).read_text() for name in RECORDS} | arrays(folder, step)


def arrays(folder, step):
    """The sum of each array of a checkpoint."""
    outer = json.loads((folder / "checkpoints" / str(step) / "manifest.json").read_text())
    return json.loads(outer["body"])["arrays"]


def interrupted(plan, folder, at, how=signal.SIGTERM):
    """Train until step `at` is done and send this process a signal there."""
    before = trainer.Trainer.run_step

    def one_step(run, reporter):
        before(run, reporter)
        if run.step == at:
            os.kill(os.getpid(), how)

    trainer.Trainer.run_step = one_step
    handler = signal.signal(how, signal.SIG_DFL)  # the shell that runs the tests may ignore it, as nohup does SIGHUP
    try:
        with pytest.raises(Stopped) as stopped:
            train(plan, folder, show=False)
    finally:
        trainer.Trainer.run_step = before
        signal.signal(how, handler)
    return stopped.value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nobody interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "make_mesh", loop_mesh)
        rows = train(tiny_plan(), folder, show=False)
    return folder, rows


def test_a_run_writes_what_it_says(whole):
    folder, rows = whole
    header, *lines = (folder / "metrics.csv").read_text().splitlines()
    assert header.split(",")[:2] == ["step", "loss"]
    assert [int(line.split(",")[0]) for line in lines] == list(range(1, 11))
    losses = [float(line.split(",")[1]) for line in lines]
    assert losses[-1] < losses[0]
    found = read_rows(type(folder)(folder / "evaluations.jsonl"))
    assert [(r["step"], r["length"]) for r in found] == [(s, n) for s in (0, 5, 10) for n in (16, 24)]
    assert rows == found[-2:]
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"5", "10"}
    assert list((folder / "tensorboard").iterdir())


@pytest.mark.parametrize(("at", "how"), [(3, signal.SIGTERM), (5, signal.SIGINT), (9, signal.SIGHUP)])
def test_a_run_that_was_stopped_goes_on_to_the_last_bit(whole, tmp_path, at, how):
    stopped = interrupted(tiny_plan(), tmp_path, at, how)
    assert stopped.code == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}[how]
    assert f"saved step {at}" in str(stopped)
    assert (tmp_path / "checkpoints" / str(at) / "manifest.json").exists()
    train(tiny_plan(), tmp_path, show=False)
    assert digest(tmp_path, 10) == digest(whole[0], 10)


def test_a_run_that_is_stopped_before_its_first_step_says_that_nothing_is_saved(tmp_path, monkeypatch):
    before = trainer.Trainer.evaluate_and_save

    def measure_and_save(run, reporter):
        before(run, reporter)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(trainer.Trainer, "evaluate_and_save", measure_and_save)
    with pytest.raises(Stopped, match="nothing is saved") as stopped:
        train(tiny_plan(held=EvalSetConfig(tokens=0)), tmp_path, show=False)
    assert "saved step" not in str(stopped.value)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_hangup_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalListener() as heard:
            os.kill(os.getpid(), signal.SIGHUP)
            assert heard.signal is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_starts_jsonl_holds_is_left_as_it_is(tmp_path):
    from ropelab.training.run_folder import log_start

    (tmp_path / "starts.jsonl").write_bytes(b"\xff\xfe\n")
    log_start(epath.Path(tmp_path), step=0)
    assert (tmp_path / "starts.jsonl").read_bytes().startswith(b'\xff\xfe\n{"time"')


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"plan": 5}', '{"plan": "", "settings": [1]}', "[" * 99_999])
def test_a_plan_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan\.json"):
        check_same_config(epath.Path(tmp_path), tiny_plan(), ())
    with pytest.raises(ValueError, match=r"plan\.json"):
        read_config(tmp_path)


def test_a_folder_of_an_earlier_version_is_gone_on_with(whole, tmp_path):
    """Which lacks a setting that there is now."""
    path = tmp_path / "plan.json"
    plan = json.loads((whole[0] / "plan.json").read_text())
    del plan["settings"]["adapt_random"]
    path.write_text(json.dumps(plan))
    check_same_config(epath.Path(tmp_path), tiny_plan(), ())
    with pytest.raises(ValueError, match="adapt_random was False and is True"):
        check_same_config(epath.Path(tmp_path), tiny_plan(adapt_random=True), ())


def test_the_folder_may_be_a_relative_one(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train(tiny_plan(), "runs/first", show=False) == whole[1]


def test_a_checkpoint_that_cannot_be_written_ends_the_training_at_once(tmp_path, monkeypatch):
    """And not when the next one is due."""
    steps = []
    before = trainer.Trainer.run_step

    def one_step(run, reporter):
        before(run, reporter)
        steps.append(run.step)
        time.sleep(0.1)

    monkeypatch.setattr(trainer.Trainer, "run_step", one_step)
    monkeypatch.setattr(manifest, "write", lambda *_: 1 / 0)
    with pytest.raises(OSError, match="could not be written: division by zero;"):
        train(tiny_plan(steps=100, saving=Saving(every=50), held=EvalSetConfig(tokens=0)), tmp_path, show=False)
    assert steps[-1] < 60


def test_the_same_command_on_a_finished_run_does_nothing(whole):
    folder, rows = whole
    before = digest(folder, 10)
    assert train(tiny_plan(), folder, show=False) == rows
    assert digest(folder, 10) == before


def test_rows_after_the_checkpoint_are_dropped(whole, tmp_path):
    """As a kill leaves them: steps written down that no checkpoint has, the last line cut short."""
    interrupted(tiny_plan(), tmp_path, 7)
    for name, line in (("metrics.csv", "8,9.9,1.0,0.1,7,0\n9,3"), ("metrics.jsonl", '{"step": 8, "loss": 9.9')):
        with (tmp_path / name).open("a") as file:
            file.write(line)
    train(tiny_plan(), tmp_path, show=False)
    assert digest(tmp_path, 10) == digest(whole[0], 10)


@pytest.mark.parametrize("name", ["metrics", "evaluations"])
@pytest.mark.parametrize("hurt", ["removed", "cut", "damaged", "cut and no CSV"])
def test_rows_that_would_be_lost_are_an_error(whole, tmp_path, name, hurt):
    """Those that are written down after the checkpoint are made again, those before it never."""
    shutil.copytree(whole[0], tmp_path / "run")
    path = tmp_path / "run" / f"{name}.jsonl"
    if hurt == "removed":
        path.unlink()
    elif hurt == "cut":
        lost(tmp_path / "run", name, 3)
    else:
        text = path.read_text().splitlines(keepends=True)
        text[2] = "\x00" + text[2][1:]
        path.write_text("".join(text))
    if hurt == "cut and no CSV":
        (tmp_path / "run" / f"{name}.csv").unlink()
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.suffix in (".csv", ".jsonl")}
    with pytest.raises(ValueError, match=rf"{name}\.jsonl has . whole rows up to step 10"):
        train(tiny_plan(), tmp_path / "run", show=False)
    after = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.suffix in (".csv", ".jsonl")}
    assert after == before


@pytest.mark.parametrize("row", ["{}", "5", "null", '{"step": "3"}', '{"step": true}', '{"step": 3}'])
def test_a_line_that_is_no_row_is_named(whole, tmp_path, row):
    shutil.copytree(whole[0], tmp_path / "run")
    path = tmp_path / "run" / "metrics.jsonl"
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:2], row, *text[3:]]) + "\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl"):
        train(tiny_plan(), tmp_path / "run", show=False)


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_folder_that_goes_away_ends_the_training_with_an_error(tmp_path, monkeypatch, how):
    before = trainer.Trainer.run_step
    folder = tmp_path / "run"

    def one_step(run, reporter):
        before(run, reporter)
        if run.step == 3:
            shutil.rmtree(folder) if how == "deleted" else folder.rename(tmp_path / "moved")

    monkeypatch.setattr(trainer.Trainer, "run_step", one_step)
    with pytest.raises(OSError, match="was moved or deleted while the training ran"):
        train(tiny_plan(saving=Saving(every=0)), folder, show=False)
    assert not folder.exists()
    if how == "moved":
        monkeypatch.undo()
        monkeypatch.setattr(trainer, "make_mesh", loop_mesh)
        assert train(tiny_plan(steps=4), tmp_path / "moved", accept=["steps", "saving.every"], show=False)


def test_a_disk_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    """Where the records lie, and where a checkpoint does."""

    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(command, "plan_of", lambda fields: tiny_plan(steps=2, held=EvalSetConfig(tokens=0)))
    for place, name in ((trainer.MetricsWriter, "add"), (manifest, "write"), (trainer, "write_config_file")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            assert command.main(["train", f"--workdir={tmp_path / name}"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "No space left on device" in line
        assert command.main(["train", f"--workdir={tmp_path / name}"]) == 0
    assert launching.fail("x") == 2


def test_a_measurement_that_was_cut_short_is_made_again(whole, tmp_path):
    """Before the first step, where no checkpoint says how far it came."""
    (tmp_path / "evaluations.jsonl").write_text((whole[0] / "evaluations.jsonl").read_text().splitlines()[0] + "\n")
    train(tiny_plan(), tmp_path, show=False)
    assert digest(tmp_path, 10) == digest(whole[0], 10)


def test_another_plan_in_the_same_folder_is_refused_unless_it_is_declared(whole, tmp_path):
    interrupted(tiny_plan(), tmp_path, 5)
    other = tiny_plan(optimizer=Optimizer(lr=2e-2), seed=1)
    with pytest.raises(ValueError, match=r"optimizer\.lr was 0\.01 and is 0\.02; seed was 0 and is 1") as refused:
        train(other, tmp_path, show=False)
    assert "--accept=optimizer.lr,seed" in str(refused.value)
    with pytest.raises(ValueError, match=r"--accept names optimizer\.lrr"):
        train(other, tmp_path, accept=["optimizer.lrr"], show=False)
    longer = tiny_plan(steps=12)
    assert train(longer, tmp_path, accept=["steps"], show=False)[0]["step"] == 12
    assert train(longer, tmp_path, show=False)[0]["step"] == 12


def test_weights_that_have_changed_are_refused(whole, tmp_path):
    """An adapter belongs to the weights that it was trained beside."""
    base, plan = tmp_path / "base", tiny_plan(steps=1, held=EvalSetConfig(tokens=0))
    train(plan, base, show=False)
    adapted = tiny_plan(model=str(base), encoding=None, adaptation=LoRA(rank=2), steps=4, saving=Saving(every=1))
    interrupted(adapted, tmp_path / "adapted", 2)
    train(tiny_plan(steps=3, held=EvalSetConfig(tokens=0)), base, accept=["steps"], show=False)
    with pytest.raises(ValueError, match="was trained from weights"):
        train(adapted, tmp_path / "adapted", show=False)


def test_an_adapter_s_checkpoint_has_the_adapter_alone(tmp_path):
    plan = tiny_plan(adaptation=LoRA(rank=2), adapt_random=True, steps=2, held=EvalSetConfig(tokens=0))
    train(plan, tmp_path, show=False)
    assert {n.split("']['")[-1].strip("']") for n in arrays(tmp_path, 2) if "trainable" in n} == {
        f"{p}_{f}" for p in "qkvo" for f in "ab"
    }


@pytest.mark.parametrize("at", [4, 6, 9])
def test_phases_change_encoding_length_and_batch_and_go_on_to_the_last_bit(tmp_path, at):
    """T5's tables come in at step 4 and go out at step 8."""
    phases = (
        Phase(start=4, encoding=T5Bias(buckets=8, max_distance=16), length=24, batch=4),
        Phase(start=8, encoding=ALiBi(), pattern=BlockwiseCausal(block=16)),
    )
    plan = tiny_plan(phases=phases, held=EvalSetConfig(every=2, lengths=(24,), tokens=96))
    train(plan, tmp_path / "whole", show=False)
    tokens = [r["tokens"] for r in read_rows(type(tmp_path)(tmp_path / "whole" / "metrics.jsonl"))]
    per_step = np.diff([0, *tokens])
    assert (per_step[:4] <= 8 * 16).all()
    assert (per_step[4:] <= 4 * 24).all()
    assert any("encoding" in n for n in arrays(tmp_path / "whole", 5))
    assert not any("encoding" in n for n in arrays(tmp_path / "whole", 10))
    interrupted(plan, tmp_path / "cut", at)
    train(plan, tmp_path / "cut", show=False)
    assert digest(tmp_path / "cut", 10) == digest(tmp_path / "whole", 10)


def test_what_is_measured_is_a_pattern_and_a_length_at_a_time(tmp_path):
    held = EvalSetConfig(lengths=(16, 32), tokens=128, patterns=(Causal(), BlockwiseCausal(block=16)))
    rows = train(tiny_plan(steps=2, held=held), tmp_path, show=False)
    assert [(r["pattern"], r["length"]) for r in rows] == [
        ("Causal()", 16), ("BlockwiseCausal(block=16)", 16), ("Causal()", 32), ("BlockwiseCausal(block=16)", 32),
    ]  # fmt: skip
    same_inside, other_beyond = (rows[0]["nll"], rows[1]["nll"]), (rows[2]["nll"], rows[3]["nll"])
    assert same_inside[0] == pytest.approx(same_inside[1], rel=1e-6)
    assert abs(other_beyond[0] - other_beyond[1]) > 1e-5


def test_too_many_bad_batches_end_the_training_and_name_the_last(tmp_path):
    plan = tiny_plan(
        optimizer=Optimizer(lr=1e30, clip=0.0, schedule="constant"), guard=SkipConfig(stop_after=3), steps=30
    )
    with pytest.raises(Diverged, match="3 batches in a row were left out, the last at step") as end:
        train(plan, tmp_path, show=False)
    skipped = read_rows(type(tmp_path)(tmp_path / "skipped.jsonl"))
    assert len(skipped) >= 3
    assert skipped[-1]["batch"] in str(end.value)


@pytest.mark.parametrize("data", [{}, {"tokens": 5}, {"tokens": [], "stream": {}}, {"tokens": 5, "stream": {"of": 3}}])
def test_a_checkpoint_that_does_not_say_where_its_data_stood_is_damaged(tmp_path, monkeypatch, data):
    """Whose digests fit all the same; it stays where it is."""
    untrained(tiny_plan(held=EvalSetConfig(tokens=0)), tmp_path / "run")
    before = trainer.Checkpoints.restore
    monkeypatch.setattr(trainer.Checkpoints, "restore", lambda *a: before(*a)._replace(data=data))
    with pytest.raises(DamagedError, match="does not say where its data stood"):
        train(tiny_plan(held=EvalSetConfig(tokens=0)), tmp_path / "run", show=False)
    assert (tmp_path / "run" / "checkpoints" / "1" / "manifest.json").exists()


def test_a_training_of_padding_alone_came_to_nothing(tmp_path, monkeypatch):
    """No batch of it moves the parameters, and started again it says so again."""
    before = trainer.open_stream

    class Padding:
        def __init__(self, stream):
            self.stream, self.state, self.restore = stream, stream.state, stream.restore

        def __next__(self):
            batch = next(self.stream)
            return batch._replace(weights=np.zeros_like(batch.weights))

    monkeypatch.setattr(trainer, "open_stream", lambda *a, **k: Padding(before(*a, **k)))
    plan = tiny_plan(steps=2, held=EvalSetConfig(tokens=0))
    for _ in range(2):
        with pytest.raises(Diverged, match="none of the 2 batches"):
            train(plan, tmp_path, show=False)
    assert [row["loss"] for row in read_rows(epath.Path(tmp_path / "skipped.jsonl"))] == [0.0, 0.0]


def test_a_token_below_zero_is_refused(tmp_path, monkeypatch):
    """A gather would take the last row."""
    before = trainer.open_stream

    class Wrong:
        def __init__(self, stream):
            self.stream = stream

        def __next__(self):
            batch = next(self.stream)
            return batch._replace(tokens=batch.tokens - 20)

    monkeypatch.setattr(trainer, "open_stream", lambda *a, **k: Wrong(before(*a, **k)))
    with pytest.raises(ValueError, match=r"the token -\d+, the model a vocabulary"):
        train(tiny_plan(held=EvalSetConfig(tokens=0)), tmp_path, show=False)


def test_drawn_positions_and_documents_apart_are_trained_with(tmp_path):
    data = DataSettings(source="Copy(symbols=16)", positions=PoSE(length=64), separate_documents=True)
    rows = train(tiny_plan(data=data, steps=3), tmp_path, show=False)
    assert all(np.isfinite(r["nll"]) for r in rows)


def test_two_trainings_do_not_share_a_folder(tmp_path):
    from ropelab.training.run_folder import lock_folder

    with lock_folder(epath.Path(tmp_path)), pytest.raises(ValueError, match="another training is at work"):
        train(tiny_plan(), tmp_path, show=False)


@pytest.mark.parametrize(
    "compute",
    [Compute(accumulate=2), Compute(remat="layers"), Compute(dtype="bfloat16"), Compute(kernel="blockwise")],
    ids=repr,
)
def test_how_it_is_computed_hardly_changes_what_comes_out(whole, tmp_path, compute):
    train(tiny_plan(compute=compute, steps=10), tmp_path, show=False)
    found, wanted = ([r["loss"] for r in read_rows(type(tmp_path)(f / "metrics.jsonl"))] for f in (tmp_path, whole[0]))
    assert found == pytest.approx(wanted, rel=5e-2 if compute.dtype == "bfloat16" else 2e-5)
