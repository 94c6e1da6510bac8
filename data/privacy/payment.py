"""Payment card numbers and IBANs, told from other numbers by their check digits."""

import re
from collections.abc import Iterator

SEPARATOR = "[ \u00a0\u2011\u2013-]"
# Issuers and lengths after ISO/IEC 7812 and the networks' public ranges. Visa's 13 digits are out of use.
ISSUER = re.compile(
    "4(?:.{15}|.{18})"  # Visa
    "|(?:5[0-8]|2[2-7]).{14}|(?:5[06-8]).{15,17}"  # Mastercard, Mir, Maestro
    "|3[47].{13}"  # American Express
    "|3(?:0[0-5]|[689].).{11}"  # Diners Club
    "|35.{14}"  # JCB
    "|6.{15,18}"  # Discover, UnionPay, RuPay, Maestro
)
GROUPED = rf"\d{{4}}({SEPARATOR})(?:\d{{4}}\1\d{{4}}\1\d{{4}}(?:\1\d{{1,3}})?|\d{{6}}\1\d{{4,5}})"
CARD = re.compile(rf"(?<![\w.+])(?=[2-6])(?:{GROUPED}|\d{{14,19}})(?!\d|[.,]\d)", re.ASCII)

# Length of a country's IBANs, of the SWIFT IBAN registry (ISO 13616).
IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC",
    32: "LC", 33: "RU",
}  # fmt: skip
IBAN = re.compile(
    rf"(?<![A-Za-z0-9])(?=[A-Z]{{2}}\d\d{SEPARATOR}?[A-Z0-9]{{4}})(?:"
    + "|".join(
        rf"(?:{countries.replace(' ', '|')})\d\d(?:{SEPARATOR}?[A-Z0-9]){{{length - 4}}}"
        for length, countries in IBAN_LENGTHS.items()
    )
    + r")(?![A-Za-z0-9])",
    re.IGNORECASE | re.ASCII,
)


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of 14 to 19 digits of a known issuer that pass the Luhn check, whole or in a card's groups."""
    position = 0
    while match := CARD.search(text, position):
        digits = re.sub(r"\D", "", match[0])
        card = ISSUER.fullmatch(digits) is not None and luhn(digits)
        if card:
            yield match.span()
        position = match.end() if card else match.start() + 1


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """International bank account numbers of their country's length whose check digits are right."""
    position = 0
    while match := IBAN.search(text, position):
        account = re.sub(rf"{SEPARATOR}", "", match[0]).upper()
        right = int("".join(str(int(sign, 36)) for sign in account[4:] + account[:4])) % 97 == 1
        if right:
            yield match.span()
        position = match.end() if right else match.start() + 1
