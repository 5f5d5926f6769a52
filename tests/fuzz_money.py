"""The long form of `test_money_machine`: `scripts/fuzz-money --examples 500 --steps 60`."""

import argparse
import tempfile
from pathlib import Path

from giftgql.settings import Settings
from tests import servers
from tests.money_machine import MoneyMachine
from tests.order_machine import OrderMachine
from tests.test_money_machine import play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers.postgres() as postgres:
        for name, url in (("SQLite", ""), ("PostgreSQL", postgres.create())):
            settings = Settings(data_dir=Path(folder), database_url=url, _env_file=None)
            for machine in (MoneyMachine, OrderMachine):
                play(machine, settings, arguments.examples, arguments.steps, seeded=False)
                played = f"{arguments.examples} runs of {arguments.steps} steps"
                print(f"{name}, {machine.__name__}: {played}, no difference.", flush=True)


if __name__ == "__main__":
    main()
