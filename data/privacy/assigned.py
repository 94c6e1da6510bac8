"""Passwords and keys by the name that they are assigned to: ``password: ...``, ``api_key="..."``.

A value is taken where it could be a secret: a password mixes letters with digits or signs, a key has the
entropy of one. Words, identifiers, calls and what stands in for a value (``${TOKEN}``) are left.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from router_model.data.privacy.mail import JOINED

PASSWORD_NAMES = (
    *"password passwd passphrase passcode pwd passwort kennwort contraseña contrasena senha".split(),
    *"wachtwoord lösenord adgangskode hasło parola şifre пароль 密码 密碼 口令".split(),
    *"パスワード 비밀번호 암호 पासवर्ड".split(),
    *("mot de passe", "mật khẩu", "كلمة المرور", "كلمة السر"),
)
KEY_NAMES = (
    *"api_key api-key apikey access_key access-key accesskey secret_key secret-key secretkey".split(),
    *"account_key accountkey private_key private-key privatekey encryption_key signing_key".split(),
    *"master_key subscription-key secret token credential credentials api-schlüssel".split(),
    *"api-ключ токен 密钥 令牌 トークン 토큰".split(),
    *("api key", "access key", "secret key", "clé api", "clave api", "clave de api", "chave de api"),
)
LEAST_PASSWORD, LEAST_KEY = 6, 12  # characters
LEAST_ENTROPY = 2.5  # bits a character: twenty random hexadecimal digits seldom have less than 3
LONG = 512  # an unquoted run from here on is a value whatever it holds, so that none is read twice

SIGNS = frozenset("!@#$%^&*+=?~§€£")
STAND_IN = re.compile(
    r"""\$?[{(<\[] | \$[A-Z_]+$ | %[A-Z_]+%$ | x{4} | X{4} | (?i:your|example)  # ${PASSWORD}, your-key-here
    | [A-Za-z_][\w.]*[(\[] | [a-z_]+(?:\.[A-Za-z_]\w*)+$  # a call, an index, a member
    | (?i:sha|md|aes|base|utf|rsa|oauth|argon)-?\d{1,4}[a-z]{0,2}$ | \d{1,3}-[a-z]+$  # base64, 8-character
    | https?://""",
    re.VERBOSE,
)
SLUG = re.compile(r"(?:[A-Za-z]{1,15}|\d{1,4}|v\d{1,3})(?:[-_./:](?:[A-Za-z]{1,15}|\d{1,4}|v\d{1,3}))*+")


def find_assigned_passwords(text: str) -> Iterator[tuple[int, int]]:
    """What is assigned to a name such as ``password``."""
    return _find(text, PASSWORD_NAMES, PASSWORD, _is_password)


def find_assigned_keys(text: str) -> Iterator[tuple[int, int]]:
    """What is assigned to a name such as ``api_key``."""
    return _find(text, KEY_NAMES, KEY, _is_key)


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile(
        rf"""(?P<flag>--[a-z-]{{0,20}}?)?(?:{"|".join(map(re.escape, names))})[\\"'`*\])]{{0,3}}\s{{0,3}}
        (?: :\s?[a-z]{{1,12}}\s?=(?!=) | :=? | =>?(?!=) | ==(?=\s?["']) | [：＝] | >(?=[^<\n]{{1,{LONG}}}</)
          | 是 | は | 为 | 為
          | (?<=\s)(?:is|ist|lautet|est|es|è|é|это)(?=\s) | (?(flag)(?<=\s)|(?!)) )
        [\s*]{{0,5}}
        (?: (?P<quote>\\?["'`])(?P<quoted>(?:(?!(?P=quote))[^\n]){{5,{LONG}}})(?P=quote)
          | [\\"'`]{{0,2}}(?P<bare>(?:[^\s"'`<>,;&|\\{JOINED}]|&(?!\w{{1,40}}=)){{5,}}+) )""",
        re.IGNORECASE | re.VERBOSE,
    )


PASSWORD, KEY = _pattern(PASSWORD_NAMES), _pattern(KEY_NAMES)


def _find(
    text: str, names: Iterable[str], pattern: re.Pattern[str], is_secret: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    lower = text.lower()
    if not any(name in lower for name in names):
        return
    position = 0
    while match := pattern.search(text, position):
        value = "bare" if match["quoted"] is None else "quoted"
        if len(match[value]) > LONG or is_secret(match[value]):
            yield match.span(value)
            position = match.end()
        else:
            position = match.start() + 1


def _is_password(value: str) -> bool:
    if STAND_IN.match(value) or " " in value:
        return False
    value = value.strip("$*_.,:;!?()")
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdecimal, value))
    mixed = letters + digits + (not SIGNS.isdisjoint(value)) >= 2
    return len(value) >= LEAST_PASSWORD and (mixed or value.isdecimal())


def _is_key(value: str) -> bool:
    if len(value) < LEAST_KEY or STAND_IN.match(value) or " " in value or SLUG.fullmatch(value):
        return False
    mixed = any(map(str.isalpha, value)) and any(map(str.isdecimal, value))
    return mixed and _entropy(value) >= LEAST_ENTROPY


def _entropy(value: str) -> float:
    """Shannon's, of the characters' shares, in bits a character."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
