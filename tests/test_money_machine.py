"""Whatever is done to cards and orders, in any order, the books balance and the model is right."""

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from giftgql.settings import Settings
from giftgql.startup import open_store
from tests.client import Server
from tests.money_machine import MoneyMachine
from tests.order_machine import OrderMachine

EXAMPLES, STEPS = 8, 25
Machine = type[MoneyMachine] | type[OrderMachine]


def play(
    machine: Machine, settings_: Settings, examples: int, steps: int, *, seeded: bool = True
) -> None:
    """Let a machine play against a database of these settings."""
    with asyncio.Runner() as runner:
        store = runner.run(open_store(settings_))
        over = Server.over(store)
        server = runner.run(over.__aenter__())
        machine.over(store, runner, server)
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    derandomize=seeded,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(over.__aexit__(None, None, None))
            runner.run(store.close())


def test_money_is_where_the_model_says(settings: Settings) -> None:
    play(MoneyMachine, settings, EXAMPLES, STEPS)


def test_orders_leave_every_card_and_all_money_accounted_for(settings: Settings) -> None:
    play(OrderMachine, settings, 6, 15)
