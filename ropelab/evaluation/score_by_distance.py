"""The scores that a model really computes, by the distance of query and key: s[n] of a text, in each layer and head.

    s[l, h, n] = mean of s_ij over all pairs i - j = n of the text, in layer l and head h

These are the scaled scores that enter the softmax, biases included, of all causal pairs, whether or not the pattern
lets the query see the key; the pattern acts on the hidden states, and on contextual scores.
"""

import numpy as np

from ropelab.evaluation.attention_taps import ScoreByDistance
from ropelab.evaluation.resolution import ByDistance
from ropelab.evaluation.taps import BLOCK, record
from ropelab.models.module import Model
from ropelab.models.module import Tokens as TokenIds


def measured_scores(
    model: Model, tokens: TokenIds, *, sinks: int = 0, length: int | None = None, block: int = BLOCK
) -> ByDistance:
    """The mean scaled score at distances 0 .. T - 1 - sinks, `each` f64[L, N, T - sinks], over all rows of the tokens.

    Args:
        tokens: integers [B, T], read in one piece from position 0 on.
        sinks: leaves out pairs whose key is among the first so many tokens. On those a trained model parks what
            attention it has to spare, and the largest distances consist of them: in SmolLM2 the mean score at distance
            2047 of 2048 tokens is 2.7, at 2042 -5.1. Over 512 tokens the resolution is 0.014, without four sinks 0.034.
        length: declares a longer context than the tokens show.
        block: queries and keys of a block; contextual encodings take all keys at once, and fewer queries.

    Raises:
        ValueError: as `record`, and for more sinks than leave a pair.
    """
    found = record(model, tokens, {"s": ScoreByDistance(sinks=sinks)}, length=length, block=block)["s"]
    return ByDistance(np.arange(found.shape[-1]), found.mean(axis=1))
