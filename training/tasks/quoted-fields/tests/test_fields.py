import unittest

from fields import fields


class Fields(unittest.TestCase):
    def test_quotes(self):
        self.assertEqual(fields('a,"b,c",d'), ["a", "b,c", "d"])
        self.assertEqual(fields('"say ""hi""",x'), ['say "hi"', "x"])

    def test_plain(self):
        self.assertEqual(fields("a,b,,d"), ["a", "b", "", "d"])
