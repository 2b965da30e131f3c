"""The ruleset that the firewall installs, and what it says where it cannot."""

from __future__ import annotations

import pytest
import sandbox_firewall
from sandbox_firewall import FirewallError, ruleset


def test_only_the_proxys_port_and_its_answers_pass() -> None:
    text = ruleset("swe-rl-run", "172.30.244.0/22", ["172.30.244.2"], 8002)
    rules = [line.strip() for line in text.splitlines() if line.strip().startswith("ip ")]
    assert rules == [
        "ip saddr 172.30.244.0/22 ip daddr 172.30.244.2 tcp dport 8002 accept",
        "ip saddr 172.30.244.2 ip daddr 172.30.244.0/22 tcp sport 8002 accept",
        "ip saddr 172.30.244.0/22 drop",
        "ip daddr 172.30.244.0/22 drop",
        "ip saddr 172.30.244.0/22 drop",
    ]
    # The first two lines make the transaction a replacement.
    assert text.splitlines()[:2] == ["table bridge swe-rl-run {}", "delete table bridge swe-rl-run"]


@pytest.mark.parametrize("subnet, proxy", [("172.30.244.0/33", "172.30.244.2"), ("172.30.244.0/22", "x; flush")])
def test_what_is_no_address_is_no_rule(subnet: str, proxy: str) -> None:
    with pytest.raises(ValueError):
        ruleset("swe-rl-run", subnet, [proxy], 8002)


def test_an_image_without_nft_is_told_which_package_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FirewallError, match="nftables"):
        sandbox_firewall.nft("list", "tables")


def test_what_nft_refuses_is_said_in_its_words() -> None:
    with pytest.raises(FirewallError, match="syntax error"):
        sandbox_firewall.nft("--check", "-f", "-", text="table bridge x { nonsense }")
