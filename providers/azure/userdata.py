"""A machine's shell script in the form in which cloud-init runs it at every boot.

Source: *cloud-init*, "User data formats" (MIME multi-part, ``text/x-shellscript-per-boot``, since 22.1).
"""

from __future__ import annotations

import base64
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from pitrix.errors import InvalidInput

MAX_BYTES = 65_535
"""What Azure takes as custom data, before it is encoded."""


def wrapped(script: str) -> str:
    """Custom data in Base64 that runs ``script`` at every boot; "" for none.

    Raises:
        InvalidInput: It is larger than Azure takes.
    """
    if not script:
        return ""
    whole = MIMEMultipart(boundary="==pitrix==")
    # cloud-init runs what begins with #!.
    text = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    part = MIMEText(text, "x-shellscript-per-boot", "utf-8")
    part.add_header("Content-Disposition", "attachment", filename="pitrix.sh")
    whole.attach(part)
    data = whole.as_bytes()
    if len(data) > MAX_BYTES:
        raise InvalidInput(
            f"The user data has {len(data)} bytes as cloud-init reads it; Azure takes {MAX_BYTES}."
        )
    return base64.b64encode(data).decode()
