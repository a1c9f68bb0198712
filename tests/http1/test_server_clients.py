"""Callers that we did not write: aiohttp, curl, Node, Java; and TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import ipaddress
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.http1.server_stage import run, serving, until

from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

NODE = """
const http = require('node:http');
const port = process.argv[2], url = `http://127.0.0.1:${port}`;
(async () => {
  const agent = new http.Agent({ keepAlive: true });
  const post = (body, headers) => new Promise((done, fail) => {
    const request = http.request(`${url}/echo`, { method: 'POST', agent, headers }, answer => {
      let text = ''; answer.setEncoding('utf8'); answer.on('data', piece => text += piece);
      answer.on('end', () => done(text));
    });
    request.on('error', fail); request.end(body);
  });
  console.log(await post('chunked', { 'transfer-encoding': 'chunked' }));
  console.log(await post('expected', { expect: '100-continue', 'content-length': 8 }));
  agent.destroy();
  console.log(await (await fetch(`${url}/echo`, { method: 'POST', body: 'fetched' })).text());
  let text = '';
  for await (const piece of (await fetch(`${url}/stream`)).body) text += Buffer.from(piece).toString();
  console.log(text);
  try { await (await fetch(`${url}/broken`)).text(); console.log('whole'); } catch { console.log('broken'); }
})();
"""

JAVA = """
import java.net.*; import java.net.http.*; import java.net.http.HttpResponse.BodyHandlers;
public class Call {
  public static void main(String[] args) throws Exception {
    HttpClient client = HttpClient.newHttpClient();  // asks for an upgrade to h2c
    String url = "http://127.0.0.1:" + args[0];
    HttpRequest.Builder echo = HttpRequest.newBuilder(URI.create(url + "/echo"));
    for (int n = 0; n < 2; n++)
      System.out.println(client.send(echo.POST(HttpRequest.BodyPublishers.ofString("java" + n)).build(),
        BodyHandlers.ofString()).body());
    System.out.println(client.send(HttpRequest.newBuilder(URI.create(url + "/stream")).build(),
      BodyHandlers.ofString()).body());
    try {
      client.send(HttpRequest.newBuilder(URI.create(url + "/broken")).build(), BodyHandlers.ofString());
      System.out.println("whole");
    } catch (java.io.IOException broken) { System.out.println("broken"); }
  }
}
"""


async def handler(request: Request, reply: Reply) -> None:
    if request.path == b"/echo":
        reply.send(200, [(b"content-type", b"text/plain")], await request.body())
        return
    reply.start(200, [(b"content-type", b"text/plain")])
    for n in range(3):
        reply.write(b"<%d>" % n)
        await asyncio.sleep(0.01)
    if request.path == b"/broken":
        reply.abort()
    else:
        reply.end(b"end")


async def _run_program(*command: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().splitlines()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2120))
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


def _tls(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    server.set_alpn_protocols(["http/1.1"])
    return server, ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize("encrypted", [False, True])
def test_aiohttp_is_served(certificate: Path, *, encrypted: bool) -> None:
    async def story() -> None:
        server, client = _tls(certificate)
        async with serving(handler, tls=server if encrypted else None) as stage:
            url = f"http{'s' if encrypted else ''}://127.0.0.1:{stage.port}"
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client)) as session:
                for body in (b"short", b"x" * 5_000_000):
                    async with session.post(f"{url}/echo", data=io.BytesIO(body)) as answer:
                        assert await answer.read() == body
                    async with session.post(
                        f"{url}/echo", data=io.BytesIO(body), chunked=True, expect100=True
                    ) as answer:
                        assert await answer.read() == body
                async with session.get(f"{url}/stream") as answer:
                    assert await answer.read() == b"<0><1><2>end"
                async with session.get(f"{url}/broken") as answer:
                    with pytest.raises(aiohttp.ClientPayloadError):
                        await answer.read()
            assert stage.errors == []
            await until(lambda: stage.server.connections == 0)

    run(story())


def test_tls_speaks_http_1_1_and_tells_when_the_caller_left(certificate: Path) -> None:
    left = asyncio.Event()

    async def waiting(request: Request, reply: Reply) -> None:
        reply.on_gone(left.set)
        reply.start(200, [])
        reply.write(b"one")
        await left.wait()

    async def story() -> None:
        server, client = _tls(certificate)
        client.set_alpn_protocols(["h2", "http/1.1"])
        async with serving(waiting, tls=server) as stage:
            wire = await stage.call(ssl=client, server_hostname="localhost")
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await wire.reader.readuntil(b"one\r\n")
            found = wire.writer.get_extra_info("ssl_object")
            assert found.selected_alpn_protocol() == "http/1.1"
            wire.close()
            await left.wait()
            await until(lambda: stage.server.in_flight == 0)

    run(story())


def test_a_refusal_arrives_over_tls_while_the_caller_is_still_sending(certificate: Path) -> None:
    async def story() -> None:
        server, client = _tls(certificate)
        async with serving(handler, tls=server) as stage:
            wire = await stage.call(ssl=client, server_hostname="localhost")
            wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99000000\r\n\r\n" + b"x" * 3_000_000)
            assert (await wire.answer()).status == 413

    run(story())


def test_a_stranger_that_never_ends_its_handshake_is_cut_off(certificate: Path) -> None:
    async def story() -> None:
        server, _ = _tls(certificate)
        async with serving(handler, tls=server) as stage:
            wire = await stage.call()
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # no handshake at all
            assert b"200" not in await wire.rest()
            assert stage.server.connections == 0

    run(story())


def test_curl_is_served(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    async def story() -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(b"x" * 2_000_000)
        async with serving(handler) as stage:
            url = f"http://127.0.0.1:{stage.port}"
            quiet = ("curl", "-sS", "--noproxy", "*")
            assert await _run_program(*quiet, "-d", "hi", f"{url}/echo") == ["hi"]
            sent = await _run_program(
                *quiet, "-H", "Expect: 100-continue", "--data-binary", f"@{upload}", f"{url}/echo"
            )
            assert sent == ["x" * 2_000_000]
            chunked = ("-H", "Transfer-Encoding: chunked")
            assert await _run_program(*quiet, *chunked, "-d", "hi", f"{url}/echo") == ["hi"]
            assert await _run_program(*quiet, "--http1.0", f"{url}/stream") == ["<0><1><2>end"]
            heads = await _run_program(*quiet, "-I", f"{url}/stream", f"{url}/stream")
            assert heads.count("HTTP/1.1 200 OK") == 2
            assert stage.errors == []

    run(story())


def test_node_is_served(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")

    async def story() -> None:
        program = tmp_path / "call.cjs"
        program.write_text(NODE)
        async with serving(handler) as stage:
            said = await _run_program("node", str(program), str(stage.port))
            assert said == ["chunked", "expected", "fetched", "<0><1><2>end", "broken"]
            assert stage.errors == []

    run(story())


def test_java_is_served_although_it_asks_for_an_upgrade(tmp_path: Path) -> None:
    if shutil.which("javac") is None and shutil.which("java") is None:
        pytest.skip("java is not installed")

    async def story() -> None:
        program = tmp_path / "Call.java"
        program.write_text(JAVA)
        async with serving(handler) as stage:
            said = await _run_program("java", str(program), str(stage.port))
            assert said == ["java0", "java1", "<0><1><2>end", "broken"]
            assert stage.errors == []

    run(story())
