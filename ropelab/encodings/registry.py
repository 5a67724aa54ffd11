"""The encodings of the library, one file and one line each, by family; examples of them and the specs that name them.

A new line here makes an encoding known everywhere: flags, configuration files and checkpoints find it by its class
name, `ropelab.encodings` exports the `__all__` of its file, and every property of `ropelab.contract` runs on its
`EXAMPLES`.
"""

import inspect
import sys
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ropelab import spec
from ropelab.encodings.base import Encoding

# none, and plain rotation
from ropelab.encodings.nope import *
from ropelab.encodings.rope import *

# rotary, stretched to longer contexts
from ropelab.encodings.pi import *
from ropelab.encodings.ntk import *
from ropelab.encodings.ntk_by_parts import *
from ropelab.encodings.ntk_mixed import *
from ropelab.encodings.yarn import *
from ropelab.encodings.llama3 import *
from ropelab.encodings.dynamic_pi import *
from ropelab.encodings.dynamic_ntk import *
from ropelab.encodings.dynamic_yarn import *
from ropelab.encodings.longrope import *

# rotary, with other frequencies or amplitudes
from ropelab.encodings.proportional import *
from ropelab.encodings.resonance import *
from ropelab.encodings.clipped import *
from ropelab.encodings.hope import *
from ropelab.encodings.fope import *
from ropelab.encodings.xpos import *
from ropelab.encodings.pope import *

# added to scores
from ropelab.encodings.alibi import *
from ropelab.encodings.t5 import *
from ropelab.encodings.kerple import *
from ropelab.encodings.sandwich import *
from ropelab.encodings.fire import *
from ropelab.encodings.cope import *

# remapped distances
from ropelab.encodings.rerope import *
from ropelab.encodings.self_extend import *
from ropelab.encodings.dual_chunk import *

# temperatures
from ropelab.encodings.logn import *
from ropelab.encodings.scalable_softmax import *
from ropelab.encodings.temperature import *

# added to the input
from ropelab.encodings.sinusoidal import *
from ropelab.encodings.learned import *

# schedules over layers
from ropelab.encodings.layers import *


def find_classes(module: types.ModuleType) -> dict[str, type[Encoding]]:
    """Return the encodings that a module defines, by name.

    Raises:
        ValueError: for a class whose fields are declared and are none, because @spec is missing.
    """
    found = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, Encoding)]
    own = {cls.__name__: cls for cls in found if cls.__module__ == module.__name__}
    for name, cls in own.items():
        if inspect.get_annotations(cls) and "__dataclass_params__" not in vars(cls):
            raise ValueError(
                f"{name} declares {', '.join(inspect.get_annotations(cls))} and is not decorated with @spec"
            )
    return own


def collect_examples(module: types.ModuleType, named: str) -> tuple[Encoding, ...]:
    """Return the module's `EXAMPLES`, and each other final encoding of the module with its defaults.

    Args:
        named: what errors call the module.

    Raises:
        ValueError: also for a class that is in no example and has no defaults, rather than leave it out.
    """
    own, given = find_classes(module), tuple(getattr(module, "EXAMPLES", ()))
    for value in given:
        if not isinstance(value, Encoding):
            raise ValueError(f"EXAMPLES of {named} holds {value!r}, which is no encoding")
    shown = {type(part) for value in given for part in spec.iterate_specs(value)}
    final = [cls for cls in own.values() if not any(issubclass(c, cls) for c in own.values() if c is not cls)]
    missing = [cls for cls in final if cls not in shown]
    if not (given or missing):
        raise ValueError(f"{named} defines no encoding: no class in it is derived from ropelab.encodings.Encoding")
    return (*given, *(spec.construct(cls, {}, f"{named}, without EXAMPLES") for cls in missing))


CLASSES: dict[str, type[Encoding]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Encoding) and value is not Encoding
}

_MODULES = [sys.modules[name] for name in dict.fromkeys(cls.__module__ for cls in CLASSES.values())]

if not TYPE_CHECKING:  # what `from ropelab.encodings.registry import *` takes: the encodings and their pure functions
    __all__ = [name for module in _MODULES for name in module.__all__]

ALL: tuple[Encoding, ...] = tuple(
    example for module in _MODULES for example in collect_examples(module, module.__name__)
)


def parse(text: str, inherited: Mapping[str, Any] | None = None) -> Encoding:
    """Parse a spec into an encoding: `parse(repr(e)) == e`.

    Args:
        inherited: values of fields that have no default and are left out, such as `original_length` from a checkpoint.

    Raises:
        ValueError: for an unknown encoding or field, with the nearest right name, or a refused value.
    """
    return spec.parse(text, CLASSES, kind="encoding", inherited=inherited)
