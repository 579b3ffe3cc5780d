"""The ways to sign in to a cluster: a kubeconfig, a token, an EKS cluster's, an AKS cluster's.

Owns turning a credential into :class:`Access`: where the API server is, who vouches for it, and how to sign
in. A kubeconfig is a tenant's text: what would run a program or read a file here is refused, with words.
Never calls the API server; ``client`` does.

Sources: the kubeconfig format (``v1.Config``); the EKS token (a pre-signed ``GetCallerIdentity`` with the
header ``x-k8s-aws-id``, as ``aws eks get-token`` makes it); AKS's server application, whose id is the same
for all tenants.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pitrix.addresses import parse
from pitrix.errors import CredentialInvalid, InvalidInput, ProviderThrottled, ProviderUnavailable

AKS_SCOPE = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The server application of Azure Kubernetes Service, in every tenant."""

EKS_TOKEN_S = 60
"""Seconds for which the signature of an EKS token is asked to be good; EKS itself grants 15 minutes."""

_AWS_THROTTLES = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")
_TIMEOUT_S = (5, 15)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where the API server is and how to sign in; ``ca``, ``certificate`` and ``key`` are PEM."""

    server: str
    ca: str = ""
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = field(default="", repr=False)
    server_name: str = ""


def read(credential: Mapping[str, str], settings: Mapping[str, str]) -> Access:
    """What a credential says.

    Raises:
        CredentialInvalid: It says it in no way that is known, or lacks something; the message names what.
        ProviderUnavailable: The service that gives tokens out does not answer.
    """
    method = credential.get("method", "")
    if method == "kubeconfig":
        found = from_kubeconfig(credential.get("kubeconfig", ""), credential.get("context", ""))
    elif method == "token":
        token, server = _needed(credential, "token"), _needed(credential, "server")
        found = Access(server=server, ca=credential.get("ca", ""), token=token.strip())
    elif method == "eks":
        found = _eks(credential, settings)
    elif method == "aks":
        token = _aks_token(credential, settings)
        found = Access(server=_needed(credential, "server"), ca=_needed(credential, "ca"), token=token)
    else:
        raise CredentialInvalid("A credential of a cluster has the method kubeconfig, token, eks or aks.")
    _check_server(found.server)
    return found


def _needed(credential: Mapping[str, str], name: str) -> str:
    if not credential.get(name, "").strip():
        raise CredentialInvalid(f"The credential lacks {name!r}, or it is empty.")
    return credential[name]


def _check_server(server: str) -> None:
    try:
        target = parse(server)
    except InvalidInput as error:
        raise CredentialInvalid(f"The cluster's server is no address: {error.detail}") from None
    if target.scheme != "https":
        raise CredentialInvalid(
            "The cluster's server must begin with https://; nothing is said in clear text."
        )


# --- kubeconfig --------------------------------------------------------------------------------------


def from_kubeconfig(text: str, context: str = "") -> Access:
    """What a kubeconfig says for ``context``, or for its current one.

    Raises:
        CredentialInvalid: It is none, refers to what it does not have, or to programs or files.
    """
    from pitrix.packages.text import yamltext

    try:
        config = yamltext.load(text.encode())  # not PyYAML: aliases of aliases would grow without end
    except ValueError:
        raise CredentialInvalid("The kubeconfig is not valid YAML.") from None
    if not isinstance(config, dict) or not config.get("clusters"):
        raise CredentialInvalid("The kubeconfig has no clusters; paste the whole file.")
    name = context or _said(config, "current-context")
    if not name:
        raise CredentialInvalid("The kubeconfig has no current-context; name one in the field 'context'.")
    chosen = _entry(config, "context", name)
    cluster = _entry(config, "cluster", _said(chosen, "cluster"))
    user = _entry(config, "user", _said(chosen, "user"))
    _refuse(cluster, user)
    return Access(
        server=_said(cluster, "server"),
        ca=_decoded(cluster, "certificate-authority-data"),
        token=_said(user, "token"),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
        server_name=_said(cluster, "tls-server-name"),
    )


def _said(entry: Mapping[str, Any], name: str) -> str:
    """A text in a kubeconfig, "" where there is none.

    Raises:
        CredentialInvalid: There is something else.
    """
    value = entry.get(name) or ""
    if not isinstance(value, str):
        raise CredentialInvalid(f"The kubeconfig's {name} is no text; put it in quotation marks.")
    return value


def _entry(config: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    entries = config.get(f"{kind}s")
    for each in entries if isinstance(entries, list) else []:
        if isinstance(each, dict) and each.get("name") == name:
            found = each.get(kind)
            return found if isinstance(found, dict) else {}
    raise CredentialInvalid(f"The kubeconfig has no {kind} named {name[:100]!r}.")


_REFUSED = {
    "exec": "runs a program to get its token, and programs are not run here; use the methods eks or aks, or "
    "the token of a service account",
    "auth-provider": "gets its token by a plug-in, which is not run here; use the token of a service account",
    "tokenFile": "refers to a file (tokenFile), which is not here; put the token itself into it",
    "client-certificate": "refers to a file; use client-certificate-data (kubectl config view --flatten)",
    "client-key": "refers to a file; use client-key-data (kubectl config view --flatten)",
    "certificate-authority": "refers to a file; use certificate-authority-data (kubectl config view "
    "--flatten)",
    "username": "has a user name and password, which Kubernetes no longer takes; use a token",
    "as": "acts as somebody else (as); give the credential of that account itself",
    "proxy-url": "goes through a proxy (proxy-url), which is not used here",
    "insecure-skip-tls-verify": "does not verify the server (insecure-skip-tls-verify); give the cluster's "
    "certificate authority instead",
}


def _refuse(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    for name, why in _REFUSED.items():
        if cluster.get(name) or user.get(name):
            raise CredentialInvalid(f"The kubeconfig {why}.")
    if not user.get("token") and not (user.get("client-certificate-data") and user.get("client-key-data")):
        raise CredentialInvalid(
            "The kubeconfig's user has neither a token nor a client certificate with its key."
        )


def _decoded(entry: Mapping[str, Any], name: str) -> str:
    try:
        return base64.b64decode(_said(entry, name), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise CredentialInvalid(f"The kubeconfig's {name} is not base64 of a PEM text.") from None


# --- EKS ---------------------------------------------------------------------------------------------


def _eks(credential: Mapping[str, str], settings: Mapping[str, str]) -> Access:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    region, cluster = _needed(credential, "region"), _needed(credential, "cluster")
    session = Session()
    session.set_credentials(
        _needed(credential, "access_key_id"), _needed(credential, "secret_access_key"),
        credential.get("session_token") or None,
    )  # fmt: skip
    config = Config(
        connect_timeout=_TIMEOUT_S[0], read_timeout=_TIMEOUT_S[1], retries={"max_attempts": 1},
        ignore_configured_endpoint_urls=True,  # that is the platform's own cloud, not a tenant's
    )  # fmt: skip
    endpoint = settings.get("eks_endpoint") or None
    try:
        client = session.create_client("eks", region_name=region, config=config, endpoint_url=endpoint)
        told = client.describe_cluster(name=cluster)["cluster"]
    except ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 429 or said.get("Code") in _AWS_THROTTLES:
            raise ProviderThrottled("AWS asks to slow down about the EKS cluster.") from None
        if status >= 500:
            raise ProviderUnavailable(f"AWS failed about the EKS cluster ({status}).") from None
        raise CredentialInvalid(
            f"AWS does not tell about the EKS cluster {cluster!r} in {region} "
            f"({said.get('Code')}): {said.get('Message')}. The keys need eks:DescribeCluster."
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise ProviderUnavailable(
            f"AWS does not answer about the EKS cluster: {type(error).__name__}."
        ) from None
    if told.get("status") not in ("ACTIVE", "UPDATING"):
        raise CredentialInvalid(f"The EKS cluster {cluster!r} is {told.get('status')}.")
    ca = base64.b64decode(told["certificateAuthority"]["data"]).decode()
    token = eks_token(session, region, cluster, settings.get("sts_endpoint", ""))
    return Access(server=told["endpoint"], ca=ca, token=token)


def eks_token(session: Any, region: str, cluster: str, endpoint: str = "") -> str:
    """A token for an EKS cluster: a signed address of the region's STS that names the cluster, as text."""
    from botocore.config import Config
    from botocore.signers import RequestSigner

    # The SDK knows the address: in China it ends differently.
    own = Config(ignore_configured_endpoint_urls=True)
    endpoint = endpoint or session.create_client("sts", region_name=region, config=own).meta.endpoint_url
    request = {
        "method": "GET",
        "url": f"{endpoint}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    signer = RequestSigner(
        session.get_service_model("sts").service_id, region, "sts", "v4", session.get_credentials(),
        session.get_component("event_emitter"),
    )  # fmt: skip
    url = signer.generate_presigned_url(
        request, region_name=region, expires_in=EKS_TOKEN_S, operation_name=""
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


# --- AKS ---------------------------------------------------------------------------------------------


def _aks_token(credential: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """A token of Microsoft Entra for AKS, by client credentials (OAuth 2.0, RFC 6749 section 4.4)."""
    import requests

    tenant = _needed(credential, "tenant_id")
    if not all(char.isalnum() or char in "-." for char in tenant):
        raise CredentialInvalid("A tenant_id is a UUID or a domain.")
    authority = settings.get("aks_authority") or "https://login.microsoftonline.com"
    form = {
        "grant_type": "client_credentials",
        "client_id": _needed(credential, "client_id"),
        "client_secret": _needed(credential, "client_secret"),
        "scope": AKS_SCOPE,
    }
    try:
        answer = requests.post(
            f"{authority}/{tenant}/oauth2/v2.0/token", data=form, timeout=_TIMEOUT_S, allow_redirects=False
        )
        told = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderUnavailable(f"Microsoft Entra does not answer: {type(error).__name__}.") from None
    if answer.status_code == 429:
        raise ProviderThrottled("Microsoft Entra asks to slow down.")
    if answer.status_code >= 500:
        raise ProviderUnavailable(f"Microsoft Entra failed ({answer.status_code}).")
    if answer.status_code != 200 or "access_token" not in told:
        why = str(told.get("error_description") or told.get("error") or answer.status_code)
        raise CredentialInvalid(f"Microsoft Entra gives no token for AKS: {why[:300].splitlines()[0]}")
    return str(told["access_token"])
