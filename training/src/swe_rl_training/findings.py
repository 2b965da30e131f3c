"""What a check has found, in the words of preflight's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "warn", "unknown"]


@dataclass(frozen=True)
class Finding:
    check: str
    severity: Severity
    found: str
    consequence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.check}: {self.found}: {self.consequence}. {self.remedy}."
