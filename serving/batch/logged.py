"""What a log itself tells of the rows of a block: the value they are grouped by, their day, what was paid.

A column is a pyarrow Array of any type, or a list of JSON values; None stands for a column that is absent.
What makes no sense in it counts as missing: labelling does not end over a column that it merely counts.

N: rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column = Any
Floats = NDArray[np.float64]

MAX_VALUE_CHARACTERS = 200
MAX_PAID_USD = 1e4  # more is no price of one call
MAX_TOKENS = 1e8  # more is no request
MILLISECONDS_FROM = 1e11  # seconds as large would be of the year 5138
SECONDS_A_DAY = 86_400
UNITS_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
FIRST_DAY = 1 - date(1970, 1, 1).toordinal()  # of the year 1, in days since 1970
LAST_DAY = date.max.toordinal() - date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Groups:
    """The value of each row of a block.

    Attributes:
        values: text of at most 200 characters, or None where it is missing; may hold equal ones.
        of: int64 [N], position in ``values``.
    """

    values: Sequence[str | None]
    of: NDArray[np.int64]


def groups(column: Column, rows: int) -> Groups:
    """The values of a column, as text; blank text, numbers that are not finite, and lists are missing."""
    array = None if column is None else _array(column)
    return _nothing(rows) if array is None else _grouped(array)


def days(column: Column, rows: int) -> Groups:
    """The days, as ISO dates.

    Text counts by its first ten characters, numbers as seconds since 1970, or milliseconds above 1e11, and
    like times of Arrow in UTC.
    """
    array = None if column is None else _array(column)
    if array is None:
        return _nothing(rows)
    if pa.types.is_temporal(array.type):
        number = _days_of_times(array)
    elif (seconds := _floats(array)) is not None:
        number = np.floor(np.where(seconds > MILLISECONDS_FROM, seconds / 1000, seconds) / SECONDS_A_DAY)
    elif _is_text(array.type):
        dates = _grouped(pc.binary_slice(array.cast(pa.binary()), 0, 10))
        return Groups([_date(value) for value in dates.values], dates.of)
    else:
        return _nothing(rows)
    number = np.where((number >= FIRST_DAY) & (number <= LAST_DAY), number, FIRST_DAY - 1)
    counted = _grouped(pa.array(number.astype(np.int64)))
    return Groups([_date_of_day(value) for value in counted.values], counted.of)


def paid_usd(column: Column, models: Groups) -> Floats:
    """float64 [N], US dollars, as ``amounts`` reads them."""
    return amounts(column, models, MAX_PAID_USD)


def input_tokens(column: Column, models: Groups) -> Floats:
    """float64 [N], tokens of the requests, as ``amounts`` reads them."""
    return amounts(column, models, MAX_TOKENS)


def amounts(column: Column, models: Groups, most: float) -> Floats:
    """float64 [N], numbers from 0 to ``most``; NaN where the column does not tell.

    A value is a number, text of one, or an object of numbers by model, in which the entry of the row's own
    model counts, or else the only one.
    """
    rows = len(models.of)
    told = None if column is None else _amounts(column, models)
    if told is None:
        return np.full(rows, np.nan)
    return np.where((told >= 0) & (told <= most), told, np.nan)


def _amounts(column: Column, models: Groups) -> Floats | None:
    if isinstance(column, list) and dict in set(map(type, column)):
        names = (models.values[k] for k in models.of.tolist())
        column = [_entry(value, name) for value, name in zip(column, names, strict=True)]
    array = _array(column)
    if array is None:
        return None
    if pa.types.is_map(array.type):
        return _amounts_of_map(array, models)
    if pa.types.is_struct(array.type):
        return _amounts_of_struct(array, models)
    numbers = _floats(array)
    if numbers is None and _is_text(array.type):  # one value that is no number spoils the whole for Arrow
        texts = _grouped(array)
        return np.array([_number(value) for value in texts.values])[texts.of]
    return numbers


def _entry(value: Any, model: str | None) -> Any:
    """Of an object by model the one that counts; any other value as it is."""
    if not isinstance(value, dict):
        return value
    if model in value:
        return value[model]
    return next(iter(value.values())) if len(value) == 1 else None


def _amounts_of_map(array: Any, models: Groups) -> Floats | None:
    offsets = array.offsets.to_numpy()
    entries = slice(int(offsets[0]), int(offsets[-1]))
    numbers = _floats(array.items[entries])
    if numbers is None:
        return None
    count = np.diff(offsets)
    row = np.repeat(np.arange(len(array)), count)
    keys = groups(array.keys[entries], len(row))
    paid = np.full(len(array), np.nan)
    single = count[row] == 1
    paid[row[single]] = numbers[single]
    own = _positions(keys.values, models.values)[keys.of] == models.of[row]
    paid[row[own]] = numbers[own]
    paid[array.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return paid


def _amounts_of_struct(array: Any, models: Groups) -> Floats:
    own, only = np.full((2, len(array)), np.nan)
    known = np.zeros(len(array), np.int64)
    names = [field.name for field in array.type]
    for k, model in enumerate(_positions(names, models.values)):
        numbers = _floats(_array(pc.struct_field(array, [k])))
        if numbers is not None:
            there = ~np.isnan(numbers)
            known += there
            only = np.where(there, numbers, only)
            own = np.where(models.of == model, numbers, own)
    return np.where(np.isnan(own) & (known == 1), only, own)


def _positions(values: Sequence[str | None], among: Sequence[str | None]) -> NDArray[np.int64]:
    """Where each of the values stands among others, -1 where it is missing or does not."""
    places = {value: k for k, value in enumerate(among) if value is not None}
    return np.array([-1 if value is None else places.get(value, -1) for value in values], np.int64)


def _array(column: Column) -> Any:
    """The column as a plain Arrow array: of a list of JSON values the texts and numbers."""
    if isinstance(column, list):
        kinds = set(map(type, column)) - {type(None)}
        try:
            if kinds == {str}:
                return pa.array(column, pa.string())
            if kinds <= {int, float}:
                return pa.array(column, pa.float64() if float in kinds else pa.int64())
        except (ValueError, OverflowError):  # a lone surrogate, an integer that is too large
            pass
        return pa.array([_text(value) for value in column], pa.string())
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:MAX_VALUE_CHARACTERS].encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 1e15 else value
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() < 4 * MAX_VALUE_CHARACTERS:
        return str(value)
    return None


def _grouped(array: Any) -> Groups:
    try:
        encoded = array.dictionary_encode()
        distinct = encoded.dictionary
        if pa.types.is_floating(distinct.type):
            distinct = pc.if_else(pc.is_finite(distinct), distinct, None)
        texts = distinct if _is_text(distinct.type) else distinct.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # a kind that is no text or number
        return _nothing(len(array))
    values = [_decoded(value) for value in texts.cast(pa.binary()).to_pylist()]
    of = encoded.indices.fill_null(len(values)).to_numpy().astype(np.int64)
    return Groups([*values, None], of)


def _decoded(value: bytes | None) -> str | None:
    """Text of what may be no UTF-8, or None where it is blank."""
    text = (value or b"").decode("utf-8", "replace")[:MAX_VALUE_CHARACTERS]
    return text if text.strip() else None


def _nothing(rows: int) -> Groups:
    return Groups([None], np.zeros(rows, np.int64))


def _is_text(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _floats(array: Any) -> Floats | None:
    """float64 [N], NaN where null; None where these are not all numbers, nor texts of them."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return None
    try:
        if _is_text(kind):
            trimmed = pc.utf8_trim_whitespace(array.cast(pa.string()))
            array = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
            first = array.drop_null()[:1].to_pylist()
            if first and math.isnan(_number(first[0])):  # Arrow takes ten times as long to refuse them all
                return None
        numbers: Floats = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return None
    return numbers


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _days_of_times(array: Any) -> Floats:
    """float64 [N], days since 1970 in UTC, NaN where null."""
    kind = array.type
    if pa.types.is_date32(kind):
        return _as_floats(array.cast(pa.int32()))
    if pa.types.is_date64(kind):
        return np.floor(_as_floats(array.cast(pa.int64())) / UNITS_A_DAY["ms"])
    if pa.types.is_timestamp(kind):
        return np.floor(_as_floats(array.cast(pa.int64())) / UNITS_A_DAY[kind.unit])
    return np.full(len(array), np.nan)  # a time of day, a duration


def _as_floats(integers: Any) -> Floats:
    numbers: Floats = integers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _date(text: str | None) -> str | None:
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        return None


def _date_of_day(number: str | None) -> str | None:
    ordinal = 0 if number is None else int(number) + 1 - FIRST_DAY
    return date.fromordinal(ordinal).isoformat() if ordinal else None
