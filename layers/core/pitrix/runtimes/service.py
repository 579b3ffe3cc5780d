"""What can be done with runtimes: connect a cloud account, look into it, let it go.

Owns who may see and use which account, and the order of writes that keeps a credential from outliving its
runtime. Never reads, returns or logs a credential, and never speaks to a cloud: ``ports.CloudCalls`` does,
where that cloud's SDK is.

Two guards against a tenant who would use the platform's own network position: a provider that is
``operator_only`` is connected by an operator alone, and the addresses in a credential are the provider's to
check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from pitrix import ids
from pitrix.clock import Clock
from pitrix.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
)
from pitrix.identity.model import Principal, require
from pitrix.paging import chain
from pitrix.runtimes import credentials, rules
from pitrix.runtimes.answers import KeptAnswers, account_of
from pitrix.runtimes.model import (
    Account,
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
from pitrix.runtimes.ports import CloudCalls, CredentialVault, RuntimePage, RuntimeStore
from providers.resources import Image, MachineType, Network, Quota


class RuntimesService:
    """The use cases of runtimes. Every method takes who asks first.

    Args:
        in_use: Whether clusters are on a runtime; the clusters context answers.
    """

    def __init__(
        self,
        *,
        runtimes: RuntimeStore,
        vault: CredentialVault,
        clouds: CloudCalls,
        in_use: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._runtimes = runtimes
        self._vault = vault
        self._clouds = clouds
        self._in_use = in_use
        self._clock = clock
        self._answers = KeptAnswers(runtimes=runtimes, clock=clock)

    # --- clouds ------------------------------------------------------------------------------------------

    def providers(self, who: Principal) -> list[ProviderInfo]:
        """The clouds that can be connected, by name."""
        require(who, "runtimes", "read")
        return self._clouds.providers()

    def provider(self, who: Principal, name: str) -> ProviderInfo:
        """One cloud.

        Raises:
            NotFound: there is none of that name.
        """
        require(who, "runtimes", "read")
        return self._clouds.provider(name)

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

    def account(self, who: Principal, runtime_id: str) -> Account:
        """The account behind a runtime, for whoever connects to it; holds no credential but its name.

        Raises:
            NotFound: there is no such runtime for the caller.
            Conflict: it is not active: its creation or deletion was interrupted.
        """
        return account_of(self.usable(who, runtime_id))

    def usable(self, who: Principal, runtime_id: str) -> Runtime:
        """One runtime that something may be deployed to.

        Raises:
            NotFound: there is none, or the caller may not see it.
            Conflict: it is being connected or deleted.
        """
        runtime = self.get(who, runtime_id)
        rules.refuse_inactive(runtime)
        return runtime

    def zones(self, who: Principal, runtime_id: str) -> list[ZoneInfo]:
        """The zones of the account, as the cloud told them in the last minutes."""
        runtime = self.usable(who, runtime_id)
        return self._answers.to(runtime, "zones", self._clouds.zones, list[ZoneInfo])

    def machine_types(self, who: Principal, runtime_id: str) -> list[MachineType]:
        """The machine sizes on offer in the runtime's zone, as the cloud told them in the last minutes.

        Raises:
            CapabilityMissing: the cloud has no machines.
        """
        runtime = self.usable(who, runtime_id)
        return self._answers.to(runtime, "machine-types", self._clouds.machine_types, list[MachineType])

    def images(self, who: Principal, runtime_id: str) -> list[Image]:
        """What machines may boot from, the default first, as the cloud told it in the last minutes.

        Raises:
            CapabilityMissing: the cloud has no machines.
        """
        runtime = self.usable(who, runtime_id)
        return self._answers.to(runtime, "images", self._clouds.machine_images, list[Image])

    def subnets(self, who: Principal, runtime_id: str) -> list[Network]:
        """The networks in the account that the caller may choose, as the cloud told them in the last minutes.

        On a runtime that somebody shared there are none: what is in the account belongs to others, and every
        cluster there gets a network of its own.

        Raises:
            CapabilityMissing: the cloud has no networks.
        """
        runtime = self.usable(who, runtime_id)
        if not who.owns(runtime.owner_path):
            return []
        return self._answers.to(runtime, "subnets", self._clouds.subnets, list[Network])

    def quotas(self, who: Principal, runtime_id: str) -> list[Quota]:
        """The account's limits on machines and what is used of them, asked of the cloud now.

        Raises:
            CapabilityMissing: the cloud has no machines.
        """
        return self._clouds.quotas(self.account(who, runtime_id))

    # --- connecting --------------------------------------------------------------------------------------

    def validate(self, who: Principal, request: CheckRequest) -> Check:
        """Ask the cloud whether it accepts a credential; keeps nothing.

        Raises:
            InvalidInput: the credential does not fit the provider's schema; names each field.
            CredentialInvalid: the cloud refuses it; says what is wrong or which permission lacks.
            PermissionDenied: an operator's provider.
        """
        require(who, "runtimes", "create")
        account = Account(provider=request.provider, zone=request.zone, credential=request.credential)
        return self._checked(who, account)

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
            rules.only_operator(who, "share a runtime with everybody")
        rules.check_fields(request.name, request.description, request.labels)
        account = Account(provider=request.provider, zone=request.zone, credential=request.credential)
        checked = self._checked(who, account)
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
        rules.refuse_inactive(runtime)
        if if_revision is not None and if_revision != runtime.revision:
            raise PreconditionFailed(f"Runtime {runtime_id} was changed since you read it; read it again.")
        if patch.visibility == "public" and runtime.visibility != "public":
            rules.only_operator(who, "share a runtime with everybody")
        given = {
            name: value
            for name in ("name", "description", "visibility", "labels")
            if (value := getattr(patch, name)) is not None
        }
        after = replace(runtime, **given, updated_at=self._clock.now())
        rules.check_fields(after.name, after.description, after.labels)
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

    def _checked(self, who: Principal, account: Account) -> Check:
        """What the cloud says to an account.

        Raises:
            InvalidInput, PermissionDenied, CredentialInvalid: as for ``create``.
        """
        try:
            provider = self._clouds.provider(account.provider)
        except NotFound as error:
            raise InvalidInput(error.detail, errors=[FieldError("provider", error.detail)]) from None
        if provider.operator_only:
            rules.only_operator(who, f"connect a runtime of the provider {account.provider!r}")
        if not account.secret_name:
            rules.refuse(credentials.problems(provider.credential_schema, account.credential))
        return self._clouds.check(account)

    def _zone_after(self, who: Principal, runtime: Runtime, patch: RuntimePatch) -> str:
        """The zone a runtime is in after a patch, when the cloud accepts it with the credential."""
        zone = patch.zone or runtime.zone
        if zone != runtime.zone:
            self._refuse_if_used(runtime.runtime_id)
        account = replace(account_of(runtime), zone=zone)
        if patch.credential is not None:
            account = replace(account, secret_name="", credential=patch.credential)
        return self._checked(who, account).zone

    def _owned(self, who: Principal, runtime_id: str) -> Runtime:
        runtime = self.get(who, runtime_id)
        if not who.owns(runtime.owner_path):
            raise PermissionDenied(f"Runtime {runtime_id} is shared with you, but belongs to another owner.")
        return runtime

    def _refuse_if_used(self, runtime_id: str) -> None:
        if self._in_use(runtime_id):
            raise Conflict(f"Clusters are on runtime {runtime_id}; cease them first.")
