"""Version 2: a job has the number of its latest attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the number of attempts, 0 for the jobs of version 1."""
    op.add_column("jobs", sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")))
