"""``autoremed rules``: look into the catalogue, and check rules before they are installed."""

from __future__ import annotations

import typer

rules_app = typer.Typer(
    name="rules",
    help="Look into the catalogue, and check rules before they are installed.",
    no_args_is_help=True,
)


@rules_app.callback()
def rules() -> None:
    """Look into the catalogue, and check rules before they are installed."""
