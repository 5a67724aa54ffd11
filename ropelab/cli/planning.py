"""The fields of a configuration as a plan: what each is read by, and what those have that a file leaves out."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, get_origin

from ml_collections import config_dict

from ropelab import spec
from ropelab.attention import patterns
from ropelab.data import positions
from ropelab.data.settings import DataSettings
from ropelab.encodings.user_module import parse_with_import
from ropelab.training import config, lora
from ropelab.training.config import TrainConfig

SECTIONS: dict[str, Any] = {
    "optimizer": config.Optimizer,
    "data": DataSettings,
    "held": config.EvalSetConfig,
    "saving": config.Saving,
    "compute": config.Compute,
    "guard": config.SkipConfig,
    "mesh": config.MeshShape,
}
READ: dict[str, Callable[[str], Any]] = {  # fields that are text in a configuration and something else in a plan
    "encoding": lambda text: parse_with_import(text) if text else None,
    "pattern": patterns.parse,
    "phases": config.parse_phases,
    "adaptation": lora.parse,
    "held.patterns": lambda text: tuple(patterns.parse(one) for one in spec.split_list(text, ";")),
    "data.positions": positions.parse,
}
LEFT_OUT = {
    "encoding": "",
    "pattern": "Causal()",
    "phases": "",
    "adaptation": "Full()",
    "held.patterns": "",
    "data.positions": "Consecutive()",
}


WORDS = {  # fields of a plan whose names its docstring takes as understood
    "adaptation": "what is trained: Full(), LoRA(rank=8, alpha=16.0) or another of ropelab.training.lora.",
    "batch": "windows per step.",
    "length": "tokens per window.",
    "pattern": "of attention.",
    "phases": "later parts of the training: Phase(start=1000, length=4096), separated by ;.",
    "steps": "updates in all.",
    "mesh.data": "devices that batches are cut over; -1 for all that are left.",
    "mesh.fsdp": "devices that parameters and moments are cut over.",
    "mesh.sequence": "devices that the tokens of a window are cut over.",
    "mesh.tensor": "devices that heads and feed-forward are cut over.",
    "optimizer.rule": "adamw, lion or sgd.",
}


def defaults() -> dict[str, Any]:
    """Every field that a configuration may have; one without a default is empty, and of its type all the same."""
    sections = {name: fields_of(made, f"{name}.") for name, made in SECTIONS.items()}
    return fields_of(TrainConfig, "") | sections


def words() -> dict[str, str]:
    """What each field means, by its dotted name, as the docstrings have it."""
    found = explained(TrainConfig) | WORDS
    for name, made in SECTIONS.items():
        found |= {f"{name}.{field}": text for field, text in explained(made).items()}
    return found


def fields_of(made: Any, path: str) -> dict[str, Any]:
    kinds, found = spec.resolve_field_types(made), {}
    for field in dataclasses.fields(made):
        kind = str if get_origin(kinds[field.name]) is Literal else kinds[field.name]
        empty = field.default is dataclasses.MISSING and kind in (str, int, float)
        found[field.name] = config_dict.placeholder(kind) if empty else field.default
    written = {name: LEFT_OUT[path + name] for name in found if path + name in LEFT_OUT}
    return {name: value for name, value in (found | written).items() if path + name not in SECTIONS}


def plan_of(fields: dict[str, Any]) -> TrainConfig:
    """The plan that a configuration means.

    Raises:
        ValueError: for a field that does not exist or cannot be, with the nearest right name.
    """
    sections = {name: section(name, made, fields.get(name, {})) for name, made in SECTIONS.items()}
    return section("", TrainConfig, fields | sections)


def section(name: str, made: Any, fields: dict[str, Any]) -> Any:
    """One part of a plan from its fields, those left out that are empty."""
    path = f"{name}." if name else ""
    given = {key: value for key, value in fields.items() if value is not None}
    for key, value in given.items():
        if path + key in READ:
            given[key] = read(path + key, value)
    try:
        return spec.construct(made, given, "")
    except ValueError as error:
        said = str(error).removeprefix("'': ").removeprefix(f"{made.__name__}: ").removeprefix("Stage: ")
        raise ValueError(f"config{'.' if name else ''}{name}: {said}") from None


def read(path: str, text: Any) -> Any:
    """A field that is written as text."""
    if not isinstance(text, str):
        raise ValueError(f"config.{path}={text!r} is not allowed; it takes text, as {LEFT_OUT[path]!r}")
    try:
        return READ[path](text)
    except ValueError as error:
        raise ValueError(f"config.{path}: {error}") from None


def explained(cls: type) -> dict[str, str]:
    """What the docstrings of a class and those that it derives from say of their attributes, by name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for said in re.split(r"\n(?=    \w)", "\n" + attributes)[1:]:
            who, _, words = said.partition(":")
            found |= {name.strip(): " ".join(words.split()) for name in who.split(",")}
    return found
