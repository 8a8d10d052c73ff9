"""Figures as the page writes them: numbers go in, a few characters come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def area(value: float) -> str:
    """Three places: areas under curves, recall as part of a sentence."""
    return f"{value:.3f}"


def fine(value: float) -> str:
    """Four places: thresholds, Brier, ECE."""
    return f"{value:.4f}"


def share(value: float, sign: str = "%") -> str:
    """A share as a percentage of two places below 10%, one above: 0.65%, 86.0%."""
    percent = value * 100
    return f"{percent:.{2 if round(percent, 2) < 10 else 1}f}{sign}"


def bare(value: float) -> str:
    """A share without its sign, for the ends of an interval."""
    return share(value, "")


def short(value: float) -> str:
    """A limit as the policy says it: 1%, 0.5%."""
    return f"{value * 100:g}%"


def short_bare(value: float) -> str:
    """The end of a wide interval, in whole percent without a sign."""
    return f"{value * 100:.0f}"


def points(value: float) -> str:
    """A difference of two shares, in percentage points: +4.2, −0.3."""
    return f"{value * 100:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def signed(value: float) -> str:
    """A difference of two areas: +0.042."""
    return f"{value:+.3f}".replace("-", "−")


def thousand(value: float) -> str:
    """Of 1,000 texts: whole numbers from 10 on."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def listed(parts: list[str]) -> str:
    """a; a and b; a, b, and c."""
    if len(parts) < 3:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"


def several(n: int, one: str, many: str = "") -> str:
    """1 gate, 2 gates."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


_FORMS = (area, fine, share, bare, short, short_bare, points, signed, thousand)
FORMS: dict[str, Callable[[Any], str]] = {form.__name__: form for form in _FORMS}
"""As templates name them."""
