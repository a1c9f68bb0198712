from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from itertools import pairwise

from tests.supervisor.conftest import Station, alive, eventually

Start = Callable[..., Station]


def ask(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        return int(caller.recv(100))


def test_it_starts_both_planes_and_callers_reach_a_worker(start: Start) -> None:
    station = start()
    assert ask(station.opened()) in {*station.pids("began gateway 0"), *station.pids("began gateway 1")}
    assert len(station.pids("began control")) == 1


def test_the_first_start_shows_the_secrets_and_the_second_shows_none(start: Start) -> None:
    first = start(STANDIN_DEMO="demo")
    first.opened()
    assert first.stop() == 0
    second = start(STANDIN_DEMO="demo")
    second.opened()
    assert "secret-word" in first.printed
    assert first.printed.count("sk-first") == 2 + first.printed.count("ANTHROPIC_AUTH_TOKEN") + 1
    assert "secret-word" not in second.printed
    assert "sk-first" not in second.printed


def test_json_is_one_object_a_line_on_stdout(start: Start) -> None:
    station = start("--json")
    eventually(lambda: '"ready"' in station.printed)
    objects = [json.loads(line) for line in station.printed.splitlines() if line.startswith("{")]
    assert objects[0] == {"event": "prepared", "login": "admin", "password": "secret-word", "key": "sk-first"}
    assert objects[1]["url"].startswith("http://127.0.0.1:")


def test_a_dead_worker_is_started_again_while_the_others_go_on(start: Start) -> None:
    station = start()
    port = station.opened()
    control, other = station.pids("began control"), station.pids("began gateway 1")
    os.kill(station.pids("began gateway 0")[0], signal.SIGKILL)
    again = eventually(lambda: station.pids("began gateway 0")[1:])
    assert alive(again[0])
    assert (station.pids("began control"), station.pids("began gateway 1")) == (control, other)
    assert ask(port) in {*again, *other}


def test_a_dead_control_plane_is_started_again_and_callers_do_not_notice(start: Start) -> None:
    station = start()
    port = station.opened()
    os.kill(station.pids("began control")[0], signal.SIGKILL)
    assert ask(port) > 0
    assert alive(eventually(lambda: station.pids("began control")[1:])[0])


def test_workers_end_before_the_control_plane(start: Start) -> None:
    station = start()
    station.opened()
    assert station.stop() == 0
    ends = [what for what, _ in station.log() if what.startswith("ended")]
    assert sorted(ends[:2]) == ["ended gateway 0", "ended gateway 1"]
    assert ends[2:] == ["ended control"]


def test_a_worker_deaf_to_sigterm_is_killed_when_the_second_ctrl_c_came(start: Start) -> None:
    station = start(STANDIN_DEAF="gateway 0", YIZHAN_DRAIN_S="600")
    station.opened()
    station.process.send_signal(signal.SIGINT)
    eventually(lambda: station.pids("ended gateway 0"))
    assert station.stop(signal.SIGINT) == 0
    assert not alive(station.pids("began gateway 0")[0])


def test_nothing_outlives_a_killed_supervisor_and_the_folder_is_free_again(start: Start) -> None:
    station = start()
    station.opened()
    pids = [pid for what, pid in station.log() if what.startswith("began")]
    station.stop(signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)))
    assert ask(start().opened()) not in pids


def test_a_second_station_on_the_same_folder_is_refused_in_one_line(start: Start) -> None:
    start().opened()
    second = start()
    assert second.process.wait(20) == 1
    assert second.printed.startswith("yizhan: the data folder")
    assert second.printed.count("\n") == 1


def test_a_taken_port_is_one_line_and_status_1(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        station = start(YIZHAN_BIND=bind)
        assert station.process.wait(20) == 1
    assert station.printed == f"yizhan: {bind} is taken by another program; choose another with --bind HOST:PORT\n"


def test_a_folder_that_is_a_file_is_one_line_and_status_1(start: Start) -> None:
    station = start(YIZHAN_HOME="/dev/null/home")
    assert station.process.wait(20) == 1
    assert station.printed == "yizhan: the data folder /dev/null/home cannot be used: Not a directory\n"


def test_a_folder_whose_path_is_too_long_for_sockets_is_one_line(start: Start) -> None:
    station = start(YIZHAN_HOME=f"/tmp/{'long' * 30}")
    assert station.process.wait(20) == 1
    assert "too long for the sockets" in station.printed
    assert station.printed.count("\n") == 1


def test_what_the_preparation_refuses_is_one_line_and_nothing_is_started(start: Start) -> None:
    station = start(STANDIN_ERROR="the database is newer than this version")
    assert station.process.wait(20) == 1
    assert station.printed.splitlines()[-1] == "yizhan: the database is newer than this version"
    assert [what for what, _ in station.log() if what.startswith("began")] == []


def test_without_the_demo_it_says_how_to_add_a_channel(start: Start) -> None:
    station = start()
    station.opened()
    assert "yizhan channel add" in eventually(lambda: station.printed.partition("no demo model;")[2])


def test_the_demo_model_is_named_to_the_preparation_and_the_lines_to_try_carry_the_key(start: Start) -> None:
    station = start(STANDIN_DEMO="demo")
    station.opened()
    assert any(what.startswith("prepare --demo http://127.0.0.1:") for what, _ in station.log())
    eventually(lambda: "Claude Code" in station.printed)
    assert "curl -N http://127.0.0.1:" in station.printed


def test_a_demo_model_that_cannot_run_is_given_up_and_the_station_opens(start: Start) -> None:
    station = start(STANDIN_DEMO="crash")
    assert ask(station.opened()) > 0
    assert len(station.pids("began crash")) == 3
    assert "given up" in station.printed


def test_the_back_off_of_a_worker_that_keeps_dying_grows(start: Start) -> None:
    station = start(YIZHAN_WORKERS="1")
    station.opened()
    for death in range(3):
        os.kill(eventually(lambda: station.pids("began gateway 0")[death:])[0], signal.SIGKILL)  # noqa: B023
    eventually(lambda: station.printed.count("starting again in") == 3)
    delays = [float(line.split()[-2]) for line in station.printed.splitlines() if "starting again in" in line]
    assert all(later == earlier * 2 for earlier, later in pairwise(delays))


def test_a_control_plane_alone_needs_no_public_port(start: Start) -> None:
    station = start(YIZHAN_ROLE="control")
    eventually(lambda: "the control plane is up" in station.printed)
    assert station.stop() == 0
    assert not station.pids("began gateway 0")


def test_gateways_alone_leave_the_database_be(start: Start) -> None:
    station = start(YIZHAN_ROLE="gateway")
    assert ask(station.opened()) > 0
    assert {what.split()[0] for what, _ in station.log()} == {"began"}
    assert not station.pids("began control")
