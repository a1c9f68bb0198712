"""The vendor that does not exist: our scripted fake, for trying out a station and for every test of it.

Its server is in ``pretending/`` and is loaded only when it is run, not by who reads the record below.
"""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.vendors.vendor import Vendor

VENDOR = Vendor(
    name="pretend",
    title="Pretend vendor (yizhan pretend)",
    speaks={"openai_chat": "/chat/completions"},
)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve it, with these arguments of the command line; exits the process."""
    from yizhan.vendors.pretending.command import command  # noqa: PLC0415 - gateways read VENDOR, and need no server

    command.main(args=None if argv is None else list(argv))


if __name__ == "__main__":
    main()
