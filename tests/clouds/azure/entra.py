"""Who may do what in the fake Azure: tokens of Microsoft Entra ID, and roles on subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any

from tests.clouds.azure.catalogue import Application, Subscription
from tests.clouds.azure.specification import Operation
from tests.clouds.azure.world import ArmError


class Entra:
    """Gives tokens, and knows whose they are."""

    def __init__(self, applications: list[Application], subscriptions: Mapping[str, Subscription]) -> None:
        self._applications = {each.client_id: each for each in applications}
        self._tenants = {each.tenant_id for each in applications}
        self._subscriptions = subscriptions
        self._tokens: dict[str, Application] = {}

    def discover(self, base: str, tenant: str) -> tuple[int, Any]:
        """The answer of ``/{tenant}/v2.0/.well-known/openid-configuration``."""
        if tenant not in self._tenants:
            return _refused(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")
        here = f"{base}/{tenant}"
        return 200, {
            "issuer": f"{here}/v2.0",
            "token_endpoint": f"{here}/oauth2/v2.0/token",
            "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            "jwks_uri": f"{here}/discovery/v2.0/keys",
        }

    def token(self, base: str, tenant: str, form: Mapping[str, str]) -> tuple[int, Any]:
        """The answer of ``/{tenant}/oauth2/v2.0/token`` to client credentials."""
        app = self._applications.get(form.get("client_id", ""))
        if tenant not in self._tenants:
            return _refused(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if app is None or app.tenant_id != tenant:
            told = f"Application with identifier '{form.get('client_id')}' was not found in the directory."
            return _refused(400, "unauthorized_client", f"AADSTS700016: {told}")
        if not form.get("scope", "").endswith("/.default"):
            return _refused(400, "invalid_scope", "AADSTS1002012: The scope is no resource's .default.")
        if "client_assertion" in form:
            if not self._signed(app, form["client_assertion"], f"{base}/{tenant}/oauth2/v2.0/token"):
                told = "AADSTS700027: The certificate with identifier used to sign is not registered."
                return _refused(401, "invalid_client", told)
        elif form.get("client_secret") != app.secret:
            return _refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = token_urlsafe()
        self._tokens[token] = app
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    def authorize(self, header: str, subscription_id: str, operation: Operation, path: str) -> None:
        """Refuse who may not do this.

        Raises:
            ArmError: 401, 403 or 404, as ARM answers.
        """
        app = self._tokens.get(header.removeprefix("Bearer "))
        if app is None:
            raise ArmError(401, "AuthenticationFailed", "Authentication failed: the token is none.")
        subscription = self._subscriptions.get(subscription_id.lower())
        if subscription is None:
            code = "SubscriptionNotFound"
            raise ArmError(404, code, f"The subscription '{subscription_id}' could not be found.")
        if subscription.tenant_id != app.tenant_id:
            message = "The access token is from the wrong issuer."
            raise ArmError(401, "InvalidAuthenticationTokenTenant", message)
        role = app.roles.get(subscription_id.lower())
        if role is None or (role == "Reader" and operation.method not in ("GET", "HEAD")):
            message = (
                f"The client '{app.client_id}' with object id '{app.client_id}' does not have "
                f"authorization to perform action '{_action(operation)}' over scope '{path}' or the scope "
                "is invalid."
            )
            raise ArmError(403, "AuthorizationFailed", message)

    @staticmethod
    def _signed(app: Application, assertion: str, audience: str) -> bool:
        import jwt
        from cryptography.x509 import load_pem_x509_certificate

        if not app.certificate:
            return False
        key = load_pem_x509_certificate(app.certificate.encode()).public_key()
        try:
            jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=audience)  # type: ignore[arg-type]
        except jwt.PyJWTError:
            return False
        return True


def _refused(status: int, error: str, description: str) -> tuple[int, Any]:
    return status, {"error": error, "error_description": description}


def _action(operation: Operation) -> str:
    """``Microsoft.Compute/virtualMachines/write`` of a PUT of one."""
    verb = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
    if "/providers/" not in operation.template:
        kind = "Microsoft.Resources/subscriptions/resourceGroups"
    else:
        parts = operation.template.split("/providers/", 1)[1].split("/")
        kind = "/".join([parts[0], *parts[1::2]])
    return f"{kind}/{verb.get(operation.method, 'action')}"
