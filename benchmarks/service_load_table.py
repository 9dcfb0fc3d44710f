"""Rows of the load on the HTTP service, and their table."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.markdown import markdown


@dataclass(frozen=True)
class Row:
    """Measurement of one kind of question.

    Attributes:
        version: "before" or "now".
        question: What the clients ask.
        training: Number of jobs that train meanwhile.
        clients: Number of clients.
        answered: Number of answers with status 200.
        failed: Number of other answers and of requests without an answer, except 429.
        refused: Number of answers with status 429.
        per_second: Answers per second.
        p50_ms: Median time of an answer, in milliseconds.
        p99_ms: Time within which 99 % of the answers came, in milliseconds.
        health_p50_ms: Median time of /healthz, in milliseconds.
        health_p99_ms: Time within which 99 % of the answers of /healthz came, in milliseconds.
        resident_mb: Largest memory of the service's own process, in MB.
    """

    version: str
    question: str
    training: int
    clients: int
    answered: int
    failed: int
    refused: int
    per_second: float
    p50_ms: float
    p99_ms: float
    health_p50_ms: float
    health_p99_ms: float
    resident_mb: float


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    columns = (
        "version", "question", "training", "clients", "answered", "429", "failed", "per s", "p50 ms", "p99 ms",
        "/healthz p50 ms", "/healthz p99 ms", "service MB",
    )  # fmt: skip
    lines = [
        (
            row.version, row.question, str(row.training), str(row.clients), str(row.answered), str(row.refused),
            str(row.failed), f"{row.per_second:.1f}", f"{row.p50_ms:,.0f}", f"{row.p99_ms:,.0f}",
            f"{row.health_p50_ms:,.1f}", f"{row.health_p99_ms:,.1f}", f"{row.resident_mb:,.0f}",
        )
        for row in rows
    ]  # fmt: skip
    return markdown(columns, lines)
