"""What transformers and PEFT made of exported models, see tests/golden/README.md."""

import json
from pathlib import Path

import numpy as np

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "export.npz"))
EXPORTS: dict[str, list[str]] = json.loads(str(GOLDEN["exports"]))  # name → variant of the tiny model, encoding
ADAPTERS: dict[str, str] = json.loads(str(GOLDEN["adapters"]))  # name → the export that it adapts
