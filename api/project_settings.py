"""Settings of what each project of the service may have: bytes, jobs that wait, retention, webhooks."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from api.server_settings import ServerSettings
from api.setting_types import SIZE


def _networks(value: str | None) -> str | None:
    """Check a list of networks with commas between them; `ip_network` says what is wrong with one."""
    for each in (value or "").split(","):
        if each.strip():
            ip_network(each.strip())
    return value


class ProjectSettings(ServerSettings):
    """Settings of projects; `Settings` has them too."""

    project_bytes: Annotated[int | None, SIZE] = Field(
        default=None,
        validation_alias="BITBUDGET_PROJECT_SIZE",
        description="Bytes that a project may store: networks, datasets and artifacts of jobs; none: no limit. "
        "bitbudget projects set gives a project its own value.",
    )
    project_queued_jobs: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        validation_alias="BITBUDGET_PROJECT_QUEUED_JOBS",
        description="Number of jobs of a project that may wait at once; none: no limit.",
    )
    retention_days: float | None = Field(
        default=None,
        ge=1,
        le=36_500,
        validation_alias="BITBUDGET_RETENTION_DAYS",
        description="Time in days after which networks, datasets and finished jobs that were not used are deleted; "
        "none: they are kept.",
    )
    max_webhooks: int = Field(
        default=16,
        ge=0,
        le=1000,
        validation_alias="BITBUDGET_MAX_WEBHOOKS",
        description="Number of webhooks that a project may have.",
    )
    webhook_networks: Annotated[str | None, AfterValidator(_networks)] = Field(
        default=None,
        validation_alias="BITBUDGET_WEBHOOK_NETWORKS",
        description="Networks that webhooks may reach although they are not public, such as 10.1.0.0/16,fd00::/8; "
        "callers can have requests sent to every address in them.",
    )
    webhook_seconds: float = Field(
        default=15.0,
        ge=1,
        le=60,
        validation_alias="BITBUDGET_WEBHOOK_SECONDS",
        description="Longest time in seconds in which the receiver of a webhook must answer.",
    )
