"""Small words that turn an answer round: where two requests differ in one, no likeness makes them the same.

What can be told by rule is not left to learning: numbers, negations, opposites, names, and what stands in
quotes or code.
"""

import re
from dataclasses import dataclass

WORD = re.compile(r"(?:(?<!\w)[-−])?\d+(?:[.,:/]\d+)*|[^\W\d_](?:[\w'’-]*\w)?|[+*/=<>^%×÷√€$£¥]")
QUOTED = re.compile(r"`[^`]+`|\"[^\"\n]+\"|“[^”\n]+”|https?://\S+")
THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")  # any other comma in a number may be a decimal one
SENTENCE_END = re.compile(r"[.!?:;\n]\s*$")

# "one" is often no number.
NUMBER_WORDS = frozenset(
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety "
    "hundred thousand million billion half quarter double triple twice dozen first third fourth "
    "fifth".split()
)
# Of some European languages; one that is missing is left to learning.
NEGATIONS = frozenset(
    "not no never none nor neither without cannot nothing nobody nowhere except unless nicht kein "
    "keine keinen nie niemals ohne ne pas jamais sans aucun ningún sin nunca jamás non mai senza "
    "niet geen nooit zonder não sem inte aldrig utan ikke uden не нет без никогда".split()
)
# Words of a group put the same question about different things.
OPPOSITES = (
    "before after during | more less fewer | most least | maximum minimum | max min | increase "
    "decrease | enable disable | on off | open close | up down | left right | start stop | begin end "
    "| first last | buy sell | true false | hot cold | import export | add remove delete | push pull "
    "| above below | inside outside | best worst | better worse | cheap expensive | cheapest dearest "
    "| longest shortest | highest lowest | largest smallest | fastest slowest | oldest newest "
    "youngest | upgrade downgrade | lock unlock | install uninstall | encrypt decrypt | encode "
    "decode | ascending descending | north south east west | morning noon afternoon evening night | "
    "always never | love hate | pros cons | advantages disadvantages | monday tuesday wednesday "
    "thursday friday saturday sunday | january february march april may june july august september "
    "october november december"
)
PREFIXES = ("un", "in", "im", "dis", "non", "ir", "il", "de", "mis")


def _kinds() -> dict[str, int]:
    return {word: kind for kind, group in enumerate(OPPOSITES.split("|")) for word in group.split()}


KIND = _kinds()


@dataclass(frozen=True, slots=True)
class Marks:
    """What of a text must be the same in another that means the same.

    Attributes:
        words: all of it, in lower case.
        numbers: and signs of arithmetic and money, as they come.
        negations: how many there are.
        names: words that are written large within a sentence, or hold digits or underscores, in lower case.
        quoted: what stands in quotes or code, and addresses.
    """

    words: frozenset[str]
    numbers: tuple[str, ...]
    negations: int
    names: frozenset[str]
    quoted: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Marks":
        """Read a text."""
        words, numbers, names = [], [], set()
        negations = 0
        for found in WORD.finditer(text):
            word = found[0].replace("’", "'")
            low = word.lower().removesuffix("'s")
            words.append(low)
            if not low[0].isalpha() or low in NUMBER_WORDS:
                numbers.append(THOUSANDS.sub("", low).replace("−", "-"))
            elif low in NEGATIONS or low.endswith("n't"):
                negations += 1
            elif _named(word, text[max(0, found.start() - 4) : found.start()]):
                names.add(low)
        quoted = frozenset(part.strip('`"“”') for part in QUOTED.findall(text))
        return cls(frozenset(words), tuple(numbers), negations, frozenset(names), quoted)

    def differ(self, other: "Marks") -> bool:
        """Whether two texts cannot mean the same."""
        if (self.numbers, self.negations, self.quoted) != (other.numbers, other.negations, other.quoted):
            return True
        if not (self.names <= other.words and other.names <= self.words):
            return True
        mine, theirs = self.words - other.words, other.words - self.words
        return bool(
            {KIND[w] for w in mine if w in KIND} & {KIND[w] for w in theirs if w in KIND}
            or any(_opposite(word, theirs) for word in mine)
            or any(_opposite(word, mine) for word in theirs)
        )


def _opposite(word: str, others: frozenset[str]) -> bool:
    """Whether a word is the opposite of one of others by its prefix, as "unsafe" of "safe"."""
    return word.startswith(PREFIXES) and any(word.removeprefix(prefix) in others for prefix in PREFIXES)


def _named(word: str, before: str) -> bool:
    if any(letter.isdigit() or letter == "_" for letter in word) or word[1:] != word[1:].lower():
        return True
    starts = not before.strip() or SENTENCE_END.search(before) is not None
    return word[0].isupper() and not starts and word != "I" and not word.startswith("I'")
