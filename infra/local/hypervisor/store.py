"""Resources on disk: one JSON file each, replaced atomically, all read at start.

Owns durability and nothing else; which changes are allowed is ``cloud``'s to say, and its lock is held
around every call here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from .errors import Missing
from .model import Resource

R = TypeVar("R", bound=Resource)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new one, readable by its owner only."""
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class Store(Generic[R]):
    """The resources of one kind, each in ``<folder>/<id>/record.json`` beside whatever else it owns."""

    def __init__(self, folder: Path, kind: type[R]) -> None:
        self._folder = folder
        self._label = kind.__name__.lower()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._records: dict[str, R] = {}
        for owned in folder.iterdir():
            record = owned / "record.json"
            if record.exists():
                self._records[owned.name] = msgspec.json.decode(record.read_bytes(), type=kind)
            else:
                remove_tree(owned)  # a creation or a deletion that was cut short

    def folder(self, resource_id: str) -> Path:
        """Where a resource keeps its files; exists once it has been saved."""
        return self._folder / resource_id

    def get(self, resource_id: str) -> R:
        """Raises: Missing: there is none of that id."""
        try:
            return self._records[resource_id]
        except KeyError:
            raise Missing(f"There is no {self._label} {resource_id}.") from None

    def find(self, resource_id: str) -> R | None:
        return self._records.get(resource_id)

    def by_client_token(self, client_token: str) -> R | None:
        return next((r for r in self if r.client_token == client_token), None)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def save(self, record: R) -> R:
        folder = self.folder(record.id)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(folder / "record.json", msgspec.json.encode(record))
        self._records[record.id] = record
        return record

    def remove(self, resource_id: str) -> None:
        """Delete a resource's files and forget it; the record goes first, so that a crash leaves litter
        for the next start to clear rather than a resource without its files."""
        (self.folder(resource_id) / "record.json").unlink(missing_ok=True)
        remove_tree(self.folder(resource_id))
        self._records.pop(resource_id, None)


def remove_tree(path: Path) -> None:
    """Delete a folder, also when what ran in it left folders without write permission."""

    def let_me(function: Callable[[str], Any], name: str, _: Any) -> None:
        parent = Path(name).parent
        try:
            parent.chmod(0o700)
            Path(name).chmod(0o700)
            function(name)
        except FileNotFoundError:
            pass  # gone already, as wanted

    if path.exists():
        shutil.rmtree(path, onerror=let_me)
