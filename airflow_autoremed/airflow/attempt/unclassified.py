"""What is kept of a failure that no rule names: its error template, and what the text model thinks of it.

Neither changes the decision. They are the work list (``autoremed rules suggest``), and what a later audit will be
held against.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_autoremed.airflow.guard import warn


@dataclass(frozen=True)
class Unclassified:
    """What is recorded with the decision."""

    template: str | None = None
    template_id: str | None = None
    opinion: str | None = None
    """JSON of :class:`airflow_autoremed.learning.text_model.Opinion`."""


def look(texts: Sequence[str]) -> Unclassified:
    """Reduce a failure to its template and ask the text model, if there is one. Never raises.

    :param texts: the exception's text and the excerpt of the log.
    """
    try:
        from airflow_autoremed.failures.error_templates import error_template
        from airflow_autoremed.learning.text_model import model_directory, second_opinion

        template = error_template(texts)
        opinion = second_opinion(model_directory(), texts)
    except Exception as error:  # noqa: BLE001 - a record, not a need
        warn("describing the unclassified failure", error)
        return Unclassified()
    return Unclassified(
        None if template is None else template.text,
        None if template is None else template.id,
        None if opinion is None else json.dumps(opinion.to_dict()),
    )
