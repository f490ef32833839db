"""Normalise URLs, and check that their hosts are on the public internet."""

from __future__ import annotations

import ipaddress
from urllib.parse import urldefrag, urljoin, urlsplit

from w3lib.url import safe_url_string

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# No browser takes longer ones.
_MAX_LENGTH = 8_000
# IPv6 addresses that contain the IPv4 address of the machine that is meant (RFC 6052, 8215).
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class AddressError(ValueError):
    """Raised for a URL that must not be fetched."""


def normal(address: str, base: str = "", encoding: str = "utf-8") -> str:
    """Return an absolute address without a fragment, escaped as browsers do it.

    Args:
        address: As it stands in a page; relative to `base`.
        base: Address that it is relative to.
        encoding: The page's encoding, in which queries are sent.

    Raises:
        AddressError: If it is none of http or https, has no host, or holds a password.
    """
    # Browsers drop these.
    text = "".join(c for c in address.strip() if c not in "\t\n\r")
    if len(text) > _MAX_LENGTH:
        raise AddressError("the address is too long")
    try:
        joined = urldefrag(urljoin(base, text)).url
        parts = urlsplit(joined)
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https"):
            raise AddressError("not an http or https address")
        if not host or port == 0:
            raise AddressError("an address without a host")
        if parts.username is not None or parts.password is not None:
            raise AddressError("an address with a user name or password")
        escaped = safe_url_string(joined, encoding=encoding)
        # Names of hosts that IDNA does not allow are left as they are.
        urlsplit(escaped).netloc.encode("ascii")
    except AddressError:
        raise
    except (ValueError, LookupError) as error:
        raise AddressError("not an address") from error
    return escaped if urlsplit(escaped).path else _with_path(escaped)


def origin_of(address: str) -> str:
    """Return `https://host:port`, for which one robots.txt counts."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


def host_of(address: str) -> str:
    """Return the host and the port, by which requests are spread over time."""
    return urlsplit(address).netloc.lower()


def is_public(address: Address) -> bool:
    """Return whether an IP address is one of the public internet.

    Loopback, private, link-local, shared, reserved and multicast addresses are not, whatever form
    they come in: IPv4 within IPv6 is unwrapped.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if any(address in network for network in _NAT64):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


def _with_path(address: str) -> str:
    return urlsplit(address)._replace(path="/").geturl()
