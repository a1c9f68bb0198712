from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.http1.client_scene import OK, PATIENT, Script, answering, calling, get, hear, run, serving, until

from yizhan.http1.client import Origin, Timeouts
from yizhan.http1.dial import connect_any
from yizhan.http1.dns import Address, Resolver, take_turns
from yizhan.http1.message import ConnectFailed, TooSlow, Truncated


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: str, signer: ec.EllipticCurvePrivateKey, authority: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - hour)
        .not_valid_after(now + hour)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS context, and a client's that believes the authority behind it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("test authority", ca_key, issuer="test authority", signer=ca_key, authority=True)
    leaf = _certificate("localhost", key, issuer="test authority", signer=ca_key, authority=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(pem) + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem")
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.create_default_context(cadata=ca.public_bytes(pem).decode())
    client.set_alpn_protocols(["http/1.1"])
    return server, client


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def test_tls_speaks_http_1_1_to_the_right_name_and_keeps_the_connection(contexts: Contexts) -> None:
    async def story() -> None:
        seen: list[object] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
            await answering(OK)(reader, writer)

        async with serving(script, tls=contexts[0]) as origin, calling(tls=contexts[1]) as client:
            for _ in range(3):
                assert await (await get(client, origin, body=b"x" * 300_000)).read(10) == b"ok"
            assert (seen, client.connections) == (["http/1.1"], 1)

    run(story())


def test_tls_that_cannot_be_verified_is_refused(contexts: Contexts) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")

    async def story() -> None:
        async with serving(answering(OK), tls=contexts[0]) as origin, serving(greet) as plain:
            async with calling() as client:
                with pytest.raises(ConnectFailed):  # an authority the system does not know
                    await get(client, origin)
                answer = await get(client, origin, tls=contexts[1])  # contexts do not share connections
                assert await answer.read(10) == b"ok"
                with pytest.raises(ConnectFailed):
                    await get(client, origin)
            async with calling(tls=contexts[1]) as client:
                with pytest.raises(ConnectFailed):  # another name
                    await get(client, Origin("https", "127.0.0.1", origin.port))
                with pytest.raises(ConnectFailed):  # no TLS at all on the other side
                    await get(client, Origin("https", "localhost", plain.port))
                assert client.connections == 0

    run(story())


def test_a_length_that_tls_cuts_short_is_truncated(contexts: Contexts) -> None:
    async def story() -> None:
        short = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nabc"
        script = answering(short, then_close=True)
        async with serving(script, tls=contexts[0]) as origin, calling(tls=contexts[1]) as client:
            with pytest.raises(Truncated):
                await (await get(client, origin)).read(50)

    run(story())


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_body_until_the_end_of_tls_ends_only_with_a_goodbye(contexts: Contexts, goodbye: bool) -> None:
    async def story() -> None:
        got: list[bytes] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
            await until(lambda: got)
            if goodbye:
                writer.close()
            else:
                writer.transport.abort()

        async with serving(script, tls=contexts[0]) as origin, calling(tls=contexts[1]) as client:
            answer = await get(client, origin)
            if goodbye:
                await answer.pipe(got.append)
            else:
                with pytest.raises(Truncated):
                    await answer.pipe(got.append)
            assert got == [b"hello"]

    run(story())


def test_a_handshake_that_hangs_is_given_up_and_leaves_nothing_open() -> None:
    async def story() -> None:
        gone = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until the client hangs up
            gone.set()

        async with serving(script) as plain, calling() as client:
            origin = Origin("https", "localhost", plain.port)
            with pytest.raises(TooSlow) as caught:
                await get(client, origin, timeouts=Timeouts(connect_s=0.1, first_byte_s=5, idle_s=5, total_s=5))
            assert caught.value.phase == "connect"
            await asyncio.wait_for(gone.wait(), 5)
            assert client.connections == 0

    run(story())


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_join(reader, up_writer), _join(up_reader, writer), return_exceptions=True)


def _http_proxy(seen: list[bytes], answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await hear(reader)
        seen.append(heard.line + b"|" + heard.headers.get(b"proxy-authorization", b""))
        writer.write(answer)
        if b" 200 " in answer:
            await _tunnel(reader, writer, int(heard.line.split()[1].rpartition(b":")[2]))

    return script


def _socks_proxy(seen: list[bytes], *, secret: bool) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert (2 in methods) or not secret
        writer.write(b"\x05\x02" if secret else b"\x05\x00")
        if secret:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            seen.append(user + b":" + password)
            writer.write(b"\x01\x00" if password == b"p@ss" else b"\x01\x01")
        _, _, _, kind = await reader.readexactly(4)
        host = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        seen.append(host)
        for byte in b"\x05\x00\x00\x03\x04host\x00\x50":
            writer.write(bytes([byte]))
            await writer.drain()
        await _tunnel(reader, writer, port)

    return script


@pytest.mark.parametrize("secure", [False, True])
def test_requests_go_through_an_http_proxy(contexts: Contexts, secure: bool) -> None:
    async def story() -> None:
        seen: list[bytes] = []
        tls = contexts[0] if secure else None
        proxy = serving(_http_proxy(seen))
        async with serving(answering(OK), tls=tls) as origin, proxy as way, calling(tls=contexts[1]) as client:
            for _ in range(2):
                answer = await get(client, origin, proxy=f"http://u:p%40@127.0.0.1:{way.port}")
                assert await answer.read(10) == b"ok"
            assert seen == [f"CONNECT {origin.authority} HTTP/1.1|Basic dTpwQA==".encode()]
            assert await (await get(client, origin)).read(10) == b"ok"
            assert client.connections == 2  # the direct way and the proxy's do not mix

    run(story())


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("secret", [False, True])
def test_requests_go_through_a_socks_proxy(contexts: Contexts, secure: bool, secret: bool) -> None:
    async def story() -> None:
        seen: list[bytes] = []
        tls = contexts[0] if secure else None
        proxy = serving(_socks_proxy(seen, secret=secret))
        async with serving(answering(OK), tls=tls) as origin, proxy as way, calling(tls=contexts[1]) as client:
            login = "u:p%40ss@" if secret else ""
            answer = await get(client, origin, proxy=f"socks5://{login}127.0.0.1:{way.port}")
            assert await answer.read(10) == b"ok"
            host = b"localhost" if secure else socket.inet_aton("127.0.0.1")
            assert seen == ([b"u:p@ss"] if secret else []) + [host]

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nand a word of its own",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"\x05\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000,
        b"",
    ],
)
def test_a_proxy_that_refuses_or_speaks_nonsense_is_a_failed_connection(answer: bytes) -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(answer)

        async with serving(script) as way, calling() as client:
            with pytest.raises(ConnectFailed):
                await get(client, Origin("http", "127.0.0.1", 1), proxy=f"http://127.0.0.1:{way.port}")
            assert client.connections == 0

    run(story())


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x05", b"\x05\xff", b"\x05\x07", b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", b"HTTP/1.1 400 Bad"],
)
def test_a_socks_proxy_that_refuses_or_speaks_nonsense_is_a_failed_connection(answer: bytes) -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(answer)

        async with serving(script) as way, calling() as client:
            with pytest.raises(ConnectFailed):
                await get(client, Origin("http", "127.0.0.1", 1), proxy=f"socks5h://127.0.0.1:{way.port}")

    run(story())


@pytest.mark.parametrize("url", ["ftp://h:1", "nonsense", "http://:80", "http://h:99999"])
def test_a_proxy_nobody_can_read_is_a_failed_connection(url: str) -> None:
    async def story() -> None:
        async with calling() as client:
            with pytest.raises(ConnectFailed):
                await get(client, Origin("http", "127.0.0.1", 1), proxy=url)

    run(story())


def test_a_unix_socket_is_an_origin(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await answering(OK)(reader, writer)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_unix_server(script, tmp_path / "s")
        origin, prefix = Origin.parse(f"unix:{tmp_path / 's'}")
        async with calling() as client:
            for _ in range(2):
                assert await (await get(client, origin)).read(10) == b"ok"
            assert (prefix, client.connections) == (b"", 1)
        server.close()

    run(story())


def _v4(port: int) -> Address:
    return socket.AF_INET, ("127.0.0.1", port)


def test_the_next_address_is_tried_when_one_fails_or_hangs() -> None:
    async def story() -> None:
        hanging = socket.create_server(("127.0.0.1", 0), backlog=0)
        port = hanging.getsockname()[1]
        fill = [socket.socket() for _ in range(3)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))  # the backlog is full: further connections hang
        async with serving(answering(OK)) as origin:
            slow = _v4(port)
            for first in (slow, (socket.AF_INET6, ("::1", 1, 0, 0)), _v4(1)):
                sock = await connect_any([first, _v4(origin.port)], stagger_s=0.05)
                assert sock.getpeername()[1] == origin.port
                sock.close()
            with pytest.raises(OSError, match=r"(refused|unreachable|assign|not available)|\d"):
                await connect_any([_v4(1), _v4(2)])
            with pytest.raises(OSError, match="no address"):
                await connect_any([])
        for sock in (*fill, hanging):
            sock.close()

    run(story())


def test_the_families_take_turns() -> None:
    six: list[Address] = [(socket.AF_INET6, (f"::{n}", 1, 0, 0)) for n in range(3)]
    assert take_turns([*six, _v4(1)]) == [six[0], _v4(1), six[1], six[2]]
    assert take_turns([]) == []


def test_names_are_remembered_asked_for_once_and_outlive_the_resolver() -> None:
    async def story() -> None:
        asked = 0
        works = True
        gate = asyncio.Event()

        async def lookup(host: str, port: int) -> list[Address]:
            nonlocal asked
            asked += 1
            await gate.wait()
            if not works:
                raise OSError("the resolver is down")
            return [_v4(port)]

        resolver = Resolver(asyncio.get_running_loop(), ttl_s=0, lookup=lookup)
        lasting = Resolver(asyncio.get_running_loop(), ttl_s=60, lookup=lookup)
        together = [asyncio.ensure_future(resolver.find("h", 1)) for _ in range(5)]
        await asyncio.sleep(0)
        together.pop().cancel()  # which must not end the look-up of the others
        gate.set()
        assert await asyncio.gather(*together) == [[_v4(1)]] * 4
        assert asked == 1
        works = False
        assert await resolver.find("h", 1) == [_v4(1)]  # stale, but better than nothing
        assert asked == 2
        with pytest.raises(OSError, match="down"):
            await resolver.find("unknown", 1)
        works = True
        for _ in range(3):
            await lasting.find("h", 1)
        assert asked == 4

    run(story())


def test_a_name_is_resolved_by_the_system() -> None:
    async def story() -> None:
        async with serving(answering(OK)) as origin, calling() as client:
            answer = await get(client, Origin("http", "localhost", origin.port), timeouts=PATIENT)
            assert await answer.read(10) == b"ok"

    run(story())
