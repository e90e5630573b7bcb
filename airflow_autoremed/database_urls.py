"""Database URLs: accepting the usual spellings, and never showing a password."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Compiled when there is something to mask: an attempt that succeeds has nothing. In a longer text a URL ends with a blank
# or a quotation mark; a colon with a port behind it is no password.
_USERINFO = (
    r"(?<=://)(?P<user>[^/@?#\s:'\"]{0,256}):(?!\d{1,5}(?:[/?#,\s'\"]|\Z))(?P<password>[^\s'\"]{0,1024})@"
)
_QUERY_SECRET = (
    r"(?i)(?P<name>[?&;][^=&;\s]{0,200}(?:pass|pwd|secret|token|key|cred|sas|sig|odbc_connect)[^=&;\s]{0,200}=)"
    r"(?P<value>[^&;#\s]+)"
)
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
    begin, end = _password_at(url)
    secrets.add(url[begin:end])
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SEARCHED:
            text = text.replace(secret, MASK)
    text = re.sub(_USERINFO, rf"\g<user>:{MASK}@", text)
    return re.sub(_QUERY_SECRET, rf"\g<name>{MASK}", text)


def masked(url: str) -> str:
    """*url* as it may be shown."""
    begin, end = _password_at(url)
    return mask(url[:begin] + MASK + url[end:] if end > begin else url, url)


def _spellings(secrets: set[str]) -> set[str]:
    """Each secret as it was written and as it is read; of settings within a setting each value."""
    spelled = {spelling for secret in secrets for spelling in (secret, unquote(secret))}
    inner = {
        part.partition("=")[2]
        for each in spelled
        for part in each.split(";")
        if part.partition("=")[0].strip().lower() in ("pwd", "password")
    }
    return spelled | inner


def _password_at(url: str) -> tuple[int, int]:
    """Where the password stands in *url*, whatever characters it has: from the first colon after the scheme to the last
    ``@`` that is not within the value of a parameter."""
    start = url.find("://") + 3
    first = url.find("@", start)
    if start < 3 or first < 0:
        return 0, 0
    last, question = first, url.find("?", first)
    while (after := url.find("@", last + 1)) >= 0 and not (
        0 <= question < after and "=" in url[question:after]
    ):
        last = after
    colon = url.find(":", start, last)
    if colon < 0 or "?" in url[start:colon] or "/" in url[start:colon]:
        return 0, 0
    if re.match(r"\d{1,5}/[^?@]*\?[^@]*=", url[colon + 1 : last]):  # a port, and a parameter with an @
        return 0, 0
    return colon + 1, last
