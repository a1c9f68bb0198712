"""``yizhan serve``, and what keeps a station going: ``migrate``, ``backup``, ``restore``, ``settings``, ``pretend``."""

from __future__ import annotations

from pathlib import Path

import click

from yizhan.commands.shown import examples, json_option, say_json, say_object, settings_or_exit
from yizhan.commands.station import Refused


@click.command(
    epilog=examples(
        "yizhan serve", "yizhan serve --bind 0.0.0.0:8601 --workers 4 --no-demo", "yizhan serve --role gateway"
    )
)
@click.option("--bind", metavar="HOST:PORT", help="Where the public server listens.")
@click.option("--workers", type=int, help="Gateway processes.")
@click.option("--demo/--no-demo", default=None, help="Run the demo model.")
@click.option("--role", type=click.Choice(["all", "gateway", "control"]), help="Planes to run here.")
@json_option
def serve(*, bind: str | None, workers: int | None, demo: bool | None, role: str | None, as_json: bool) -> None:
    """Run the station until Ctrl-C or SIGTERM."""
    settings = settings_or_exit(bind=bind, workers=workers, demo=demo, role=role)
    from yizhan import supervisor  # noqa: PLC0415 - only this command needs it

    raise click.exceptions.Exit(supervisor.serve(settings, json=as_json))


@click.command(epilog=examples("yizhan migrate"))
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database's tables up to date; `serve` does it by itself."""
    settings = settings_or_exit()
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from yizhan.errors import StationError  # noqa: PLC0415
    from yizhan.store import schema  # noqa: PLC0415 - SQLAlchemy and Alembic take a third of a second

    try:
        before = schema.schema_state(settings.database)
        if before == "newer":
            raise Refused("the database was migrated by a newer version of the station; install that version")
        if before != "current":
            settings.home_path.mkdir(mode=0o700, parents=True, exist_ok=True)
            schema.migrate(settings.database)
    except (StationError, SQLAlchemyError) as error:
        raise Refused(str(error).splitlines()[0]) from None
    except OSError as error:
        raise Refused(f"the data folder {settings.home} cannot be used: {error.strerror}") from None
    say_object({"ok": True, "before": before}, as_json=as_json, sentence="The tables are up to date (were: {before}).")


@click.command(epilog=examples("yizhan backup station.tar"))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def backup(file: Path, *, as_json: bool) -> None:
    """Copy database, journals and secrets into one file, also while the station runs. Keep it safe: it has the keys."""
    from yizhan import backup as archive  # noqa: PLC0415 - only this command needs it
    from yizhan.home import Refused as HomeRefused  # noqa: PLC0415

    try:
        found = archive.backup(settings_or_exit(), file)
    except HomeRefused as error:
        raise Refused(str(error)) from None
    _say_archived(found, as_json=as_json, sentence="Wrote {file}: {journals} journal files, {secrets} secrets.")


@click.command(epilog=examples("yizhan restore station.tar", "yizhan restore station.tar --force"))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the data that is there.")
@json_option
def restore(file: Path, *, force: bool, as_json: bool) -> None:
    """Put a backup into the data folder; the station must not run."""
    from yizhan import backup as archive  # noqa: PLC0415 - only this command needs it
    from yizhan.home import Refused as HomeRefused  # noqa: PLC0415

    try:
        found = archive.restore(settings_or_exit(), file, force=force)
    except HomeRefused as error:
        raise Refused(str(error)) from None
    _say_archived(found, as_json=as_json, sentence="Restored {file}: {journals} journal files, {secrets} secrets.")


def _say_archived(found: object, *, as_json: bool, sentence: str) -> None:
    import msgspec  # noqa: PLC0415

    answer = msgspec.to_builtins(found)
    say_object(answer, as_json=as_json, sentence=sentence)
    if answer["note"] and not as_json:
        click.echo(answer["note"])


@click.command("settings", epilog=examples("yizhan settings", "YIZHAN_WORKERS=4 yizhan settings --json"))
@json_option
def list_settings(*, as_json: bool) -> None:
    """List every setting: its name in the environment, the value in force, and what it means."""
    settings = settings_or_exit()
    from yizhan.config import every_setting  # noqa: PLC0415

    for name, text in every_setting():
        value = "(set)" if name in _SECRET and getattr(settings, name) else getattr(settings, name)
        variable = f"YIZHAN_{name.upper()}"
        if as_json:
            say_json({"name": variable, "value": value, "meaning": text})
        else:
            click.echo(f"{variable}={value}\n    {text}")


_SECRET = frozenset({"link_secret", "seal_key", "database_url"})  # the URL may hold a password


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def pretend(arguments: tuple[str, ...]) -> None:
    """Serve a scripted fake vendor, for trying and testing; `yizhan pretend --help` lists its options."""
    from yizhan.vendors.pretend import main  # noqa: PLC0415 - only this command needs it

    main(arguments)
