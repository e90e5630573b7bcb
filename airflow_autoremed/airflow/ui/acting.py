"""What every action of a person has: a name, a reason, and a form that says what is wanted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, HTTPException

from airflow_autoremed.airflow.ui.guards import form_fields

_LONGEST_REASON = 500

Fields = Annotated[dict[str, str], Depends(form_fields)]


def who(user: Any) -> str:
    """The user's name, for the record."""
    return f"{user.get_name()} (page)"


def why(fields: dict[str, str]) -> str:
    """The user's reason, on one line.

    :raises HTTPException: for none.
    """
    reason = " ".join(fields.get("why", "").split())[:_LONGEST_REASON]
    if not reason:
        raise HTTPException(422, "A reason is needed, for the record.")
    return reason
