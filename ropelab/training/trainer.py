"""The loop: batches in, steps made, measured, written down and saved, until the plan is done or somebody asks to stop.

    train(plan, "runs/first")

The same call on the same folder goes on where it was, to the last bit: a checkpoint holds the state and the position
in the data, and whatever was written down after it is dropped.
"""

import math
import os
import signal
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh
from tqdm import tqdm

from ropelab.data.documents import check_disjoint
from ropelab.data.stream import Stream, open_stream
from ropelab.training import evaluate, flops
from ropelab.training.checkpointing import Checkpoints, is_first_process
from ropelab.training.checks import check_config
from ropelab.training.config import Stage, TrainConfig
from ropelab.training.distributed import any_process, gather_json, local_rows, make_mesh, shard_batch
from ropelab.training.manifest import DamagedError
from ropelab.training.metrics import SPEED_EVERY, Diverged, MetricsWriter, Reporter, Row, read_rows
from ropelab.training.run_folder import check_same_config, lock_folder, log_start, write_config_file
from ropelab.training.state import Setup
from ropelab.training.step import train_step

_EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


class Stopped(Exception):
    """The training was asked to end and has saved.

    Attributes:
        code: what a shell expects of a process that ended on this signal.
    """

    def __init__(self, received: signal.Signals, step: int):
        told = (
            f"saved step {step}; the same command goes on from there" if step else "no step was done, nothing is saved"
        )
        super().__init__(f"{received.name}: {told}")
        self.code = _EXIT_CODES[received]


class SignalListener:
    """Context manager that records the first SIGTERM, SIGINT or SIGHUP instead of ending the process.

        with SignalListener() as heard:
            ...  # heard.signal is None until a signal arrives

    The trainer finishes the current step, saves, and exits; a second signal ends the process at once. SIGHUP (a closed
    terminal) stays ignored under nohup. Orbax installs no handler in a single process, so without this a preempted
    Colab or TPU VM would lose everything since its last checkpoint. Python delivers signals to the main thread only; in
    any other thread, as in some notebooks, signals are left alone.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> "SignalListener":
        for number in _EXIT_CODES:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                self._before[number] = signal.signal(number, self._hear)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()


def train(
    plan: TrainConfig,
    folder: str | os.PathLike[str],
    *,
    accept: Sequence[str] = (),
    command: str = "",
    show: bool = True,
) -> list[Row]:
    """Train, or go on training, and return the rows of `evaluations` of the last step.

    Args:
        folder: everything that the run writes: plan.json, metrics.csv, evaluations.csv, speed.csv (each also as
            .jsonl), tensorboard/, checkpoints/; may be a bucket, "gs://...".
        accept: settings that may differ from those the folder was begun with.
        command: what was typed, for the record.
        show: whether to draw a bar.

    Raises:
        ValueError: for a plan that cannot run, before anything is compiled, or a folder of another training.
        OSError: if the folder cannot be written, or was moved or deleted meanwhile.
        Stopped: after SIGTERM, SIGINT or SIGHUP, when the last finished step is saved.
        Diverged: if the guard gave up; what was saved stays.
        DamagedError: if there are checkpoints and none is whole.
    """
    where = epath.Path(os.fspath(folder))
    mesh = make_mesh(plan.mesh)
    with jax.set_mesh(mesh), lock_folder(where) as check_there, SignalListener() as heard:
        check_same_config(where, plan, accept)
        run = Trainer(plan, where, mesh, check_there)
        write_config_file(where, plan)
        log_start(where, step=run.step, command=command)
        try:
            run.go(heard, show=show and is_first_process())
        finally:
            run.close()
    return [row for row in read_rows(where / "evaluations.jsonl") if row["step"] == plan.steps]


class Trainer:
    """A training under way.

    Attributes:
        step: steps done.
        stage: what held in the last of them.
    """

    def __init__(self, plan: TrainConfig, folder: epath.Path, mesh: Mesh, check_there: Callable[[], None]):
        self.plan, self.mesh, self.check_there = plan, mesh, check_there
        self.setup = Setup(plan, mesh)
        check_config(self.setup)
        self.stages, self.step, self.tokens = self.setup.stages, 0, 0
        self.stage = self.stages[0]
        for stage in self.stages[:0:-1]:  # a phase that its data cannot fill is found now, not when it begins
            self.open(stage)
        self.stream = self.open(self.stage)
        self.exams = self.make_eval_sets()
        expected = self.setup.origin.encoding
        self.setup.read()
        if self.setup.origin.encoding != expected:  # a damaged checkpoint of the origin fell back to an earlier one
            check_config(self.setup)
        self.state, self.frozen = self.setup.begin(self.stage)
        self.checkpoints = Checkpoints(folder / "checkpoints", plan.saving, said=_write_line)
        self.restore()
        # Without a checkpoint nothing that stands there counts, be it a half of the measurements before the first step.
        self.records = MetricsWriter(folder, up_to=self.step or -1, writes=is_first_process())
        self.saved_at = self.step
        self.measured_at = max((row["step"] for row in read_rows(folder / "evaluations.jsonl")), default=-1)
        self.peak = (
            flops.peak_flops()[0] if plan.steps - self.step >= SPEED_EVERY else math.nan
        )  # no row of speed will come

    def open(self, stage: Stage) -> Stream:
        """The batches of a stage, those rows of them that devices of this process hold."""
        rows, number = local_rows(stage.batch, self.mesh), self.stages.index(stage)
        sizes = {"length": stage.length, "batch": stage.batch, "seed": self.plan.seed + 1_000_003 * number}
        return open_stream(self.plan.data, **sizes, rows=rows, tokenizer=self.setup.tokenizer)

    def make_eval_sets(self) -> list[evaluate.EvalSet]:
        held = self.plan.held
        if not held.tokens:
            return []
        check_disjoint(self.plan.data)
        lengths = held.lengths or (self.stages[-1].length,)
        patterns = held.patterns or (None,)
        source = {"settings": self.plan.data, "tokenizer": self.setup.tokenizer}
        exams = evaluate.make_eval_sets(lengths, patterns, held.tokens, self.mesh, **source)
        for exam in exams:
            self.setup.check_tokens(exam.rows)
        return exams

    def restore(self) -> None:
        """Take up the newest good checkpoint, if there is one."""
        if not self.checkpoints.steps():
            return
        del self.state  # before the other is read: one state in memory at a time
        found = self.checkpoints.restore(lambda step: self.setup.like(self.setup.stage_at(step)))
        assert found is not None
        self.setup.check_base(found.facts["base"])
        self.state, self.step = found.state, found.step
        self.stage = self.setup.stage_at(self.step)
        self.stream = self.open(self.stage)
        try:
            self.tokens = int(found.data["tokens"])
            self.stream.restore(found.data["stream"])
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DamagedError(
                f"step {self.step} in {self.checkpoints.folder} does not say where its data stood "
                f"({type(error).__name__}: {error}); move it away to go on from the step before"
            ) from error

    def go(self, heard: SignalListener, *, show: bool) -> None:
        """Steps until the end."""
        begun = {"initial": self.step, "total": self.plan.steps, "disable": not show, "unit": "step"}
        with tqdm(**begun, dynamic_ncols=True) as bar:
            reporter = Reporter(self.records, self.plan.guard, bar, tokens=self.tokens, peak=self.peak)
            self.evaluate_and_save(reporter)
            while self.step < self.plan.steps:
                if any_process(heard.signal is not None):
                    self.save(reporter, loss=None)
                    raise Stopped(heard.signal or signal.SIGTERM, self.step)
                self.checkpoints.check()
                self.run_step(reporter)
                self.evaluate_and_save(reporter)
        self.checkpoints.finish()
        self.check_there()
        if not int(jax.device_get(self.state.watch.taken)):
            raise Diverged(
                f"none of the {self.step} batches could be taken: they are padding, or their loss is not finite; see "
                "skipped.csv, and look at the data"
            )

    def run_step(self, reporter: Reporter) -> None:
        """The next batch, under what holds from here on."""
        stage = self.setup.stage_at(self.step + 1)
        if stage is not self.stage:
            self.state = self.setup.carried(self.state, self.stage, stage)
            self.stage, self.stream = stage, self.open(stage)
        local = next(self.stream)
        self.setup.check_tokens(local)
        recipe = self.setup.recipe(stage)
        batch = shard_batch(local, stage.batch, self.mesh)
        self.state, figures = train_step(recipe, self.state, self.frozen, batch)
        self.step += 1
        work = flops.flops_per_token(recipe.wiring, stage.length, frozen=bool(self.frozen))
        reporter.happened(self.step, figures, local, work)

    def evaluate_and_save(self, reporter: Reporter) -> None:
        """What is due after this step: a measurement, a checkpoint, both at the end."""
        held, saving, last = self.plan.held, self.plan.saving, self.step == self.plan.steps
        loss = None
        if self.step > self.measured_at and (last or _is_due(self.step, held.every)):
            reporter.pause()
            loss = self.measure(self.step)
            reporter.rest()
        if self.step > self.saved_at and self.step and (last or _is_due(self.step, saving.every)):
            self.save(reporter, loss)

    def measure(self, step: int) -> float | None:
        """Every exam; the loss of the first."""
        recipe = self.setup.recipe(self.stage)
        losses = []
        for exam in self.exams:
            row = evaluate.evaluate(exam, recipe, self.state.trainable, self.frozen, self.mesh)
            self.records.add("evaluations", {"step": step} | row)
            losses.append(row["nll"])
        self.measured_at = step
        return losses[0] if losses else None

    def save(self, reporter: Reporter, loss: float | None) -> None:
        """Begin a checkpoint of the steps done, when all that came before is written down."""
        if self.step == self.saved_at or not self.step:
            return
        reporter.pause()
        self.check_there()
        self.records.sync()
        data = {"stream": _merge_stream_states(gather_json(self.stream.state())), "tokens": reporter.tokens}
        self.checkpoints.save(self.step, self.state, data, {"base": self.setup.base, "loss": loss})
        self.saved_at = self.step
        reporter.rest()

    def close(self) -> None:
        """End the background work; what was begun is finished."""
        try:
            self.checkpoints.close()
        finally:
            self.records.close()


def _is_due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _merge_stream_states(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The position in the data of all processes: each knows the lanes that it runs."""
    lanes = {name: lane for state in states for name, lane in state["lanes"].items()}
    return states[0] | {"lanes": lanes}


def _write_line(line: str) -> None:
    tqdm.write(line)
