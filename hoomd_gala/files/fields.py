"""Checks of what files hold against the types of the fields that it is for.

The types are those of msgspec: ``Annotated[float, Meta(gt=0, le=1e6)]`` is a number within bounds.
Give both: a bound is what keeps out infinity, and NaN is within none.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

#: How deep lists and tables of a file may be nested. Functions that walk through them recurse.
_DEEPEST = 20

#: Integers that other programs can hold as well.
_LARGEST = 2**63 - 1


#: Characters of a message that say what is wrong with a file.
_LONGEST_REASON = 300


def short_reason(text: str) -> str:
    """Return what is wrong with a file, without its end if that is far away."""
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"


def check_plain(value: Any, depth: int = 0) -> None:
    """Check values from JSON of which nothing is known but that people and programs read them.

    Raises
    ------
    ValueError
        If they are nested too deep, or text or an integer cannot be written to another file.
    """
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value)
    elif isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError("an integer in it has more than 64 bits")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_plain(key, depth + 1)
            check_plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_plain(item, depth + 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can escape halves of characters
        raise ValueError("text in it is not Unicode") from None


def fill(kind: type[T], values: Any) -> T:
    """Make something of a type from plain values.

    Raises
    ------
    ValueError
        If a value has another type than its field, or is out of bounds; the message begins with
        the field.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        field = where.strip("`.")
        what = what[0].lower() + what[1:].replace("`", "")
        raise ValueError(f"{field}: {what}" if field else what) from None
