"""The short form of `fuzz`: a few cases of every format, and that the harness itself sees what it must see."""

from collections.abc import Iterator

import pytest

from tests.reliability import fuzz

CASES = 40


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[fuzz.Fuzzer]:
    fuzzer = fuzz.Fuzzer()
    yield fuzzer
    fuzzer.close()


@pytest.mark.parametrize("name", fuzz.NAMES)
def test_files_are_read_or_refused_by_a_documented_error(name: str, fuzzer: fuzz.Fuzzer) -> None:
    counts, lines = fuzz.fuzz(fuzzer, name, CASES, seed=1)
    assert lines == []
    assert min(counts["refused"], counts["loaded"]) > 0, counts


@pytest.mark.parametrize(
    ("case", "outcome"), list(enumerate(["other", "other", "other", "hang", "memory", "import", "import"]))
)
def test_the_harness_sees_what_goes_wrong(case: int, outcome: str, fuzzer: fuzz.Fuzzer) -> None:
    """An undocumented error, one that another library raised, a death, a hang, much memory, an import, a process."""
    fuzzer.seconds = 0.5
    found = fuzzer.once("broken", 0, case) if outcome == "hang" else fuzzer.run("broken", 0, case)
    fuzzer.seconds = fuzz.SECONDS
    assert found["outcome"] == outcome, found
