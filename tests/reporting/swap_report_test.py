"""The page of a swap says who won against both baselines, what was applied, and how to get it again."""

from ropelab.reporting.perplexity_table import by_length, markdown
from ropelab.reporting.swap_report import swap_report, verdict
from tests.reporting.samples import ARMS, PROTOCOL, receipts, records


def test_the_verdict_compares_with_both_baselines() -> None:
    text = verdict(records())
    assert text.startswith("At 80 tokens the unchanged model has a mean NLL of 10.8198. Below it: YaRN")
    assert "chopped text (2.5649): YaRN(factor=2.0, original_length=32) (2.5055)." in text
    worse = [r | {"nll": 99.0} if r["arm"] == ARMS[2] else r for r in records()]
    assert verdict(worse).count("none") == 2
    assert verdict([r for r in records() if r["arm"] == ARMS[0]]).endswith("10.8198.")


def test_the_page_has_the_protocol_the_receipts_and_the_command() -> None:
    page = swap_report(records(), receipts(), protocol=PROTOCOL, command="python -m experiments.swap --workdir=x")
    for part in (PROTOCOL, "python -m experiments.swap --workdir=x", "perplexity.png", "| 1.23457 | 1 |", "| – |"):
        assert part in page
    assert "- **unchanged**: the model as loaded." in page
    assert markdown(records(), by_length(records())) in page


def test_a_page_without_bands_has_no_table_of_them() -> None:
    rows = [r for r in records() if not r["band"].startswith("[")]
    assert "by position" not in swap_report(rows, receipts(), protocol=PROTOCOL, command="")
