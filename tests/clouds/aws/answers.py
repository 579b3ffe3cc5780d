"""A refusal in the form in which each service of AWS answers it. Owns the forms, decides nothing.

Source: the protocols of *Smithy*: ec2Query, awsQuery, restXml (S3), awsJson and restJson.
"""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

_JSON = {"ssm", "servicequotas", "pricing"}
_REST_JSON = {"lambda", "apigateway"}

REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def refusal(service: str, code: str, message: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of an error answer; ``service`` as a signature names it."""
    if service in _JSON:
        body = json.dumps({"__type": code, "message": message})
        return {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}, body.encode()
    if service in _REST_JSON:
        body = json.dumps({"message": message})
        return {"Content-Type": "application/json", "x-amzn-ErrorType": code}, body.encode()
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
        )
    elif service == "s3":
        text = f"<Error>{error}<RequestId>{REQUEST_ID}</RequestId></Error>"
    else:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
            f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        )
    return {"Content-Type": "text/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
