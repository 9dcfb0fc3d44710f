"""Statements on API keys."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from api.storage.database.project_records import ProjectRecords
from api.storage.database.schema import API_KEYS
from api.storage.records import ApiKey


class ApiKeyRecords(ProjectRecords):
    """API keys of one project."""

    def add_api_key(self, key: ApiKey) -> bool:
        """Add an API key, in the project that it names; return False if its identifier exists already."""
        try:
            with self._database.writing() as connection:
                connection.execute(insert(API_KEYS).values(asdict(key)))
        except IntegrityError:
            return False
        return True

    def api_keys(self) -> list[ApiKey]:
        """Return the API keys of this project, oldest first, also the revoked and expired ones."""
        return self._keys(self.project)

    def api_keys_of_all_projects(self) -> list[ApiKey]:
        """Return the API keys of all projects, oldest first, also the revoked and expired ones."""
        return self._keys(None)

    def api_key_of_any_project(self, key_id: str) -> ApiKey | None:
        """Return an API key by its identifier, also if it was revoked or has expired; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == key_id)).first()
        return ApiKey(**row._mapping) if row else None

    def has_api_keys_in_any_project(self) -> bool:
        """Return whether the database has any API key, also a revoked or expired one."""
        with self._database.reading() as connection:
            return connection.execute(select(API_KEYS.c.id).limit(1)).first() is not None

    def revoke_api_key(self, key_id: str, at: float) -> bool:
        """Revoke an API key of this project; return False if it does not exist or was revoked already.

        Args:
            key_id: Identifier of the key.
            at: Unix time of the revocation, in seconds.
        """
        change = update(API_KEYS).where(
            API_KEYS.c.id == key_id, API_KEYS.c.project == self.project, API_KEYS.c.revoked_at.is_(None)
        )
        with self._database.writing() as connection:
            return connection.execute(change.values(revoked_at=at)).rowcount == 1

    def limit_api_key(self, key_id: str, expires_at: float) -> bool:
        """Let an API key of this project expire at a time, unless it does so earlier; return False if nothing changes.

        Args:
            key_id: Identifier of the key.
            expires_at: Unix time in seconds from which the key is refused.
        """
        is_later = API_KEYS.c.expires_at.is_(None) | (API_KEYS.c.expires_at > expires_at)
        change = update(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.project == self.project, is_later)
        with self._database.writing() as connection:
            return connection.execute(change.values(expires_at=expires_at)).rowcount == 1

    def note_api_key_use(self, key_id: str, at: float) -> None:
        """Store the time at which an API key of any project was last used; this writes to the disk.

        Args:
            key_id: Identifier of the key.
            at: Unix time of the use, in seconds.
        """
        with self._database.writing() as connection:
            connection.execute(update(API_KEYS).where(API_KEYS.c.id == key_id).values(last_used_at=at))

    def _keys(self, project: str | None) -> list[ApiKey]:
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        if project is not None:
            query = query.where(API_KEYS.c.project == project)
        with self._database.reading() as connection:
            return [ApiKey(**row._mapping) for row in connection.execute(query)]
