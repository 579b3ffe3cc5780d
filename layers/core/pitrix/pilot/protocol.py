"""The frames between Pilot and its agents, and how they fit into a connection.

One WebSocket message holds one JSON frame or a list of them. Every frame names its ``type`` and the ``agent``
it comes from or goes to: a frontgate carries the frames of all its drones on one connection. A frame from an
agent counts only after a ``hello`` of that agent succeeded on the same connection. Order is not promised (on
AWS the messages of one connection are handled at the same time), so no frame relies on it: output is
numbered, results are re-sent until acknowledged, a command says which metadata it needs.

================  ===========  =============================================================================
frame             direction    meaning
================  ===========  =============================================================================
``hello``         to Pilot     authenticate with ``key``, the first time with the one-time ``token`` too
``welcome``       to agent     the hello of this ``nonce`` was accepted
``refused``       to agent     it was not, or a frame came from an agent that is not authenticated here
``command``       to agent     run this, once
``cancel``        to agent     kill this if it runs
``output``        to Pilot     a piece of output, while the command runs
``result``        to Pilot     the outcome; sent again until ``ack``
``ack``           to agent     the outcome is stored
``metadata``      to agent     what ``/self`` is from now on, with its version
``sync``          to Pilot     send me the metadata again
``event``         to Pilot     the health of the node changed
``ping``/``pong`` both         keeps the connection from idling out, and proves that it works end to end
``bye``           to Pilot     a frontgate lost the connection of this drone
``part``          to agent     one slice of a frame that is too large for one message
================  ===========  =============================================================================

The agents' end of this is ``infra/agent/pitrix_agent/frames.py``; both are tested against each other in
``tests/integration/agents``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from pitrix.pilot.model import ID_PATTERN, OUTPUT_TAIL_CHARS

#: Version of this protocol. An agent says which one it speaks; Pilot speaks with all that are in use.
PROTOCOL = 1
#: API Gateway takes frames of 32 KB; leave room for the envelope of a part.
MAX_MESSAGE_BYTES = 30_000
_PART_CHARS = 28_000

Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]
Credential = Annotated[str, msgspec.Meta(min_length=32, max_length=128)]


class Hello(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="hello"):
    """``commands`` are the ids that the agent has in its journal without an acknowledged result.

    ``listens`` is where a frontgate takes its drones.
    """

    agent: Id
    nonce: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    key: Credential
    token: Credential | None = None
    protocol: int = PROTOCOL
    address: Annotated[str, msgspec.Meta(max_length=64)] = ""
    listens: Annotated[str, msgspec.Meta(max_length=128, pattern=r"^(ws://[0-9A-Za-z.:\[\]-]+)?$")] = ""
    metadata_version: int = 0
    commands: Annotated[list[Id], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)


class Output(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="output"):
    agent: Id
    command: Id
    seq: Annotated[int, msgspec.Meta(ge=1)]
    data: Annotated[str, msgspec.Meta(max_length=OUTPUT_TAIL_CHARS * 2)]


class Result(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="result"):
    agent: Id
    command: Id
    exit_code: int | None = None
    output_tail: str = ""
    output_truncated: bool = False
    timed_out: bool = False
    error: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class Health(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="event"):
    """The only event so far: ``health`` becomes ``healthy`` or ``unhealthy``."""

    agent: Id
    health: Annotated[str, msgspec.Meta(pattern="^(healthy|unhealthy)$")]
    detail: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class Sync(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="sync"):
    agent: Id


class Ping(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="ping"):
    agent: Id


class Bye(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag="bye"):
    agent: Id


Frame = Hello | Output | Result | Health | Sync | Ping | Bye


def decode(message: str) -> Iterator[Frame | msgspec.ValidationError]:
    """Yield each frame of a message, or, in place of one that is no frame, the error: the others still count.

    Raises:
        msgspec.DecodeError: the message is not JSON at all.
    """
    raw = msgspec.json.decode(message)
    for one in raw if isinstance(raw, list) else [raw]:
        try:
            yield msgspec.convert(one, Frame)
        except msgspec.ValidationError as error:
            yield error


def encode(frame: Mapping[str, Any]) -> list[str]:
    """Return the messages that carry one frame to its agent: itself, or the parts of it, compressed."""
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) <= MAX_MESSAGE_BYTES:
        return [text]
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    slices = [packed[at : at + _PART_CHARS] for at in range(0, len(packed), _PART_CHARS)]
    message_id = f"{zlib.crc32(packed.encode()):08x}-{len(packed)}"
    return [
        json.dumps(
            {
                "type": "part",
                "agent": frame["agent"],
                "message": message_id,
                "index": index,
                "count": len(slices),
                "data": piece,
            }
        )
        for index, piece in enumerate(slices)
    ]
