"""Whose address a request is from, when proxies stand in front."""

from __future__ import annotations

import ipaddress

from yizhan.http1.message import Headers

_HOPS_MAX = 32  # addresses looked at; a longer list is made up


class TrustedProxies:
    """The networks whose ``X-Forwarded-For`` is believed. Nobody else's is ever looked at."""

    def __init__(self, cidrs: str = "") -> None:
        """Read comma-separated CIDRs; raises ValueError."""
        self._networks = [ipaddress.ip_network(cidr.strip()) for cidr in cidrs.split(",") if cidr.strip()]

    def trusts(self, address: str) -> bool:
        """Tell whether this peer is one of the proxies."""
        if not self._networks:
            return False
        found = _parse(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, headers: Headers) -> str:
        """Find the caller's address: the last one in the chain that is not a trusted proxy itself.

        Read from the right, since everything to the left of the first stranger is only that stranger's word.
        """
        if not self.trusts(peer):
            return peer
        hops = b",".join(value for name, value in headers if name == b"x-forwarded-for").split(b",")
        client = peer
        for hop in reversed(hops[-_HOPS_MAX:]):
            address = _parse(hop.decode("latin-1").strip())
            if address is None:
                break
            client = str(address)
            if not any(address in network for network in self._networks):
                break
        return client


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if text.startswith("["):  # [v6]:port
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # v4:port
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
