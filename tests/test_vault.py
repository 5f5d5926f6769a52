"""Secrets at rest: sealed codes, fingerprints, PINs, and the ring of keys."""

import asyncio
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import argon2
import pytest

from giftgql import codes
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput
from giftgql.vault import Keyring, KeyringError, Sealed, Vault, valid_pin

pytestmark = pytest.mark.real_argon2

CODE = CodeText("GC-4928 8330")
PHYSICAL, EXTERNAL = CodeType.PHYSICAL, CodeType.EXTERNAL


@pytest.fixture
def vault() -> Vault:
    return Vault(Keyring.new())


def opened(vault: Vault, sealed: Sealed, kind: CodeType = PHYSICAL, card_id: int = 1) -> CodeText:
    return vault.unseal(
        kind,
        sealed.ciphertext,
        sealed.cipher_key,
        card_id=card_id,
        fingerprint=sealed.fingerprint,
    )


def test_a_sealed_code_opens_as_it_was_given(vault: Vault) -> None:
    for kind, code in (
        (PHYSICAL, CODE),
        (EXTERNAL, CodeText("x" * 64)),
        (CodeType.PERSONAL, codes.generate()),
        (CodeType.DIGITAL, codes.generate()),
    ):
        sealed = vault.seal(kind, code, card_id=1)
        assert opened(vault, sealed, kind) == code


def test_a_sealed_code_shows_nothing_but_its_last_four(vault: Vault) -> None:
    one, two = (vault.seal(PHYSICAL, CODE, card_id=1) for _ in range(2))
    assert one.last_four == "8330"
    assert one.fingerprint == two.fingerprint
    assert one.ciphertext != two.ciphertext
    for stored in (one.ciphertext, one.fingerprint):
        assert b"4928" not in stored


def test_sealed_rows_cannot_be_swapped_or_altered(vault: Vault) -> None:
    sealed = vault.seal(PHYSICAL, CODE, card_id=1)
    other = vault.seal(PHYSICAL, CodeText("GC00000001"), card_id=1)
    flipped = bytes([sealed.ciphertext[-1] ^ 1])
    for altered, kind, card_id in (
        (sealed, PHYSICAL, 2),
        (sealed, EXTERNAL, 1),
        (replace(sealed, fingerprint=other.fingerprint), PHYSICAL, 1),
        (replace(sealed, ciphertext=other.ciphertext), PHYSICAL, 1),
        (replace(sealed, ciphertext=sealed.ciphertext[:-1] + flipped), PHYSICAL, 1),
        (replace(sealed, ciphertext=sealed.ciphertext[:-1]), PHYSICAL, 1),
        (replace(sealed, ciphertext=b"\x00" * 12 + sealed.ciphertext[12:]), PHYSICAL, 1),
    ):
        with pytest.raises(KeyringError) as refused:
            opened(vault, altered, kind, card_id)
        assert "4928" not in str(refused.value)


def test_fingerprints_are_equal_for_equal_codes_of_a_type_only(vault: Vault) -> None:
    print_ = vault.fingerprint(PHYSICAL, CODE)
    assert print_ == vault.fingerprint(PHYSICAL, CodeText("gc49288330"))
    others = [
        vault.fingerprint(EXTERNAL, CODE),
        vault.fingerprint(PHYSICAL, CodeText("GC49288331")),
        vault.fingerprint(PHYSICAL, CodeText("GC4928833O")),
        Vault(Keyring.new()).fingerprint(PHYSICAL, CODE),
    ]
    assert print_ not in others
    assert len(set(others)) == 4


def test_what_can_be_no_code_has_no_fingerprint_and_is_not_sealed(vault: Vault) -> None:
    for kind, text in ((PHYSICAL, "*" * 12 + "8330"), (CodeType.PERSONAL, "GC49288330")):
        assert vault.fingerprint(kind, CodeText(text)) is None
        with pytest.raises(InvalidInput):
            vault.seal(kind, CodeText(text), card_id=1)


def test_a_rotation_seals_with_the_new_key_and_opens_with_the_old(vault: Vault) -> None:
    sealed = vault.seal(PHYSICAL, CODE, card_id=1)
    rotated = Vault(vault.ring.rotated())
    assert opened(rotated, sealed) == CODE
    anew = rotated.seal(PHYSICAL, CODE, card_id=1)
    assert (sealed.cipher_key, anew.cipher_key) == (1, 2)
    assert anew.fingerprint == sealed.fingerprint, "else one code could be had twice"
    with pytest.raises(KeyringError):
        opened(vault, anew)


def test_a_running_server_takes_up_a_key_of_another_process(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keyring.new().write(file)
    running, rotating = Vault.open(file), Vault.open(file)
    rotating.ring.rotated().write(file, replacing=True)
    assert rotating.seal(PHYSICAL, CODE, card_id=1).cipher_key == 2
    assert opened(running, rotating.seal(PHYSICAL, CODE, card_id=1)) == CODE


def test_a_key_file_is_not_overwritten_by_new_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keyring.new().write(file)
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        Keyring.new().write(file)
    assert (file.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (
        before,
        ["keys.json"],
    )


def test_keys_with_another_index_key_are_not_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ring = Keyring.new().rotated()
    ring.write(file)
    running = Vault.open(file)
    Keyring(ring.primary, 2, ring.keys).write(file, replacing=True)
    with pytest.raises(KeyringError, match="index key"):
        running.seal(PHYSICAL, CODE, card_id=1)


def test_keys_of_different_purposes_differ(vault: Vault) -> None:
    print_ = vault.fingerprint(PHYSICAL, CODE)
    canonical = b"\x00".join((b"PHYSICAL", b"GC49288330"))
    assert vault.request_fingerprint(canonical) != print_
    assert vault.canary(1) not in (print_, vault.ring.keys[1])


async def test_a_pins_verifier_needs_the_servers_key(vault: Vault) -> None:
    one, two = await asyncio.gather(*(vault.hash_pin(PHYSICAL, CODE, "1234") for _ in range(2)))
    assert one != two, "equal PINs do not show"
    key_id, _, hashed = one.partition("$")
    assert key_id == "1"
    assert hashed.startswith("argon2id$")
    for guess in (b"1234", b"PHYSICAL\x00GC49288330\x001234"):
        with pytest.raises(argon2.exceptions.VerifyMismatchError):
            argon2.PasswordHasher().verify(f"${hashed}", guess)


@pytest.mark.parametrize("pin", ["", "123", "1" * 13, "12a4", "1234\n", " 1234", "١٢٣٤", "12.4"])
def test_a_pin_is_4_to_12_digits(pin: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        valid_pin(pin, "physicalPin")
    assert refused.value.field == "physicalPin"
    assert valid_pin("0000", "pin") == "0000"
    assert valid_pin("1" * 12, "pin") == "1" * 12


def test_a_key_file_is_its_owners_alone_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "keys.json"
    ring = Keyring.new().rotated()
    ring.write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Keyring.read(file) == ring
    assert [each.name for each in file.parent.iterdir()] == ["keys.json"]


def test_a_damaged_key_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(KeyringError, match="There is no key file"):
        Keyring.read(file)
    Keyring.new().write(file)
    good = json.loads(file.read_text())
    key = good["keys"]["1"]
    for damaged in (
        "",
        "[]",
        "{}",
        "null",
        "not json",
        json.dumps({**good, "primary": 2}),
        json.dumps({**good, "index": 2}),
        json.dumps({**good, "keys": {}}),
        json.dumps({**good, "keys": {"1": key[:-8]}}),
        json.dumps({**good, "keys": {"1": "!" + key}}),
        json.dumps({**good, "keys": [key]}),
    ):
        file.write_text(damaged)
        with pytest.raises(KeyringError, match="damaged") as refused:
            Keyring.read(file)
        assert key[:8] not in str(refused.value)


def test_a_ring_of_keys_is_not_printed(vault: Vault) -> None:
    assert str(vault.ring.keys[1]) not in repr(vault.ring)
    assert str(vault.ring.keys[1]) not in repr(vault)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_keys_that_root_rotates_stay_the_server_s(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keyring.new().write(file)
    os.chown(file, 12_345, 23_456)
    Keyring.read(file).rotated().write(file, replacing=True)
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 23_456, 0o600)
