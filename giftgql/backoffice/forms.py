"""What a person has typed into a form, read field by field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from giftgql.errors import InvalidInput

KEY = "key"
"""The field with the idempotency key that a form was rendered with."""


_NUMBER = re.compile(r"[0-9]{1,9}")
_INPUT_TYPES = {"day": "date", "secret": "password"}


@dataclass(frozen=True)
class Field:
    """An input of a form. Its name is that of the API's input, which refusals name.

    `kind`: text, amount, number, day, lines, secret, choice, check.
    """

    name: str
    label: str
    kind: str = "text"
    is_needed: bool = True
    help: str = ""
    longest: int | None = None
    choices: tuple[tuple[str, str], ...] = ()
    proposed: str = ""

    @property
    def input_type(self) -> str:
        return _INPUT_TYPES.get(self.kind, "text")

    @property
    def is_secret(self) -> bool:
        """Whether it is not filled in again when its form is refused."""
        return self.kind in ("secret", "check")


class Form:
    """The fields of a posted form; what is empty was not given. Printing it shows no values."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str) -> str | None:
        """What was typed, without blanks around it, with line ends as databases have them."""
        typed = self._fields.get(name, "").replace("\r\n", "\n").strip()
        return typed or None

    def needed(self, name: str) -> str:
        """What must be typed. Refuses `INVALID_INPUT`."""
        typed = self.text(name)
        if typed is None:
            raise InvalidInput(name, "is needed")
        return typed

    def is_checked(self, name: str) -> bool:
        return name in self._fields

    def day(self, name: str) -> date | None:
        """A day as browsers send one. Refuses `INVALID_INPUT`."""
        typed = self.text(name)
        if typed is None:
            return None
        try:
            return date.fromisoformat(typed)
        except ValueError:
            raise InvalidInput(name, "is no day; write it like 2030-12-31") from None

    def number(self, name: str) -> int | None:
        """A whole number of up to nine digits. Refuses `INVALID_INPUT`."""
        typed = self.text(name)
        if typed is None:
            return None
        if not _NUMBER.fullmatch(typed):
            raise InvalidInput(name, "is to be a whole number, written in digits only")
        return int(typed)

    def needed_number(self, name: str) -> int:
        """Refuses `INVALID_INPUT`."""
        self.needed(name)
        return self.number(name) or 0

    @property
    def key(self) -> str | None:
        return self.text(KEY)

    def __repr__(self) -> str:
        return "Form(…)"


NOTHING = Form({})
