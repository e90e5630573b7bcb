"""Rules and classification: what failed, told from a log. Nothing is loaded before it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_autoremed.failures.loading import Catalogue, load_catalogue
    from airflow_autoremed.failures.masking import mask_secrets
    from airflow_autoremed.failures.matching import LogMatcher
    from airflow_autoremed.failures.reading import classify_file, classify_stream, classify_texts
    from airflow_autoremed.failures.rules import CatalogueError, Rule, RuleError
    from airflow_autoremed.failures.tap import LogTap

_HOMES = {
    "Catalogue": "loading",
    "load_catalogue": "loading",
    "mask_secrets": "masking",
    "LogMatcher": "matching",
    "classify_file": "reading",
    "classify_stream": "reading",
    "classify_texts": "reading",
    "CatalogueError": "rules",
    "Rule": "rules",
    "RuleError": "rules",
    "LogTap": "tap",
}

__all__ = [
    "Catalogue",
    "CatalogueError",
    "LogMatcher",
    "LogTap",
    "Rule",
    "RuleError",
    "classify_file",
    "classify_stream",
    "classify_texts",
    "load_catalogue",
    "mask_secrets",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
