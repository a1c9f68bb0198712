"""``python station.py``: the real supervisor over stand-in children, with the settings of the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from yizhan import config
from yizhan.supervisor import Commands, serve


def _stand_in(role: str) -> tuple[str, ...]:
    return (sys.executable, str(Path(__file__).with_name("stand_in.py")), role)


if __name__ == "__main__":
    demo = os.environ.get("STANDIN_DEMO", "")
    commands = Commands(
        prepare=_stand_in("prepare"),
        control=_stand_in("control"),
        gateway=_stand_in("gateway"),
        demo=_stand_in(demo or "demo"),
        demo_available=lambda: bool(demo),
    )
    status = serve(config.load(), json="--json" in sys.argv, commands=commands)
    assert not {"sqlalchemy", "litestar"} & set(sys.modules), "the supervisor must stay light"
    sys.exit(status)
