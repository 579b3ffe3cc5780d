"""Writing YAML for people and clouds to read.

Owns one thing: values as YAML in the order in which they were given, without anchors.  Reading is
`text.yamltext`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def dump(documents: Sequence[Any]) -> str:
    """Documents as YAML; several are set apart by ``---``."""
    import yaml

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump_all(documents, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
    return text
