"""Parts, lengths and seeds that cannot be are refused before anything is compiled."""

import pytest

from ropelab.encodings import LearnedAbsolute
from ropelab.models import generation
from tests.models import tiny


@pytest.mark.parametrize(("tokens", "part"), [([[1, 2, 3]], 0), ([[1, 2, 3]], -1), ([[1]], 2)])
def test_losses_in_impossible_parts(tokens: list[list[int]], part: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        next(tiny.lab().model.nll_in_parts(tokens, part=part))


@pytest.mark.parametrize(
    ("field", "value"), [("max_new_tokens", 10**12), ("seed", 2**32), ("seed", 2**70), ("seed", -1)]
)
def test_impossible_generations(field: str, value: int) -> None:
    fields = {"max_new_tokens": 1} | {field: value}
    with pytest.raises(ValueError, match=f"{field}={value}"):
        next(generation.tokens(tiny.lab().model, [[1, 2]], **fields))


def test_a_generation_beyond_memory_is_refused_before_anything_is_compiled():
    with pytest.raises(ValueError, match="GB are free"):
        tiny.lab(tokenizer=True).generate("abc", max_new_tokens=10**9)


def test_a_table_of_more_positions_than_there_are_is_refused():
    with pytest.raises(ValueError, match="max_length=1000000000000"):
        LearnedAbsolute(max_length=10**12)
