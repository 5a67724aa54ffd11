"""Names of ropelab 0.1: fields, methods and modules keep working, and an old name of a hook is refused."""

import importlib
import sys

import pytest

from ropelab import encodings, spec
from ropelab.encodings import Encoding, LogN, NoPE, ResonanceRoPE, RoPE
from ropelab.encodings.query_scaling import QueryScaled
from ropelab.encodings.user_module import parse_with_import

ROPE = RoPE(base=1e4)


@pytest.mark.parametrize("old", sorted(Encoding.renamed))
def test_a_class_that_overrides_a_hook_by_its_old_name_is_refused(old: str) -> None:
    with pytest.raises(TypeError, match=f"Mine defines {old}, .*{Encoding.renamed[old]}"):
        type("Mine", (RoPE,), {old: lambda self, *args: None})


def test_a_field_of_an_old_name_is_refused() -> None:
    with pytest.raises(TypeError, match="inner"):
        type("Mine", (QueryScaled,), {"__annotations__": {"of": Encoding}})


def test_a_user_s_file_with_an_old_hook_is_refused_with_the_new_name(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from ropelab.encodings import RoPE\nfrom ropelab.spec import spec\n\n\n@spec\nclass Mine(RoPE):\n"
        '    """Old."""\n\n    @property\n    def framed(self):\n        return True\n'
    )
    with pytest.raises(ValueError, match="per_query_keys"):
        parse_with_import(f"{file}:Mine(base=1e4)")


@pytest.mark.parametrize("text", ["LogN(of=RoPE(base=1e4), original_length=8)", "ResonanceRoPE(of=RoPE(base=1e4))"])
def test_specs_with_an_old_field_are_read(text: str) -> None:
    assert encodings.parse(text) == encodings.parse(text.replace("of=", "inner="))


def test_old_fields_and_methods_work_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="inner"):
        made = LogN(**{"of": ROPE, "original_length": 8})
    assert made == LogN(inner=ROPE, original_length=8)
    with pytest.warns(DeprecationWarning, match="inner"):
        assert getattr(ResonanceRoPE(inner=ROPE), "of") == ROPE  # noqa: B009
    with pytest.warns(DeprecationWarning, match="rotated_dims"):
        assert getattr(ROPE, "turned")(16) == 16  # noqa: B009
    with pytest.raises(ValueError, match="same field"):
        LogN(**{"of": ROPE, "inner": NoPE(), "original_length": 8})
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(ROPE, "nonsense")  # noqa: B009


def test_the_old_module_of_specs_is_an_alias() -> None:
    sys.modules.pop("ropelab.encodings.specs", None)
    with pytest.warns(DeprecationWarning, match=r"ropelab\.spec"):
        old = importlib.import_module("ropelab.encodings.specs")
    assert all(getattr(old, name) is getattr(spec, name) for name in ("Spec", "spec", "require", "at_least", "parse"))
    assert old.parts is spec.iterate_specs
