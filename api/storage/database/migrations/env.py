"""Environment of alembic: it runs migrations on the connection that `migrating` gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
