"""Taking secrets out of text before it is cut, stored or shown.

The text may be a job's, so every pattern takes linear time: each begins with a literal that the search can look for, and
what may stand before or after is bounded. They work on bytes, of which a copy in small letters costs next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

MASK = "***"
_MASK = b"***"

_HINTS = (
    b"pass pwd secret key token cred sas sig auth bearer basic cookie eyj dapi dkea akia asia aroa aida agpa anpa ghp_ "
    b"gho_ ghs_ ghu_ ghr_ github_pat_ glpat xox sk- sk_live_ rk_live_ sg. hvs. hvb. pypi- npm_ dop_v1_ ya29. aiza "
    b"jdbc:oracle mysql mariadb"
).split()
"""In small letters; whatever the rules match has one of these, or is the password of a URL."""

_SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "_pass",
    ".pass",
    "-pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "key",
)
_SECRET_ENDS = ("sas", "auth", "sig", "signature", "cred")
_ENVIRONMENTS = (
    "spark.executorenv.",
    "spark.yarn.appmasterenv.",
    "spark.driverenv.",
    "spark.kubernetes.driverenv.",
    "spark.mesos.driverenv.",
)


def is_secret(key: str) -> bool:
    """Whether a setting of that name may hold a secret. What is put into a process's environment may."""
    small = key.lower()
    return (
        any(word in small for word in _SECRET_WORDS)
        or small.startswith(_ENVIRONMENTS)
        or small.replace("_", ".").replace("-", ".").rpartition(".")[2] in _SECRET_ENDS
    )


def mask_secrets(text: str) -> str:
    """``text`` with passwords, keys, tokens and signatures replaced by ``***``; the names before them stay."""
    # The configuration of every attempt that succeeds passes here, and few values have a hint.
    raw = text.encode("utf-8", "surrogatepass")
    small = raw.lower()
    url = b"://" in small and b"@" in small
    lines = raw.count(b"\n", 0, 10_000) > 1  # which may be those of a key
    if not (url or lines or b"%3a%2f%2f" in small or any(hint in small for hint in _HINTS)):
        return text
    for rule in _rules():
        raw = rule(raw)
    return raw.decode("utf-8", "surrogatepass")


_Rule = Callable[[bytes], bytes]

_STRONG = (
    rb"(?:pass(?:word|wd|phrase|code)?|pwd|secret(?:[._-]?(?:access)?[._-]?key)?|"
    rb"(?:api|access|account|private|encryption|signing|shared|storage)[._-]?key|"
    rb"(?:access|auth|refresh|session|security|id|api|private|vault)[._-]?token|client[._-]?secret)"
)
"""Names whose value is a secret wherever one follows."""
_WEAK = rb"(?:account\.key\.[\w.-]{1,120}(?![\w.-])|credentials?|token|(?<![a-z])(?:sas|sig|signature|auth))"
"""Names that are words of other things, too: their value is one where it is assigned, or looks random."""
_NAME = rb"(?:(?P<strong>" + _STRONG + rb")|(?P<weak>" + _WEAK + rb"))(?:[._-]?\d{1,3})?"
_QUOTE = rb"\\{0,3}[\"']"
_ENDS_NAME = rb"(?P<close>" + _QUOTE + rb")?"
_NAME_OF_VALUE = rb"(?:" + _QUOTE + rb")?(?:[,;]?\s{1,20}|,)[\"'\\]{0,3}value[\"'\\]{0,3}\s{0,3}[=:]\s{0,3}"
"""Between the name and the value of ``name: DB_PASSWORD, value: x``."""
_BETWEEN = (
    rb"(?:(?P<named>"
    + _NAME_OF_VALUE
    + rb")|(?P<xml></name>\s{0,20}<value>|>(?=[^<\n]{1,512}</))|"
    + _ENDS_NAME
    + rb"\s{0,3}(?:(?P<assign>=(?!=)|\xef\xbc\x9d|%3d|->)|(?P<colon>:(?!:))|(?P<comma>,))\s{0,3}|"
    rb"(?P<blank>[ \t]{1,20}(?:is[ \t])?))"
)
_PLAIN = (
    rb"(?:[^\s\"'&;,)}\]<>]|[&;,)}\]](?![\s\"'&;,)}\]<>]|[\w.-]{1,60}[\"']?[ ]?(?:[=:]|->)|\Z)|\\(?=[^\"']))"
)
"""A character of a value without quotes. Punctuation belongs to it unless a next name follows, or nothing."""
_VALUE = (
    rb"(?:(?P<q>" + _QUOTE + rb")(?P<quoted>(?:(?!(?P=q))[^\n])*)(?P<e>(?P=q))?|"
    rb"(?P<braced>\{[^}\n\"']{1,256}\}(?=[;\s]|\Z))|(?P<plain>" + _PLAIN + rb"+))"
)


class _Patterns(NamedTuple):
    """What :func:`_assigned` looks with; compiled when a text is met that may hold a secret."""

    named: re.Pattern[bytes]
    """A name and what stands between it and its value; searched for in the text in small letters."""
    value: re.Pattern[bytes]
    """A value."""
    random: re.Pattern[bytes]
    """A text that looks like no word."""
    digit_in_word: re.Pattern[bytes]
    setting_in_brackets: re.Pattern[bytes]
    quote: re.Pattern[bytes]
    not_secret: re.Pattern[bytes]
    """What stands where a value could, and is none."""


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns(
        named=re.compile(_NAME + _BETWEEN),
        value=re.compile(_VALUE),
        random=re.compile(
            rb"(?=[^\d\s]{0,300}\d)(?=[\d+/.=~_-]{0,300}[A-Za-z])[\w+/.=~-]{12,4096}(?=[\s\"',;)}\]]|\Z)"
        ),
        digit_in_word=re.compile(rb"\S{0,100}\d"),
        setting_in_brackets=re.compile(rb"\((?P<name>[\w.-]{0,199})\Z"),
        quote=re.compile(_QUOTE),
        not_secret=re.compile(
            rb"(?:\*\*\*|true\b|false\b|none\b|null\b|simple\b|kerberos\b|token\b|\$\{|\{\{|[\[(<]redacted)",
            re.IGNORECASE,
        ),
    )


def _assigned(raw: bytes) -> bytes:
    """Names of secrets with a value: ``password=x``, ``'secret.key', 'x'``, ``sfPassword -> x``, ``<password>x<``."""
    patterns = _patterns()
    small = raw.lower()
    pieces: list[bytes] = []
    done = at = 0
    while (found := patterns.named.search(small, at)) is not None:
        # Whatever stands there, it is looked for names again if it is no value.
        at = found.end("strong") if found["strong"] else found.end("weak")
        quote = patterns.quote.match(raw, found.end())
        if patterns.not_secret.match(raw, quote.end() if quote else found.end()) or not _has_value(
            raw, small, found
        ):
            continue
        value = patterns.value.match(raw, found.end())
        if value is None:
            continue
        begin, end = value.span("quoted" if quote else "braced" if value["braced"] else "plain")
        if begin < end:
            pieces += [raw[done:begin], _MASK]
            done = at = end
    return b"".join([*pieces, raw[done:]])


def _has_value(raw: bytes, small: bytes, found: re.Match[bytes]) -> bool:
    """Whether what follows the name is its value, as far as the form tells. Looks no further than a few hundred bytes."""
    patterns = _patterns()
    after = found.end()
    if found["assign"] or found["named"] or found["xml"]:
        return True
    if found["colon"]:
        return (
            bool(found["strong"] or patterns.quote.match(raw, after))
            or patterns.random.match(raw, after) is not None
        )
    if found["comma"]:  # a tuple: both quoted, or in brackets with the name of a setting
        if found["close"]:
            return patterns.quote.match(raw, after) is not None
        start = found.start()
        name = patterns.setting_in_brackets.search(small, max(0, start - 200), start)
        return name is not None and (b"." in name["name"] or patterns.random.match(raw, after) is not None)
    if found["blank"].rstrip().endswith(b"is"):
        return bool(found["strong"]) and patterns.digit_in_word.match(raw, after) is not None
    return small[found.start() - 1 : found.start()] in (b".", b"-", b"_", b" ") and (
        patterns.random.match(raw, after) is not None
    )


_PEM_LINE = rb"(?:[A-Za-z0-9+/=]{16,128}(?!\S)|[A-Za-z0-9+/=]{1,76}(?=\r?(?:\n|\Z)))"


@lru_cache(maxsize=1)
def _rules() -> tuple[_Rule, ...]:
    """What is done to a text, in this order; compiled when a text is met that may hold a secret."""
    plain: list[tuple[bytes, bytes | Callable[[re.Match[bytes]], bytes]]] = [
        # A key, in one line with \n written out, or over several lines, as far as they are nothing but base64.
        (
            rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[^\n\"']*(?:\n[ \t>|]{0,8}" + _PEM_LINE + rb"\r?)*"
            rb"(?:\n[ \t>|]{0,8}-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?",
            _MASK,
        ),
        # Its rest, where the beginning was cut off: lines of base64 as only such keys have them.
        (
            rb"(?<![^\n])(?:[A-Za-z0-9+/]{64}\r?\n){2,}(?:[A-Za-z0-9+/]{1,63}={0,2}\r?(?:\n|\Z))?"
            rb"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?",
            _MASK + b"\n",
        ),
        (rb"(?<![^\n])[A-Za-z0-9+/=]{16,80}\r?\n(?=-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)", _MASK + b"\n"),
        (
            rb"\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}\b(?:([\s,;:|/]{1,4})[A-Za-z0-9/+]{30,50}(?![A-Za-z0-9/+]))?",
            lambda found: _MASK + ((found[1] + _MASK) if found[1] else b""),
        ),
        (rb"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", _MASK),
        (
            rb"\b(?:dapi|dkea|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|sk-|[sr]k_live_|hv[bs]\.|pypi-|npm_|dop_v1_|"
            rb"ya29\.|AIza)[A-Za-z0-9_-]{16,}",
            _MASK,
        ),
        (rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", _MASK),
        (
            rb"(?i)(\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|negotiate|digest|token|apikey)\s{1,3})?)"
            rb"(?!\*\*\*|true\b|false\b)[^\s\"',;]+",
            rb"\1" + _MASK,
        ),
        (rb"(?i)(\b(?:set-)?cookie:\s{0,3})[^\n\"']+", rb"\1" + _MASK),
        (rb"(?i)(\b(?:bearer|basic)\s{1,3})[A-Za-z0-9+/._~=-]{16,}", rb"\1" + _MASK),
        (
            rb"(://[^\s/:@'\"<>]{0,128}:)(?!\d{1,5}(?:[/?#,\s\"']|\Z))[^\s'\"<>]{1,256}(@)",
            rb"\1" + _MASK + rb"\2",
        ),
        # Cut off before its end.
        (rb"(://[^\s/:@'\"<>]{1,128}:)(?!\d{1,5}\Z|\*\*\*)[^\s'\"<>/@]{1,256}\Z", rb"\1" + _MASK),
        (rb"(https?://)[\w-]{20,255}(?=@)", rb"\1" + _MASK),
        (rb"(?i)(%3a%2f%2f[^\s%]{0,128}%3a)[^\s]{1,256}?(%40)", rb"\1" + _MASK + rb"\2"),
        (rb"(?i)(jdbc:oracle:thin:[^\s/@'\"]{1,128}/)[^\s@'\"]{1,256}(@)", rb"\1" + _MASK + rb"\2"),
        (rb"(?i)(--(?:password|passwd|token|secret|api-key)[ =])(?!\*\*\*)[^\s]+", rb"\1" + _MASK),
        (
            rb"(\b(?:mysql|mariadb)[\w-]{0,10}\s[^\n|;]{0,200}?\s-p)(?!\*\*\*)[^\s-][^\s]*",
            rb"\1" + _MASK,
        ),
    ]
    compiled = [(re.compile(pattern), by) for pattern, by in plain]

    def rule(pattern: re.Pattern[bytes], by: bytes | Callable[[re.Match[bytes]], bytes]) -> _Rule:
        return lambda raw: pattern.sub(by, raw)

    return (*(rule(pattern, by) for pattern, by in compiled), _assigned)
