"""Roman numerals."""

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def from_roman(numeral: str) -> int:
    """The number that a numeral stands for."""
    total = 0
    for symbol in numeral:
        total += VALUES[symbol]
    return total
