"""Sums of decimal digits."""


def digit_sum(number: int) -> int:
    """The sum of the decimal digits of a number, whatever its sign."""
    total = 0
    while number > 0:
        total += number % 10
        number //= 10
    return total
