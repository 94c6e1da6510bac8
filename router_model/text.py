"""One text: what is left out of it, and the window of it that is routed. ``prompt`` says which texts."""

MAX_ASCII_CHARACTERS = 2048
MAX_OTHER_CHARACTERS = 1024  # other scripts take more tokens a character
REACH = 16 * MAX_ASCII_CHARACTERS  # of a text, from its ends, is searched for what to leave out
MAX_REMOVALS = 16  # of reminders and of base64 runs each, so that hostile text costs bounded work

REMINDER_OPEN, REMINDER_CLOSE = "<system-reminder>", "</system-reminder>"
BASE64_MARK = ";base64,"
BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")
BASE64_OR_NOT = bytes(byte in BASE64 for byte in range(256))


def clean(text: str) -> tuple[str, int]:
    """The text within reach, without what is left out, and the length of the whole without it."""
    beyond = len(text) - REACH
    if beyond > 0:
        text = _ends(text, REACH)
    else:
        beyond = 0
    # One character is looked for first: it is found missing in a third of the time of a word.
    if "<" in text and REMINDER_OPEN in text:
        text = _without_reminders(text)
    if ";" in text and BASE64_MARK in text:
        text = _without_base64(text)
    text = text.strip()
    return text, len(text) + beyond


def _without_reminders(text: str) -> str:
    kept, start = [], 0
    for _ in range(MAX_REMOVALS):
        opened = text.find(REMINDER_OPEN, start)
        closed = text.find(REMINDER_CLOSE, opened) if opened >= 0 else -1
        if closed < 0:
            break
        kept.append(text[start:opened])
        start = closed + len(REMINDER_CLOSE)
    return "".join([*kept, text[start:]])


def _without_base64(text: str) -> str:
    # One byte a character, 1 where it may be base64: searching bytes is ten times faster than a pattern.
    run = text.encode("latin-1", "replace").translate(BASE64_OR_NOT)
    kept, start = [], 0
    for _ in range(MAX_REMOVALS):
        mark = text.find(BASE64_MARK, start)
        if mark < 0:
            break
        data = mark + len(BASE64_MARK)
        kept.append(text[start:data])
        start = run.find(b"\0", data)
        if start < 0:
            return "".join(kept)
    return "".join([*kept, text[start:]])


def both_ends(text: str) -> str:
    """All of a text that a window can show, wherever in the whole it stands."""
    most = MAX_ASCII_CHARACTERS
    return text if len(text) <= 2 * most else text[:most] + text[-most:]


def window(text: str) -> str:
    """Three quarters of the window from the head, one from the tail; lone surrogates become '?'."""
    if text.isascii():
        return text if len(text) <= MAX_ASCII_CHARACTERS else _ends(text, MAX_ASCII_CHARACTERS)
    if len(text) > MAX_OTHER_CHARACTERS:
        text = _ends(text, MAX_OTHER_CHARACTERS)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def _ends(text: str, limit: int) -> str:
    tail = limit // 4
    return text[: limit - tail] + text[-tail:]
