"""The optimiser: a rule of optax behind a clip of the gradient's norm, with the learning rate's schedule.

    lr(n) = peak * n / warmup                                         n < warmup
            peak                                                      "constant"
            peak + (end - peak) * x                                   "linear",  x = (n - warmup) / (steps - warmup)
            end + (peak - end) * (1 + cos(pi x)) / 2                  "cosine"

n counts the updates that were made, so a batch that the guard leaves out moves nothing.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from ropelab.models.family import Tree
from ropelab.spec import Spec, at_least, require, spec

_UNDECAYED = ("norm", "bias", "sink_logits", "slopes")


@spec
class Optimizer(Spec):
    """Which rule, and how large its steps are.

    Attributes:
        lr: peak learning rate.
        schedule: its course after the warm-up.
        warmup: updates from 0 to the peak.
        end: the last learning rate, as a share of the peak.
        b1, b2, eps: of AdamW and Lion (eps: AdamW alone).
        weight_decay: decoupled; norms, biases and an encoding's tables are left out.
        clip: largest global norm of a gradient; 0 leaves it as it is.
    """

    lr: float
    rule: Literal["adamw", "lion", "sgd"] = "adamw"
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: int = 0
    end: float = 0.1
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, "warmup", "end", "weight_decay", "clip")
        require(self.lr > 0, self, f"lr={self.lr} must be positive")
        require(0 <= self.b1 < 1 and 0 <= self.b2 < 1, self, f"b1={self.b1} and b2={self.b2} must lie in [0, 1)")
        require(self.eps > 0, self, f"eps={self.eps} must be positive")


def make_schedule(settings: Optimizer, steps: int) -> Callable[[Any], Any]:
    """The learning rate after n of `steps` updates.

    Raises:
        ValueError: if the warm-up is longer than the training.
    """
    rest, peak, last = steps - settings.warmup, settings.lr, settings.lr * settings.end
    require(rest > 0, settings, f"warmup={settings.warmup} must be less than the {steps} steps of the training")
    courses = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, last, rest),
        "cosine": optax.cosine_decay_schedule(peak, rest, alpha=settings.end),
    }
    course = courses[settings.schedule]
    if not settings.warmup:
        return course
    return optax.join_schedules([optax.linear_schedule(0.0, peak, settings.warmup), course], [settings.warmup])


def make_optimizer(settings: Optimizer, steps: int) -> optax.GradientTransformation:
    """What turns gradients into updates."""
    lr = make_schedule(settings, steps)
    decay = {"weight_decay": settings.weight_decay, "mask": decay_mask}
    rules = {
        "adamw": lambda: optax.adamw(lr, b1=settings.b1, b2=settings.b2, eps=settings.eps, **decay),
        "lion": lambda: optax.lion(lr, b1=settings.b1, b2=settings.b2, **decay),
        "sgd": lambda: optax.chain(optax.add_decayed_weights(**decay), optax.sgd(lr)),
    }
    clip = [optax.clip_by_global_norm(settings.clip)] if settings.clip else []
    return optax.chain(*clip, rules[settings.rule]())


def decay_mask(params: Tree) -> Tree:
    """Which parameters weight decay shrinks: the matrices."""

    def shrinks(path: tuple, leaf: Any) -> bool:
        names = [str(getattr(entry, "key", "")) for entry in path]
        return names[0] != "encoding" and not names[-1].endswith(_UNDECAYED)

    return jax.tree.map_with_path(shrinks, params)
