"""Data settings are written as they are called, and refuse what they cannot mean."""

import pytest

from ropelab.data import settings
from ropelab.data.positions import PerDocument, PoSE
from ropelab.data.settings import DataSettings
from tests.errors import names


@pytest.mark.parametrize(
    "value",
    [
        DataSettings(source="python_stdlib"),
        DataSettings(source="local_text:/a/folder", packing="first_fit", positions=PoSE(length=4096), lanes=4),
        DataSettings(source="Copy(symbols=16)", separate_documents=True, positions=PerDocument(), split="train[:9%]"),
    ],
    ids=repr,
)
def test_settings_print_as_their_spec(value):
    assert settings.parse(repr(value)) == value


@pytest.mark.parametrize(
    "text, told",
    [
        ("DataSettings()", "source="),
        ("DataSettings(source='python_docs', packing='best_fit')", names("concatenate", "first_fit")),
        ("DataSettings(source='python_docs', tokenizer='byte')", names("bytes", "model")),
        ("DataSettings(source='python_docs', lanes=-1)", "lanes=-1"),
        ("DataSettings(source='python_docs', lane=2)", names("'lane'", "lanes?")),
        ("DataSettings(source='python_docs', positions=PoSE())", names("PoSE", "length=")),
        ("DataSettings(source='python_docs', positions='PoSE')", names("positions", "Positions")),
    ],
)
def test_wrong_settings_are_refused(text, told):
    with pytest.raises(ValueError, match=told):
        settings.parse(text)
