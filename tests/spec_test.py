"""The notation of flags, configurations and records: strict, without evaluation, and with the nearest right name."""

import dataclasses

import pytest

from ropelab import attention, encodings
from ropelab import spec as specs
from ropelab.encodings import ALiBi, Llama3RoPE, RoPE, YaRN
from ropelab.spec import Spec, spec


@spec
class Leaf(Spec):
    """A value to be nested in another."""

    size: int = 1


@spec
class Tree(Spec):
    """A value with nested values and tuples of them."""

    leaf: Leaf
    others: tuple[Leaf, ...] = ()
    rates: tuple[float, ...] = (1.0,)
    whole: bool = False


KNOWN = {"Leaf": Leaf, "Tree": Tree}


@pytest.mark.parametrize("value", encodings.ALL, ids=repr)
def test_an_encoding_prints_as_its_spec(value):
    assert encodings.parse(repr(value)) == value


@pytest.mark.parametrize("value", attention.ALL, ids=repr)
def test_a_pattern_prints_as_its_spec(value):
    assert attention.parse(repr(value)) == value


def test_only_what_differs_from_the_default_is_printed():
    assert repr(YaRN(factor=4, original_length=8192)) == "YaRN(factor=4.0, original_length=8192)"
    assert repr(YaRN(base=1e4, factor=4, original_length=8192, truncate=False)).endswith("truncate=False)")
    assert repr(ALiBi()) == "ALiBi()"


def test_an_integer_is_a_number_and_whitespace_is_nothing():
    assert encodings.parse("  RoPE( base = 10000 ) ") == RoPE(base=1e4)
    assert encodings.parse("ALiBi") == encodings.parse("ALiBi()") == ALiBi()
    assert encodings.parse("RoPE(base=1e4, pairing=None)") == RoPE(base=1e4)


def test_nested_values():
    made = Tree(leaf=Leaf(size=2), others=(Leaf(), Leaf(size=3)), rates=(1, 2.5), whole=True)
    assert specs.parse(repr(made), KNOWN, "tree") == made
    assert specs.parse("Tree(leaf=Leaf)", KNOWN, "tree") == Tree(leaf=Leaf())
    assert made.rates == (1.0, 2.5)
    assert isinstance(made.rates[0], float)


@pytest.mark.parametrize(
    "text, said",
    [
        ("Yarn(factor=4, original_length=8192)", "Did you mean YaRN?"),
        ("rope(base=1e4)", "Did you mean RoPE?"),
        ("alibi", "Did you mean ALiBi?"),
        ("RoPE(bas=1e4)", "no field 'bas'. Did you mean base?"),
        ("YaRN(factor=4, orig_length=8192)", "Did you mean original_length?"),
        ("YaRN(factor=4)", "YaRN needs original_length="),
        ("Zzzzz()", "unknown encoding 'Zzzzz'. Known: NoPE, RoPE"),
    ],
)
def test_a_wrong_name_is_told_the_nearest_right_one(text, said):
    with pytest.raises(ValueError) as error:
        encodings.parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RoPE(",
        "RoPE(base=1e4) RoPE(base=1e4)",
        "RoPE(base=1e4); ALiBi()",
        "RoPE(1e4)",
        "RoPE(*[1e4])",
        "RoPE(**{'base': 1e4})",
        "RoPE(base=1e4, base=1e5)",
        "RoPE(base=2 * 5000)",
        "RoPE(base=abs(1e4))",
        "RoPE(base=[1e4][0])",
        "RoPE(base=(lambda: 1e4)())",
        "RoPE(base=[b for b in (1e4,)])",
        "RoPE(base=f'{1e4}')",
        "RoPE(base=print)",
        "RoPE(base=(b := 1e4))",
        "__import__('os').system('true')",
        "RoPE(base=__import__('os').getpid())",
        "().__class__.__base__.__subclasses__()",
        "RoPE.__init__(base=1e4)",
        "encodings.RoPE(base=1e4)",
        "RoPE(base=1e4).inherit(other=ALiBi())",
        "RoPE(__class__=ALiBi)",
        "lambda: RoPE(base=1e4)",
        "ALiBi() if True else NoPE()",
        "1e4",
        "None",
        "(RoPE(base=1e4), ALiBi())",
    ],
)
def test_what_is_not_a_spec_is_refused(text):
    """Calls of known names with keyword literals, and nothing else of Python, reach a constructor."""
    with pytest.raises(ValueError):
        encodings.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "RoPE(base=" + "9" * 400 + ")",
        "RoPE(base=" + "9" * 5000 + ")",
        "SelfExtend(window=" + "9" * 30 + ")",
        "RoPE(base=" + "-" * 3000 + "1)",
        "-" * 100_000 + "1",
        "RoPE(base=" + "(" * 90 + ")" * 90 + ")",
        "Layers((" * 3000 + "))" * 3000,
        "RoPE(base=" + "not " * 3000 + "1)",
        "RoPE(base=" + "1+" * 3000 + "1)",
        "RoPE(base={[]})",
        "RoPE(base={[]: 1})",
        "RoPE(base='\ud800')",
        "RoPE(base=\0)",
        "RoPE(base='" + "x" * 60_000 + "')",
        5,
        None,
    ],
    ids=lambda text: str(text)[:24].encode("ascii", "replace").decode().replace("\0", "?"),
)
def test_what_is_too_large_or_too_deep_is_refused_in_a_short_message(text):
    with pytest.raises(ValueError) as error:
        encodings.parse(text)
    assert type(error.value) is ValueError
    assert len(str(error.value)) < 1000


def test_integers_that_nothing_holds_are_refused_by_field():
    for value in (10**400, 10**5000, -(10**400)):
        for cls, fields in ((RoPE, {"base": value}), (YaRN, {"factor": 4.0, "original_length": value})):
            with pytest.raises(ValueError, match=f"{cls.__name__}: (base|original_length)="):
                cls(**fields)


def test_a_long_spec_is_read():
    factors = tuple(1 + n / 7 for n in range(128))
    made = encodings.LongRoPE(short_factor=factors, long_factor=factors, original_length=64, factor=2.0)
    assert len(repr(made)) > 4000
    assert encodings.parse(repr(made)) == made


@pytest.mark.parametrize(
    "text, said",
    [
        ("RoPE(base=1)", "base=1.0"),
        ("RoPE(base='10000')", "base='10000'"),
        ("RoPE(base=True)", "base=True"),
        ("RoPE(base=1e999)", "finite"),
        ("RoPE(base=-1e999)", "finite"),
        ("RoPE(base=1e4, pairing='neox')", '"half" or "interleaved" or None'),
        ("RoPE(base=1e4, rotary_dim=7)", "rotary_dim=7"),
        ("RoPE(base=1e4, rotary_dim=8.0)", "rotary_dim=8.0"),
        ("RoPE(base=RoPE(base=1e4))", "base=RoPE("),
        ("PI(base=1e4, factor=0.5)", "factor=0.5"),
        ("NTK(base=1e4, alpha=0)", "alpha=0.0"),
        ("DynamicNTK(base=1e4, factor=2, original_length=0)", "original_length=0"),
        ("YaRN(factor=4, original_length=64, beta_fast=1, beta_slow=2)", "beta_fast > beta_slow"),
        ("YaRN(factor=4, original_length=64, attention_factor=0)", "attention_factor=0.0"),
        ("YaRN(factor=4, original_length=64, mscale=1.0)", "mscale_all_dim=None"),
        ("YaRN(factor=4, original_length=64, mscale=1, mscale_all_dim=1, attention_factor=1)", "attention_factor"),
        ("YaRN(factor=4, original_length=64, ramp='wavelength', truncate=False)", "truncate"),
        ("Llama3RoPE(factor=8, original_length=64, low_freq_factor=4)", "low_freq_factor=4.0"),
        ("ALiBi(max_bias=0)", "max_bias=0.0"),
    ],
)
def test_a_refused_value_is_named(text, said):
    with pytest.raises(ValueError) as error:
        encodings.parse(text)
    assert said in str(error.value)
    assert text.partition("(")[0] in str(error.value)


def test_a_head_that_cannot_be_turned_is_refused():
    for encoding, head_dim in (
        (RoPE(base=1e4), 7),
        (RoPE(base=1e4, rotary_dim=32), 16),
        (encodings.NTK(base=1e4, alpha=2), 2),
    ):
        with pytest.raises(ValueError, match=type(encoding).__name__):
            encoding.check(head_dim)
    with pytest.raises(ValueError, match="base is not known"):
        RoPE().check(16)


def test_fields_left_out_are_inherited_from_the_checkpoint():
    own = RoPE(base=5e5, pairing="interleaved", rotary_dim=32)
    wanted = Llama3RoPE(factor=8, original_length=8192, pairing="half")
    made = wanted.inherit(own)
    assert made == dataclasses.replace(wanted, base=5e5, rotary_dim=32)
    assert ALiBi().inherit(own) == ALiBi()
    assert RoPE(base=1e4).inherit(ALiBi()) == RoPE(base=1e4)


def test_lists_are_cut_outside_of_brackets():
    assert specs.split_list("RoPE(base=1e4), YaRN(factor=4, original_length=64),", ",") == [
        "RoPE(base=1e4)",
        "YaRN(factor=4, original_length=64)",
    ]
