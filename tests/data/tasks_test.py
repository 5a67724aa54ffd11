"""Each task's examples, read by someone who only knows the rules; and the loss asks for what those rules settle."""

import re
from itertools import islice

import numpy as np
import pytest

from ropelab.data.settings import DataSettings
from ropelab.data.stream import open_stream
from ropelab.data.synthetic import TASKS, parse_task
from tests.data.texts import same, windows
from tests.errors import names

SIZES = {"length": 64, "batch": 6, "seed": 1}


class Words:
    """A tokenizer of words: an id a word, as they come."""

    eos_id = 0

    def __init__(self):
        self.ids = {}

    def encode(self, text):
        return [self.ids.setdefault(word, len(self.ids) + 1) for word in re.findall(r"\s?\S+|\s", text)]


def rows(source, count=60, tokenizer=None, **sizes):
    """`(tokens, asked)` of examples: i[N] without padding, and bool[N], the tokens that the loss asks for."""
    settings = DataSettings(source=source, tokenizer="model" if tokenizer else "bytes")
    stream = open_stream(settings, **SIZES | sizes, tokenizer=tokenizer)
    for batch in islice(stream, -(-count // SIZES["batch"])):
        for window, weights, segments in zip(windows(batch), batch.weights, batch.segments, strict=True):
            asked = np.append(False, weights == 1)
            used = max(np.sum(segments == 0), *(1 + np.max(np.nonzero(marks)) for marks in (window, asked)))
            assert (segments[used:] == -1).all()
            yield window[:used], asked[:used]


@pytest.mark.parametrize("name, step", [("Copy", 1), ("Reverse", -1)])
@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize("length", [64, 63, 3])
def test_an_answer_is_its_question_and_ends(name, step, varied, length):
    counts = set()
    for tokens, asked in rows(f"{name}(symbols=5, varied={varied})", length=length):
        (sign,) = np.nonzero(tokens == 1)[0]
        question, answer = tokens[:sign], tokens[sign + 1 :]
        assert answer.tolist() == [*question[::step], 0]
        assert set(question) <= set(range(2, 7))
        assert asked.tolist() == [False] * (sign + 1) + [True] * len(answer)
        counts.add(int(sign))
    most = (length - 1) // 2
    assert counts == {most} if not varied else {1, most} <= counts <= set(range(1, most + 1))


@pytest.mark.parametrize("length", [64, 31, 18])
def test_a_value_belongs_to_its_key(length):
    keys, values, places = range(2, 14), range(14, 26), set()
    for tokens, asked in rows("AssociativeRecall(pairs=8, symbols=12)", length=length):
        told = dict(zip(tokens[:16:2], tokens[1:16:2], strict=True))
        assert len(told) == 8
        assert set(told) <= set(keys)
        assert set(told.values()) <= set(values)
        assert tokens[16] == 1
        assert not asked[:17].any()
        (answers,) = np.nonzero(asked)
        assert len(answers) == min(8, (length - 16) // 2)
        assert [told[key] for key in tokens[answers - 1]] == list(tokens[answers])
        assert len(set(tokens[answers - 1])) == len(answers)
        rest = set(range(17, len(tokens))) - {*answers, *(answers - 1)}
        assert all(tokens[i] == 1 for i in rest)
        places.update(answers.tolist())
    assert places == set(range(18, length + 1, 2))


@pytest.mark.parametrize("counters", [1, 3])
def test_what_is_asked_for_is_the_count(counters):
    found = set()
    for tokens, asked in rows(f"Counting(counters={counters}, limit=4, passing=0.2)", length=80):
        counts, operations = [0] * counters, iter(enumerate(tokens.tolist()))
        expected = np.zeros(len(tokens), bool)
        for at, token in operations:
            counter, does = (token - 1) // 3, (token - 1) % 3
            if token == 0:
                continue
            assert counter < counters
            if does == 2:
                at, answer = next(operations, (at, None))
                if answer is not None:
                    assert answer - 1 - 3 * counters == counts[counter]
                    expected[at] = True
                    found.add(counts[counter])
            else:
                counts[counter] = counts[counter] + 1 if does else 0
                assert counts[counter] < 4
        assert (asked == expected).all()
        assert asked.any()
    assert found == {0, 1, 2, 3}


@pytest.mark.parametrize("varied", [False, True])
def test_sorted_symbols_are_the_same_symbols_in_order(varied):
    for tokens, asked in rows(f"Sort(symbols=9, varied={varied})"):
        (sign,) = np.nonzero(tokens == 1)[0]
        assert tokens[sign + 1 :].tolist() == [*sorted(tokens[:sign]), 0]
        assert asked.tolist() == [False] * (sign + 1) + [True] * (sign + 1)


def test_parity_is_that_of_the_ones():
    found = set()
    for tokens, asked in rows("Parity(varied=True)"):
        (sign,) = np.nonzero(tokens == 1)[0]
        odd = np.sum(tokens[:sign] == 3) % 2
        assert tokens[sign + 1 :].tolist() == [2 + odd, 0]
        assert asked.tolist() == [False] * (sign + 1) + [True, True]
        found.add((sign, odd))
    assert {odd for _, odd in found} == {0, 1}
    assert len(found) > 20


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("varied", [False, True])
def test_sums_are_right(step, varied):
    digits = set()
    for tokens, asked in rows(f"Addition(reversed={step < 0}, varied={varied})"):
        text = "".join("0123456789+"[token - 2] if token > 1 else "=."[1 - token] for token in tokens)
        a, b, total = re.fullmatch(r"(\d+)\+(\d+)=(\d+)\.", text).groups()
        assert len(a) == len(b) == len(total) - 1
        assert int(a[::step]) + int(b[::step]) == int(total[::step])
        assert asked.tolist() == [False] * (len(a) + len(b) + 2) + [True] * (len(total) + 1)
        digits.add(len(a))
    assert digits == {20} if not varied else len(digits) > 10


def test_an_index_counts_from_its_source():
    offsets = set()
    for tokens, asked in rows("Index(symbols=50, reach=3)"):
        (sign,) = np.nonzero(tokens == 1)[0]
        row, (source, written, target, end) = tokens[:sign].tolist(), tokens[sign + 1 :]
        assert len(set(row)) == len(row) >= 4
        assert end == 0
        offset = [-3, -2, -1, 1, 2, 3][written - 52]
        assert row[row.index(source) + offset] == target
        assert asked.tolist() == [False] * (sign + 3) + [True, False]
        offsets.add(offset)
    assert offsets == {-3, -2, -1, 1, 2, 3}


@pytest.mark.parametrize("distance", [0, 3, 40])
def test_a_needle_is_told_as_far_back_as_asked(distance):
    distances = set()
    for tokens, asked in rows(f"Needle(symbols=8, told=2, distance={distance})"):
        first, second = np.nonzero(tokens == 1)[0]
        assert (second, len(tokens)) == (62, 65)
        assert tokens[first + 1 : first + 3].tolist() == tokens[second + 1 :].tolist()
        assert asked.tolist() == [False] * 63 + [True] * 2
        distances.add(int(second - first))
    assert distances == {distance} if distance else min(distances) >= 3 and max(distances) > 55


def test_a_passkey_is_told_once_and_asked_for_at_the_end():
    depths = set()
    for tokens, asked in rows("Passkey(digits=4)", length=700):
        text = bytes(tokens.astype(np.uint8)).decode()
        assert len(text) == 701
        told = re.findall(r"The pass key is (\d{4})\. Remember it\. (\d{4}) is the pass key\.", text)
        assert told == [(told[0][0],) * 2]
        assert text.endswith(f"What is the pass key? The pass key is {told[0][0]}")
        assert asked.tolist() == [False] * (701 - 5) + [True] * 5
        assert text.count(told[0][0]) == 3
        depths.add(text.index("Remember"))
    assert len(depths) == 6  # five rounds of filler fit; the number is told before, between or after them


def test_a_passkey_in_another_tokenizer_s_tokens():
    """Windows are filled to the last token, and the answer alone is asked for."""
    words = Words()
    for tokens, asked in rows("Passkey()", count=6, tokenizer=words, length=150):
        names = {number: word for word, number in words.ids.items()}
        text = "".join(names[token] for token in tokens)
        assert len(tokens) == 151
        assert asked.tolist() == [False] * 150 + [True]
        assert re.search(r"The pass key is (\d{5})\. ", text).group(1) == names[tokens[-1]].strip()


@pytest.mark.parametrize("source", [f"{name}()" for name in TASKS])
def test_example_i_is_the_same_whoever_asks(source):
    """For another batch, other rows, and at another time."""
    settings = DataSettings(source=source)
    sizes = {"length": 420, "seed": 4}
    six, two = (open_stream(settings, batch=size, **sizes) for size in (6, 2))
    one = next(six)
    assert (np.concatenate([next(two).tokens for _ in range(3)]) == one.tokens).all()
    mine = open_stream(settings, batch=6, rows=range(2, 5), **sizes)
    assert (next(mine).tokens == one.tokens[2:5]).all()
    assert not same(next(six), one)
    assert max(part.max() for part in one[:2]) < parse_task(source).vocabulary
    assert parse_task(repr(parse_task(source))) == parse_task(source)


@pytest.mark.parametrize("name", TASKS)
def test_the_shortest_window_holds_an_example_and_a_shorter_one_is_refused(name):
    needs = re.search(r"at least (\d+)", refusal(name, 1)).group(1)
    least = int(needs) - 1
    assert next(open_stream(DataSettings(source=name), length=least, batch=3, seed=0)).weights.sum() >= 3
    assert "needs a window" in refusal(name, least - 1)


def refusal(name, length):
    with pytest.raises(ValueError) as refused:
        open_stream(DataSettings(source=name), length=length, batch=3, seed=0)
    return str(refused.value)


@pytest.mark.parametrize(
    "source, told",
    [
        ("Copi(symbols=3)", names("'Copi'", "Copy?")),
        ("Copy(symbol=3)", names("'symbol'", "symbols?")),
        ("Copy(symbols=0)", "symbols=0"),
        ("AssociativeRecall(pairs=9, symbols=8)", names("pairs=9", "symbols")),
        ("Counting(passing=1.0)", "passing=1.0"),
        ("Parity(symbols=3)", "symbols=3"),
        ("Index(symbols=3, reach=4)", names("symbols=3", "reach=4")),
        ("Needle(told=2, distance=2)", "distance=2"),
        ("Passkey(digits=19)", names("digits=19", "18")),
        ("copy", "'copy'"),
    ],
)
def test_a_wrong_task_is_refused(source, told):
    with pytest.raises(ValueError, match=told):
        open_stream(DataSettings(source=source), length=64, batch=2, seed=0)
