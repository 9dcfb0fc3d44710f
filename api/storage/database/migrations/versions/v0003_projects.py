"""Version 3: projects, leases, events, API keys, and idempotency keys that outlive their jobs.

SQLite cannot change the primary key of a table or drop a constraint without a name, so the tables are written anew.
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_OLD_JOBS = (
    "number, id, state, revision, created_at, started_at, finished_at, request, idempotency_key, crashes, attempt, "
    "progress, error, result, artifacts"
)
_OLD_FILES = "kind, id, name, size_bytes, created_at, summary"


def upgrade() -> None:
    """Create the tables of version 3, and move everything that was stored into the project 'default'."""
    _replace_files()
    _replace_jobs()
    _create_events()
    _create_keys()
    _create_idempotency()


def _project(*, is_key: bool = False) -> sa.Column[str]:
    return sa.Column("project", sa.String, primary_key=is_key, nullable=False, server_default="default")


def _replace_files() -> None:
    op.rename_table("files", "old_files")
    op.create_table(
        "files",
        _project(is_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
    )
    _copy("old_files", "files", _OLD_FILES)
    op.create_index("ix_files_age", "files", ["project", "kind", "created_at", "id"])
    op.create_index("ix_files_content", "files", ["kind", "id"])


def _replace_jobs() -> None:
    op.drop_index("ix_jobs_state", "jobs")
    op.rename_table("jobs", "old_jobs")
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        _project(),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("idempotency_key", sa.String),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until", sa.Float),
        sa.Column("heartbeat_at", sa.Float),
        sa.Column("progress_at", sa.Float),
        sa.Column("progress", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("artifacts", sa.JSON, nullable=False),
    )
    _copy("old_jobs", "jobs", _OLD_JOBS)
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_index("ix_jobs_project", "jobs", ["project", "number"])


def _copy(source: str, target: str, columns: str) -> None:
    op.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}")  # noqa: S608  # names from this file
    op.drop_table(source)


def _create_events() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "events",
        sa.Column("number", number, primary_key=True),
        _project(),
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job", "events", ["job_id", "number"])


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String, primary_key=True),
        _project(),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.Column("last_used_at", sa.Float),
    )
    op.create_index("ix_api_keys_project", "api_keys", ["project"])


def _create_idempotency() -> None:
    keys = op.create_table(
        "idempotency",
        _project(is_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("request_hash", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    jobs = sa.table(
        "jobs",
        sa.column("id", sa.String),
        sa.column("idempotency_key", sa.String),
        sa.column("created_at", sa.Float),
        sa.column("request", sa.JSON),
    )
    of_jobs = op.get_bind().execute(sa.select(jobs).where(jobs.c.idempotency_key.is_not(None))).all()
    op.bulk_insert(
        keys,
        [
            {
                "project": "default",
                "key": job.idempotency_key,
                "job_id": job.id,
                "request_hash": _request_hash(job.request),
                "created_at": job.created_at,
            }
            for job in of_jobs
        ],
    )


def _request_hash(request: object) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
