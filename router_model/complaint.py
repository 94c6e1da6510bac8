"""Whether what a user says next tells that the last answer was wrong."""

import re
import unicodedata

# Of the user's turn, where a complaint stands: what follows may be pasted.
COMPLAINT_CHARACTERS = 1000
WORDS = re.compile(r"\w+(?:'\w+)*")  # linear in the text

PHRASES = (
    "no, that's wrong",
    "that's wrong",
    "that is wrong",
    "this is wrong",
    "that's not right",
    "that is not right",
    "that's incorrect",
    "that is incorrect",
    "this is incorrect",
    "you're wrong",
    "you are wrong",
    "still wrong",
    "not what I asked",
    "not what I wanted",
    "didn't answer my question",
    "did not answer my question",
    "still doesn't work",
    "still does not work",
    "still not working",
)


def words(text: str) -> str:
    """The text's words, case-folded, each between spaces, so that a phrase is found as whole words."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return f" {' '.join(WORDS.findall(plain))} "


def complains(text: str) -> bool:
    """Whether the beginning of a user's turn holds one of the phrases, in whatever case and punctuation."""
    said = words(text[:COMPLAINT_CHARACTERS])
    return any(phrase in said for phrase in FOUND)


FOUND = tuple(words(phrase) for phrase in PHRASES)
