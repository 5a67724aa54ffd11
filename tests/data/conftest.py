"""Settings over a folder of small texts, prepared once a test file."""

import pytest

from ropelab.data.settings import DataSettings
from tests.data.texts import folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """`settings(**fields)`: data settings over a folder of small texts, unless the fields say otherwise."""
    place = folder(tmp_path_factory.mktemp("texts") / "folder")
    common = {"source": f"local_text:{place}", "data_dir": str(tmp_path_factory.mktemp("prepared"))}
    return lambda **fields: DataSettings(**common | fields)
