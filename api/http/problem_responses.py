"""Conversion of Python exceptions to HTTP problem documents (`application/problem+json`, RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from api.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MALFORMED_REQUEST,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNAVAILABLE,
    InternalFault,
    ServiceError,
    problem_of,
    problem_of_status,
    problem_of_system,
)
from api.logs import REQUEST_ID, REQUEST_ID_HEADER
from api.schemas.jobs import KIND_TAG
from api.schemas.problems import Fault, Problem
from network.errors import BitbudgetError
from network.options import fault_text

LOG: Final = logging.getLogger("bitbudget.service")

_MAX_FAULTS: Final = 20


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the HTTP response that carries a problem document (RFC 9457).

    Args:
        problem: The problem to report.
        headers: Additional headers of the response.
    """
    if (request_id := REQUEST_ID.get()) is not None:
        problem = problem.model_copy(update={"instance": f"urn:bitbudget:request:{quote(request_id)}"})
    return JSONResponse(problem.document(), problem.status, headers=headers, media_type=MEDIA_TYPE)


def answer_errors(app: FastAPI) -> None:
    """Register exception handlers that answer each error of an HTTP application with a problem document (RFC 9457)."""

    @app.exception_handler(BitbudgetError)
    async def bitbudget_error(request: Request, error: BitbudgetError) -> JSONResponse:
        if isinstance(error, InternalFault):
            LOG.error("%s %s failed: %s", request.method, request.url.path, error)
        return problem_response(problem_of(error), error.headers if isinstance(error, ServiceError) else None)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(_validation_problem(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        headers, detail = error.headers, str(error.detail)
        if error.status_code == METHOD_NOT_ALLOWED.status:
            methods = _methods_of(app, request.url.path)
            headers = {"Allow": methods} if methods else headers
            detail = (
                f"the path {request.url.path} does not support {request.method}; expected one of {methods}"
                if methods
                else detail
            )
        elif error.status_code == NOT_FOUND.status:
            detail = f"the path {request.url.path} does not exist; GET / lists the paths"
        return problem_response(problem_of_status(error.status_code, detail), headers)

    @app.exception_handler(ClientDisconnect)
    async def client_gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        # The client has gone and does not read this answer. Its incomplete file has been deleted, or its work killed.
        return problem_response(MALFORMED_REQUEST.problem("the connection was closed before the answer was sent"))

    @app.exception_handler(OperationalError)
    async def database_error(request: Request, error: OperationalError) -> JSONResponse:
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(
            UNAVAILABLE.problem("the database of the service is busy, or its disk is full; try again later")
        )

    @app.exception_handler(OSError)
    async def system_error(request: Request, error: OSError) -> JSONResponse:
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(problem_of_system(error))

    @app.exception_handler(Exception)
    async def our_error(request: Request, _: Exception) -> JSONResponse:
        # uvicorn logs the traceback. This answer passes no middleware, so that it must name the request itself.
        return problem_response(
            INTERNAL_ERROR.problem(
                "the service failed because of an internal error; the log of the service has the details"
            ),
            {REQUEST_ID_HEADER: REQUEST_ID.get() or ""},
        )


def _methods_of(app: FastAPI, path: str) -> str:
    """Return all HTTP methods that a URL path supports, as text such as "GET, DELETE".

    FastAPI's own `Allow` header lists only the methods of one handler.
    """
    for pattern, operations in app.openapi()["paths"].items():
        if compile_path(pattern)[0].match(path):
            return ", ".join(method.upper() for method in operations)
    return ""


def _validation_problem(error: RequestValidationError) -> Problem:
    faults = [Fault(where=_where(each), message=_message(each)) for each in error.errors()[:_MAX_FAULTS]]
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    return INVALID_REQUEST.problem(detail).model_copy(update={"errors": faults})


def _where(error: Mapping[str, Any]) -> str:
    place = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
    return ".".join(str(part) for part in place if not str(part).startswith(KIND_TAG))


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        place = error["loc"][-1]  # of a part of a form, it is the name
        where = f", at character {place}" if isinstance(place, int) else ""
        return f"the JSON of the request is not valid: {error['ctx']['error']}{where}"
    if error["type"] == "model_attributes_type":
        return "expected a JSON object as the request body, with Content-Type: application/json"
    return fault_text(error)
