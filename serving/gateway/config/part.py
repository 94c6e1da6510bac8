"""What every section of the file is, and the kinds of value that several have."""

from typing import Annotated

from msgspec import Meta, Struct

# A pattern's end is \Z, as $ lets a line feed through. Names travel in headers, so they are ASCII.
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/@ -]+\Z")]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
Usd = Annotated[float, Meta(ge=0, le=1e9)]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file: immutable, and no key that nobody reads."""
