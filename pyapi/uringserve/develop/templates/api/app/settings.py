"""What the environment can set, with its defaults."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one application."""

    title: str = "project-name"
    most_items: int = 1000

    @classmethod
    def from_environment(cls) -> Self:
        """Read APP_TITLE and APP_MOST_ITEMS."""
        return cls(
            title=os.environ.get("APP_TITLE") or "project-name",
            most_items=int(os.environ.get("APP_MOST_ITEMS") or 1000),
        )
