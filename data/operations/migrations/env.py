"""Alembic's entry: runs migrations on the connection that store.py hands over, in its transaction."""

from alembic import context

from data.operations.tables import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations run through data.operations.store, which hands over a connection")

context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
