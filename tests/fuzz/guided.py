"""One target under Atheris: ``python -m tests.fuzz.guided TARGET CORPUS [flags of libFuzzer]``."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pitrix", "yaml", "tarfile", "zipfile"]):
    from tests.fuzz import doors, mutations, targets, valid

    for archive in valid.archives().values():
        doors.push(archive, tools=False)  # imports the formats too, which come on first use

#: Files that the small targets start from.
SEEDS = {"yaml": (".yaml", ".yml"), "json": (".json",)}


def main() -> None:
    """Give libFuzzer seeds, and let it run the target until its time is over."""
    name, corpus = sys.argv[1], Path(sys.argv[2])
    words = corpus / "seed-words"
    words.write_bytes("\n".join(mutations.TEMPLATE_WORDS).encode())
    for package, files in valid.packages().items():
        for path, data in files.items():
            if path.endswith(SEEDS.get(name, ())):
                (corpus / f"seed-{package}-{path.replace('/', '-')}").write_bytes(data)
    if name == "bytes":
        for package, data in valid.archives().items():
            (corpus / f"seed-{package}").write_bytes(data)
    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], lambda data: targets.run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
