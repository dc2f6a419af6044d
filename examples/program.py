"""Any program as the handler of a job: ``streamq consume --exec``, for people who write no Python.

The program gets the job as JSON on its standard input, and fields of it as arguments.
"""

import asyncio
import subprocess
import sys

from streamq import App

COMMAND = "sh -c 'echo $1 is ready' sh {file}"


async def main() -> None:
    """In a shell: streamq produce file=cat.png; streamq consume --exec '…' --burst."""
    async with App() as app:
        await app.produce("", {"file": "cat.png"})
        arguments = ["consume", "--exec", COMMAND, "--burst", "--quiet", "--metrics-port", "0"]
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "streamq", *arguments], check=True
        )


if __name__ == "__main__":
    asyncio.run(main())

# cat.png is ready
