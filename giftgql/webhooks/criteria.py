from dataclasses import dataclass


@dataclass(frozen=True)
class Criteria:
    """What a list of endpoints is narrowed to; None narrows nothing."""

    id: int | None = None
    is_active: bool | None = None
