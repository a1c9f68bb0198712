"""``yizhan``: the command line. Each group of commands is a file in ``commands/``."""

from __future__ import annotations

import click

from yizhan import __version__
from yizhan.commands.books import figures, ledger, usage
from yizhan.commands.channels import channel
from yizhan.commands.people import key, topup, user
from yizhan.commands.prices import group, model, price
from yizhan.commands.running import backup, list_settings, migrate, pretend, restore, serve


@click.group(
    epilog="\b\nExamples:\n  yizhan serve\n  yizhan user add alice\n  yizhan key add alice --title laptop\n"
    "  yizhan usage --since 1h --json\n\nStatus: 0 done, 1 refused or failed, 2 wrongly called.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="yizhan")
@click.option("--home", metavar="FOLDER", help="Folder of the station's data; else YIZHAN_HOME, else ./data.")
def main(home: str | None) -> None:
    """Run an AI API relay station, and manage it: while it runs, and while it does not."""
    del home  # read by settings_or_exit


for _command in (
    serve,
    user,
    key,
    topup,
    channel,
    price,
    group,
    model,
    usage,
    ledger,
    figures,
    migrate,
    backup,
    restore,
    list_settings,
    pretend,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
