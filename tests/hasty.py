"""A giftgql whose jobs are soon taken over from a process that was killed, and done bit by bit.

Run like `giftgql`, by `servers.start(environment, program="tests.hasty")`. Each piece of an import
is `PAUSE` seconds longer in the making, and waits for as long as there is a file `HOLD`.
"""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from giftgql import cli
from giftgql.imports import service as imports
from giftgql.jobs import service as jobs

if __name__ == "__main__":
    jobs.LEASE = timedelta(seconds=1.5)
    make, pause, hold = imports._batch, float(os.environ["PAUSE"]), Path(os.environ["HOLD"])

    async def slowly(*arguments: Any) -> Any:
        await asyncio.sleep(pause)
        while os.path.exists(hold):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.05)
        return await make(*arguments)

    setattr(imports, "_batch", slowly)  # noqa: B010  mypy knows its type
    cli.main()
