"""Database of the service, on SQLite or PostgreSQL; several processes write it, on one machine or on several.

    files         (project, kind, id)   uploaded networks and datasets; `blobs` stores their content
    jobs          (id)                  state, lease, attempt, progress, result
    events        (number)              what happened to a job, written in the transaction of the change
    api_keys      (id)                  hashes of the keys that open a project
    idempotency   (project, key)        jobs by the key of their request; a key outlives its job
    projects      (name)                quota and retention of a project, where they differ from the settings
    webhooks      (id)                  addresses to which events of jobs are posted
    deliveries    (number)              what is posted to a webhook, written in the transaction of the change (`outbox`)

The modules: `connections` opens a URL and begins transactions, `schema` has the tables, `opening` creates or migrates
them (`migrations`), and `files`, `jobs`, `events`, `keys`, `idempotency`, `webhooks` and `deliveries` have the
statements. `store` joins these.
"""

from api.storage.database.connections import StoreError
from api.storage.database.store import Store

__all__ = ["Store", "StoreError"]
