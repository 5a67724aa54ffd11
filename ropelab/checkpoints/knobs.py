"""Alias of `ropelab.rope_settings`, under its former name."""

from ropelab.rope_settings import (
    DIALECTS,
    Setting,
    from_exllama,
    from_gguf,
    from_hf,
    from_llama_cpp,
    from_maxtext,
    read,
    to_exllama,
    to_gguf,
    to_hf,
    to_llama_cpp,
    to_maxtext,
    write,
)
from ropelab.rope_settings import describe as in_words
from ropelab.rope_settings import find_disagreements as disagreements

__all__ = [
    "DIALECTS",
    "Setting",
    "disagreements",
    "from_exllama",
    "from_gguf",
    "from_hf",
    "from_llama_cpp",
    "from_maxtext",
    "in_words",
    "read",
    "to_exllama",
    "to_gguf",
    "to_hf",
    "to_llama_cpp",
    "to_maxtext",
    "write",
]
