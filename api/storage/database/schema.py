"""Tables of the service's database.

A change of a table needs a new version here and a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Column, Float, Index, Integer, MetaData, String, Table, text

from api.settings import DEFAULT_PROJECT

SCHEMA_VERSION: Final = 4
"""Version of the tables; the revision of the last migration has the same number."""

METADATA: Final = MetaData()

_LARGE_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""64-bit integer; SQLite gives out numbers only for a column of the type INTEGER, which has 64 bits there."""


def _project(*, is_key: bool = False) -> Column[str]:
    return Column("project", String, primary_key=is_key, nullable=False, server_default=DEFAULT_PROJECT)


VERSION: Final = Table(
    "alembic_version",
    MetaData(),  # alembic writes this table in migrations
    Column("version_num", String(32), primary_key=True),
)

FILES: Final = Table(
    "files",
    METADATA,
    _project(is_key=True),
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("used_at", Float),
    Index("ix_files_age", "project", "kind", "created_at", "id"),
    Index("ix_files_content", "kind", "id"),
    Index("ix_files_created_at", "created_at"),
    Index("ix_files_size", "project", "kind", "size_bytes"),
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    _project(),
    Column("state", String, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("request", JSON, nullable=False),
    Column("request_id", String),
    Column("idempotency_key", String),
    Column("crashes", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("retries", Integer, nullable=False, server_default=text("0")),
    Column("lease_owner", String),
    Column("lease_until", Float),
    Column("heartbeat_at", Float),
    Column("progress_at", Float),
    Column("progress", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("artifacts", JSON, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("used_at", Float),
    Index("ix_jobs_project", "project", "number"),
    Index("ix_jobs_finished_at", "finished_at"),
    Index("ix_jobs_size", "project", "stored_bytes"),
    Index("ix_jobs_queue", "project", "state"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("number", _LARGE_NUMBER, primary_key=True),
    _project(),
    Column("job_id", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("data", JSON, nullable=False),
    Index("ix_events_job", "job_id", "number"),
    sqlite_autoincrement=True,  # a number is not given out again after its event was deleted
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", String, primary_key=True),
    _project(),
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
    Index("ix_api_keys_project", "project"),
)

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    _project(is_key=True),
    Column("key", String, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("request_hash", String, nullable=False),
    Column("created_at", Float, nullable=False, index=True),
)

PROJECTS: Final = Table(
    "projects",
    METADATA,
    Column("name", String, primary_key=True),
    Column("max_bytes", BigInteger),
    Column("max_queued_jobs", Integer),
    Column("retention_days", Float),
)

WEBHOOKS: Final = Table(
    "webhooks",
    METADATA,
    Column("id", String, primary_key=True),
    _project(),
    Column("url", String, nullable=False),
    Column("events", JSON, nullable=False),
    Column("secret", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("failing_since", Float),
    Column("disabled_at", Float),
    Column("disabled_reason", String),
    Index("ix_webhooks_project", "project"),
)

DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("number", _LARGE_NUMBER, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    _project(),
    Column("webhook_id", String, nullable=False),
    Column("event", String, nullable=False),
    Column("payload", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("state", String, nullable=False),
    Column("due_at", Float),
    Column("attempts", Integer, nullable=False),
    Column("earlier_attempts", Integer, nullable=False),
    Column("attempted_at", Float),
    Column("status", Integer),
    Column("answer", String),
    Column("error", String),
    Index("ix_deliveries_due", "webhook_id", "due_at"),
    Index("ix_deliveries_webhook", "webhook_id", "number"),
    sqlite_autoincrement=True,
)
