"""Version 4: webhooks with their deliveries, quotas of projects, the bytes of jobs, and when things were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_AT_ONCE = 500


def upgrade() -> None:
    """Add the tables and columns of version 4; the bytes of a job are those of its artifacts."""
    _extend_files()
    _extend_jobs()
    _create_projects()
    _create_webhooks()
    _create_deliveries()


def _project() -> sa.Column[str]:
    return sa.Column("project", sa.String, nullable=False, server_default="default")


def _extend_files() -> None:
    op.add_column("files", sa.Column("used_at", sa.Float))
    op.create_index("ix_files_created_at", "files", ["created_at"])
    op.create_index("ix_files_size", "files", ["project", "kind", "size_bytes"])


def _extend_jobs() -> None:
    op.add_column("jobs", sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("jobs", sa.Column("used_at", sa.Float))
    _count_artifacts()
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_jobs_size", "jobs", ["project", "stored_bytes"])
    op.create_index("ix_jobs_queue", "jobs", ["project", "state"])


def _count_artifacts() -> None:
    jobs = sa.table("jobs", sa.column("number"), sa.column("artifacts", sa.JSON), sa.column("stored_bytes"))
    connection = op.get_bind()
    last = 0
    query = sa.select(jobs.c.number, jobs.c.artifacts).order_by(jobs.c.number).limit(_AT_ONCE)
    while rows := connection.execute(query.where(jobs.c.number > last)).all():
        for number, artifacts in rows:
            if stored_bytes := sum(each["size_bytes"] for each in artifacts):
                connection.execute(sa.update(jobs).where(jobs.c.number == number).values(stored_bytes=stored_bytes))
        last = rows[-1].number


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("max_bytes", sa.BigInteger),
        sa.Column("max_queued_jobs", sa.Integer),
        sa.Column("retention_days", sa.Float),
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String, primary_key=True),
        _project(),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("failing_since", sa.Float),
        sa.Column("disabled_at", sa.Float),
        sa.Column("disabled_reason", sa.String),
    )
    op.create_index("ix_webhooks_project", "webhooks", ["project"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        _project(),
        sa.Column("webhook_id", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("payload", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("due_at", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("earlier_attempts", sa.Integer, nullable=False),
        sa.Column("attempted_at", sa.Float),
        sa.Column("status", sa.Integer),
        sa.Column("answer", sa.String),
        sa.Column("error", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_due", "deliveries", ["webhook_id", "due_at"])
    op.create_index("ix_deliveries_webhook", "deliveries", ["webhook_id", "number"])
