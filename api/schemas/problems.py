"""JSON schema of HTTP problem documents (RFC 9457), which the service answers and clients read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.schemas.fit import CertificateAnswer

HttpStatus = Annotated[int, Field(ge=100, le=599)]
"""HTTP status of a response."""


class Fault(BaseModel):
    """One invalid field of an HTTP request."""

    where: str = Field(
        description="path of the invalid field in the request, with dots between its parts", examples=["body.flash"]
    )
    message: str = Field(description="value that was expected, and value that the request has")


class Problem(BaseModel):
    """Problem document of an HTTP response (RFC 9457)."""

    type: str = Field(description="problem type (RFC 9457), as a URI reference", examples=["/problems/invalid-request"])
    title: str = Field(description="short name of the problem type, the same for all problems of this type")
    status: HttpStatus = Field(description="HTTP status of the response")
    detail: str = Field(description="explanation of the error: what was expected, what was received, and what to do")
    instance: str | None = Field(
        default=None,
        description="request that was answered so: urn:bitbudget:request:, then its identifier",
    )
    errors: list[Fault] | None = Field(
        default=None, description="invalid fields of the request; only in problems of the type invalid-request"
    )
    certificate: CertificateAnswer | None = Field(
        default=None, description="proof that nothing fits; only in problems of the type does-not-fit"
    )
    used_bytes: int | None = Field(
        default=None, ge=0, description="bytes that the project has stored; only in problems of the type quota-exceeded"
    )
    allowed_bytes: int | None = Field(
        default=None, ge=0, description="bytes that the project may store; only in problems of the type quota-exceeded"
    )

    def document(self) -> dict[str, Any]:
        """Return an HTTP problem document as a JSON object, without the members that have no value."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None}
