"""Who changed what, and when."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from yizhan.store.tables import audit


def write_down(
    connection: Connection, *, at_ms: int, actor: str, action: str, target: str, detail: dict[str, object] | None
) -> None:
    """Add a row to the audit table; in the same transaction as what it tells of."""
    connection.execute(
        insert(audit).values(at_ms=at_ms, actor=actor, action=action, target=target, detail=detail),
    )
