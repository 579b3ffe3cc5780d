"""Where sign-ins are remembered: one private file in the user's configuration directory.

Owns the file's shape and its mode (0600: tokens are as good as passwords for as long as they live). Never
talks to the API: ``api.py`` does, and hands new tokens back.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer

from pitrix.cli.failure import Failure


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """One session; ``expires_at`` is epoch seconds of the access token."""

    username: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float


class Sessions:
    """The sign-ins of this user by platform address, and the address of the latest."""

    def __init__(self, directory: Path | None = None) -> None:
        chosen = directory or os.environ.get("PITRIX_CONFIG_DIR") or typer.get_app_dir("pitrix")
        self.path = Path(chosen) / "session.json"

    def current_url(self) -> str | None:
        """The address that was signed in to last."""
        url = self._read().get("current")
        return url if isinstance(url, str) else None

    def get(self, url: str) -> SignIn | None:
        """The sign-in at that address; None also for one that this version cannot read."""
        known = self._read().get("sessions", {})
        found = known.get(url) if isinstance(known, dict) else None
        try:
            return SignIn(**found) if isinstance(found, dict) else None
        except TypeError:
            return None

    def put(self, url: str, sign_in: SignIn) -> None:
        """Remember a sign-in and make its address the default one."""
        data = self._read()
        known = data.get("sessions")
        sessions = {**(known if isinstance(known, dict) else {}), url: asdict(sign_in)}
        self._write({"current": url, "sessions": sessions})

    def forget(self, url: str) -> None:
        """Drop a sign-in; its address stays the default one."""
        data = self._read()
        if isinstance(data.get("sessions"), dict) and data["sessions"].pop(url, None):
            self._write(data)

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failure(
                f"The file {self.path} cannot be read: {error}.", hint="Remove it and sign in again."
            ) from error
        return data if isinstance(data, dict) else {}

    def _write(self, data: dict[str, Any]) -> None:
        """Replace the file at once, so that no reader ever sees half of it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes the file for its owner alone, and os.replace keeps that.
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".session-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(data, file, indent=1)
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise Failure(f"The sign-in cannot be kept in {self.path}: {error}.") from error
