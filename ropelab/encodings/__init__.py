"""Position → (q', k', combine): pure functions and the frozen values that name them."""

from ropelab.encodings.base import Context as Context
from ropelab.encodings.base import Encoding as Encoding
from ropelab.encodings.listing import *
from ropelab.encodings.registry import ALL as ALL
from ropelab.encodings.registry import parse as parse
from ropelab.encodings.rotary import Rotary as Rotary
from ropelab.encodings.scoring import scores as scores
