"""Backup of a service in one file, and its restoration, also into the other kind of database.

archive     the file: a tar with numbered entries and a manifest of their names, sizes and hashes
rows        records of the database as lines of JSON, the same for SQLite and PostgreSQL
making      from a data directory and a database to a file, while the service runs
restoring   from a file, which is not trusted, to an empty data directory and an empty database
"""
