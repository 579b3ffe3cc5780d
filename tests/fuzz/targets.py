"""What is fuzzed: functions of any bytes that raise when an invariant does not hold.

Owns the targets by name.  Each makes a package (or a file) out of the bytes, as `mutations` says, and pushes
it through `doors`.  No manifests are made: those start programs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from pitrix.packages import archive
from pitrix.packages.text import jsontext, yamltext
from tests.fuzz import doors, mutations, valid
from tests.fuzz.doors import Broken

#: An input of a few KB is read in milliseconds; what takes so many seconds grows faster than its size.
SLOW_S = 2.0


def any_archive(data: bytes) -> None:
    """Bytes as an archive, as they are."""
    doors.push(data, tools=False)


def broken_archive(data: bytes) -> None:
    """A valid archive with bytes changed, outside and inside of its compression."""
    taken = mutations.Choices(data)
    name = taken.one_of(list(valid.archives()))
    made = mutations.broken_archive(taken, valid.packages()[name])
    files, problems = archive.read(made)
    doors.check(problems)
    if not files and not problems:
        raise Broken("nothing is read and nothing is said")
    for path in files:
        if not path.isprintable() or set(path.split("/")) & {"", ".", ".."} or "\\" in path:
            raise Broken(f"a path that nobody should take: {path!r}")
    if files and archive.read(archive.write(files, "x")) != (files, []) and not problems:
        raise Broken("what is read is not what is read when it is written again")
    if taken.number(16) == 0:  # most of the time goes into what is inside
        doors.push(made, tools=False)


def yaml(data: bytes) -> None:
    """Bytes as YAML: read twice to the same value, also as JSON, with a line for every pointer."""
    try:
        documents = yamltext.read_all("fuzz.yaml", data)
    except jsontext.JsonRefused as refused:
        doors.check([refused.problem])
        return
    for document in documents:
        doors.check(document.warnings)
        text = json.dumps(document.value, allow_nan=False, ensure_ascii=False)
        if yamltext.read("fuzz.yaml", text.encode()).value != document.value and len(text) < 10_000:
            raise Broken(f"YAML reads {text[:500]} differently")
        if not 1 <= document.line("/a/0/b") <= data.count(b"\n") + data.count(b"\r") + 2:
            raise Broken("a line that is not in the file")
    try:
        loaded = yamltext.load(data)
    except ValueError as error:
        raise Broken(f"read, but not loaded: {error}") from None
    if documents and loaded != documents[0].value:
        raise Broken(f"loaded as {loaded!r}, but read as {documents[0].value!r}"[:2000])


def json_text(data: bytes) -> None:
    """Bytes as JSON: what is read is what Python reads, and it can be written again."""
    try:
        document = jsontext.read("fuzz.json", data)
    except jsontext.JsonRefused as refused:
        doors.check([refused.problem])
        return
    doors.check(document.warnings)
    text = json.dumps(document.value, allow_nan=False, ensure_ascii=False)
    if jsontext.read("fuzz.json", text.encode("utf-8")).value != document.value:
        raise Broken(f"JSON reads {text[:500]} differently")
    document.line("/a/0/b")


def package(kind: str) -> Callable[[bytes], None]:
    """A valid package of a kind with its files changed: values of JSON and YAML, or characters."""

    def push(data: bytes) -> None:
        taken = mutations.Choices(data)
        files = mutations.broken_files(taken, valid.packages()[kind])
        packed = archive.write(files, "x")
        doors.push(packed, tools=False)
        read, problems = archive.read(packed)
        if not problems and archive.write(read, "x") != archive.write(
            archive.read(archive.write(read, "x"))[0], "x"
        ):
            raise Broken("what is written and read and written again has changed")

    return push


TARGETS: dict[str, Callable[[bytes], None]] = {
    "archive": broken_archive,
    "bytes": any_archive,
    "yaml": yaml,
    "json": json_text,
    "config": package("vm"),
    "template": lambda data: _template(data),
    "chart": package("new-helm"),
    "serverless": package("new-serverless"),
}


def _template(data: bytes) -> None:
    taken = mutations.Choices(data)
    files = dict(valid.packages()["vm"])
    files["cluster.json.tmpl"] = mutations.broken_text(
        taken, files["cluster.json.tmpl"], mutations.TEMPLATE_WORDS
    )
    doors.push(archive.write(files, "x"), tools=False)


def run(name: str, data: bytes) -> None:
    """Run one target on an input.

    Raises:
        Broken: An invariant does not hold, or it takes too long.
    """
    started = time.process_time()
    TARGETS[name](data)
    took = time.process_time() - started
    if took > SLOW_S:
        raise Broken(f"it takes {took:.1f} s")
