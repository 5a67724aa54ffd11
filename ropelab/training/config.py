"""All that a training is, as one value: the model, the phases it goes through, the data, the optimiser, the machine.

A plan is checked whole before anything is compiled, written into the folder of the run, and compared with what stands
there when the run goes on.
"""

import dataclasses
from typing import Any, Literal

from ropelab import spec as specs
from ropelab.attention import patterns
from ropelab.attention import registry as kernels
from ropelab.attention.exchanges import Exchange
from ropelab.attention.formula import Pattern
from ropelab.data import settings as data_settings
from ropelab.data.settings import DataSettings
from ropelab.encodings import registry
from ropelab.encodings.base import Encoding
from ropelab.models.remat import POLICIES
from ropelab.spec import Spec, at_least, require, spec
from ropelab.training import lora
from ropelab.training.checkpointing import Saving
from ropelab.training.distributed import MeshShape
from ropelab.training.lora import Adaptation
from ropelab.training.optimizer import Optimizer, make_schedule
from ropelab.training.step import SkipConfig

SEED_LIMIT = 2**32  # keys of jax.random have so many without 64-bit types


@spec
class Compute(Spec):
    """How the same numbers are computed.

    Attributes:
        dtype: of the forward and backward pass; parameters, moments and the loss stay float32.
        remat: what the backward pass computes again, a name in `models.remat`.
        kernel: of attention, a name or an exchange such as "Ring()".
        accumulate: parts of a batch that go through the model one after another.
    """

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    remat: str = "nothing"
    kernel: str = "auto"
    accumulate: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "accumulate")
        require(self.remat in POLICIES, self, f"remat={self.remat!r} is not one of {', '.join(POLICIES)}")
        kernels.parse(self.kernel)


@spec
class EvalSetConfig(Spec):
    """What is measured on held-out text.

    Attributes:
        every: steps; 0 measures at the end alone.
        lengths: of the windows, which do not overlap; the trained length if empty.
        tokens: how many of the text, at every length the same.
        patterns: each is measured; the one trained under if empty.
    """

    every: int = 0
    lengths: tuple[int, ...] = ()
    tokens: int = 65536
    patterns: tuple[Pattern, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "every", "tokens")
        require(self.tokens != 1, self, "tokens=1 has nothing to predict; give more, or 0 to measure nothing")
        require(all(n >= 1 for n in self.lengths), self, f"lengths={self.lengths} must be at least 1")


@spec
class Phase(Spec):
    """From step `start` on, another encoding, pattern, length or batch; what is left out stays as it is."""

    start: int
    encoding: Encoding | None = None
    pattern: Pattern | None = None
    length: int | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "start")


@spec
class Stage(Spec):
    """What holds between two changes. `encoding` None is that of the checkpoint."""

    start: int
    encoding: Encoding | None
    pattern: Pattern
    length: int
    batch: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "length", "batch")

    def after(self, phase: Phase) -> "Stage":
        changes = {f.name: getattr(phase, f.name) for f in dataclasses.fields(phase)}
        return dataclasses.replace(self, **{name: value for name, value in changes.items() if value is not None})


@spec
class TrainConfig(Spec):
    """A training.

    Attributes:
        model: sizes, `LlamaConfig(...)`, to begin from random parameters; or what to begin from: "smollm2", a .gguf
            file, a Hugging Face directory or hub id, or the folder of a run.
        encoding: None leaves the checkpoint's as it is.
        seed: of the parameters, the adapters and the order of the data, below 2**32.
        adapt_random: whether an adapter may be trained beside parameters that are random.
    """

    model: str
    encoding: Encoding | None
    pattern: Pattern
    length: int
    batch: int
    steps: int
    optimizer: Optimizer
    adaptation: Adaptation
    data: DataSettings
    phases: tuple[Phase, ...] = ()
    seed: int = 0
    adapt_random: bool = False
    compute: Compute = Compute()
    guard: SkipConfig = SkipConfig()
    held: EvalSetConfig = EvalSetConfig()
    saving: Saving = Saving()
    mesh: MeshShape = MeshShape()

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, "steps")
        at_least(0, self, "seed")
        require(
            self.seed < SEED_LIMIT, self, f"seed={self.seed} must be below 2**32; others draw what a smaller one draws"
        )
        starts = [phase.start for phase in self.phases]
        require(starts == sorted(set(starts)), self, f"phases must start one after another, not at {starts}")
        late = f"a phase starts at {max(starts, default=0)} and steps={self.steps} is the end; start it before"
        require(all(s < self.steps for s in starts), self, late)
        make_schedule(self.optimizer, self.steps)
        self.stages()

    def stages(self) -> tuple[Stage, ...]:
        """What holds from step 0 on, and from the start of every phase."""
        stage = Stage(start=0, encoding=self.encoding, pattern=self.pattern, length=self.length, batch=self.batch)
        found = [stage]
        for phase in self.phases:
            found.append(stage := stage.after(phase))
        return tuple(found)

    def kernel(self) -> str | Exchange:
        return kernels.parse(self.compute.kernel)


def flatten(plan: TrainConfig) -> dict[str, Any]:
    """The plan as flat names and written values: {"optimizer.lr": "0.001", ...}."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if field.name in ("encoding", "pattern", "adaptation", "phases") or not isinstance(value, Spec):
            flat[field.name] = value if isinstance(value, str) else repr(value)
        else:
            flat |= {f"{field.name}.{f.name}": repr(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return flat


_SECTIONS = (Compute, EvalSetConfig, Phase, TrainConfig, SkipConfig, MeshShape, Optimizer, Saving)
_EARLIER_NAMES = {"Plan": TrainConfig, "Held": EvalSetConfig, "Guard": SkipConfig}  # in plan.json of version 0
_CONSTRUCTORS: dict[str, Any] = (
    registry.CLASSES
    | patterns.CLASSES
    | data_settings._KNOWN
    | lora.KNOWN
    | {part.__name__: part for part in _SECTIONS}
    | _EARLIER_NAMES
)


def parse(text: str) -> TrainConfig:
    """The plan that a spec string means: `parse(repr(p)) == p`.

    Raises:
        ValueError: for an unknown name or field, with the nearest right one, or a refused value.
    """
    return specs.parse(text, _CONSTRUCTORS, kind="part of a plan")


def parse_phases(text: str) -> tuple[Phase, ...]:
    """Phases, separated by semicolons: `Phase(start=950, length=8192, batch=4); Phase(start=980, encoding=...)`."""
    found = tuple(specs.parse(one, _CONSTRUCTORS, kind="part of a phase") for one in specs.split_list(text, ";"))
    for one in found:
        if not isinstance(one, Phase):
            raise ValueError(f"{one!r} is no phase; write Phase(start=950, length=8192), separated by semicolons")
    return found
