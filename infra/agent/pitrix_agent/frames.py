"""Frames as the agents see them: sizes, lists, parts. The other end is ``pitrix/pilot/protocol.py``.

A message is one JSON object or a list of them. What is too large for one message comes as ``part`` frames.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any

Frame = dict[str, Any]

PROTOCOL = 1
#: API Gateway takes frames of 32 KB.
MAX_MESSAGE_BYTES = 30_000
#: The largest frame that may come in parts, unpacked; a metadata document of 1,000 nodes is well below.
_MAX_WHOLE_BYTES = 64 * 1024 * 1024
_MAX_PARTS = 2_000


def encode(frame: Frame) -> str:
    """Return one frame as JSON text."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def decode(message: Any) -> list[Frame]:
    """Return the frames in a message; what is no frame is left out."""
    try:
        raw = json.loads(message)
    except ValueError:
        return []
    return [one for one in (raw if isinstance(raw, list) else [raw]) if isinstance(one, dict)]


def pack(texts: Iterable[str]) -> list[str]:
    """Put encoded frames into as few messages as the size limit allows, in order."""
    messages: list[str] = []
    batch: list[str] = []
    size = 2
    for text in texts:
        weight = len(text.encode()) + 1
        if batch and size + weight > MAX_MESSAGE_BYTES:
            messages.append(_message(batch))
            batch, size = [], 2
        batch.append(text)
        size += weight
    if batch:
        messages.append(_message(batch))
    return messages


def _message(batch: list[str]) -> str:
    return batch[0] if len(batch) == 1 else "[" + ",".join(batch) + "]"


class Parts:
    """Puts frames together again that came in parts; keeps one at a time, the newest."""

    def __init__(self) -> None:
        self._message = ""
        self._pieces: dict[int, str] = {}

    def add(self, part: Frame) -> Frame | None:
        """Take one part; return the whole frame with the last one."""
        message, index, count = str(part.get("message")), part.get("index"), part.get("count")
        if not isinstance(index, int) or not isinstance(count, int) or not 0 <= index < count <= _MAX_PARTS:
            return None
        if message != self._message:
            self._message, self._pieces = message, {}
        self._pieces[index] = str(part.get("data", ""))
        if len(self._pieces) < count:
            return None
        packed = base64.b64decode("".join(self._pieces[at] for at in range(count)))
        self._message, self._pieces = "", {}
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, _MAX_WHOLE_BYTES)
        if unpacker.unconsumed_tail:
            return None
        frames = decode(text)
        return frames[0] if frames else None
