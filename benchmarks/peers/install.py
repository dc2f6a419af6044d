"""Install the peers, each in an environment of its own: `python benchmarks/peers/install.py`.

Versions are pinned in each peer's `requirements.txt` or `package-lock.json`. An environment that
has them already is left alone. Without arguments all peers are installed; BullMQ needs Node.js.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PEERS = Path(__file__).parent
ENVIRONMENTS = PEERS.parent / ".envs"


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Install the peers that the benchmarks measure, under benchmarks/.envs.",
        epilog="example:\n  python benchmarks/peers/install.py arq bullmq",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("peers", nargs="*", metavar="PEER", help="only these (default: all)")
    wanted = parser.parse_args().peers or installable()
    unknown = sorted(set(wanted) - set(installable()))
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}: there are {', '.join(installable())}")
    failed = [peer for peer in wanted if not install(peer)]
    if failed:
        print(f"error: not installed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def installable() -> list[str]:
    """The peers with pinned versions, in alphabetical order."""
    return sorted(
        folder.name for folder in PEERS.iterdir() if folder.is_dir() and pins(folder.name)
    )


def pins(peer: str) -> list[Path]:
    names = ("requirements.txt", "package.json", "package-lock.json")
    return [PEERS / peer / name for name in names if (PEERS / peer / name).exists()]


def install(peer: str) -> bool:
    """Bring an environment to its pinned versions; returns whether it has them."""
    environment = ENVIRONMENTS / peer
    stamp = environment / ".installed"
    digest = hashlib.sha256(sys.version.encode())
    for file in pins(peer):
        digest.update(file.read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        print(f"{peer}: installed")
        return True
    print(f"{peer}: installing", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.mkdir(parents=True)
    try:
        if (PEERS / peer / "package.json").exists():
            install_node(peer, environment)
        else:
            install_python(peer, environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{peer}: {error}", file=sys.stderr)
        return False
    stamp.write_text(digest.hexdigest())
    return True


def install_python(peer: str, environment: Path) -> None:
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    requirements = str(PEERS / peer / "requirements.txt")
    # Every dependency is pinned, so none needs to be resolved; one that is missing would show.
    subprocess.run([*pip, "install", "-qq", "--no-deps", "-r", requirements], check=True)


def install_node(peer: str, environment: Path) -> None:
    for file in pins(peer):
        shutil.copy(file, environment)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(command, cwd=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
