"""A receipt proves that what was plugged in is applied; what changes nothing is an error, not a result."""

import dataclasses
import json

import numpy as np
import pytest
from jax import Array

from ropelab import encodings
from ropelab import spec as specs
from ropelab.attention import Pattern
from ropelab.encodings import Encoding, LogN, RoPE, Rotary
from ropelab.evaluation.receipt import NothingAppliedError, Receipt, describe_frequencies
from ropelab.lab import Lab
from ropelab.spec import spec
from tests.errors import names
from tests.models import tiny

ROTARY_FACTS = ("inv_freq_first", "inv_freq_last", "inv_freq_hash", "amplitude", "dimensions_beyond_trained_length")


def swapped(encoding: str | None = None, pattern: str | None = None) -> Lab:
    return tiny.lab(tokenizer=True).swap(encoding, pattern)


def test_a_swap_that_acts_says_from_where_and_by_how_much() -> None:
    receipt = swapped("PI(factor=2.0)").receipt()
    assert receipt.first_position == 1
    assert receipt.max_logit_difference > 0.1
    assert receipt.statement == "differs from the model as loaded from position 1 on"
    assert receipt.encoding == "PI(base=10000.0, factor=2.0)"
    assert (receipt.pattern, receipt.head_dim, receipt.trained_length, receipt.length) == ("Causal()", 16, 32, 32)


def test_the_difference_is_that_of_the_logits() -> None:
    """Recomputed here from the public surface, without a tokenizer: the receipt's own probe is then fixed noise."""
    lab = tiny.lab()
    other = lab.swap("NTK(alpha=4.0)")
    receipt = other.receipt()
    probe = np.random.default_rng(0).integers(0, tiny.VOCABULARY, (1, receipt.probe_tokens), np.int32)
    difference = np.abs(np.asarray(other.logits(probe)) - np.asarray(lab.logits(probe)))
    assert receipt.max_logit_difference == pytest.approx(float(difference.max()), abs=1e-4)


@pytest.mark.parametrize(
    "encoding",
    [
        "PI(factor=1.0)",
        "NTK(alpha=1.0)",
        "YaRN(factor=1.0, original_length=32)",
        'RoPE(pairing="half")',
        "RoPE(rotary_dim=16)",
    ],
)
def test_what_changes_no_logit_is_an_error(encoding: str) -> None:
    """Each is another spec than the checkpoint's, and the same model."""
    with pytest.raises(NothingAppliedError, match=r"nothing was applied: with .* every logit of 256 probe tokens"):
        swapped(encoding).receipt()


def test_the_model_as_loaded_needs_no_proof() -> None:
    for lab in (swapped(), swapped("RoPE(base=1e4)"), swapped("RoPE")):
        receipt = lab.receipt()
        assert receipt.statement == "the model as loaded"
        assert (receipt.max_logit_difference, receipt.first_position) == (0.0, None)


def test_dynamic_ntk_is_proven_beyond_the_length_it_knows() -> None:
    """Within 512 tokens it is RoPE by definition, so 256 consecutive tokens can prove nothing."""
    receipt = swapped("DynamicNTK(factor=2.0, original_length=512)").receipt()
    identical = "identical to the model as loaded on 256 consecutive tokens"
    assert receipt.statement.startswith(f"{identical}, as DynamicNTK is defined to be within original_length=512")
    assert "differs from token 1 on when the same tokens are spread over 1280 positions" in receipt.statement
    assert receipt.max_logit_difference > 0.1


@pytest.mark.parametrize("window", [257, 600, 5000])
def test_a_window_longer_than_the_probe_is_proven_by_spreading_it(window: int) -> None:
    receipt = swapped(pattern=f"SlidingWindow(window={window})").receipt()
    assert f"SlidingWindow(window={window}) hides nothing at so short a distance" in receipt.statement
    assert receipt.first_position is not None
    assert receipt.first_position >= window


@pytest.mark.parametrize(
    ("pattern", "hides_from"),
    [
        ("Sinks(sinks=400, window=600)", 1000),
        ("LambdaMask(starting=3, local=5000)", 5003),
        ("BlockwiseCausal(block=5000)", 5000),
        ("Grouped(group=5000, shift=300)", 4700),
        ("ShiftedSparse(group=5000)", 2500),
        ("Dilated(segments=(600, 5000), rates=(1, 1))", 600),
        ("FixedSparse(block=5000, summary=1, heads='merged')", 5000),
    ],
)
def test_a_pattern_longer_than_the_probe_is_proven_by_spreading_it(pattern: str, hides_from: int) -> None:
    """Whatever its lengths are called, and however far beyond the trained length of 32 they are."""
    receipt = swapped(pattern=pattern).receipt()
    assert f"{pattern} hides nothing at so short a distance" in receipt.statement
    assert receipt.first_position is not None
    assert hides_from <= receipt.first_position < 1.1 * hides_from + 100


def test_an_encoding_and_a_pattern_are_both_named() -> None:
    receipt = swapped("ReRoPE(window=600)", "LambdaMask(starting=3, local=600)").receipt()
    defined = "as ReRoPE is defined to be within window=600 and LambdaMask(starting=3, local=600) hides nothing at"
    assert defined in receipt.statement


def test_the_checkpoint_s_own_encoding_is_no_reason_for_a_pattern() -> None:
    lab = tiny.lab("yarn_4", tokenizer=True)
    receipt = lab.swap(pattern="SlidingWindow(window=600)").receipt()
    assert "YaRN" in receipt.encoding
    assert "on 256 consecutive tokens, as SlidingWindow(window=600) hides nothing" in receipt.statement


@pytest.mark.parametrize(
    ("pattern", "first"), [("Dilated(segments=(512, 1024), rates=(1, 4))", 1), ("Bidirectional", 0)]
)
def test_a_pattern_that_acts_at_once_needs_no_spreading(pattern: str, first: int) -> None:
    """Of the dilated heads, head 1 keeps token 1 of the longer segments, and sees it twice."""
    receipt = swapped(pattern=pattern).receipt()
    assert receipt.statement == f"differs from the model as loaded from position {first} on"


@spec
class Forgetful(Pattern):
    """A pattern of one's own, whose length has a name of its own: the last `memory` tokens."""

    memory: int

    def counts(self, q_pos: Array, k_pos: Array, head: Array, num_heads: int) -> Array:
        return (k_pos <= q_pos) & (k_pos > q_pos - self.memory)


def test_a_pattern_of_one_s_own_is_proven_too() -> None:
    receipt = tiny.lab(tokenizer=True).swap(pattern=Forgetful(memory=5000)).receipt()
    assert receipt.first_position is not None
    assert 5000 <= receipt.first_position < 5100


def test_a_pattern_that_hides_nothing_is_an_error() -> None:
    """Every column of a block is its summary: no key is ever hidden, none seen twice."""
    with pytest.raises(NothingAppliedError, match=names("RoPE(", "FixedSparse(")):
        swapped(pattern="FixedSparse(block=8, summary=8, heads='merged')").receipt()


@pytest.mark.parametrize("encoding", ["ALiBi", "NoPE"])
def test_where_nothing_rotates_there_are_no_frequencies(encoding: str) -> None:
    receipt = swapped(encoding).receipt()
    assert [getattr(receipt, name) for name in ROTARY_FACTS] == [None] * 5
    assert receipt.max_logit_difference > 0.1


def test_the_frequencies_are_those_that_rotate() -> None:
    """The slowest of eight pairs at base 1e4: 1e4 ** (-14 / 16); within 32 tokens five pairs do not turn once."""
    receipt = swapped("YaRN(factor=4.0, original_length=32)").receipt()
    assert receipt.inv_freq_first == 1.0
    assert receipt.inv_freq_last == pytest.approx(1e4 ** (-14 / 16) / 4)
    assert receipt.amplitude == pytest.approx(0.1 * np.log(4) + 1)
    unchanged = swapped().receipt()
    assert unchanged.dimensions_beyond_trained_length == 2 * sum(2 * np.pi * 1e4 ** (i / 8) > 32 for i in range(8))
    assert unchanged.inv_freq_hash != receipt.inv_freq_hash


def test_a_receipt_can_be_written_and_read() -> None:
    for encoding in ("PI(factor=2.0)", "ALiBi"):
        receipt = swapped(encoding).receipt()
        again = json.loads(json.dumps(dataclasses.asdict(receipt)))
        assert Receipt(**again) == receipt
        assert all(line.split("  ")[0].strip() in again for line in str(receipt).splitlines())


def test_the_kernel_line_says_how_a_pattern_arranges_its_calls() -> None:
    lab = swapped(pattern="Dilated(segments=(8, 32), rates=(1, 4))")
    line = "2 branches in 5 calls on the tokens kept, merged by their lse"
    assert lab.receipt().kernel == f"dense, {line}"
    assert lab.swap(kernel="blockwise").receipt().kernel == f"blockwise, {line}"
    assert lab.swap(kernel="dense").receipt().kernel == "dense"
    assert swapped("PI(factor=2.0)").receipt().kernel == "dense"


@spec
class DropsTheRotation(LogN):
    """Holds a rotary encoding and never calls it."""

    def encode_q(self, params, q_BTNH, pos_BT, ctx):
        return (q_BTNH * self.query_scale(params, pos_BT, ctx)[..., None],)


@spec
class TurnsTwiceAsFast(RoPE):
    """States the frequencies of RoPE and applies others."""

    def angles(self, head_dim, pos_BT, ctx):
        angle_BTR, amplitude = super().angles(head_dim, pos_BT, ctx)
        return 2 * angle_BTR, amplitude


def test_frequencies_are_those_of_the_path_that_runs() -> None:
    lab = tiny.lab()
    receipt = lab.swap(DropsTheRotation(inner=RoPE(base=1e4), original_length=4)).receipt()
    assert [getattr(receipt, name) for name in ROTARY_FACTS] == [None] * len(ROTARY_FACTS)


def test_other_angles_than_the_stated_ones_are_an_error() -> None:
    with pytest.raises(NothingAppliedError, match=names("layer 0", "pair 0")):
        tiny.lab().swap(TurnsTwiceAsFast(base=1e4)).receipt()


def test_a_wrapped_schedule_is_listed_by_layer() -> None:
    receipt = tiny.lab().swap("LogN(inner=Layers((NoPE(), RoPE(base=5e3))), original_length=4)").receipt()
    alone = tiny.lab().swap("RoPE(base=5e3)").receipt()
    assert receipt.layers == (
        "LogN(inner=NoPE(), original_length=4) in 0; LogN(inner=RoPE(base=5000.0), original_length=4) in 1"
    )
    assert receipt.inv_freq_hash == alone.inv_freq_hash
    assert alone.layers == "all 2"


@pytest.mark.parametrize("encoding", [e for e in encodings.ALL if not e.adds_to_input], ids=repr)
def test_every_encoding_turns_queries_by_the_frequencies_it_states(encoding: Encoding) -> None:
    """Or is known to do more than turning: PoPE and FoPE."""
    model = tiny.lab().swap(encoding.inherit(RoPE(base=1e4))).model
    stated = describe_frequencies(model, 32)
    assert (stated["inv_freq_hash"] is not None) == any(
        isinstance(part, Rotary) for part in specs.iterate_specs(encoding)
    )
