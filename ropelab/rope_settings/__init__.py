"""Rope settings of other tools as an `Encoding`, and back.

    from_hf(config)                         to_hf(encoding, ...)           transformers 4 and 5, also per layer type
    from_llama_cpp("--rope-scale 2 ...")    to_llama_cpp(encoding, ...)    command line options of llama.cpp
    from_gguf({"llama.rope...": ...})       to_gguf(encoding, ...)         metadata of a GGUF file
    from_exllama(alpha_value=2, ...)        to_exllama(encoding, ...)      ExLlama and text-generation-webui
    from_maxtext({"rope_type": ...})        to_maxtext(encoding, ...)      MaxText's configuration keys

Reading is strict: an unknown key or type raises an error that names it, because the most common fault in the field is a
rope setting that is accepted and never applied. Writing is strict too: an encoding that a dialect cannot express raises
an error with the reason and the remedy. Otherwise `from_x(to_x(e, ...)) == e`, or it has the same frequencies if the
dialect has no name for the idea (NTK is a larger base in all dialects but ExLlama's).

Fields that a dialect leaves to the model's file (`base`, `rotary_dim`) are None and inherited from the checkpoint.
`pairing` is a property of the layout of the weights, which the converter of each engine arranges. Only MaxText's YaRN
states it, so `from_x` leaves it out and `to_x` raises for "interleaved". `read(text)`, for any dialect, and the `read`
of each module return the context length too, in a `Setting`.
"""

from ropelab.rope_settings.base import Setting
from ropelab.rope_settings.description import describe, find_disagreements
from ropelab.rope_settings.exllama import from_exllama, to_exllama
from ropelab.rope_settings.gguf import from_gguf, to_gguf
from ropelab.rope_settings.hf import from_hf, to_hf
from ropelab.rope_settings.llama_cpp import from_llama_cpp, to_llama_cpp
from ropelab.rope_settings.maxtext import from_maxtext, to_maxtext
from ropelab.rope_settings.translation import DIALECTS, read, write

__all__ = [
    "DIALECTS",
    "Setting",
    "describe",
    "find_disagreements",
    "from_exllama",
    "from_gguf",
    "from_hf",
    "from_llama_cpp",
    "from_maxtext",
    "read",
    "to_exllama",
    "to_gguf",
    "to_hf",
    "to_llama_cpp",
    "to_maxtext",
    "write",
]
