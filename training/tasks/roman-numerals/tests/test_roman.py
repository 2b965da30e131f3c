import unittest

from roman import from_roman


class FromRoman(unittest.TestCase):
    def test_subtraction(self):
        numerals = ("IV", "IX", "XL", "XC", "CD", "CM", "MCMXCIV", "MMXXIV")
        self.assertEqual(
            [from_roman(n) for n in numerals], [4, 9, 40, 90, 400, 900, 1994, 2024]
        )

    def test_addition(self):
        self.assertEqual([from_roman(n) for n in ("I", "III", "LX", "MDC")], [1, 3, 60, 1600])
