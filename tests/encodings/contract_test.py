"""Every property of the contract, of every encoding in the catalogue: one line in `listing.py` inherits all of them."""

import pytest

from ropelab import encodings
from ropelab.contract.suite import PROPERTIES


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("encoding", encodings.ALL, ids=repr)
def test_contract(encoding, name):
    PROPERTIES[name](encoding)
