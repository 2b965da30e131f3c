"""What our command line quotes, Hydra reads back as the same text."""

from __future__ import annotations

import random
import string

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from support.our_code import hydra_overrides

WITHOUT_SPACES = r"""
\ \\ a\ a\\ \a \' \" ' '' " '"' $ ${ ${a} \${a} \\${a} \\\${a} $${a} ${a a} ${oc.env:HOME}
a${b}\ '${b}' \'${b} x\${ {} {a:1} [] [a,b] (a) a,b a=b a:b null Null true False yes on OFF nan
NaN inf -inf Infinity 1 -1 +1 1.5 1e5 1E5 1_000 0x1F 0o17 0b1 .5 5. 1:30 ~ !x a#b # %s a@b a*b
a?b a|b a;b a!b a&b a+b - -- --x ~x ++x ä 漢字 🙂 choice(a,b) int(3) a(b) /a/b.parquet
s3://bucket/key C:\x user@host:path a//b a..b _ a-b A.b_c
""".split()
SPECIAL = [*WITHOUT_SPACES, "", " ", "  a  ", "a b", "a\tb", "\t", "a\nb", "\n", "\u00a0", "\u2028"]
"""Texts that mean something to Hydra, OmegaConf, YAML or a shell."""


def random_texts(count: int, seed: int) -> list[str]:
    source = random.Random(seed)
    often = "  \\\\''\"\"$${{}}äß漢🙂"
    alphabet = string.ascii_letters + string.digits + string.punctuation + often
    return ["".join(source.choices(alphabet, k=source.randint(0, 12))) for _ in range(count)]


def reread(overrides: list[str]) -> list[object]:
    """The values as verl gets them: parsed by Hydra, resolved by OmegaConf."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    values = {f"key{i}": override.value() for i, override in enumerate(parsed)}
    resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    assert isinstance(resolved, dict)
    return list(resolved.values())


def mismatches(values: list[object]) -> list[str]:
    overrides = hydra_overrides([(f"key{i}", value) for i, value in enumerate(values)])
    wrong = []
    for value, override in zip(values, overrides, strict=True):
        try:
            [composed] = reread([override])
        except Exception as error:
            wrong.append(f"{value!r} -> {override}: {type(error).__name__}: {error}".split("\n")[0])
            continue
        if composed != value or type(composed) is not type(value):
            wrong.append(f"{value!r} -> {override} -> {composed!r}")
    return wrong


def test_special_texts_come_back() -> None:
    assert not (wrong := mismatches(list(SPECIAL))), "\n".join(wrong)


def test_random_texts_come_back() -> None:
    assert not (wrong := mismatches(list(random_texts(400, seed=20261120)))), "\n".join(wrong)


def test_lists_of_texts_come_back() -> None:
    texts = [*SPECIAL, *random_texts(100, seed=7)]
    lists: list[object] = [texts[i : i + 3] for i in range(0, len(texts), 3)]
    assert not (wrong := mismatches([[], *lists])), "\n".join(wrong)


def test_numbers_and_switches_come_back() -> None:
    numbers: list[object] = [0, -1, 64, 131072, 2**53, 0.5, 1e-6, 1e-7, 3e-4, 1.5e-300, 1e21]
    assert not (wrong := mismatches([*numbers, True, False, None])), "\n".join(wrong)


def test_the_check_can_fail() -> None:
    assert reread(["key=1e5"]) == [100000.0]
    assert reread(["key='1e5'"]) == ["1e5"]
