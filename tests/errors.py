"""Assert that errors name the offending values, not how they say it."""

import re


def names(*values: object) -> str:
    """Return a pattern for `pytest.raises(match=...)` that finds every value in the message, in any order."""
    return "(?s)" + "".join(f"(?=.*{re.escape(str(value))})" for value in values)
