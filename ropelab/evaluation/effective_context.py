"""Effective context by four definitions of the literature, on scores by distance or by length.

    k_max      the largest distance k such that success is at least 20 % at k and at all shorter ones
               (PI, arXiv 2306.15595, section 3.4: 32 distances, ten trials each)
    YaRN       the longest length with accuracy of at least 80 %, whatever shorter ones have (arXiv 2309.00071, table 5)
    RULER      the longest length with a score of at least 85.6, Llama-2-7B's at 4096 (arXiv 2404.06654)
    NoLiMa     the longest length with at least 0.85 of the base score, the best up to 1000 tokens (arXiv 2502.05167)

They differ: a model that fails at one short distance and succeeds at all others has a k_max before that hole and the
full length by the other three. Scores are shares from 0 to 1.
"""

from collections.abc import Mapping

import numpy as np

PI_THRESHOLD, YARN_THRESHOLD, RULER_THRESHOLD, NOLIMA_SHARE = 0.2, 0.8, 0.856, 0.85
BASE_LENGTH = 1000  # NoLiMa's: lengths up to it give the base score


def question_distances(length: int, count: int = 32) -> tuple[int, ...]:
    """PI's distances from the end of a text: `count` of them, evenly spaced, the last the length itself."""
    if not 1 <= count <= length:
        raise ValueError(f"{count} distances do not fit into a length of {length}; give 1 to {length}")
    return tuple(int(k) for k in np.linspace(length / count, length, count).round())


def k_max(scores: Mapping[int, float], threshold: float = PI_THRESHOLD) -> int:
    """The last distance before the first score below the threshold; 0 if the shortest distance has one."""
    reached = 0
    for distance in sorted(check_shares(scores)):
        if scores[distance] < threshold:
            break
        reached = distance
    return reached


def longest_passing(scores: Mapping[int, float], threshold: float) -> int:
    """The longest length whose score is at least the threshold, whatever lies below it; 0 if none is."""
    return max((length for length, score in check_shares(scores).items() if score >= threshold), default=0)


def yarn_length(scores: Mapping[int, float]) -> int:
    return longest_passing(scores, YARN_THRESHOLD)


def ruler_length(scores: Mapping[int, float]) -> int:
    return longest_passing(scores, RULER_THRESHOLD)


def nolima_length(scores: Mapping[int, float]) -> int:
    """The longest length with 0.85 of the best score at a length up to 1000.

    Raises:
        ValueError: if no length is that short.
    """
    base = [score for length, score in check_shares(scores).items() if length <= BASE_LENGTH]
    if not base:
        raise ValueError(f"the base score is that of lengths up to {BASE_LENGTH}; the shortest here is {min(scores)}")
    return longest_passing(scores, NOLIMA_SHARE * max(base))


def check_shares(scores: Mapping[int, float]) -> Mapping[int, float]:
    """The scores, if there are any and all are shares."""
    if not scores:
        raise ValueError("there are no scores; measure at one length at least")
    wrong = {at: score for at, score in scores.items() if not 0 <= score <= 1}
    if wrong:
        raise ValueError(f"a score is a share from 0 to 1, and these are not: {wrong}")
    return scores
