"""E-mail addresses."""

import re
from collections.abc import Iterator

# Scripts written without spaces, or whose endings join a foreign word, bound an address; so do these marks.
JOINED = "\u0e00-\u0e7f\u1100-\u11ff\u3000-\u318f\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
BOUNDS = rf"\s@<>()\[\]{{}}\"'`,;:\\|=/?&!*#%«»¿¡\u2000-\u206f{JOINED}"
LABEL = rf"(?:[^\W_{JOINED}]|-)++"
TOP_LEVEL = rf"xn--[a-z\d-]+|[^\W\d_{JOINED}]{{2,24}}"
ADDRESS = re.compile(
    rf"(?<![^{BOUNDS}])([^{BOUNDS}]++)(?:@|%40){LABEL}(?:\.{LABEL})*\.({TOP_LEVEL})", re.IGNORECASE
)
# `icon@2x.png` is a picture for fine screens, `X@W.shape` a product of matrices.
NOT_TOP_LEVEL = frozenset(
    "css dot dtype gif jpeg jpg js max mean min numpy png shape size sum svg transpose ts values".split()
)


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Addresses at a host with a dot; ``user@host``, ``user@10.0.0.1`` and ``git@`` are none."""
    if "@" not in text and "%40" not in text:
        return
    for match in ADDRESS.finditer(text):
        local, top = match.groups()
        if local != "git" and top.lower() not in NOT_TOP_LEVEL:
            yield match.span()
