"""The scope that each operation of the service needs, in one table, and the check of it."""

from __future__ import annotations

from typing import Final

from fastapi import Request

from api.errors import Forbidden
from api.services.access import SCOPE_MEANINGS, Access, Scope

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect"})
"""Paths that need no key: they show nothing that a project has stored."""

REQUIRED_SCOPES: Final[dict[str, Scope | None]] = {
    "health": None,
    "readiness": None,
    "metrics": Scope.ADMIN,
    "index": Scope.READ,
    "listProblems": Scope.READ,
    "getProblem": Scope.READ,
    "listDevices": Scope.READ,
    "getDevice": Scope.READ,
    "uploadNetwork": Scope.SOLVE,
    "listNetworks": Scope.READ,
    "getNetwork": Scope.READ,
    "deleteNetwork": Scope.SOLVE,
    "fit": Scope.SOLVE,
    "fitDevices": Scope.SOLVE,
    "pareto": Scope.SOLVE,
    "measureSensitivity": Scope.TRAIN,
    "uploadDataset": Scope.TRAIN,
    "describeUploads": Scope.TRAIN,
    "createUpload": Scope.TRAIN,
    "getUpload": Scope.TRAIN,
    "appendUpload": Scope.TRAIN,
    "deleteUpload": Scope.TRAIN,
    "listDatasets": Scope.READ,
    "getDataset": Scope.READ,
    "deleteDataset": Scope.TRAIN,
    "createJob": Scope.TRAIN,
    "listJobs": Scope.READ,
    "getJob": Scope.READ,
    "watchJob": Scope.READ,
    "getJobLog": Scope.READ,
    "runPipeline": Scope.TRAIN,
    "cancelJob": Scope.TRAIN,
    "retryJob": Scope.TRAIN,
    "deleteJob": Scope.TRAIN,
    "listArtifacts": Scope.READ,
    "getArtifact": Scope.READ,
    "getLinkedReport": Scope.READ,
    "getDeployment": Scope.READ,
    "getProject": Scope.READ,
    "createWebhook": Scope.TRAIN,
    "listWebhooks": Scope.TRAIN,
    "getWebhook": Scope.TRAIN,
    "deleteWebhook": Scope.TRAIN,
    "pingWebhook": Scope.TRAIN,
    "enableWebhook": Scope.TRAIN,
    "listDeliveries": Scope.TRAIN,
    "getDelivery": Scope.TRAIN,
    "redeliver": Scope.TRAIN,
}
"""Scope that each operation needs, by its operationId; None: it needs no key."""

_UNLISTED: Final = {"/v1": "index"}
"""Operation that a path has which the OpenAPI document does not list."""


async def check_scope(request: Request) -> None:  # a function that is not async would take a thread
    """Refuse a request whose caller does not have the scope that the operation needs.

    An operation without an entry in the table needs the scope admin.

    Raises:
        Forbidden: If the caller does not have the scope.
    """
    route = request.scope["route"]
    operation = route.operation_id or _UNLISTED.get(route.path, route.path)
    scope = REQUIRED_SCOPES.get(operation, Scope.ADMIN)
    if scope is None:
        return
    access: Access = request.state.access
    if not access.allows(scope):
        raise Forbidden(
            f"the operation {operation} needs the scope {scope} ({SCOPE_MEANINGS[scope]}); the key has "
            f"{', '.join(sorted(access.scopes)) or 'none'}: use another key",
            scope,
        )
