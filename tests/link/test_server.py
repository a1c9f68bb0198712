from __future__ import annotations

import asyncio
import threading

import pytest
from tests.link.peer import Peer
from tests.link.town import Town, a_town, end_of
from tests.purse.twins import opened, run, until

from yizhan.link import messages as m
from yizhan.link.figures import added_up
from yizhan.link.frames import FRAME_MAX, LinkBroken, address_of, frame
from yizhan.link.server import LinkServer
from yizhan.money import Money
from yizhan.purse.frames import encode


def test_a_link_over_tcp_needs_the_secret() -> None:
    async def scenario(town: Town) -> None:
        good = await Peer.hello(town, "a")
        bad = await Peer.connect(town)
        await bad.say(m.Hello("b", "b-1", 0, "guessed"))
        assert await bad.heard(m.Trouble) == m.Trouble(0, "wrong secret")
        assert await bad.hung_up()
        for peer in (good, bad):
            peer.close()

    with a_town(tcp=True) as town:
        run(scenario(town))
        with pytest.raises(ValueError, match="secret"):
            LinkServer(town.books, address="tcp:127.0.0.1:0")


def test_an_address_that_cannot_be_bound_is_told_at_once(town: Town) -> None:
    with pytest.raises(OSError, match="ddress already in use"):
        LinkServer(town.books, address=f"tcp:127.0.0.1:{_taken_port()}", secret="s").start()
    LinkServer(town.books, address="unix:/x").nudge()  # not started: nobody to tell


def _taken_port() -> int:
    import socket

    taken = socket.create_server(("127.0.0.1", 0))
    _kept.append(taken)
    port: int = taken.getsockname()[1]
    return port


_kept: list[object] = []


@pytest.mark.parametrize("text", ["", "unix:", "tcp:host", "tcp:host:port", "tcp:host:65536", "http://x"])
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unix:PATH"):
        address_of(text)


def test_addresses_are_read() -> None:
    assert address_of("unix:/a:b") == ("/a:b", ("", 0))
    assert address_of("tcp:[::1]:80") == (None, ("::1", 80))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x03abc",
        frame(m.Figures(1, "first")),
        frame(m.Hello("a", "a-1", 0)) + frame(m.Hello("a", "a-1", 0)),
        frame(m.Hello("a", "a-1", 0)) + b"\0\0\0\x01\xc0",
    ],
)
def test_nonsense_is_hung_up_on_and_the_others_are_served(town: Town, said: bytes) -> None:
    async def scenario() -> None:
        other = await Peer.hello(town, "other")
        peer = await Peer.connect(town)
        peer.writer.write(said)
        peer.writer.write_eof()
        assert await peer.hung_up()
        await other.say(m.OpenKey(1, b"?" * 32, 0))
        assert await other.heard(m.KeyOpened) == m.KeyOpened(1, None, None)
        for each in (peer, other):
            each.close()

    run(scenario())


def test_a_message_too_long_to_be_read_is_not_sent() -> None:
    with pytest.raises(LinkBroken, match="too long"):
        frame(m.Figures(1, "x" * FRAME_MAX))


def test_a_key_comes_with_money_where_there_is_some(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd="0.01")
        key_hash = town.add_key("sk-1", wallet_id)
        peer = await Peer.hello(town, "a")
        await peer.say(m.OpenKey(1, key_hash, 100))
        first = await peer.heard(m.KeyOpened)
        assert first.record is not None
        assert (first.record.wallet_id, first.record.status, first.record.group) == (wallet_id, "enabled", "default")
        assert first.lent == m.Lent(0, wallet_id, 100)
        await peer.say(m.OpenKey(2, key_hash, 10**12))
        assert (await peer.heard(m.KeyOpened)).lent is None
        peer.close()

    run(scenario())


def test_records_are_booked_once_and_a_gap_is_told(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd="0.01")
        peer = await Peer.hello(town, "a")
        await peer.say(m.Borrow(1, wallet_id, 100 * 1000, 0, 0, 0))
        data = b"".join(
            encode(record)
            for n in range(1000)
            for record in (opened(n, wallet_id=wallet_id), end_of(f"req_{n}", Money(40)))
        )
        for n in (2, 3):
            await peer.say(m.Records(n, "a-1", 0, data))
            assert await peer.heard(m.Taken) == m.Taken(n, "a-1", len(data))
        assert town.wallet(wallet_id) == (10_000_000 - 40_000, 60_000)
        await peer.say(m.Records(4, "a-1", len(data) + 5, data))
        assert await peer.heard(m.Taken) == m.Taken(4, "a-1", len(data))
        await peer.say(m.JournalEnd(5, "a-1", len(data) + 5))
        assert (await peer.heard(m.Trouble)).n == 5
        await peer.say(m.JournalEnd(6, "a-1", len(data)))
        assert await peer.heard(m.Taken) == m.Taken(6, "a-1", len(data))
        assert town.wallet(wallet_id) == (10_000_000 - 40_000, 0)
        await peer.say(m.Records(7, "a-1", len(data), encode(opened(5000))))
        assert (await peer.heard(m.Trouble)).n == 7
        await peer.say(m.Borrow(8, wallet_id, 100, 0, 0, 0))
        assert (await peer.heard(m.Trouble)).n == 8
        peer.close()

    run(scenario())


def test_money_given_back_beyond_reason_is_not_believed(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd="0.01")
        peer = await Peer.hello(town, "a")
        await peer.say(m.Returned(0, wallet_id, 5))
        await peer.say(m.Borrow(1, wallet_id, 100, 0, 0, 0))
        assert await peer.heard(m.Lent) == m.Lent(1, wallet_id, 100)
        await peer.say(m.Borrow(2, wallet_id, 10**12, 0, 999, 0))
        assert (await peer.heard(m.Trouble)).n == 2
        peer.close()

    run(scenario())
    assert any("was not noted" in record.message for record in caplog.records)


def test_who_lacks_changes_gets_them_and_who_lacks_too_many_gets_all(town: Town) -> None:
    async def scenario() -> None:
        town.add_model("one")
        peer = await Peer.connect(town)
        await peer.say(m.Hello("a", "a-1", 0))
        first = await peer.heard(m.Welcome)
        assert first.parts
        town.add_model("two")
        again = await Peer.connect(town)
        await again.say(m.Hello("a", "a-1", first.seq))
        assert await again.heard(m.Welcome) == m.Welcome(first.pepper, first.seq, None)
        delta = await again.heard(m.Delta)
        assert (delta.since, delta.seq, [change.key for change in delta.changes]) == (first.seq, first.seq + 1, ["two"])
        assert await peer.hung_up()  # the same journal spoke on a newer connection
        ahead = await Peer.connect(town)
        await ahead.say(m.Hello("b", "b-1", 10_000))
        welcome = await ahead.heard(m.Welcome)
        assert welcome.seq == delta.seq
        assert welcome.parts
        for each in (peer, again, ahead):
            each.close()

    run(scenario())


def test_an_ended_journal_is_not_welcome(town: Town) -> None:
    async def scenario() -> None:
        peer = await Peer.hello(town, "a")
        await peer.say(m.JournalEnd(1, "a-1", 0))
        await peer.heard(m.Taken)
        again = await Peer.connect(town)
        await again.say(m.Hello("a", "a-1", 0))
        assert await again.heard(m.Trouble) == m.Trouble(0, "the books cannot be opened")
        assert await again.hung_up()
        for each in (peer, again):
            each.close()

    run(scenario())


def test_figures_of_all_gateways_are_added_up_and_the_silent_left_out(town: Town) -> None:
    async def scenario() -> None:
        assert await town.server.figures() == ""
        peers = [await Peer.hello(town, name) for name in ("a", "b", "silent")]
        asking = asyncio.ensure_future(town.server.figures())
        for number, peer in enumerate(peers[:2]):
            pull = await peer.heard(m.PullFigures)
            await peer.say(m.Figures(pull.n, f"# TYPE yizhan_x counter\nyizhan_x {number + 1}\n"))
        assert await asking == "# TYPE yizhan_x counter\nyizhan_x 3\n"
        for peer in peers:
            peer.close()

    run(scenario())


def test_samples_are_added_by_name_and_labels() -> None:
    one = '# HELP h Time.\n# TYPE h histogram\nh_bucket{le="1.0"} 2\nh_sum 0.5\nh_count 2\nup 1\n'
    two = '# HELP h Time.\n# TYPE h histogram\nh_bucket{le="1.0"} 3\nh_bucket{le="a b"} 1\nh_sum 0.25\n\nup 1\n'
    assert added_up([one, two]) == (
        '# HELP h Time.\n# TYPE h histogram\nh_bucket{le="1.0"} 5\nh_sum 0.75\nh_count 2\nh_bucket{le="a b"} 1\nup 2\n'
    )


def test_changes_that_cannot_be_read_are_tried_again(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        peer = await Peer.hello(town, "a")
        fine = town.books.changes_since
        town.books.changes_since = lambda seq: fine(seq) if not broken.is_set() else _fail()  # type: ignore[method-assign]
        broken = threading.Event()
        broken.set()
        await until(lambda: any("changes could not" in record.message for record in caplog.records))
        broken.clear()
        town.add_model("one")
        town.server.nudge()
        assert (await peer.heard(m.Delta)).changes[0].key == "one"
        peer.close()

    def _fail() -> None:
        raise RuntimeError("the database is away")

    run(scenario())
