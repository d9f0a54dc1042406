"""The contract's example bodies, and whether an answer is the documented one."""

import json
from pathlib import Path
from typing import Any

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_bytes())


def is_as_documented(summary: dict[str, Any], documented: dict[str, Any]) -> bool:
    """Whether a summary is the documented one.

    All of it has to be equal, but that an entry of `errors` may bear keys besides the documented ones, such
    as `reason` (contract, part one: "more keys may be added").
    """
    errors, expected = summary.get("errors"), documented["errors"]
    if not isinstance(errors, list) or len(errors) != len(expected):
        return False
    cut = [
        {name: value for name, value in entry.items() if name in shown}
        for entry, shown in zip(errors, expected, strict=True)
    ]
    return {**summary, "errors": cut} == documented
