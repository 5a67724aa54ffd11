"""Render one chat template in a process of its own, which may use little time and memory.

A chat template is a program out of a checkpoint. Jinja's sandbox keeps it from files and attributes; it does not keep
it from `{% for i in range(99999) %}` inside another, or from `'a' * 10**10`. The operating system does, for a process.

`prompts` starts this file with `python -P`. It imports nothing of ropelab, so that it starts in a tenth of a second.

    stdin   {"template": ..., "variables": {...}, "most": letters}
    stdout  {"text": ...} or {"error": ...}
"""

import contextlib
import json
import resource
import sys

SECONDS = 2  # of computation
MEMORY = 256 * 2**20  # bytes of address space


def limit() -> None:
    """Have the system end this process beyond `SECONDS`, and refuse it memory beyond `MEMORY`."""
    for kind, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is set already, or the system knows none
            resource.setrlimit(kind, (most, most))


def render(template: str, variables: dict[str, object], most: int) -> dict[str, str]:
    """The text of a template, or what is wrong with it: whatever its expressions raise."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        text = environment.from_string(template).render(variables)
        text.encode()  # a half of a surrogate pair is in no vocabulary
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error)[:500]}"}
    if len(text) > most:
        return {"error": f"it writes {len(text)} letters, {most} are allowed"}
    return {"text": text}


def main() -> None:
    asked = json.load(sys.stdin)
    limit()
    json.dump(render(asked["template"], asked["variables"], asked["most"]), sys.stdout)


if __name__ == "__main__":
    main()
