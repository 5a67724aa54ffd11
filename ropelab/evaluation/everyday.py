"""A benchmark that needs no network: 200 questions of capitals, opposites, uses, kinds and sums, four choices each.

Enough to see whether a swap has cost a model its wits, in a few minutes on a laptop; not to compare models with.
"""

from pathlib import Path
from typing import Any

NAME = "everyday"
QUESTIONS = Path(__file__).with_name("everyday.jsonl")


def task() -> dict[str, Any]:
    """The task as lm-evaluation-harness takes it."""
    return {
        "task": NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(QUESTIONS)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
        "metadata": {"version": 1.0},
    }
