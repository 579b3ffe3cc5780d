"""What can be done with runtimes: connect a cloud account, look into it, hand out its provider, let it go.

Owns who may see and use which account, and the order of writes that keeps a credential from outliving its
runtime. Never returns or logs a credential, and never imports a cloud: ``providers`` does, when asked.

Two guards against a tenant who would use the platform's own network position: a provider that is
``operator_only`` is connected by an operator alone, and the addresses in a credential are the provider's to
check.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    CredentialInvalid,
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
)
from pitrix.identity.model import ROOT_PATH, Principal, require
from pitrix.paging import chain
from pitrix.runtimes.model import (
    Check,
    CheckRequest,
    ProviderInfo,
    Runtime,
    RuntimePatch,
    RuntimeRequest,
    RuntimeStatus,
    Statistics,
    ZoneInfo,
)
from pitrix.runtimes.ports import Clouds, CredentialVault, RuntimePage, RuntimeStore
from providers.base import Provider
from providers.resources import Connection, MachineType, Network

_NAME: Final = re.compile(r"[^\W_](?:[\w .-]{0,58}[^\W_])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


class RuntimesService:
    """The use cases of runtimes. Every method takes who asks first.

    Args:
        in_use: Whether clusters are on a runtime; the clusters context answers.
        settings: The deployment's own values for each provider (``Connection.settings``), such as
            ``{"local": {"endpoint": "http://127.0.0.1:4580"}}``. They are not kept: the next deployment
            may have others.
    """

    def __init__(
        self,
        *,
        runtimes: RuntimeStore,
        vault: CredentialVault,
        clouds: Clouds,
        in_use: Callable[[str], bool],
        settings: Mapping[str, Mapping[str, str]],
        clock: Clock,
    ) -> None:
        self._runtimes = runtimes
        self._vault = vault
        self._clouds = clouds
        self._in_use = in_use
        self._settings = settings
        self._clock = clock

    # --- clouds ------------------------------------------------------------------------------------------

    def providers(self, who: Principal) -> list[ProviderInfo]:
        """The clouds that can be connected, by name."""
        require(who, "runtimes", "read")
        return [_info(self._clouds.get(name)) for name in self._clouds.names()]

    def provider(self, who: Principal, name: str) -> ProviderInfo:
        """One cloud.

        Raises:
            NotFound: there is none of that name.
        """
        require(who, "runtimes", "read")
        return _info(self._clouds.get(name))

    # --- reading -----------------------------------------------------------------------------------------

    def list_runtimes(self, who: Principal, *, limit: int = 50, cursor: str | None = None) -> RuntimePage:
        """Those that everybody may use, then those of the caller and below, each by name.

        Raises:
            InvalidInput: the cursor is broken, or another caller's.
        """
        require(who, "runtimes", "read")

        def shared(limit: int, cursor: str | None) -> tuple[list[Runtime], str | None]:
            page = self._runtimes.list_public(limit=limit, cursor=cursor)
            return [each for each in page.runtimes if not who.owns(each.owner_path)], page.next_cursor

        def own(limit: int, cursor: str | None) -> tuple[list[Runtime], str | None]:
            page = self._runtimes.list_owned(who.owner_path, limit=limit, cursor=cursor)
            return page.runtimes, page.next_cursor

        found, more = chain([shared, own], name=f"runtimes:{who.owner_path}", limit=limit, cursor=cursor)
        return RuntimePage(runtimes=found, next_cursor=more)

    def get(self, who: Principal, runtime_id: str) -> Runtime:
        """One runtime.

        Raises:
            NotFound: there is none, or the caller may not see it.
        """
        require(who, "runtimes", "read")
        runtime = self._runtimes.runtime(runtime_id)
        if runtime is None or not (runtime.visibility == "public" or who.owns(runtime.owner_path)):
            raise NotFound(f"Runtime {runtime_id} does not exist.")
        return runtime

    def statistics(self, who: Principal) -> Statistics:
        """Counts of what the caller owns."""
        require(who, "runtimes", "read")
        owned = list(self._runtimes.all_owned(who.owner_path))
        return Statistics(
            total=len(owned),
            by_provider=dict(Counter(runtime.provider for runtime in owned)),
            by_zone=dict(Counter(f"{runtime.provider}/{runtime.zone}" for runtime in owned)),
        )

    # --- looking into the account ------------------------------------------------------------------------

    def provider_for(self, who: Principal, runtime_id: str) -> Provider:
        """The provider of a runtime, connected with its credential.

        Raises:
            NotFound: there is no such runtime for the caller.
            Conflict: it is not active: its creation or deletion was interrupted.
        """
        runtime = self.get(who, runtime_id)
        _refuse_inactive(runtime)
        return self._connect(runtime.provider, runtime.zone, self._vault.get(runtime.secret_name))

    def usable(self, who: Principal, runtime_id: str) -> Runtime:
        """One runtime that something may be deployed to.

        Raises:
            NotFound: there is none, or the caller may not see it.
            Conflict: it is being connected or deleted.
        """
        runtime = self.get(who, runtime_id)
        _refuse_inactive(runtime)
        return runtime

    def zones(self, who: Principal, runtime_id: str) -> list[ZoneInfo]:
        """The zones of the account, asked of the cloud."""
        return _zones(self.provider_for(who, runtime_id))

    def machine_types(self, who: Principal, runtime_id: str) -> list[MachineType]:
        """The machine sizes on offer in the runtime's zone, asked of the cloud.

        Raises:
            CapabilityMissing: the cloud has no machines.
        """
        return self.provider_for(who, runtime_id).machines.machine_types()

    def subnets(self, who: Principal, runtime_id: str) -> list[Network]:
        """The networks in the account that the caller may choose, asked of the cloud.

        On a runtime that somebody shared there are none: what is in the account belongs to others, and every
        cluster there gets a network of its own.

        Raises:
            CapabilityMissing: the cloud has no networks.
        """
        runtime = self.get(who, runtime_id)
        provider = self.provider_for(who, runtime_id)
        return provider.networks.list_networks({}) if who.owns(runtime.owner_path) else []

    # --- connecting --------------------------------------------------------------------------------------

    def validate(self, who: Principal, request: CheckRequest) -> Check:
        """Ask the cloud whether it accepts a credential; keeps nothing.

        Raises:
            InvalidInput: the credential does not fit the provider's schema; names each field.
            CredentialInvalid: the cloud refuses it; says what is wrong or which permission lacks.
            PermissionDenied: an operator's provider.
        """
        require(who, "runtimes", "create")
        return self._checked(who, request.provider, request.zone, request.credential)

    def create(self, who: Principal, request: RuntimeRequest) -> Runtime:
        """Connect an account: its credential is tried, put in the vault, and never seen again.

        Raises:
            InvalidInput: a bad field; names each.
            CredentialInvalid: the cloud refuses the credential.
            PermissionDenied: an operator's provider, or ``visibility`` ``public``.
            Conflict: the caller has a runtime of that name.
        """
        require(who, "runtimes", "create")
        if request.visibility == "public":
            _only_operator(who, "share a runtime with everybody")
        _check_fields(request.name, request.description, request.labels)
        checked = self._checked(who, request.provider, request.zone, request.credential)
        now = self._clock.now()
        runtime = Runtime(
            runtime_id=ids.new("rt"),
            name=request.name,
            description=request.description,
            provider=request.provider,
            zone=checked.zone,
            visibility=request.visibility,
            owner_path=who.owner_path,
            owner_id=who.user_id,
            labels=dict(request.labels),
            created_at=now,
            updated_at=now,
        )
        # The record comes first, so that a credential always has one that finds it, whatever breaks between.
        try:
            runtime = self._runtimes.create(runtime)
        except Conflict:
            raise Conflict(f"You have a runtime named {request.name!r} already.") from None
        try:
            self._vault.put(runtime.secret_name, request.credential)
        except Exception:
            self._runtimes.remove(runtime)
            raise
        return self._runtimes.save(runtime, replace(runtime, status=RuntimeStatus.ACTIVE))

    def edit(
        self, who: Principal, runtime_id: str, patch: RuntimePatch, *, if_revision: int | None = None
    ) -> Runtime:
        """Change how a runtime is described, or its zone or credential, which are tried first.

        Args:
            if_revision: The revision the caller read (``If-Match``); ``None`` overwrites.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            PreconditionFailed: it was changed since that revision.
            InvalidInput, CredentialInvalid: as for ``create``.
            Conflict: the owner has another one of the new name; clusters live in the zone to be left; or it
                is not active.
        """
        require(who, "runtimes", "update")
        runtime = self._owned(who, runtime_id)
        _refuse_inactive(runtime)
        if if_revision is not None and if_revision != runtime.revision:
            raise PreconditionFailed(f"Runtime {runtime_id} was changed since you read it; read it again.")
        if patch.visibility == "public" and runtime.visibility != "public":
            _only_operator(who, "share a runtime with everybody")
        given = {
            name: value
            for name in ("name", "description", "visibility", "labels")
            if (value := getattr(patch, name)) is not None
        }
        after = replace(runtime, **given, updated_at=self._clock.now())
        _check_fields(after.name, after.description, after.labels)
        if patch.zone is not None or patch.credential is not None:
            after = replace(after, zone=self._zone_after(who, runtime, patch))
        try:
            after = self._runtimes.save(runtime, after)
        except Conflict:
            raise Conflict(
                f"You have a runtime named {after.name!r} already, or this one was changed just now."
            ) from None
        if patch.credential is not None:
            self._vault.put(runtime.secret_name, patch.credential)
        return after

    def delete(self, who: Principal, runtime_id: str) -> None:
        """Let an account go and destroy its credential; nothing in the account is touched.

        Raises:
            NotFound, PermissionDenied: not seen; seen but not owned.
            Conflict: clusters are on it.
        """
        require(who, "runtimes", "delete")
        runtime = self._owned(who, runtime_id)
        self._refuse_if_used(runtime_id)
        before = runtime
        if runtime.status is not RuntimeStatus.DELETING:
            before = self._runtimes.save(runtime, replace(runtime, status=RuntimeStatus.DELETING))
        # Again, now that no new cluster can come: one may have come since the first look.
        try:
            self._refuse_if_used(runtime_id)
        except Conflict:
            self._runtimes.save(before, replace(before, status=RuntimeStatus.ACTIVE))
            raise
        self._vault.delete(runtime.secret_name)
        self._runtimes.remove(runtime)

    # --- inside ------------------------------------------------------------------------------------------

    def _connect(self, provider: str, zone: str, credential: Mapping[str, str]) -> Provider:
        settings = self._settings.get(provider, {})
        return self._clouds.connect(provider, Connection(zone=zone, credential=credential, settings=settings))

    def _checked(self, who: Principal, provider: str, zone: str, credential: Mapping[str, str]) -> Check:
        try:
            kind = self._clouds.get(provider)
        except NotFound as error:
            raise InvalidInput(error.detail, errors=[FieldError("provider", error.detail)]) from None
        if kind.operator_only:
            _only_operator(who, f"connect a runtime of the provider {provider!r}")
        _check_credential(kind.credential_schema, credential)
        if not zone:
            zones = self._connect(provider, zone, credential).zones()
            if not zones:
                raise CredentialInvalid("The cloud accepts the credential, but it opens no zone.")
            zone = zones[0].zone
        connected = self._connect(provider, zone, credential)
        connected.validate_credential()
        return Check(valid=True, zone=zone, zones=_zones(connected))

    def _zone_after(self, who: Principal, runtime: Runtime, patch: RuntimePatch) -> str:
        """The zone a runtime is in after a patch, when the cloud accepts it with the credential."""
        zone = patch.zone or runtime.zone
        if zone != runtime.zone:
            self._refuse_if_used(runtime.runtime_id)
        credential = patch.credential
        if credential is None:
            credential = dict(self._vault.get(runtime.secret_name))
        return self._checked(who, runtime.provider, zone, credential).zone

    def _owned(self, who: Principal, runtime_id: str) -> Runtime:
        runtime = self.get(who, runtime_id)
        if not who.owns(runtime.owner_path):
            raise PermissionDenied(f"Runtime {runtime_id} is shared with you, but belongs to another owner.")
        return runtime

    def _refuse_if_used(self, runtime_id: str) -> None:
        if self._in_use(runtime_id):
            raise Conflict(f"Clusters are on runtime {runtime_id}; cease them first.")


# --- values ----------------------------------------------------------------------------------------------


def _info(kind: type[Provider]) -> ProviderInfo:
    return ProviderInfo(
        name=kind.name,
        title=kind.title,
        capabilities=sorted(kind.capabilities()),
        operator_only=kind.operator_only,
        credential_schema=kind.credential_schema,
    )


def _zones(provider: Provider) -> list[ZoneInfo]:
    return [ZoneInfo(zone=zone.zone, title=zone.title or zone.zone) for zone in provider.zones()]


def _only_operator(who: Principal, what: str) -> None:
    if not who.owns(ROOT_PATH):
        raise PermissionDenied(f"Only an operator may {what}.")


def _refuse_inactive(runtime: Runtime) -> None:
    if runtime.status is not RuntimeStatus.ACTIVE:
        raise Conflict(
            f"Runtime {runtime.runtime_id} is {runtime.status}, which was interrupted: delete it and "
            "connect the account anew."
        )


def _check_fields(name: str, description: str, labels: Mapping[str, str]) -> None:
    """Refuse bad fields, naming each.

    Raises:
        InvalidInput: see above.
    """
    errors = []
    if not _NAME.fullmatch(name):
        errors.append(FieldError("name", "must be 1 to 60 letters, digits, spaces and ._-, not at the ends"))
    if len(description) > 1000:
        errors.append(FieldError("description", "must have at most 1000 characters"))
    if len(labels) > 20:
        errors.append(FieldError("labels", "must be at most 20"))
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or (value and not _LABEL.fullmatch(value)):
            message = "must be letters, digits and ._/- (63 at most) on both sides"
            errors.append(FieldError(f"labels.{key}", message))
    _refuse(errors)


def _check_credential(schema: Mapping[str, Any], credential: Mapping[str, str]) -> None:
    """Refuse a credential that does not fit its provider's schema, naming each field and no value.

    Raises:
        InvalidInput: see above.
    """
    from jsonschema import Draft202012Validator  # heavy, and only a connecting request needs it

    known = schema.get("properties", {})
    errors = []
    for problem in Draft202012Validator(schema).iter_errors(dict(credential)):
        rule, limit = str(problem.validator), problem.validator_value
        if rule == "required":
            missing = [name for name in limit if name not in credential]
            errors += [FieldError(f"credential.{name}", "is required") for name in missing]
        elif rule == "additionalProperties":
            allowed = f"is unknown; known are: {', '.join(known)}"
            errors += [FieldError(f"credential.{name}", allowed) for name in credential if name not in known]
        else:  # the library's own message would repeat the value, which may be the secret
            path = ".".join(["credential", *map(str, problem.absolute_path)])
            errors.append(FieldError(path, f"does not fit the rule {rule}: {limit}"))
    # The library reports `required` once for every missing name, and each time we list them all.
    _refuse(list(dict.fromkeys(errors)))


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise InvalidInput(" ".join(f"{e.field} {e.message}." for e in errors), errors=errors)
