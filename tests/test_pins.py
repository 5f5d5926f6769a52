"""PINs and CVVs: checked in few threads, equally long whatever is known, and never shown."""

import asyncio
import os
import sys
import threading
from pathlib import Path
from time import perf_counter

import pytest

from giftgql import pins
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput, Unavailable
from giftgql.pins import Pins, Queue
from giftgql.vault import Keyring, KeyringError, Vault, valid_cvv

pytestmark = pytest.mark.real_argon2

CODE, OTHER = CodeText("GC-4928 8330"), CodeText("GC-4928 8331")
PHYSICAL, EXTERNAL = CodeType.PHYSICAL, CodeType.EXTERNAL


@pytest.fixture
def vault() -> Vault:
    return Vault(Keyring.new())


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The verifiers that argon2 has run against."""
    seen = list[str]()
    real = Pins._matches

    def noted(self: Pins, prepared: bytes, verifier: str) -> bool:
        seen.append(verifier)
        return real(self, prepared, verifier)

    monkeypatch.setattr(Pins, "_matches", noted)
    return seen


def queue(*, waiting: int = 2, patience: float | None = 0.05) -> Queue:
    return Queue(
        1, work="check", waiting=waiting, patience=patience, why="Too many.", retry_after=3
    )


async def until_waiting(full: Queue, number: int) -> None:
    for _ in range(1_000):
        if full.waiting == number:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{full.waiting} are waiting, not {number}")


async def test_a_pin_is_right_with_its_own_code_only(vault: Vault) -> None:
    verifier = await vault.hash_pin(PHYSICAL, CODE, "0123")
    assert await vault.verify_pin(PHYSICAL, CodeText("gc49288330"), "0123", verifier)
    for kind, code, pin in (
        (PHYSICAL, CODE, "0124"),
        (PHYSICAL, CODE, "123"),
        (PHYSICAL, OTHER, "0123"),
        (EXTERNAL, CODE, "0123"),
    ):
        assert not await vault.verify_pin(kind, code, pin, verifier)


async def test_no_pin_is_right_without_a_verifier(vault: Vault) -> None:
    assert not await vault.verify_pin(PHYSICAL, CODE, "0123", None)
    assert not await vault.verify_cvv(PHYSICAL, CODE, "012", None)


async def test_every_check_is_one_run_of_argon2_of_the_same_cost(
    vault: Vault, runs: list[str]
) -> None:
    pin = await vault.hash_pin(PHYSICAL, CODE, "0123")
    quick = vault.hash_cvv(PHYSICAL, CODE, "012")
    slow = await vault.harden_cvv(PHYSICAL, CODE, "012")
    assert runs == []
    for secret in ("0123", "9999"):
        for verifier in (pin, None):
            await vault.verify_pin(PHYSICAL, CODE, secret, verifier)
            assert len(runs) == 1
            assert runs.pop().startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for secret in ("012", "999"):
        for verifier in (quick, slow, None):
            await vault.verify_cvv(PHYSICAL, CODE, secret, verifier)
            assert len(runs) == 1
            assert runs.pop().startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_what_nothing_matches_looks_like_any_other_verifier(vault: Vault) -> None:
    verifier = (await vault.hash_pin(PHYSICAL, CODE, "0123")).partition("$")[2]
    nobodys = vault._pins._nobodys.removeprefix("$")
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in verifier.split("$")]


async def test_a_cvv_is_right_in_both_forms_with_its_own_code_only(vault: Vault) -> None:
    quick = vault.hash_cvv(PHYSICAL, CODE, "012")
    slow = await vault.harden_cvv(PHYSICAL, CODE, "012")
    assert quick.startswith("1$hmac$")
    assert slow.startswith("1$argon2id$")
    for verifier in (quick, slow):
        assert len(verifier) <= 200
        assert await vault.verify_cvv(PHYSICAL, CodeText("gc49288330"), "012", verifier)
        for kind, code, cvv in (
            (PHYSICAL, CODE, "013"),
            (PHYSICAL, OTHER, "012"),
            (EXTERNAL, CODE, "012"),
        ):
            assert not await vault.verify_cvv(kind, code, cvv, verifier)


async def test_a_verifier_of_a_pin_is_none_of_a_cvv(vault: Vault) -> None:
    pin = await vault.hash_pin(PHYSICAL, CODE, "0123")
    assert not await vault.verify_cvv(PHYSICAL, CODE, "0123", pin)
    cvv = await vault.harden_cvv(PHYSICAL, CODE, "0123")
    assert not await vault.verify_pin(PHYSICAL, CODE, "0123", cvv)


async def test_a_cvvs_verifier_needs_the_servers_key(vault: Vault) -> None:
    verifier = vault.hash_cvv(PHYSICAL, CODE, "012")
    assert Vault(Keyring.new()).hash_cvv(PHYSICAL, CODE, "012") != verifier
    assert not await Vault(Keyring.new()).verify_cvv(PHYSICAL, CODE, "012", verifier)


async def test_verifiers_of_old_keys_stay_good_and_are_known_as_old(vault: Vault) -> None:
    pin = await vault.hash_pin(PHYSICAL, CODE, "0123")
    cvv = vault.hash_cvv(PHYSICAL, CODE, "012")
    rotated = Vault(vault.ring.rotated())
    assert await rotated.verify_pin(PHYSICAL, CODE, "0123", pin)
    assert await rotated.verify_cvv(PHYSICAL, CODE, "012", cvv)
    for old, new in (
        (pin, await rotated.hash_pin(PHYSICAL, CODE, "0123")),
        (cvv, rotated.hash_cvv(PHYSICAL, CODE, "012")),
    ):
        assert not vault.needs_new_pepper(old)
        assert rotated.needs_new_pepper(old)
        assert not rotated.needs_new_pepper(new)


async def test_a_running_server_checks_a_pin_of_another_processs_new_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keyring.new().write(file)
    running, rotating = Vault.open(file), Vault.open(file)
    rotating.ring.rotated().write(file, replacing=True)
    verifier = await rotating.hash_pin(PHYSICAL, CODE, "0123")
    assert verifier.startswith("2$")
    assert await running.verify_pin(PHYSICAL, CODE, "0123", verifier)
    with pytest.raises(KeyringError, match="Key 7 is not in the key file"):
        await running.verify_pin(PHYSICAL, CODE, "0123", f"7{verifier[1:]}")


@pytest.mark.parametrize("altered", ["", "1", "x$argon2id$", "1$argon2id$v=19$m=8", "1$plain$0123"])
async def test_a_verifier_that_was_altered_is_a_fault_and_not_shown(
    vault: Vault, altered: str
) -> None:
    with pytest.raises(KeyringError, match="was altered") as refused:
        await vault.verify_pin(PHYSICAL, CODE, "0123", altered)
    assert "0123" not in str(refused.value)


@pytest.mark.parametrize("cvv", ["", "12", "1" * 9, "12a", "123\n", " 123", "١٢٣", "1.23"])
def test_a_cvv_is_3_to_8_digits(cvv: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        valid_cvv(cvv, "cvv")
    assert refused.value.field == "cvv"
    assert cvv not in str(refused.value) or not cvv
    assert valid_cvv("000", "cvv") == "000"
    assert valid_cvv("1" * 8, "cvv") == "1" * 8


async def test_nothing_secret_is_printed(vault: Vault) -> None:
    verifier = await vault.hash_pin(PHYSICAL, CODE, "0123")
    checking = asyncio.create_task(vault.verify_pin(PHYSICAL, CODE, "0123", verifier))
    await asyncio.sleep(0)
    shown = "".join(map(repr, (vault, vault._pins, vault._pins._checking, checking)))
    assert await checking
    for secret in ("0123", "4928", verifier, vault._pins._nobodys):
        assert secret not in shown


async def test_a_full_queue_refuses_at_once(vault: Vault) -> None:
    done = threading.Event()
    full = queue(patience=None)
    tasks = [asyncio.create_task(full.run(done.wait)) for _ in range(3)]
    await until_waiting(full, 2)
    with pytest.raises(Unavailable, match="Too many") as refused:
        await full.run(done.wait)
    assert refused.value.facts == {"retryAfter": 3}
    done.set()
    assert await asyncio.gather(*tasks) == [True] * 3
    assert await full.run(done.wait)
    full.close()


async def test_who_waits_too_long_for_a_thread_is_refused() -> None:
    done = threading.Event()
    full = queue()
    first = asyncio.create_task(full.run(done.wait))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await full.run(done.wait)
    assert full.waiting == 0
    done.set()
    assert await first
    full.close()


async def test_who_goes_away_while_waiting_frees_its_place() -> None:
    done = threading.Event()
    full = queue(patience=None)
    first, second, third = (asyncio.create_task(full.run(done.wait)) for _ in range(3))
    await until_waiting(full, 2)
    second.cancel()
    await until_waiting(full, 1)
    fourth = asyncio.create_task(full.run(done.wait))
    await until_waiting(full, 2)
    done.set()
    assert all(await asyncio.gather(first, third, fourth))
    assert second.cancelled()
    full.close()


async def test_who_goes_away_during_the_work_does_not_free_a_busy_thread() -> None:
    done = threading.Event()
    busy = queue()
    first = asyncio.create_task(busy.run(done.wait))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(Unavailable):
        await busy.run(done.wait)
    done.set()
    await asyncio.sleep(0.01)
    assert await busy.run(done.wait)
    busy.close()


async def test_a_failure_in_a_thread_frees_it() -> None:
    failing = queue()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await failing.run(lambda: 1 // 0)
    assert await failing.run(lambda: 1) == 1
    failing.close()


async def test_forty_checks_at_once_are_refused_or_answered_rightly(vault: Vault) -> None:
    verifier = await vault.hash_pin(PHYSICAL, CODE, "0123")
    checks = (vault.verify_pin(PHYSICAL, CODE, "0123", verifier) for _ in range(40))
    answers = await asyncio.gather(*checks, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, Unavailable)]
    assert all("Too many PINs are being checked." in str(each) for each in refused)
    right = answers.count(True)
    assert right + len(refused) == 40
    assert 1 <= right <= pins.CHECKS_WAITING + pins.CHECKING_THREADS


async def test_an_import_does_not_keep_a_check_waiting(vault: Vault) -> None:
    verifier = await vault.hash_pin(PHYSICAL, CODE, "0123")
    hashing = [asyncio.create_task(vault.hash_pin(PHYSICAL, CODE, "0123")) for _ in range(100)]
    await asyncio.sleep(0.01)
    assert await vault.verify_pin(PHYSICAL, CODE, "0123", verifier)
    assert sum(task.done() for task in hashing) < 50
    for task in hashing:
        task.cancel()
    await asyncio.gather(*hashing, return_exceptions=True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lowers single threads")
async def test_its_threads_step_back_behind_the_event_loop() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    stepping = queue()
    assert await stepping.run(priority) == max(before, pins.NICENESS)
    assert priority() == before
    stepping.close()


async def test_the_event_loop_goes_on_during_a_check(vault: Vault) -> None:
    check = asyncio.create_task(vault.verify_pin(PHYSICAL, CODE, "0123", None))
    turns, began = 0, perf_counter()
    while not check.done() and perf_counter() - began < 10:
        await asyncio.sleep(0)
        turns += 1
    assert not check.result()
    assert turns > 10
