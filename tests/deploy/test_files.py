"""The Dockerfile, the manifests and the units: valid, and true to the commands and to Redis."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from streamq import App
from streamq.cli.command import Context
from streamq.cli.commands import app as cli
from streamq.limits import GRACE
from streamq.text import span

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))

pytestmark = pytest.mark.anyio


def program(name: str) -> str:
    """A program beside this Python or on the PATH; without it the test is skipped."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str, **options: Any) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return str(ran.stdout) + str(ran.stderr)


def manifests() -> Iterator[dict[str, Any]]:
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def manifest(kind: str, name: str = "worker") -> dict[str, Any]:
    [found] = [
        one for one in manifests() if one["kind"] == kind and one["metadata"]["name"] == name
    ]
    return found


DEPLOYMENTS = [one["metadata"]["name"] for one in manifests() if one["kind"] == "Deployment"]


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment", name)["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    [found] = pod(name)["containers"]
    assert isinstance(found, dict)
    return found


def options(words: list[str]) -> Mapping[str, Any]:
    """What the command line understands of a command's words."""
    name, *args = words
    command = cli.get_command(Context(cli), name)
    assert command is not None, f"there is no streamq {name}"
    with command.make_context(name, args) as context:
        return dict(context.params)


def seconds(time: str) -> float:
    found = span(time)
    assert found is not None, time
    return found


# -- what they say ------------------------------------------------------------


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_command_of_a_manifest_exists_and_listens_where_it_is_asked(name: str) -> None:
    said = options(container(name)["args"])
    port = said.get("metrics_port") or said["port"]
    assert port == container(name)["ports"][0]["containerPort"]
    assert (said.get("metrics_host") or said["host"]) == "0.0.0.0"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_no_pod_may_do_more_than_it_must(name: str) -> None:
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["automountServiceAccountToken"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "memory" in container(name)["resources"]["limits"]


def test_whoever_stops_a_worker_waits_longer_than_its_grace_period() -> None:
    grace = options(container("worker")["args"])["grace"]
    assert pod("worker")["terminationGracePeriodSeconds"] > grace
    unit = (ROOT / "deploy" / "systemd" / "streamq-worker@.service").read_text()
    [start] = re.findall("^ExecStart=/opt/streamq/bin/streamq (.*)$", unit, re.MULTILINE)
    [stop] = re.findall("^TimeoutStopSec=(.*)$", unit, re.MULTILINE)
    words = start.replace("%i", "images").split()
    assert float(stop) > seconds(words[words.index("--grace") + 1])
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert seconds(compose["services"]["worker"]["stop_grace_period"]) > GRACE


async def test_keda_asks_for_a_lag_that_redis_knows(app: App, client: redis.Redis) -> None:
    trigger = manifest("ScaledObject")["spec"]["triggers"][0]
    asked, said = trigger["metadata"], options(container("worker")["args"])
    assert trigger["type"] == "redis-streams"
    assert (said["streams"], said["groups"]) == ((asked["stream"],), (asked["consumerGroup"],))
    assert float(asked["lagCount"]) > float(asked["activationLagCount"])

    done = app.group(asked["consumerGroup"]).handler("t")
    done(lambda: None)
    await app.produce_many([("t", {})] * 3, stream=asked["stream"])
    await app.worker(burst=True, streams=[asked["stream"]]).run()
    await app.produce_many([("t", {})] * 2, stream=asked["stream"])
    found: Any = client.xinfo_groups(asked["stream"])
    assert [(group["name"], group["lag"]) for group in found] == [(asked["consumerGroup"], 2)]


# -- what others say of them --------------------------------------------------


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    run(program("hadolint"), str(ROOT / "Dockerfile"))


def test_the_manifests_are_what_kubernetes_takes() -> None:
    validate = program("kubernetes-validate")
    for path in sorted(KUBERNETES.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            run(validate, "--strict", "--kubernetes-version", "1.32", str(path))


def test_kustomize_builds_all_of_it() -> None:
    kubectl = program("kubectl")
    built = list(yaml.safe_load_all(run(kubectl, "kustomize", str(KUBERNETES))))
    assert {one["metadata"]["namespace"] for one in built} == {"streamq"}
    assert {one["metadata"]["name"] for one in built if one["kind"] == "Deployment"} == set(
        DEPLOYMENTS
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/streamq/bin/streamq", "/bin/true"))
    assert run(analyze, "verify", str(copy)) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_of_a_unit_exists(unit: Path) -> None:
    [start] = re.findall("^ExecStart=/opt/streamq/bin/streamq (.*)$", unit.read_text(), re.M)
    assert options(start.replace("%i", "images").split())


def test_compose_takes_its_file() -> None:
    docker = program("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker has no compose")
    found = json.loads(run(docker, "compose", "config", "--format", "json", cwd=ROOT))
    assert {"redis", "worker", "prometheus"} <= set(found["services"])
