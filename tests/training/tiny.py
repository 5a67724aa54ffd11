"""A training of seconds: two layers of width 16 that copy strings."""

from pathlib import Path

from etils import epath

from ropelab.attention.patterns import Causal
from ropelab.data.settings import DataSettings
from ropelab.encodings import RoPE
from ropelab.training.checkpointing import Checkpoints, Saving
from ropelab.training.checks import check_config
from ropelab.training.config import EvalSetConfig, TrainConfig
from ropelab.training.distributed import make_mesh
from ropelab.training.lora import Full
from ropelab.training.optimizer import Optimizer
from ropelab.training.run_folder import write_config_file
from ropelab.training.state import Setup

MODEL = (
    "LlamaConfig(vocabulary=32, width=16, layers=2, heads=2, key_heads=2, head_dim=8, feed_forward=32, "
    "norm_eps=1e-5, trained_length=16, tied_head=True)"
)


def tiny_plan(**changes) -> TrainConfig:
    """Ten steps of 8 x 16, a checkpoint after 5, a measurement before, in the middle and at the end."""
    fields = {
        "model": MODEL,
        "encoding": RoPE(base=100.0),
        "pattern": Causal(),
        "length": 16,
        "batch": 8,
        "steps": 10,
        "optimizer": Optimizer(lr=1e-2),
        "adaptation": Full(),
        "data": DataSettings(source="Copy(symbols=16)"),
        "held": EvalSetConfig(every=5, lengths=(16, 24), tokens=256),
        "saving": Saving(every=5),
    }
    return TrainConfig(**(fields | changes))


def untrained(plan: TrainConfig, folder: Path) -> Path:
    """A run whose first checkpoint has the parameters that it began with: nothing is compiled for a step."""
    where = epath.Path(folder)
    where.mkdir(parents=True)
    write_config_file(where, plan)
    setup = Setup(plan, make_mesh(plan.mesh))
    check_config(setup)
    state, _ = setup.begin(setup.stages[0])
    checkpoints = Checkpoints(where / "checkpoints", plan.saving)
    checkpoints.save(1, state, {"stream": {}, "tokens": 0}, {"base": setup.base, "loss": None})
    checkpoints.close()
    return folder
