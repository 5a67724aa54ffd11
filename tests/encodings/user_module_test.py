"""Encodings of a user's own file: found, combined with the catalogue's, refused in one line, and never stale."""

from pathlib import Path

import pytest

from ropelab.encodings import ALL, LogN, RoPE, parse
from ropelab.encodings.user_module import examples, parse_with_import, source_modules
from tests.models import tiny

MINE = """
from ropelab.encodings import RoPE
from ropelab.spec import spec


@spec
class Mine(RoPE):
    a: float = 1.0

    def frequencies(self, head_dim, length):
        inv_freq, amplitude = RoPE.frequencies(self, head_dim, length)
        return self.a * inv_freq, amplitude
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my encoding-2.py"
    path.write_text(MINE)
    return path


def test_a_spec_of_a_file(file: Path):
    mine = parse_with_import(f" {file}:Mine(base=1e4, a=2) ")
    assert repr(mine) == "Mine(base=10000.0, a=2.0)"
    assert mine == parse_with_import(f"{file}:Mine(a=2, base=1e4)")
    assert hash(mine) == hash(parse_with_import(f"{file}:Mine(a=2, base=1e4)"))
    assert parse_with_import(f"{file}:Mine") == type(mine)()


def test_it_goes_into_wrappers_and_the_catalogue_s_are_known_beside_it(file: Path):
    wrapped = parse_with_import(f"{file}:LogN(inner=Mine(base=1e4, a=2), original_length=64)")
    assert isinstance(wrapped, LogN)
    assert repr(wrapped.inner) == "Mine(base=10000.0, a=2.0)"
    assert parse_with_import(f"{file}:Layers((Mine(a=2), NoPE()))").unique_encodings()[0] == parse_with_import(
        f"{file}:Mine(a=2)"
    )
    assert parse_with_import(f"{file}:RoPE(base=1e4)") == RoPE(base=1e4)


def test_a_name_of_the_catalogue_means_the_file_s_own(tmp_path: Path):
    (tmp_path / "own.py").write_text(MINE.replace("Mine", "PI"))
    assert repr(parse_with_import(f"{tmp_path}/own.py:PI(a=2)")) == "PI(a=2.0)"
    assert repr(parse_with_import("PI(factor=2)")) == "PI(factor=2.0)"


@pytest.mark.parametrize("encoding", ALL, ids=repr)
def test_the_catalogue_needs_no_file(encoding):
    assert parse_with_import(repr(encoding)) == encoding


def test_the_catalogue_alone_imports_no_file(file: Path):
    """What reads checkpoints and records speaks this notation only."""
    with pytest.raises(ValueError, match="cannot read the encoding"):
        parse(f"{file}:Mine(a=2)")


def test_an_edited_file_is_read_anew(file: Path):
    """Even when it is saved twice within a second at the same size, where bytecode would pass for fresh."""
    before = parse_with_import(f"{file}:Mine(base=1e4)")
    file.write_text(MINE.replace("a: float = 1.0", "a: float = 3.0"))
    after = parse_with_import(f"{file}:Mine(base=1e4)")
    assert after != before
    assert after.frequencies(8, 1)[0][0] == 3 * before.frequencies(8, 1)[0][0]
    assert source_modules(after) != source_modules(before)
    assert not list(file.parent.glob("__pycache__"))


def test_what_an_encoding_is_written_in_follows_its_parts(file: Path):
    (module,) = source_modules(parse_with_import(f"{file}:LogN(inner=Mine, original_length=64)"))
    assert [module] == source_modules(parse_with_import(f"{file}:Mine(a=2)"))
    assert source_modules(RoPE(base=1e4)) == []


def test_an_annotation_in_quotes_is_resolved(tmp_path: Path):
    (tmp_path / "later.py").write_text("from __future__ import annotations\n" + MINE)
    assert repr(parse_with_import(f"{tmp_path}/later.py:Mine(a=2)")) == "Mine(a=2.0)"


def test_examples_are_those_given_and_what_has_defaults(tmp_path: Path):
    more = "\n\n@spec\nclass Other(Mine):\n    b: int\n\nEXAMPLES = (Other(base=1e4, b=2), Other(base=1e4, b=3))\n"
    (tmp_path / "two.py").write_text(MINE + more + MINE.replace("Mine", "Third"))
    assert list(map(repr, examples(f"{tmp_path}/two.py"))) == [
        "Other(base=10000.0, b=2)",
        "Other(base=10000.0, b=3)",
        "Third()",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines no encoding"),
        (MINE.replace("float = 1.0", "float"), "Mine needs a="),
        (MINE + "\nEXAMPLES = (Mine, )", "which is no encoding"),
        (MINE.replace("@spec\n", ""), "Mine declares a and is not decorated with @spec"),
        (MINE + "\n1 / 0", "cannot be imported: ZeroDivisionError at line 14: division by zero"),
        ("def f(:", "cannot be imported: SyntaxError at line 1"),
        (
            "import no_such_module",
            "cannot be imported: ModuleNotFoundError at line 1: No module named 'no_such_module'",
        ),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
    ],
)
def test_a_file_that_holds_no_example_is_refused(text: str, message: str, tmp_path: Path):
    (tmp_path / "wrong.py").write_text(text)
    for _ in range(2):  # nothing half imported is left behind
        with pytest.raises(ValueError) as error:
            examples(f"{tmp_path}/wrong.py")
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (":Mime(a=2)", "unknown encoding 'Mime'. Did you mean Mine?"),
        (":Mine(b=2)", "Mine has no field 'b'"),
        (":Mine(a='x')", "a='x' is not allowed"),
        ("", "is a file; say which encoding of it"),
        (":", "is a file; say which encoding of it"),
        (":__import__('os')", "takes its fields by name|unknown encoding"),
    ],
)
def test_a_spec_that_the_file_has_not_is_refused(spec: str, message: str, file: Path):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse_with_import(f"{file}{spec}")


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no encoding can be read from nowhere.py: No such file"):
        parse_with_import("nowhere.py:Mine")


def test_a_swap_takes_it(file: Path):
    """With the base of the checkpoint, and proven to be applied."""
    other = tiny.lab().swap(f"{file}:Mine(a=0.5)")
    assert repr(other.encoding) == "Mine(base=10000.0, a=0.5)"
    assert other.receipt().first_position == 1
