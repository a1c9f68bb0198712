"""The supervisor's children: started, watched, started again with back-off, ended in order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

import msgspec

from yizhan.clock import Clock
from yizhan.process import follow_parent

DELAY_MIN_S = 0.2
DELAY_MAX_S = 10.0
HEALTHY_S = 60.0  # a child that lived so long has earned a fresh start of its back-off
GIVE_UP = 3  # deaths of an optional child that was never ready

Say = Callable[[str], None]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a child is started."""

    name: str
    plane: str  # control, gateway or demo: the stages of stopping
    argv: Sequence[str]
    descriptors: Sequence[int] = ()
    optional: bool = False


def spawn(
    argv: Sequence[str], *, environment: Mapping[str, str], descriptors: Sequence[int], out: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in our group that dies with us."""
    parent = os.getpid()
    return subprocess.Popen(  # noqa: S603 - the arguments are our own
        argv,
        env=dict(environment),
        pass_fds=tuple(descriptors),
        stdin=subprocess.DEVNULL,
        stdout=out,
        preexec_fn=lambda: follow_parent(parent),  # noqa: PLW1509 - the supervisor has one thread
    )


class Child:
    """One recipe and the process that runs it now, if any."""

    __slots__ = ("deaths", "delay_s", "due", "given_up", "process", "ready", "recipe", "started")

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.delay_s = DELAY_MIN_S
        self.due = 0.0
        self.deaths = 0
        self.ready = False
        self.given_up = False

    def start(self, now: float, environment: Mapping[str, str]) -> None:
        """Start the process."""
        assert self.process is None
        self.process = spawn(self.recipe.argv, environment=environment, descriptors=self.recipe.descriptors)
        self.started = now

    def reap(self, now: float) -> int | None:
        """Take note of the process's end: its exit status, or None where it has not ended."""
        status = self.process.poll() if self.process else None
        if status is None:
            return None
        self.process = None
        self.deaths += 1
        if now - self.started >= HEALTHY_S:
            self.delay_s = DELAY_MIN_S
        self.due = now + self.delay_s
        self.delay_s = min(self.delay_s * 2, DELAY_MAX_S)
        self.given_up = self.recipe.optional and not self.ready and self.deaths >= GIVE_UP
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is there to get it."""
        if self.process is not None:
            self.process.send_signal(number)


class Family:
    """All children of one supervisor. It never blocks: the caller waits, and calls again."""

    def __init__(self, recipes: Sequence[Recipe], *, clock: Clock, environment: Mapping[str, str], say: Say) -> None:
        self.children = [Child(recipe) for recipe in recipes]
        self._clock = clock
        self._environment = environment
        self._say = say
        self._ending: set[str] = set()

    def tend(self) -> float | None:
        """Note who ended, start who is due; return the seconds until the next start, None where nobody waits."""
        now = self._clock.monotonic()
        waits: list[float] = []
        for child in self.children:
            status = child.reap(now)
            ending = child.recipe.plane in self._ending
            if status is not None and not ending:
                again = "given up" if child.given_up else f"starting again in {child.due - now:.1f} s"
                self._say(f"{child.recipe.name} ended with status {status}; {again}")
            if child.process is not None or child.given_up or ending:
                continue
            if child.due <= now:
                child.start(now, self._environment)
            else:
                waits.append(child.due - now)
        return min(waits) if waits else None

    def note_ready(self, name: str) -> None:
        """Remember that the child of that name does its work."""
        for child in self.children:
            if child.recipe.name == name:
                child.ready = True

    def awaited(self) -> list[str]:
        """Name those who have not said that they are ready and may still do so."""
        return [child.recipe.name for child in self.children if not child.ready and not child.given_up]

    def given_up(self, plane: str) -> bool:
        """Tell whether a child of the plane will not be started again."""
        return any(child.given_up for child in self.children if child.recipe.plane == plane)

    def running(self, plane: str) -> list[Child]:
        """List the plane's children that are alive."""
        return [child for child in self.children if child.process is not None and child.recipe.plane == plane]

    def end(self, plane: str, number: signal.Signals) -> None:
        """Signal the plane's children; none of them is started again."""
        self._ending.add(plane)
        for child in self.running(plane):
            child.send(number)
