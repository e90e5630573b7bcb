"""Taking secrets out of text before it is stored or shown."""

from __future__ import annotations

import re
from functools import lru_cache

MASK = "***"

_NAMES = (
    r"(?:account\.key\.[\w.-]{1,120}|pass(?:word|wd|phrase)?|pwd|secret(?:[._-]?(?:access)?[._-]?key)?|(?:api|access|account|private|encryption|signing)"
    r"[._-]?key|access[._-]?token|auth[._-]?token|refresh[._-]?token|session[._-]?token|security[._-]?token|"
    r"id[._-]?token|token|credentials?|client[._-]?secret|sas|sig|signature)"
)
_HINTS = (  # noqa: SIM905 - a list literal would be thirty lines
    "pass pwd secret key token cred sig sas bearer basic author eyj dapi dkea akia asia aroa aida agpa anpa "
    "ghp_ gho_ ghs_ github_pat_ glpat xox sk- ya29 aiza jdbc:oracle"
).split()
"""In small letters; whatever the rules match has one of these, or is the password of a URL."""


def mask_secrets(text: str) -> str:
    """``text`` with passwords, keys, tokens and signatures replaced by ``***``; the names before them stay."""
    # The configuration of every try that succeeds passes here, and few values have a hint.
    small = text.lower()
    if not any(hint in small for hint in _HINTS) and not ("://" in small and "@" in small):
        return text
    for pattern, replacement in _rules():
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1)
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns and what takes the place of what they match; compiled when a text is met that may hold a secret."""
    return (
        (
            re.compile(
                r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
                re.DOTALL,
            ),
            MASK,
        ),
        (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}\b"), MASK),
        (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
        (
            re.compile(
                r"\b(?:dapi|dkea|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|sk-)[A-Za-z0-9_-]{16,}"
            ),
            MASK,
        ),
        (re.compile(r"\b(?:ya29\.|AIza)[A-Za-z0-9_-]{16,}"), MASK),
        (
            re.compile(
                r"(?i)\b(authorization\s*[:=]\s*[\"']?(?:bearer|basic|negotiate|digest|token)\s+)[^\s\"',;]+"
            ),
            r"\1" + MASK,
        ),
        (re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{16,}"), r"\1" + MASK),
        (re.compile(r"(://[^\s/:@'\"]{0,128}:)[^\s/@'\"]{1,256}(@)"), r"\1" + MASK + r"\2"),
        (re.compile(r"(?i)(jdbc:oracle:thin:[^\s/@'\"]{1,128}/)[^\s@'\"]{1,256}(@)"), r"\1" + MASK + r"\2"),
        (
            re.compile(
                r"(?i)(\b[\w.-]{0,80}"
                + _NAMES
                + r"[\"']?\s{0,3}(?:=|:(?!:))\s{0,3})([\"'])(?:(?!\2)[^\n]){1,4096}\2"
            ),
            r"\1\2" + MASK + r"\2",
        ),
        (
            re.compile(
                r"(?i)((?:\b|[?&;_.-])[\w.-]{0,80}"
                + _NAMES
                + r"[\"']?\s{0,3}=\s{0,3})(?![\"'\s*])[^\s\"'&;,)}\]]{1,4096}"
            ),
            r"\1" + MASK,
        ),
        (
            re.compile(
                r"(?i)(\b(?:[\w.-]{0,80}[._-])?(?:pass(?:word|wd|phrase)?|secret(?:[._-]?(?:access)?[._-]?key)?|(?:api|access|account)[._-]?key|"
                r"(?:access|auth|refresh|session|security)[._-]?token|client[._-]?secret)[\"']?:\s{0,3})(?![\"'\s*])[^\s\"'&;,)}\]]{1,4096}"
            ),
            r"\1" + MASK,
        ),
        (re.compile(r"(?i)(--(?:password|passwd|token|secret|api-key)[ =])[^\s]{1,4096}"), r"\1" + MASK),
    )
