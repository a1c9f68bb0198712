"""What every command shares: ``--json``, examples below the help, and how answers are shown to people."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click

from yizhan.commands.station import Station
from yizhan.config import BadSetting, Settings, load

json_option = click.option("--json", "as_json", is_flag=True, help="JSON: one object, or one a line.")


def examples(*lines: str) -> str:
    """Make the text below a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def settings_or_exit(**options: object) -> Settings:
    """Read the settings; a bad one is one line and status 2."""
    home = click.get_current_context().find_root().params.get("home")
    try:
        return load(os.environ, home=home, **options)
    except BadSetting as error:
        click.echo(f"yizhan: {error}", err=True)
        raise click.exceptions.Exit(2) from None


def station() -> Station:
    """Make the station that the settings name."""
    return Station(settings_or_exit())


def say_json(answer: object) -> None:
    """Print one object on a line of its own."""
    import msgspec  # noqa: PLC0415 - `--help` does not need it

    click.echo(msgspec.json.encode(answer))


def say_object(answer: dict[str, Any], *, as_json: bool, sentence: str) -> None:
    """Print an answer: as JSON, or as the sentence with the answer's fields filled in."""
    if as_json:
        say_json(answer)
    else:
        click.echo(sentence.format(**answer))


def say_fields(answer: dict[str, Any], *, as_json: bool) -> None:
    """Print an answer field by field."""
    if as_json:
        say_json(answer)
        return
    width = max(len(name) for name in answer)
    for name, value in answer.items():
        click.echo(f"{name:<{width}}  {_cell(name, value)}")


def say_rows(rows: Iterable[dict[str, Any]], *, as_json: bool, columns: tuple[str, ...]) -> None:
    """Print a list: JSON lines as they come, or a table."""
    if as_json:
        for row in rows:
            say_json(row)
        return
    table = [columns, *(tuple(_cell(name, row[name]) for name in columns) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for line in table:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_nano_usd"):
        from yizhan.money import Money  # noqa: PLC0415

        return f"{Money(value).usd()} USD"
    if isinstance(value, dict):
        return " ".join(key if key == item else f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
