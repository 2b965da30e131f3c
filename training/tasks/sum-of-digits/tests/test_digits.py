import unittest

from digits import digit_sum


class DigitSum(unittest.TestCase):
    def test_positive(self):
        self.assertEqual([digit_sum(n) for n in (0, 7, 10, 999, 1234)], [0, 7, 1, 27, 10])

    def test_negative(self):
        self.assertEqual([digit_sum(n) for n in (-7, -10, -123, -999)], [7, 1, 6, 27])
