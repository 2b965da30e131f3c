import unittest

from intervals import merge


class Merge(unittest.TestCase):
    def test_within(self):
        self.assertEqual(merge([(1, 10), (2, 3)]), [(1, 10)])
        self.assertEqual(merge([(2, 3), (1, 10), (4, 12)]), [(1, 12)])

    def test_apart_and_touching(self):
        self.assertEqual(merge([(5, 6), (1, 2)]), [(1, 2), (5, 6)])
        self.assertEqual(merge([(1, 2), (2, 3)]), [(1, 3)])
        self.assertEqual(merge([]), [])
