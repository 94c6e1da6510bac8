"""Text, tables and figures as the HTML of a report."""

import html
import re
from collections.abc import Iterable, Mapping

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # controls, lone surrogates
INTERVAL = re.compile(r" (\[[^\[\]]*\])$")  # at the end of a cell
NAME = 80  # characters


class Html(str):
    """Text that is the page's own markup, which ``table`` takes as it stands."""

    __slots__ = ()


def escaped(text: str) -> str:
    """Text for the page: no markup, and none of the characters that HTML does not allow."""
    return html.escape(FORBIDDEN.sub("\ufffd", text.replace("\r\n", "\n")))


def paragraphs(texts: Iterable[str]) -> str:
    """One for each text."""
    return "".join(f"<p>{escaped(text)}</p>" for text in texts)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """A table of text, which scrolls inside itself; ``kind`` is a class of the page's style.

    A cell that is ``Html`` is not escaped.
    """
    first = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    rest = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    shown = f"<table><thead><tr>{first}</tr></thead><tbody>{rest}</tbody></table>"
    return f'<div class="scroll {kind}" tabindex="0">{shown}</div>'


def _cell(text: str) -> str:
    """Escaped, an interval at its end paler and kept in one line."""
    if isinstance(text, Html):
        return text
    return INTERVAL.sub(r" <span>\1</span>", escaped(text))


def facts(of: Mapping[str, str]) -> str:
    """Terms and what is said of them, for a list of definitions."""
    return "".join(f"<dt>{escaped(term)}</dt><dd>{escaped(said)}</dd>" for term, said in of.items())


def short(name: str) -> str:
    """A name that fits a line."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def figure(value: float, form: str = ".1%") -> str:
    """A number, or a dash where there is none."""
    return "–" if value != value else f"{value:{form}}"


def figure_in(value: float, interval: tuple[float, float], form: str = ".1%") -> str:
    """A number with its interval, where there is one."""
    low, high = interval
    return figure(value, form) + ("" if low != low else f" [{low:{form}}, {high:{form}}]")
