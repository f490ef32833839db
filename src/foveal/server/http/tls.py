"""The certificate and the key of a server, read again when they have been renewed."""

from __future__ import annotations

import logging
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, final

from foveal.errors import UsageError, reason

logger = logging.getLogger(__name__)


@final
class TlsFiles:
    """A certificate chain and its key, as PEM files.

    Args:
        certificate: The certificate, followed by those of its issuers.
        key: The private key, without a password.
        warns: Whether to warn of a certificate that clients refuse at this moment. Of several
            processes that serve it, one does.

    Raises:
        UsageError: If they cannot be read, or do not belong together.

    Attributes:
        context: Given to a server; what is reloaded holds for new connections.
    """

    def __init__(self, certificate: Path, key: Path, *, warns: bool = True) -> None:
        self._certificate, self._key, self._warns = certificate, key, warns
        self.context = self._load()

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None, *, warns: bool = True) -> Self | None:
        """Return the files, or None where there are none."""
        return None if certificate is None or key is None else cls(certificate, key, warns=warns)

    def reload(self) -> None:
        """Read the files again; those before stay when the new ones cannot be used."""
        try:
            # First elsewhere: a certificate whose key is missing must not be half in use.
            self._load()
            self.context.load_cert_chain(self._certificate, self._key)
        except (UsageError, OSError) as error:
            logger.error("%s The previous certificate stays in use.", error)
        else:
            logger.info("the certificate was reloaded")

    def _load(self) -> ssl.SSLContext:
        context = _load(self._certificate, self._key)
        if self._warns:
            warn_of_dates(self._certificate)
        return context


def warn_of_dates(certificate: Path) -> None:
    """Warn of a certificate that clients refuse at this moment.

    Args:
        certificate: A PEM file; one that is not on this machine is passed over.
    """
    if not certificate.is_file():
        return
    try:
        # The standard library shows the dates of one's own certificate nowhere else.
        shown = ssl._ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]
    except ssl.SSLError:
        # In OpenSSL's format of trusted certificates, which is served nonetheless.
        logger.warning("Cannot read the dates of the certificate %s.", certificate)
        return
    begin, end = (ssl.cert_time_to_seconds(shown[name]) for name in ("notBefore", "notAfter"))
    if time.time() > end:
        logger.warning("The certificate %s expired on %s.", certificate, _date(end))
    elif time.time() < begin:
        logger.warning("The certificate %s is not valid before %s.", certificate, _date(begin))


def _load(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        if not path.is_file():
            why = f"{path} is a folder" if path.is_dir() else f"The file {path} does not exist"
            raise UsageError(f"{why}.", hint="use --tls-cert FILE --tls-key FILE")
    try:
        # An empty password instead of a question at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        why = reason(error)
        raise UsageError(
            f"Cannot use {certificate} with {key}: {why}.",
            hint="give a PEM certificate and its key, without a password",
        ) from error
    return context


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
