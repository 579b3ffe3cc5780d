"""Calls a function of a Knative application over HTTP. Owns one request to an address that was checked.

The name is resolved once, and only the checked address is connected to; no redirection is followed.
"""

from __future__ import annotations

from pitrix.addresses import parse
from pitrix.errors import InvalidInput, ProviderThrottled, ProviderUnavailable
from providers.kubernetes.client import checked_address
from providers.resources import Invocation

MOST_BYTES = 6 * 1024 * 1024
"""The longest answer that is taken, as with Lambda."""


def invoke(url: str, payload: bytes, timeout_s: int, allowed_networks: str) -> Invocation:
    """Send ``payload`` to a function's address and wait for the answer, ``timeout_s`` seconds at most.

    Raises:
        CredentialInvalid: The address may not be talked to.
        InvalidInput: Only the cluster itself reaches it.
        ProviderUnavailable: It does not answer.
    """
    import urllib3

    target = parse(url)
    if target.host.endswith((".svc.cluster.local", ".svc")):
        raise InvalidInput("Only the cluster itself reaches this function; it has no trigger of type http.")
    host, port = checked_address(target, [each for each in allowed_networks.split(",") if each.strip()])
    timeout = urllib3.Timeout(connect=5, read=timeout_s)
    headers = {"Host": target.authority, "Content-Type": "application/json"}
    pool: urllib3.HTTPConnectionPool
    if target.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            host, port, timeout=timeout, server_hostname=target.host, assert_hostname=target.host,
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(host, port, timeout=timeout)
    with pool:
        try:
            answer = pool.request(
                "POST", target.target, body=payload, headers=headers, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
            body = answer.read(MOST_BYTES + 1)
        except urllib3.exceptions.HTTPError as error:
            raise ProviderUnavailable(f"The function does not answer: {type(error).__name__}.") from None
    if len(body) > MOST_BYTES:
        raise InvalidInput(f"The function answered more than {MOST_BYTES} bytes.")
    if answer.status == 429:
        raise ProviderThrottled("The function asks to slow down (429).")
    said = body[:500].decode("utf-8", "replace")
    return Invocation(
        payload=body, error="" if answer.status < 400 else f"it answered {answer.status}: {said}"
    )
