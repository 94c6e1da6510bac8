"""Keys, tokens and passwords by the shape that their issuer or a standard gives them.

Detectors that are kept are command-line tools in other languages or have seen no release for years, so the
shapes are ours, after each issuer's public documentation. No pattern can look at a character more than a
bounded number of times: runs are taken whole (possessive) or have a largest length.
"""

import re
from collections.abc import Iterator

SHAPES = (
    r"sk-(?=[\w-]{0,40}\d)[\w-]{20,}+",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA|ANPA|ANVA|AIPA)[A-Z0-9]{16}(?!\w)",  # AWS
    r"(?:gh[opsur]_|github_pat_)\w{22,}+",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|soat|agent)-[\w-]{20,}+",  # GitLab
    r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}+|xapp-\d-[\w-]{10,}+",  # Slack
    r"AIza[\w-]{35}(?![\w-])|ya29\.[\w-]{20,}+|GOCSPX-[\w-]{20,}+",  # Google
    r"[prs]k_(?:live|test)_\w{10,}+|whsec_[\w+/=]{20,}+",  # Stripe
    r"hf_[A-Za-z0-9]{30,}+",  # Hugging Face
    r"gsk_[A-Za-z0-9]{40,}+|xai-[A-Za-z0-9]{40,}+|pplx-[A-Za-z0-9]{40,}+|r8_[A-Za-z0-9]{36,}+",  # model hosts
    r"npm_[A-Za-z0-9]{36,}+|pypi-[\w-]{50,}+|dckr_pat_[\w-]{20,}+|rubygems_[a-f0-9]{48}(?!\w)",  # registries
    r"SG\.[\w-]{16,}+\.[\w-]{16,}+|SK[0-9a-f]{32}(?!\w)|key-[0-9a-f]{32}(?!\w)",  # SendGrid, Twilio, Mailgun
    r"do[opr]_v1_[a-f0-9]{64}(?!\w)|dapi[a-f0-9]{32}(?!\w)|hv[bs]\.[\w-]{24,}+",  # clouds
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}(?!\w)|lin_api_\w{32,}+|ntn_\w{40,}+|figd_[\w-]{30,}+",  # services
    r"\d{8,10}:AA[\w-]{33}(?![\w-])",  # Telegram
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",  # age
)
KEY = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(SHAPES)})", re.ASCII)
WEB_HOOK = re.compile(
    r"(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/(?P<secret>[\w/-]{20,}+)",
    re.ASCII,
)

# JSON Web Tokens, signed (three parts) and encrypted (five), RFC 7519: each begins with `{"` in base64.
WEB_TOKEN = re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+){1,3}", re.ASCII)

# RFC 7468 and its kin. A key that is cut off before its end is taken as far as its lines are base64.
BREAK = r"(?:\s|\\[nr])"
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rf"|(?:{BREAK}*+[A-Za-z0-9+/=]{{16,}}+)*+(?:{BREAK}*+[A-Za-z0-9+/=]++\Z)?)"
)

# The user information of RFC 3986, with a password in it.
IN_URL = re.compile(r"://(?P<secret>[^\s/@:'\"<>{}$]{0,256}:[^\s/'\"<>{}$]{1,256})@")

BEARER = re.compile(
    r"(?:authorization[\\\"']{0,3}\s{0,3}[:=,]\s{0,3}[\\\"'`]{0,3}(?:bearer|basic|token|apikey)\s{1,3}"
    r"|(?<![a-z])bearer\s{1,3}(?=[\w.~+/=-]{16}))(?P<secret>[\w.~+/=-]{8,}+)",
    re.IGNORECASE | re.ASCII,
)


def find_private_keys(text: str) -> Iterator[tuple[int, int]]:
    """PEM and PGP private keys, from the first dash to the last."""
    if "PRIVATE KEY" in text:
        yield from (match.span() for match in PRIVATE_KEY.finditer(text))


def find_keys(text: str) -> Iterator[tuple[int, int]]:
    """Keys and tokens of known issuers, JSON Web Tokens, and the value of an ``Authorization`` header."""
    yield from (match.span() for match in KEY.finditer(text))
    if "eyJ" in text:
        yield from (match.span() for match in WEB_TOKEN.finditer(text))
    if "hooks" in text:
        yield from (match.span("secret") for match in WEB_HOOK.finditer(text))
    for match in BEARER.finditer(text):
        if any(map(str.isdecimal, match["secret"])) or not match["secret"].islower():
            yield match.span("secret")


def find_passwords_in_urls(text: str) -> Iterator[tuple[int, int]]:
    """User and password before the host of a URL."""
    if "://" in text:
        yield from (match.span("secret") for match in IN_URL.finditer(text))
