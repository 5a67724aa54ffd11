"""Planting a fault: checks that a sound encoding passes, and that the same one with the fault must fail."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest

from ropelab.contract import PROPERTIES
from ropelab.contract.calls import KERNELS
from ropelab.encodings import Encoding

Check = Callable[[Encoding], object]


@dataclasses.dataclass(frozen=True)
class Fault:
    """An encoding that passes the checks, and what is planted: another class with its fields, or a patch."""

    sound: Encoding
    checks: Sequence[str | Check]
    planted: type[Encoding] | None = None
    patch: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext

    @property
    def faulty(self) -> Encoding:
        return self.sound if self.planted is None else self.planted(**vars(self.sound))


def kernel(faulty: Callable[..., Any]) -> Callable[[], contextlib.AbstractContextManager]:
    """A faulty kernel in the place of `blockwise`."""
    return lambda: mock.patch.dict(KERNELS, {"blockwise": faulty})


def must_be_caught(fault: Fault) -> None:
    """By each of its checks, which pass before the fault is planted: so it is the fault that fails them."""
    for named in fault.checks:
        check = PROPERTIES[named] if isinstance(named, str) else named
        check(fault.sound)
        with fault.patch(), pytest.raises(AssertionError):
            check(fault.faulty)
