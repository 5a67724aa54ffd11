"""Ids are bytes, whatever the text, both ways."""

from hypothesis import example, given
from hypothesis import strategies as st

from ropelab.checkpoints.tokenizer import make_byte_tokenizer
from ropelab.data.settings import BYTE_END_ID, BYTE_VOCAB_SIZE, encode_bytes

TOKENIZER = make_byte_tokenizer()


@given(st.text())
@example("".join(map(chr, range(0x500))))
@example("\r\n\t  <|endoftext|> </s> 漢字 🙂 ▁Ġ\u2028")
def test_ids_are_the_bytes_that_training_reads(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert ids == encode_bytes(text.encode()).tolist()
    assert TOKENIZER.decode(ids) == text


def test_the_vocabulary_and_the_end_are_those_of_training() -> None:
    assert (TOKENIZER.vocabulary, TOKENIZER.eos_id) == (BYTE_VOCAB_SIZE, BYTE_END_ID)
    assert TOKENIZER.bos_id is None
    assert not TOKENIZER.add_bos
    assert TOKENIZER.decode([0xE6, 0xBC]) == "\ufffd"  # half a character
