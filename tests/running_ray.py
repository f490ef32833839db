"""The Ray that the tests of tests/cluster share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunningRay:
    """The Ray that the tests share; this process is connected to it.

    Attributes:
        address: Where its head is, `HOST:PORT`; what RAY_ADDRESS means.
        dashboard: Where its Jobs API answers, as `http://127.0.0.1:PORT`.
        token: That a request to the dashboard carries as `Authorization: Bearer TOKEN`.
    """

    address: str
    dashboard: str
    token: str
