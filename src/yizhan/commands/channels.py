"""``yizhan channel``."""

from __future__ import annotations

import click

from yizhan.commands.shown import examples, json_option, say_fields, say_object, say_rows, station

_COLUMNS = ("id", "name", "vendor", "enabled", "priority", "weight", "base_url", "models")


def _models(text: str) -> dict[str, str]:
    """Read ``a,b`` or ``a=upstream-name,b``."""
    found = {}
    for part in text.split(","):
        name, _, upstream = part.strip().partition("=")
        found[name] = upstream or name
    return found


@click.group(help="The ways to the upstreams.")
def channel() -> None:
    """Hold the commands about channels."""


@channel.command(
    "add",
    epilog=examples(
        "yizhan channel add oa --vendor openai --base-url https://api.openai.com/v1 --key sk-… --models gpt-4o-mini",
        "yizhan channel add local --vendor openai-compatible --base-url http://127.0.0.1:8000/v1 --models a,b=real-b",
    ),
)
@click.argument("name")
@click.option("--vendor", required=True, help="Which vendor's protocol it speaks, e.g. openai-compatible.")
@click.option("--base-url", required=True, help="Where it is, with its /v1.")
@click.option("--key", "keys", multiple=True, help="The upstream's key; may be given several times.")
@click.option("--models", required=True, help="Names callers use, comma-separated; NAME=UPSTREAM renames.")
@click.option("--groups", default="default", show_default=True, help="Price groups it serves, comma-separated.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher is tried first.")
@click.option("--weight", type=int, default=1, show_default=True, help="Share within a priority.")
@click.option("--proxy", help="http:// or socks5:// proxy to it.")
@json_option
def add(
    name: str,
    *,
    vendor: str,
    base_url: str,
    keys: tuple[str, ...],
    models: str,
    groups: str,
    priority: int,
    weight: int,
    proxy: str | None,
    as_json: bool,
) -> None:
    """Add a channel; its keys are sealed at once."""
    body = {
        "name": name,
        "vendor": vendor,
        "base_url": base_url,
        "keys": list(keys),
        "models": _models(models),
        "groups": groups.split(","),
        "priority": priority,
        "weight": weight,
        "proxy": proxy,
    }
    answer = station().ask("POST", "channels", json=body)
    say_object(answer, as_json=as_json, sentence="Added channel {id} ({name}).")


@channel.command("list", epilog=examples("yizhan channel list", "yizhan channel list --json"))
@json_option
def list_channels(*, as_json: bool) -> None:
    """List channels."""
    say_rows(station().pages("channels"), as_json=as_json, columns=_COLUMNS)


@channel.command("show", epilog=examples("yizhan channel show openai-1"))
@click.argument("ref", metavar="NAME|ID")
@json_option
def show(ref: str, *, as_json: bool) -> None:
    """Show a channel, with the tails of its keys."""
    say_fields(station().ask("GET", "channels", ref), as_json=as_json)


@channel.command("set", epilog=examples("yizhan channel set openai-1 --priority 10 --models gpt-4o-mini,gpt-4o"))
@click.argument("ref", metavar="NAME|ID")
@click.option("--base-url")
@click.option("--key", "keys", multiple=True, help="Replaces all keys; may be given several times.")
@click.option("--models")
@click.option("--groups")
@click.option("--priority", type=int)
@click.option("--weight", type=int)
@json_option
def set_channel(
    ref: str,
    *,
    base_url: str | None,
    keys: tuple[str, ...],
    models: str | None,
    groups: str | None,
    priority: int | None,
    weight: int | None,
    as_json: bool,
) -> None:
    """Change a channel; what is not given stays."""
    given = {
        "base_url": base_url,
        "keys": list(keys) or None,
        "models": _models(models) if models else None,
        "groups": groups.split(",") if groups else None,
        "priority": priority,
        "weight": weight,
    }
    body = {field: value for field, value in given.items() if value is not None}
    if not body:
        raise click.UsageError("Nothing to change: give an option.")
    say_fields(station().ask("PATCH", "channels", ref, json=body), as_json=as_json)


@channel.command("test", epilog=examples("yizhan channel test openai-1", "yizhan channel test 3 --model gpt-4o"))
@click.argument("ref", metavar="NAME|ID")
@click.option("--model", help="One of the channel's models; else its first.")
@json_option
def test(ref: str, *, model: str | None, as_json: bool) -> None:
    """Ask the upstream for one token, for real. Status 1 when it does not answer well."""
    answer = station().ask("POST", "channels", ref, "test", model=model)
    word = "answers" if answer["ok"] else "fails: {message}"
    say_object(answer, as_json=as_json, sentence="{model} " + word + " ({duration_ms} ms)")
    if not answer["ok"]:
        raise click.exceptions.Exit(1)


@channel.command("disable", epilog=examples("yizhan channel disable openai-1"))
@click.argument("ref", metavar="NAME|ID")
@json_option
def disable(ref: str, *, as_json: bool) -> None:
    """Send nothing more to a channel."""
    answer = station().ask("PATCH", "channels", ref, json={"enabled": False})
    say_object(answer, as_json=as_json, sentence="Channel {id} ({name}) is disabled.")


@channel.command("enable", epilog=examples("yizhan channel enable openai-1"))
@click.argument("ref", metavar="NAME|ID")
@json_option
def enable(ref: str, *, as_json: bool) -> None:
    """Use a channel again."""
    answer = station().ask("PATCH", "channels", ref, json={"enabled": True})
    say_object(answer, as_json=as_json, sentence="Channel {id} ({name}) is enabled.")


@channel.command("remove", epilog=examples("yizhan channel remove openai-1"))
@click.argument("ref", metavar="NAME|ID")
@json_option
def remove(ref: str, *, as_json: bool) -> None:
    """Remove a channel and its keys; the usage log keeps its id."""
    answer = station().ask("DELETE", "channels", ref)
    say_object(answer, as_json=as_json, sentence="Channel {id} ({name}) is removed.")
