"""``yizhan price``, ``group`` and ``model``."""

from __future__ import annotations

from typing import Any

import click

from yizhan.commands.shown import examples, json_option, say_fields, say_json, say_object, say_rows, station

_COLUMNS = ("model", "version", "free", "usd_per_mtok", "usd_per_request", "source")
_RATES = {
    "input": "Text in, and what the vendor does not tell apart.",
    "output": "Text out.",
    "cached_input": "Read from a cache; else the input rate.",
    "cache_write_5m": "Written to a cache for minutes; else the input rate.",
    "cache_write_1h": "Written to a cache for an hour; else the 5-minute rate.",
    "image_input": "Pictures in; else the input rate.",
    "audio_input": "Audio in; else the input rate.",
    "reasoning": "Reasoning; else the output rate.",
    "image_output": "Pictures out; else the output rate.",
    "audio_output": "Audio out; else the output rate.",
}


@click.group(help="What models cost.")
def price() -> None:
    """Hold the commands about prices."""


def _rate_options(command: Any) -> Any:
    for name, text in reversed(_RATES.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="USD", help=text)(command)
    return command


@price.command(
    "set",
    epilog=examples(
        "yizhan price set gpt-4o-mini --input 0.15 --output 0.60 --cached-input 0.075",
        "yizhan price set picture-maker --per-request 0.04",
        "yizhan price set my-own --free",
    ),
)
@click.argument("model")
@_rate_options
@click.option("--per-request", default="0", metavar="USD", help="For each request, whatever it uses.")
@click.option("--free", is_flag=True, help="Costs nothing. A model without any price is refused instead.")
@json_option
def set_price(model: str, *, per_request: str, free: bool, as_json: bool, **rates: str | None) -> None:
    """Put a price in force: USD per million tokens, by class of token."""
    per_mtok = {name: usd for name, usd in rates.items() if usd is not None}
    body = {"usd_per_mtok": per_mtok, "usd_per_request": per_request, "free": free}
    answer = station().ask("PUT", "prices", model, json=body)
    say_object(answer, as_json=as_json, sentence="{model}: price version {version} is in force.")


@price.command("show", epilog=examples("yizhan price show gpt-4o-mini"))
@click.argument("model")
@json_option
def show_price(model: str, *, as_json: bool) -> None:
    """Show what a model costs, and the versions before."""
    answer = station().ask("GET", "prices", model)
    if as_json:
        say_json({**(answer["current"] or {"version": None, "model": model}), "versions": answer["versions"]})
        return
    if answer["current"] is None:
        click.echo(f"{model} is not sold.")
    say_rows(answer["versions"], as_json=False, columns=("version", *_COLUMNS[2:], "withdrawn"))


@price.command("list", epilog=examples("yizhan price list", "yizhan price list --json"))
@json_option
def list_prices(*, as_json: bool) -> None:
    """List the prices in force."""
    say_rows(station().pages("prices"), as_json=as_json, columns=_COLUMNS)


@price.command("withdraw", epilog=examples("yizhan price withdraw gpt-4o-mini"))
@click.argument("model")
@json_option
def withdraw(model: str, *, as_json: bool) -> None:
    """Stop selling a model."""
    answer = station().ask("DELETE", "prices", model)
    say_object(answer, as_json=as_json, sentence="{model} is not sold any more.")


@click.group(help="Price groups: who pays how much of the list price.")
def group() -> None:
    """Hold the commands about price groups."""


@group.command("set", epilog=examples("yizhan group set gold --multiplier-ppm 900000"))
@click.argument("name")
@click.option("--multiplier-ppm", type=int, required=True, help="1000000 is the list price, 900000 ten per cent off.")
@click.option("--note", default="")
@json_option
def set_group(name: str, *, multiplier_ppm: int, note: str, as_json: bool) -> None:
    """Add or change a price group."""
    answer = station().ask("PUT", "groups", name, json={"multiplier_ppm": multiplier_ppm, "note": note})
    say_object(answer, as_json=as_json, sentence="Group {name} pays {multiplier_ppm} ppm of the list price.")


@group.command("list", epilog=examples("yizhan group list"))
@json_option
def list_groups(*, as_json: bool) -> None:
    """List the price groups."""
    rows = station().ask("GET", "groups")["data"]
    say_rows(rows, as_json=as_json, columns=("name", "multiplier_ppm", "note"))


@click.group(help="What is known of models besides their price.")
def model() -> None:
    """Hold the commands about models."""


@model.command("set", epilog=examples("yizhan model set gpt-4o-mini --context 128000 --output-max 16384"))
@click.argument("name")
@click.option("--context", type=int, help="Context window, in tokens.")
@click.option("--output-max", type=int, help="Most tokens of one answer.")
@click.option("--owned-by", help="Shown in /v1/models.")
@json_option
def set_model(name: str, *, context: int | None, output_max: int | None, owned_by: str | None, as_json: bool) -> None:
    """Set a model's limits; what a request holds is computed from them."""
    given = {"context_tokens": context, "output_tokens_max": output_max, "owned_by": owned_by}
    body = {field: value for field, value in given.items() if value is not None}
    if not body:
        raise click.UsageError("Nothing to change: give an option.")
    say_fields(station().ask("PUT", "models", name, json=body), as_json=as_json)


@model.command("list", epilog=examples("yizhan model list"))
@json_option
def list_models(*, as_json: bool) -> None:
    """List what is known of models."""
    columns = ("name", "owned_by", "context_tokens", "output_tokens_max")
    say_rows(station().pages("models"), as_json=as_json, columns=columns)
