"""Training and evaluation data: texts, TensorFlow Datasets and synthetic tasks as windows of tokens."""

from ropelab.data.batch import Batch, Stream
from ropelab.data.held_out import load_held_out
from ropelab.data.settings import DataSettings
from ropelab.data.stream import open_stream
from ropelab.data.text import read_text

__all__ = ["Batch", "DataSettings", "Stream", "load_held_out", "open_stream", "read_text"]
