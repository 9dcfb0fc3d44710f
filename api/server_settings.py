"""Settings of the service's connections: address, hosts, keys, tokens and limits of requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS_VARIABLE: Final = "BITBUDGET_SECRETS"
"""Environment variable with the path of a directory of secrets, as container engines mount them: in it, a file with the
name of a setting's environment variable has the value of this setting."""


def secrets_directory() -> str | None:
    """Return the path of the directory of secrets; None if it is not given, or does not exist."""
    directory = os.environ.get(SECRETS_VARIABLE, "")
    return directory if Path(directory).is_dir() and directory else None


class ServerSettings(BaseSettings):
    """Settings of the service's connections; `Settings` has them too."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        env_ignore_empty=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    host: str = Field(default="127.0.0.1", validation_alias="BITBUDGET_HOST", description="Address to listen on.")
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias="BITBUDGET_PORT",
        description="Port to listen on; 0 chooses a free port.",
    )
    allow_unauthenticated: bool = Field(
        default=False,
        validation_alias="BITBUDGET_ALLOW_UNAUTHENTICATED",
        description="Listen on an address other than loopback although the service has no keys: everybody who can "
        "reach the port can use the service.",
    )
    allowed_hosts: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_ALLOWED_HOSTS",
        description="Host names under which the service answers, with commas between them, besides addresses, "
        "localhost and the host on which it listens; * allows every name.",
    )
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        validation_alias="BITBUDGET_REQUESTS_PER_MINUTE",
        description="Number of requests that each key may send in a minute; a further one is refused with 429. Without "
        "keys, all callers share it.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_OIDC_ISSUER",
        description="URL of an OpenID Connect issuer whose tokens the service accepts besides keys; needs "
        "bitbudget[oidc].",
    )
    oidc_audience: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_OIDC_AUDIENCE",
        description="Audience that such a token must have.",
    )
    oidc_project_claim: str = Field(
        default="bitbudget_project",
        validation_alias="BITBUDGET_OIDC_PROJECT_CLAIM",
        description="Claim of such a token with the project of the caller.",
    )
    oidc_scopes_claim: str = Field(
        default="scope",
        validation_alias="BITBUDGET_OIDC_SCOPES_CLAIM",
        description="Claim of such a token with the scopes of the caller, such as bitbudget:read bitbudget:solve.",
    )
    max_connections: int = Field(
        default=512,
        ge=8,
        le=100_000,
        validation_alias="BITBUDGET_MAX_CONNECTIONS",
        description="Number of open connections. For a further one, those are closed whose clients send slowest; if "
        "all requests are being answered, the new one is closed.",
    )
