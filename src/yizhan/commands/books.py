"""``yizhan usage``, ``ledger`` and ``figures``."""

from __future__ import annotations

import click

from yizhan.commands.shown import examples, json_option, say_fields, say_json, say_rows, station

_COLUMNS = (
    "at",
    "request_id",
    "user",
    "model",
    "channel",
    "input_tokens",
    "output_tokens",
    "charge_nano_usd",
    "status",
)


@click.command(epilog=examples("yizhan usage --since 1h", "yizhan usage --user alice --since 2026-01-31 --json"))
@click.option("--user", help="Only this user's.")
@click.option("--since", help="ISO 8601, or so long ago: 15m, 1h, 7d.")
@click.option("--until", help="Like --since; not included.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most rows.")
@click.option("--all", "everything", is_flag=True, help="All rows, however many.")
@json_option
def usage(
    *, user: str | None, since: str | None, until: str | None, limit: int, everything: bool, as_json: bool
) -> None:
    """List requests with their bills, newest first."""
    rows = station().pages(
        "usage", cursor="before", limit=None if everything else limit, user=user, since=since, until=until
    )
    say_rows(rows, as_json=as_json, columns=_COLUMNS)


@click.group(help="The books.")
def ledger() -> None:
    """Hold the commands about the books."""


@ledger.command("verify", epilog=examples("yizhan ledger verify", "yizhan ledger verify --json"))
@json_option
def verify(*, as_json: bool) -> None:
    """Prove the books: status 1, and the reasons, when they do not hold."""
    answer = station().ask("GET", "ledger", "verify")
    if as_json:
        say_json(answer)
    else:
        click.echo("The books are right." if answer["ok"] else "The books are WRONG:")
        for reason in answer["reasons"]:
            click.echo(f"  {reason}")
        for name in ("unknown", "unresolved"):
            for entry in answer.get(name) or ():
                click.echo(f"  {name}: {entry}")
    if not answer["ok"]:
        raise click.exceptions.Exit(1)


@click.command(epilog=examples("yizhan figures"))
@json_option
def figures(*, as_json: bool) -> None:
    """Count users, keys, channels, money, and the last 24 hours' requests."""
    say_fields(station().ask("GET", "figures"), as_json=as_json)
