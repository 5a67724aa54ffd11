"""Every property of the contract, of every encoding in the catalogue: one line in `listing.py` inherits all of them.

Lengths per query take long to compile, and are one code for the four encodings that have them, for which
DynamicNTK stands here. All four are in `python -m experiments.check --all` (docs/contract.md) and in decode_test.py.
"""

import pytest

from ropelab import encodings
from ropelab.contract.suite import PROPERTIES

TRIED = [e for e in encodings.ALL if getattr(e, "per", None) != "query" or isinstance(e, encodings.DynamicNTK)]


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("encoding", TRIED, ids=repr)
def test_contract(encoding, name):
    PROPERTIES[name](encoding)
