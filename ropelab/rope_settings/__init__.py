"""Everybody's names for the same settings ⇄ an `Encoding`.

    from_hf(config)                         to_hf(encoding, ...)           transformers 4 and 5, per layer type too
    from_llama_cpp("--rope-scale 2 ...")    to_llama_cpp(encoding, ...)    the options of llama.cpp
    from_gguf({"llama.rope...": ...})       to_gguf(encoding, ...)         metadata of a GGUF file
    from_exllama(alpha_value=2, ...)        to_exllama(encoding, ...)      ExLlama and text-generation-webui
    from_maxtext({"rope_type": ...})        to_maxtext(encoding, ...)      MaxText's flat keys

Read strictly: a key that nobody would read, or a type that is not known here, is an error that names it. The field's
commonest fault is a rope setting that was accepted and never applied. Written strictly: what a dialect cannot say is
refused with the reason and the remedy. Where it can, `from_x(to_x(e, ...)) == e`, or has the same frequencies if the
dialect has no word for the idea (NTK is a larger base to all but ExLlama).

What a dialect leaves to the model's file (`base`, `rotary_dim`) stays unsaid, to be inherited from the checkpoint.
`pairing` belongs to the layout of the weights, which each engine's converter arranges: no dialect but MaxText's YaRN
states it, so `from_x` leaves it out and `to_x` refuses "interleaved". A context length goes along in a `Setting`,
which `read(text)` returns of any dialect and `x.read` of one.
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
