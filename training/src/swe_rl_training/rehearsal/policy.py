"""A policy of random numbers: a bigram model over a real tokenizer, whose every token is drawn from a softmax.

The logits of a token's successors come from a generator that the token seeds. What the policy means to say next gets a
bonus, so that the text is nearly always what was meant, and its log-probability is that of the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

BONUS = 22.0
"""In nats. The meant token of a vocabulary of 150,000 is missed about once in 10,000."""

WIDTH = 512
"""Logits that differ; they repeat over the vocabulary."""


class Bigrams:
    def __init__(self, size: int, seed: int) -> None:
        """`size`: of the vocabulary."""
        self._size = size
        self._random = np.random.default_rng(seed)
        self._exponents = lru_cache(maxsize=2048)(self._exponents_of)

    def draw(self, last: int, meant: Sequence[int]) -> Iterator[tuple[int, float]]:
        """Tokens with their log-probabilities, one for each that is meant."""
        for wanted in meant:
            exponents = self._exponents(last)
            bonus = float(exponents[wanted % WIDTH]) * (np.exp(BONUS) - 1)
            rest = self._mass(exponents)
            total = rest + bonus
            if self._random.random() * total < bonus:
                token = wanted
            else:
                token = self._other(exponents)
            mass = float(exponents[token % WIDTH]) + (bonus if token == wanted else 0.0)
            yield token, float(np.log(mass / total))
            last = token

    def _exponents_of(self, token: int) -> np.ndarray:
        return np.exp(np.random.default_rng(token).normal(size=WIDTH))

    def _mass(self, exponents: np.ndarray) -> float:
        """Of the whole vocabulary without a bonus."""
        whole, part = divmod(self._size, WIDTH)
        return float(whole * exponents.sum() + exponents[:part].sum())

    def _other(self, exponents: np.ndarray) -> int:
        """A token by its own share, without the bonus."""
        while True:
            kind = int(self._random.choice(WIDTH, p=exponents / exponents.sum()))
            token = kind + WIDTH * int(self._random.integers(self._size // WIDTH + 1))
            if token < self._size:
                return token
