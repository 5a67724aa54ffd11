"""LongEval's topics: a record of conversations, the topic of the first of which is asked for.

LongEval's conversations were written by a language model; these are made of sentences that fit every topic, so that a
topic is told by its name alone, and figures are not to be compared with LongEval's. A unit is a conversation of about a
hundred words. Source of the task and its prompt: DachengLi1/LongChat 4b5faa5, longeval/utils.py.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ropelab.evaluation.questions.base import Question, Questions, contains_topic
from ropelab.spec import spec

HEADER = (
    "Below is a record of our previous conversation on {} different topics. You are the ASSISTANT, and I am the USER. "
    "At the beginning of each topic, the USER will say 'I would like to discuss the topic of <TOPIC>'. Memorize each "
    "<TOPIC>. At the end of the record, I will ask you to retrieve the first topic. Now the record start."
)
BEGIN = "\n USER: I would like to discuss the topic of {}."
QUESTION = (
    " \n Now the record ends. What is the first topic(s) we discussed? Only give me the topic name. Do not summarize "
    "yourself."
)
PREFIX = " \n ASSISTANT: The first topic is"
FIELDS = (
    *("the history of", "the economics of", "the ethics of", "the future of", "the chemistry of", "the psychology of"),
    *("the mathematics of", "the best books on", "common mistakes in", "the tools of", "the poetry of", "the law of"),
)
SUBJECTS = (
    *("beekeeping", "glass making", "deep sea fishing", "railway timetables", "bread baking", "alpine climbing"),
    *("public libraries", "star maps", "urban gardens", "chess openings", "wool dyeing", "bridge building"),
    *("river navigation", "film music", "volcano watching", "paper folding", "desert travel", "bird migration"),
    *("clock repair", "coffee roasting", "sign languages", "ice skating", "puppet theatre", "solar power"),
)
TURNS = (
    ("Where would you begin?", "With the people who do it every day, because they know what goes wrong."),
    ("What surprised you most about it?", "How many of its rules were found by accident and kept because they work."),
    ("Is it hard to learn?", "The first steps are easy, and the last ones take longer than anyone expects."),
    ("What should I read about it?", "Something old and something new, so that you can see what has changed."),
    ("Has it changed in your lifetime?", "The tools have, the questions have not."),
    ("Who disagrees with you?", "Nearly everyone who has tried it, and each of them about another point."),
    ("What does it cost to begin?", "Less than a good pair of shoes, if you borrow the rest."),
    ("What would you do differently?", "I would ask for help sooner and write down what I was told."),
)


@spec
class Topics(Questions):
    """The first topic of many."""

    new_tokens: ClassVar[int] = 32
    places: ClassVar[bool] = False

    def score(self, said: str, wanted: Sequence[str]) -> float:
        return contains_topic(said, wanted)

    def question(self, rng: np.random.Generator, units: int, depth: float | None, length: int) -> Question:
        topics = [f"{field} {subject}" for field in FIELDS for subject in SUBJECTS]
        drawn = [topics[i] for i in rng.permutation(len(topics))]
        drawn = (drawn * (units // len(drawn) + 1))[:units]
        prompt = HEADER.format(units) + "".join(conversation(rng, topic) for topic in drawn) + QUESTION
        return Question(prompt, PREFIX, (drawn[0],), f" {drawn[0]}", 0.0)


def conversation(rng: np.random.Generator, topic: str) -> str:
    """Four turns."""
    turns = [TURNS[i] for i in rng.permutation(len(TURNS))[:4]]
    return BEGIN.format(topic) + "".join(f" \n ASSISTANT: {said} \n USER: {asked}" for asked, said in turns)
