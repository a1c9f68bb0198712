"""``yizhan user``, ``key`` and ``topup``."""

from __future__ import annotations

import click

from yizhan.commands.shown import examples, json_option, say_fields, say_object, say_rows, station

_USER_COLUMNS = ("id", "name", "role", "status", "group", "balance_nano_usd", "available_nano_usd")
_KEY_COLUMNS = ("id", "title", "tail", "status", "group", "models")


@click.group(help="Users and their wallets.")
def user() -> None:
    """Hold the commands about users."""


@user.command("add", epilog=examples("yizhan user add alice", "yizhan user add bob --admin --password"))
@click.argument("name")
@click.option("--admin", is_flag=True, help="May manage the station.")
@click.option("--group", default="default", show_default=True, help="Price group.")
@click.option("--password", "ask_password", is_flag=True, help="Ask for a password, so that the user can sign in.")
@json_option
def add_user(name: str, *, admin: bool, group: str, ask_password: bool, as_json: bool) -> None:
    """Add a user with an empty wallet."""
    body = {"name": name, "role": "admin" if admin else "user", "group": group}
    if ask_password:
        body["password"] = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    answer = station().ask("POST", "users", json=body)
    say_object(answer, as_json=as_json, sentence="Added {role} {name} (id {id}).")


@user.command("list", epilog=examples("yizhan user list", "yizhan user list --json"))
@json_option
def list_users(*, as_json: bool) -> None:
    """List users with their balances."""
    say_rows(station().pages("users"), as_json=as_json, columns=_USER_COLUMNS)


@user.command("show", epilog=examples("yizhan user show alice", "yizhan user show alice --json"))
@click.argument("name")
@json_option
def show_user(name: str, *, as_json: bool) -> None:
    """Show a user: balance is posted, available is what running requests leave of it."""
    say_fields(station().ask("GET", "users", name), as_json=as_json)


@user.command("set", epilog=examples("yizhan user set alice --status disabled", "yizhan user set alice --group gold"))
@click.argument("name")
@click.option("--role", type=click.Choice(["user", "admin", "owner"]))
@click.option("--status", type=click.Choice(["enabled", "disabled"]))
@click.option("--group", help="Price group.")
@click.option("--password", "ask_password", is_flag=True, help="Ask for a new password.")
@json_option
def set_user(
    name: str, *, role: str | None, status: str | None, group: str | None, ask_password: bool, as_json: bool
) -> None:
    """Change a user. Disabling stops all the user's keys."""
    given = {"role": role, "status": status, "group": group}
    body = {field: value for field, value in given.items() if value is not None}
    if ask_password:
        body["password"] = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not body:
        raise click.UsageError("Nothing to change: give an option.")
    say_fields(station().ask("PATCH", "users", name, json=body), as_json=as_json)


@click.command(epilog=examples("yizhan topup alice --usd 5", "yizhan topup alice --usd 5 --reference invoice-1001"))
@click.argument("name")
@click.option("--usd", required=True, help="Amount, e.g. 5 or 0.25.")
@click.option("--promotion", is_flag=True, help="A gift and not a payment.")
@click.option("--reference", help="Id from outside; the same one is posted once, ever.")
@click.option("--memo", default="", help="A note for the books.")
@json_option
def topup(name: str, *, usd: str, promotion: bool, reference: str | None, memo: str, as_json: bool) -> None:
    """Credit a user's wallet."""
    source = "promotion" if promotion else "payment"
    body = {"user": name, "usd": usd, "source": source, "reference": reference, "memo": memo}
    say_fields(station().ask("POST", "topups", json=body), as_json=as_json)


@click.group(help="The keys callers send.")
def key() -> None:
    """Hold the commands about keys."""


@key.command("add", epilog=examples("yizhan key add alice --title laptop", "yizhan key add alice --models gpt-4o-mini"))
@click.argument("name")
@click.option("--title", default="key", show_default=True, help="What it is for.")
@click.option("--group", help="Price group, instead of the owner's.")
@click.option("--models", help="Serve these models only, comma-separated.")
@json_option
def add_key(name: str, *, title: str, group: str | None, models: str | None, as_json: bool) -> None:
    """Make a key; it is shown this once."""
    body = {"title": title, "group": group, "models": models.split(",") if models else None}
    answer = station().ask("POST", "users", name, "keys", json=body)
    say_object(answer, as_json=as_json, sentence="{key}")


@key.command("list", epilog=examples("yizhan key list alice"))
@click.argument("name")
@json_option
def list_keys(name: str, *, as_json: bool) -> None:
    """List a user's keys, without their secrets."""
    rows = station().ask("GET", "users", name, "keys")["data"]
    say_rows(rows, as_json=as_json, columns=_KEY_COLUMNS)


@key.command("disable", epilog=examples("yizhan key disable 7"))
@click.argument("key_id", metavar="ID", type=int)
@json_option
def disable_key(key_id: int, *, as_json: bool) -> None:
    """Switch a key off, on every worker within a second."""
    answer = station().ask("PATCH", "keys", str(key_id), json={"status": "disabled"})
    say_object(answer, as_json=as_json, sentence="Key {id} ({title}) of {user} is {status}.")


@key.command("enable", epilog=examples("yizhan key enable 7"))
@click.argument("key_id", metavar="ID", type=int)
@json_option
def enable_key(key_id: int, *, as_json: bool) -> None:
    """Switch a key on again."""
    answer = station().ask("PATCH", "keys", str(key_id), json={"status": "enabled"})
    say_object(answer, as_json=as_json, sentence="Key {id} ({title}) of {user} is {status}.")
