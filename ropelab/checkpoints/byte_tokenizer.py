"""Bytes as a tokenizer: id b is byte b of the text's UTF-8, and byte 0 ends a text, as in `data.tokens`.

What reads text with a model's tokenizer then reads it for a model of bytes. No text is taken for a special token: a
token is a byte, whatever it spells.
"""

from tokenizers import Tokenizer as Core
from tokenizers import decoders, models, pre_tokenizers

from ropelab.checkpoints.tokenizer import Tokenizer

END = 0
PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))  # written as themselves


def byte_tokenizer() -> Tokenizer:
    """A vocabulary of the 256 bytes."""
    core = Core(models.BPE({letter: byte for byte, letter in enumerate(letters())}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # pyright: ignore
    core.decoder = decoders.ByteLevel()  # pyright: ignore
    return Tokenizer(core, eos_id=END)


def letters() -> list[str]:
    """The letter that GPT-2's alphabet has for each byte: itself, or the next one from U+0100 on."""
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in PRINTABLE else chr(next(others)) for byte in range(256)]
