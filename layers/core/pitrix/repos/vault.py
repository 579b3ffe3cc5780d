"""Credentials of repositories: what a secret of `pitrix.vault` holds of them, and under which name.

Owns the names ``pitrix/repos/<repo_id>``, which IAM narrows each function to. Decides nothing.
"""

from __future__ import annotations

from dataclasses import asdict

from pitrix.errors import NotFound
from pitrix.repos.model import Credential
from pitrix.vault import SecretsManagerVault


class RepoVault:
    """`ports.CredentialVault` on Secrets Manager."""

    def __init__(self, vault: SecretsManagerVault) -> None:
        self._vault = vault

    def put(self, repo_id: str, credential: Credential) -> None:
        self._vault.put(_name(repo_id), {name: text for name, text in asdict(credential).items() if text})

    def get(self, repo_id: str) -> Credential | None:
        try:
            return Credential(**self._vault.get(_name(repo_id)))
        except NotFound:
            return None

    def delete(self, repo_id: str) -> None:
        self._vault.delete(_name(repo_id))


def _name(repo_id: str) -> str:
    return f"pitrix/repos/{repo_id}"
