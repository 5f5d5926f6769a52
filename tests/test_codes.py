"""The text of codes: normalised, made, checked and masked."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from giftgql import codes
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFUSALS = {
    "code must have 4 to 64 characters, spaces and dashes not counted.",
    "code has characters other than printable ASCII.",
}
"""Sentences that never change, so that none repeats what was given."""

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=70)
GIVEN = [CodeType.PHYSICAL, CodeType.EXTERNAL]
GENERATED = [CodeType.PERSONAL, CodeType.DIGITAL]


@given(PRINTABLE)
@settings(deadline=None)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    for kind in CodeType:
        normal = codes.normalise(kind, CodeText(text))
        if normal is not None:
            assert codes.normalise(kind, CodeText(normal)) == normal


@given(PRINTABLE)
@settings(deadline=None)
def test_given_codes_lose_case_spaces_and_dashes_and_nothing_else(text: str) -> None:
    expected = text.upper().replace(" ", "").replace("-", "")
    if not expected.startswith(codes.MASK):
        for kind in GIVEN:
            assert codes.normalise(kind, CodeText(text)) == expected


@given(st.text(max_size=70))
@settings(deadline=None)
def test_a_given_code_is_4_to_64_printable_ascii_characters_or_refused(text: str) -> None:
    fits = all(" " <= symbol <= "~" for symbol in text) and len(text) <= 64
    fits = fits and len(text.replace(" ", "").replace("-", "")) >= 4
    if fits:
        assert codes.given(text, "code").clear == text
        return
    with pytest.raises(InvalidInput) as refused:
        codes.given(text, "code")
    assert str(refused.value) in REFUSALS


@given(PRINTABLE)
@settings(deadline=None)
def test_what_looks_masked_can_be_no_code_of_any_type(text: str) -> None:
    masked = codes.masked(text)
    for spelled in (masked, "-".join(masked), f" {masked}"):
        assert [codes.normalise(kind, CodeText(spelled)) for kind in CodeType] == [None] * 4
    if len(masked) <= 64:
        with pytest.raises(InvalidInput):
            codes.to_store(masked, "physicalCode")


def test_generated_codes_have_128_random_bits_in_a_readable_alphabet() -> None:
    made = [codes.generate().clear for _ in range(300)]
    assert len(set(made)) == len(made)
    assert {len(text) for text in made} == {27}
    assert set("".join(text[:-1] for text in made)) == set(ALPHABET)
    assert (27 - 1) * math.log2(len(ALPHABET)) >= 128
    assert not set("OILU") & set("".join(made))
    assert all(len({text[place] for text in made}) > 16 for place in range(27))


def test_a_generated_code_is_its_own_normal_form() -> None:
    for kind in GENERATED:
        code = codes.generate()
        assert codes.normalise(kind, code) == code.clear


def test_generated_codes_are_read_as_they_are_spoken() -> None:
    body = "0" * 13 + "1" * 13
    (text,) = (
        body + symbol
        for symbol in ALPHABET
        if codes.normalise(CodeType.PERSONAL, CodeText(body + symbol))
    )
    for read in (
        text.replace("0", "O"),
        text.replace("1", "I"),
        text.replace("1", "L"),
        text.replace("0", "o").replace("1", "l"),
        "-".join(text),
        f"  {text[:5]} {text[5:]}",
    ):
        for kind in GENERATED:
            assert codes.normalise(kind, CodeText(read)) == text
        if read.upper().replace("-", "").replace(" ", "") != text:
            assert codes.normalise(CodeType.PHYSICAL, CodeText(read)) != text


@given(st.integers(0, 26), st.sampled_from(ALPHABET))
@settings(deadline=None)
def test_the_check_symbol_catches_each_single_wrong_symbol(place: int, symbol: str) -> None:
    code = codes.generate().clear
    wrong = code[:place] + symbol + code[place + 1 :]
    found = codes.normalise(CodeType.PERSONAL, CodeText(wrong))
    assert found == (code if wrong == code else None)


def test_the_check_symbol_catches_most_swapped_neighbours() -> None:
    missed = tried = 0
    for _ in range(50):
        code = codes.generate().clear
        for place in range(26):
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            if swapped != code:
                tried += 1
                missed += codes.normalise(CodeType.PERSONAL, CodeText(swapped)) is not None
    assert missed < tried / 20


@pytest.mark.parametrize("text", ["", "A" * 26, "A" * 28, "U" * 27, "GC49288330", "Å" * 27])
def test_what_was_never_generated_is_no_personal_code(text: str) -> None:
    assert codes.normalise(CodeType.PERSONAL, CodeText(text)) is None


@given(PRINTABLE)
@settings(deadline=None)
def test_a_digital_code_has_any_form_and_is_read_as_it_is_spoken(text: str) -> None:
    expected = text.upper()
    for read, meant in ((" ", ""), ("-", ""), ("O", "0"), ("I", "1"), ("L", "1")):
        expected = expected.replace(read, meant)
    assert codes.normalise(CodeType.DIGITAL, CodeText(text)) == (
        None if expected.startswith(codes.MASK) else expected
    )


def test_a_digital_code_of_the_seeds_form_is_found_however_it_is_written() -> None:
    for written in ("h73YQbhR", "H73YQBHR", "h73y-qbhr", " h73Y QbhR "):
        assert codes.normalise(CodeType.DIGITAL, CodeText(written)) == "H73YQBHR"


@given(PRINTABLE)
@settings(deadline=None)
def test_a_code_is_never_printed_in_clear(text: str) -> None:
    code = CodeText(text)
    shown = {
        str(code),
        repr(code),
        f"{code}",
        f"{code:>10}".strip(),
        repr([code])[1:-1],
    }
    assert shown == {codes.MASK + code.last_four}
    normal = text.upper().replace(" ", "").replace("-", "")
    assume(len(normal) >= codes.SHORTEST)
    assert len(code.last_four) <= min(4, len(normal) / 2)
    assert normal.endswith(code.last_four)


def test_codes_are_equal_by_their_text() -> None:
    assert CodeText("GC4928") == CodeText("GC4928")
    assert CodeText("GC4928") != CodeText("gc4928")
    assert CodeText("GC4928") != "GC4928"
    assert len({CodeText("a"), CodeText("a"), CodeText("b")}) == 2
