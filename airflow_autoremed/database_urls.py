"""Database URLs: accepting the usual spellings, and never showing a password."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Compiled when there is something to mask: a try that succeeds has nothing.
_USERINFO = r"(?<=://)(?P<user>[^/@?#\s:]*):(?P<password>[^\s/]*)@"
_QUERY_SECRET = r"(?i)(?P<name>[?&;][^=&\s]*(?:pass|pwd|secret|token|key)[^=&\s]*=)(?P<value>[^&;#\s]+)"
# Shorter than this, a password is masked where it stands in a URL but not wherever else it occurs in a message:
# replacing every "a" would make the message unreadable and give the password away.
_SHORTEST_SEARCHED = 3
MASK = "***"


def normalise(url: str) -> str:
    """*url* with the scheme ``postgres://``, as Airflow and Heroku spell it, in SQLAlchemy's spelling."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql://{rest}" if separator and scheme == "postgres" else url


def mask(text: str, url: str) -> str:
    """*text* without the secrets of *url*, in whichever spelling they occur, nor those of any other URL in it."""
    secrets = {match["password"] for match in re.finditer(_USERINFO, url)}
    secrets |= {match["value"] for match in re.finditer(_QUERY_SECRET, url)}
    text = re.sub(_USERINFO, rf"\g<user>:{MASK}@", text)
    text = re.sub(_QUERY_SECRET, rf"\g<name>{MASK}", text)
    spellings = {spelling for secret in secrets for spelling in (secret, unquote(secret))}
    for secret in sorted(spellings, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SEARCHED:
            text = text.replace(secret, MASK)
    return text


def masked(url: str) -> str:
    """*url* as it may be shown."""
    return mask(url, url)
