"""Which names the files of a package may have.

Owns the rules of paths, and what is wrong with the names of one package.  Never opens a file: `archive` does.

Refused is what leads out of the package, what one system takes for the same name as another (case, normal
form), what is a file and a folder at once, and what cannot be seen.  Names that only Windows cannot hold are
warned of: nothing of ours unpacks there, but an author may.
"""

from __future__ import annotations

import re
import unicodedata

from pitrix.packages.model import Problem, Severity, printable

#: Files that operating systems and tools leave behind; left out without a word.
_LITTER = re.compile(
    r"(?:^|/)(?:\.DS_Store|\._[^/]*|__MACOSX(?:/.*)?|__pycache__(?:/.*)?|Thumbs\.db|\.git(?:/.*)?|[^/]*~)\Z",
    re.DOTALL,
)
#: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_WINDOWS = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?\Z|.*[. ]\Z|.*[<>:\"|?*]")
_MAX_WARNINGS = 20


class Names:
    """The names that a package has used so far, and what is wrong with them.

    Attributes:
        problems: Grows with each name that is refused or warned of.
    """

    def __init__(self, longest: int, deepest: int) -> None:
        self._longest, self._deepest = longest, deepest
        self._seen: dict[str, str] = {}
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._warned = 0
        self.problems: list[Problem] = []

    def take(self, path: str, *, directory: bool = False, refused: tuple[str, str] | None = None) -> bool:
        """Whether a file or directory of that name is taken; `problems` says why it is not.

        Args:
            refused: Why it is not whatever its name is, and how to mend that.
        """
        why = refused or self._refuse(path, directory)
        if why:
            self.problems.append(Problem(file=path, message=why[0], hint=why[1]))
            return False
        odd = next((part for part in path.split("/") if _WINDOWS.match(part)), None)
        if odd is not None and self._warned < _MAX_WARNINGS:
            self._warned += 1
            self.problems.append(
                Problem(
                    file=path,
                    severity=Severity.WARNING,
                    message=f"Windows cannot hold a file named {printable(odd)!r}",
                    hint="rename it, if anybody is to unpack the package there",
                )
            )
        return True

    def _refuse(self, path: str, directory: bool) -> tuple[str, str] | None:
        parts = path.split("/")
        if len(path) > self._longest or len(parts) > self._deepest:
            return f"the path is longer than {self._longest} or deeper than {self._deepest}", "shorten it"
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return "the name is not UTF-8", "rename it"
        if "\\" in path or not path.isprintable():
            return "the name holds a backslash or a character that cannot be seen", "rename it"
        if path.startswith("/") or re.match(r"[A-Za-z]:", path):
            return "the path is absolute", "paths are relative to the package"
        if any(part in ("", ".", "..") for part in parts):
            return "the path leads out of the package", "remove '..' and empty parts"
        return self._clash(path, parts, directory)

    def _clash(self, path: str, parts: list[str], directory: bool) -> tuple[str, str] | None:
        """What is wrong with a name beside those that were taken before; remembers it when nothing is."""
        names = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        folded = [
            unicodedata.normalize("NFC", unicodedata.normalize("NFC", each).casefold()) for each in names
        ]
        for name, key in zip(names, folded, strict=True):
            other = self._seen.get(key, name)
            if other != name:
                return (
                    f"the name differs from {printable(other)!r} only in case or in the way it is written",
                    "rename one of them",
                )
        folders = names if directory else names[:-1]
        if any(each in self._files for each in folders) or (not directory and path in self._folders):
            return "the name is that of a file and of a folder at once", "rename one of them"
        if not directory and path in self._files:
            return "the name is there twice", "remove one of them"
        self._seen.update(zip(folded, names, strict=True))
        self._folders.update(folders)
        if not directory:
            self._files.add(path)
        return None


def is_litter(path: str) -> bool:
    """Whether a path is of what systems and tools leave behind."""
    return bool(_LITTER.search(path))


def without_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """Take off the one folder around everything, unless the package itself starts at the root."""
    heads = {path.partition("/")[0] for path in files}
    if len(heads) == 1 and "/" in next(iter(files)):
        return {path.partition("/")[2]: data for path, data in files.items()}
    return files
