"""Telephone numbers: in international form, in a form of their country's own, or called one.

A number in one of these forms must be valid in its numbering plan (``phonenumbers``, a port of Google's
libphonenumber). After a word such as "phone" any 7 to 15 digits are a number.
"""

import re
from collections.abc import Iterator

from router_model.errors import MissingExtraError

try:
    import phonenumbers
except ModuleNotFoundError:
    raise MissingExtraError(
        "telephone numbers are found by phonenumbers: pip install 'router-model[privacy]'"
    ) from None

DASH = r"\u2010\u2011\u2013\-"
GAP = rf"[ \u00a0().{DASH}/]"
HAN = "\u3040-\u30ff\u3400-\u9fff"

INTERNATIONAL = re.compile(rf"(?<![\w.,+)])(?:[+＋]|00)[1-9](?:{GAP}{{0,3}}\d){{6,14}}(?!\d)")
GAPS = re.compile(rf"{GAP}+")
SIGNED_DECIMAL = re.compile(r"\+\d+\.\d+")

# The forms that countries write their numbers in, and the regions whose plans may know one.
TRUNK = rf"""\(?0[1-9]\d{{0,3}}(?:\)[ ]?|[ .]|[ ]?[/{DASH}][ ]?)
    \d{{2,8}}(?:(?P<gap>[ .{DASH}])\d{{2,4}}(?:(?P=gap)\d{{2,4}}){{0,3}})?(?:-\d)?(?![ ]\d)"""
FORMS = {
    "north_america": (r"(?:1[ .-])?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[.-])[2-9]\d\d[ .-]\d{4}", "US"),
    "trunk": (TRUNK, "GB FR DE IT NL BE CH AT SE AU JP KR CN IN TR UA"),
    "russia": (r"8[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]\d\d[ -]\d\d", "RU"),
    "brazil": (r"\(\d\d\)[ ]?9?\d{4}-\d{4}", "BR"),
    "china": (rf"1[3-9]\d(?:[ {DASH}]\d{{4}}){{2}}", "CN"),
    "china_whole": (rf"(?<=[{HAN}：])1[3-9]\d{{9}}|1[3-9]\d{{9}}(?=[{HAN}，。、）])", "CN"),
    "spain": (r"[679]\d\d(?:[ ]\d\d){3}", "ES"),
}
NATIONAL = re.compile(
    rf"""(?<![A-Za-z0-9_.,+/{DASH}$€£])(?<!\d[ ])(?=[(\d])
    (?:{"|".join(f"(?P<{name}>{form})" for name, (form, _) in FORMS.items())})
    (?![A-Za-z0-9_%]|[.,/:{DASH}]\d)""",
    re.VERBOSE,
)
SOCIAL_SECURITY = re.compile(r"\d{3}-\d\d-\d{4}")  # of the United States

CALLED = (
    r"(?<![^\W_])(?:(?:tele|smart|cell|mobile)?[ _-]?phone|mob(?:ile|il)?|cell(?=\W{0,3}:)|whatsapp|"
    "sms|fax|(?:call|text|reach|ring|phone) me|telefon|rufnummer|handy(?:nummer|(?=:))|t[ée]l(?:[ée]phone)?|"
    "portable(?= ?:)|"
    "m[óo]vil|tel[ée]fono?|celular|telem[óo]vel|telefone|cellulare|telefoon|puhelin|"
    "телефон|тел|моб|電話|电话|手机|手機|携帯|전화|휴대폰|연락처|هاتف|جوال|موبايل|फोन|मोबाइल|điện thoại)"
)
BETWEEN = (
    r"(?:number|no|nr|num|nummer|num[ée]ro|n[úu]mero|номер|号码|號碼|番号|번호|is|ist|lautet|est|es|é|è|on|at|"
    r"home|work|office|mobile|privat|\((?!\d)|[\s:：.=\"'`)（#*_>\\-]){0,8}+"
)
NAMED = re.compile(f"{CALLED}{BETWEEN}$", re.IGNORECASE)
NUMBER = re.compile(rf"(?<![\d+])[+＋]?\(?\d(?:{GAP}{{0,2}}\d){{6,9}}(?:[.{DASH}]?\d){{0,5}}(?!\d|[ ]?%)")
REACH = 48  # characters before a number that may name it
DATE = re.compile(r"(?:19|20)\d\d[-/.]\d\d[-/.]\d\d|\d\d[-/.]\d\d[-/.](?:19|20)\d\d")


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers, those that are called one first; spans may overlap."""
    for match in NUMBER.finditer(text):
        before = text[max(0, match.start() - REACH) : match.start()]
        if NAMED.search(before) and not DATE.match(match[0]):
            yield match.span()
    yield from _international(text)
    yield from _national(text)


def _international(text: str) -> Iterator[tuple[int, int]]:
    """The longest run of groups that is a number: another number may stand after it."""
    for match in INTERNATIONAL.finditer(text):
        start, end = match.span()
        gaps = [start + gap.start() for gap in GAPS.finditer(match[0])]
        for stop in [] if SIGNED_DECIMAL.fullmatch(match[0]) else [end, *reversed(gaps)]:
            if _valid(text[start:stop]):
                yield start, stop
                break


def _national(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while match := NATIONAL.search(text, position):
        number, regions = match[0], FORMS[str(match.lastgroup)][1].split()
        digits = sum(map(str.isdecimal, number))
        plausible = digits >= 9 and not SOCIAL_SECURITY.fullmatch(number)
        found = plausible and any(_valid(number, region) for region in regions)
        if found:
            yield match.span()
        position = match.end() if found else match.start() + 1


def _valid(number: str, region: str | None = None) -> bool:
    try:
        parsed = phonenumbers.parse(re.sub("^00", "+", number) if region is None else number, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed)
