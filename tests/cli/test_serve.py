"""``streamq serve`` as a program: who may come in, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import redis

from tests.cli.support import Program, Result, run_here
from tests.situations import add, entries

Start = Callable[..., Program]

TOKEN = "a-token-of-some-length"


def url_of(program: Program) -> str:
    """Where it listens, once it says so."""
    program.wait_for("(Ctrl-C stops it)")
    [url] = re.findall(r"http://\S+", program.printed)
    return str(url)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_a_job_by_curl(start: Start, client: redis.Redis) -> None:
    url = url_of(start("serve", "--port", "0"))
    sent = subprocess.run(
        ["curl", "-sS", "--json", '{"type": "resize", "data": {"n": 1}}', f"{url}/jobs"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [(id, fields)] = entries(client).items()
    assert json.loads(sent.stdout)["id"] == id
    assert fields == {"type": "resize", "data": '{"n":1}'}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_it_ends_in_good_order(start: Start, number: signal.Signals, code: int) -> None:
    program = start("serve", "--port", "0")
    url = url_of(program)
    with httpx.Client() as held:  # keeps its connection
        assert held.get(f"{url}/healthz").is_success
        program.signal(number)
        ended = program.end()
    assert ended.code == code
    assert ended.out == f"The API of streamq is at {url} (Ctrl-C stops it)\n"
    assert ended.err == ""


def test_who_waits_for_a_result_is_answered_at_the_end(start: Start, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    id = add(client, {"type": "t"})
    program = start("serve", "--port", "0")
    host, port = url_of(program).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"GET /jobs/{id}/result?timeout=60 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        )
        while not client.execute_command("PUBSUB", "SHARDCHANNELS"):  # type: ignore[no-untyped-call]  # redis-py's
            pass
        program.signal(signal.SIGINT)
        answer = connection.makefile().read()
    assert answer.startswith("HTTP/1.1 202")
    assert "the server stops" in answer
    assert program.end().code == 130


def test_elsewhere_than_on_this_machine_it_needs_a_token(
    start: Start, streamq: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STREAMQ_TOKEN", raising=False)
    refused = streamq("serve", "--host", "0.0.0.0", "--port", "0")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "streamq: whoever reaches 0.0.0.0 could read and change all jobs: set STREAMQ_TOKEN or "
        "give --token, or listen on --host 127.0.0.1\n"
    )

    program = start("serve", "--host", "0.0.0.0", "--port", "0", env={"STREAMQ_TOKEN": TOKEN})
    url = url_of(program).replace("0.0.0.0", "127.0.0.1")
    assert httpx.get(f"{url}/streams").status_code == 401
    assert httpx.get(f"{url}/streams", headers={"authorization": f"Bearer {TOKEN}"}).is_success
    assert httpx.get(f"{url}/streams", auth=("ann", TOKEN)).is_success


def test_options(start: Start, scratch: Path, client: redis.Redis) -> None:
    (scratch / "shop.py").write_text("from streamq import App\napp = App(stream='orders')\n")
    client.xadd("orders", {"type": "t"})
    client.xadd("mail", {"type": "t"})

    url = url_of(
        start("serve", "--port", "0", "--app", "shop:app", "--allow-host", "queue.example")
    )
    assert [one["name"] for one in httpx.get(f"{url}/streams").json()["items"]] == ["orders"]
    assert httpx.get(f"{url}/streams", headers={"host": "queue.example"}).is_success
    assert httpx.get(f"{url}/streams", headers={"host": "evil.example"}).status_code == 421

    url = url_of(start("serve", "--port", "0", "-s", "m*", "--read-only", "--basic-auth", "ann:x"))
    with httpx.Client(auth=("ann", "x")) as ann:
        assert [one["name"] for one in ann.get(f"{url}/streams").json()["items"]] == ["mail"]
        assert ann.post(f"{url}/jobs", json={"type": "t", "stream": "mail"}).status_code == 403
    assert httpx.get(f"{url}/streams").status_code == 401


def test_what_cannot_work_is_said_at_the_start(
    streamq: Callable[..., Result], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = streamq("serve", "--port", port)
    assert (refused.code, refused.out) == (2, "")
    assert f"another program listens on 127.0.0.1:{port}: give another --port" in refused.err

    for args, words in (
        (["--host", "no such host"], "there is no such address"),
        (["--token", "a b"], "the token cannot be used"),
        (["--basic-auth", "ann"], "give NAME:PASSWORD"),
        (["--stream", ""], "a stream to be served has no name"),
        (["--app", "nothing:app"], "no module named nothing"),
        (["--port", "70000"], "70000 is not a port"),
    ):
        refused = streamq("serve", "--port", "0", *args)
        assert (refused.code, refused.out) == (2, ""), args
        assert words in refused.err

    away = run_here(["serve", "--port", "0", "--url", "redis://127.0.0.1:1"], capsys)
    assert (away.code, away.out) == (69, "")


def test_without_the_extra_it_says_how_to_get_it(scratch: Path) -> None:
    code = (
        "import importlib.util as util, sys\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'starlette' else found(name, *a)\n"
        "from streamq.cli import main\n"
        "main(['serve'])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "streamq: starlette is not installed: pip install 'streamq[dashboard]'\n"
