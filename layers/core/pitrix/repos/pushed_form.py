"""What a Helm client sends when it pushes a chart: a form with the chart and its ``.prov``, or the chart.

Owns taking the body apart (RFC 7578), as ChartMuseum's API has it: the fields ``chart`` and ``prov``,
whatever else the form holds. Never looks into the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pitrix.errors import FieldError, InvalidInput

#: Fields of a form that are looked at before giving up.
_MOST_FIELDS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class PushedForm:
    """The files of a push; either may be missing."""

    chart: bytes | None = None
    provenance: bytes | None = None


def read(content_type: str, body: bytes) -> PushedForm:
    """Take a pushed body apart; one that is no form is the archive itself.

    Raises:
        InvalidInput: it is empty, or a form that is broken or holds neither file.
    """
    if not body:
        raise InvalidInput("The body is empty; send the chart's .tgz archive.")
    from multipart import MultipartError, PushMultipartParser, parse_options_header

    kind, options = parse_options_header(content_type)
    if kind.lower() != "multipart/form-data":
        return PushedForm(chart=body)
    found: dict[str, bytearray] = {}
    current = bytearray()
    try:
        with PushMultipartParser(options.get("boundary", ""), max_segment_count=_MOST_FIELDS) as parser:
            for part in parser.parse(body):
                if part is None:
                    continue
                if isinstance(part, bytes | bytearray | memoryview):
                    current += part
                else:
                    current = bytearray() if part.name in found else found.setdefault(part.name, bytearray())
    except (MultipartError, ValueError) as error:
        raise InvalidInput(f"The form cannot be read: {error}.") from None
    chart, provenance = found.get("chart"), found.get("prov")
    if not chart and not provenance:
        message = "is missing: the form must have the field chart, prov, or both"
        raise InvalidInput(f"chart {message}.", errors=[FieldError("chart", message)])
    return PushedForm(
        chart=bytes(chart) if chart else None, provenance=bytes(provenance) if provenance else None
    )
