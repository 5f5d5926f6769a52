"""The form of a campaign's codes: what is read and shown, how many there are, and making them."""

import math
import re
from collections import Counter
from dataclasses import asdict
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from giftgql import codes
from giftgql.campaigns.code_config import CHARSET, HEADROOM, CodeConfig
from giftgql.codes import CodeText, CodeType
from giftgql.errors import CodeSpaceExhausted, InvalidInput
from giftgql.spreadsheets import safe

PHYSICAL, PERSONAL, DIGITAL = CodeType.PHYSICAL, CodeType.PERSONAL, CodeType.DIGITAL
KINDS = (PHYSICAL, CodeType.EXTERNAL, DIGITAL)
DIGITS = "0123456789"


def read(**wishes: object) -> CodeConfig:
    return CodeConfig.read(**wishes)  # type: ignore[arg-type]


def refusal(**wishes: object) -> tuple[str | None, str]:
    with pytest.raises(InvalidInput) as refused:
        read(**wishes)
    return refused.value.field, str(refused.value)


# What is read and shown


def test_the_usual_form_is_the_seeds() -> None:
    assert asdict(read()) == {
        "length": 8,
        "charset": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "prefix": "",
        "postfix": "",
        "pattern": "########",
    }


def test_the_pattern_beats_the_length() -> None:
    config = read(length=3, pattern="XMAS-####-##")
    assert (config.pattern, config.length) == ("XMAS-####-##", 12)
    assert all(re.fullmatch(r"XMAS-\w{4}-\w\w", code) for code in config.make(50, DIGITAL))
    assert read(length=0, pattern="####").length == 4


def test_prefix_and_postfix_go_around_the_length_and_around_a_pattern() -> None:
    by_length = read(length=6, charset=DIGITS, prefix="GIFT-", postfix="-26")
    assert (by_length.length, by_length.pattern) == (6, "######")
    assert all(re.fullmatch(r"GIFT-\d{6}-26", code) for code in by_length.make(50, PHYSICAL))
    by_pattern = read(pattern="##/##", charset=DIGITS, prefix="A", postfix="Z")
    assert all(re.fullmatch(r"A\d\d/\d\dZ", code) for code in by_pattern.make(50, PHYSICAL))


def test_only_the_hash_is_random_and_all_else_is_literal() -> None:
    config = read(pattern="[a-z]{2}%s\\d?*.#$#", charset="xY")
    made = set(config.make(200, PHYSICAL))
    assert made == {f"[a-z]{{2}}%s\\d?*.{a}${b}" for a, b in product("xY", repeat=2)}


def test_symbols_count_once_in_a_charset_and_keep_their_order() -> None:
    assert read(charset="b0ab0a1").charset == "b0a1"
    assert read(charset="AAAAB").possible(DIGITAL) == 2**8


WISHES = st.fixed_dictionaries(
    {
        "length": st.none() | st.integers(-1, 70),
        "charset": st.none() | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x80)),
        "prefix": st.none() | st.text(max_size=12),
        "postfix": st.none() | st.text(max_size=12),
        "pattern": st.none() | st.text(st.sampled_from("##### -*A'="), max_size=70),
    }
)


@given(WISHES)
@settings(deadline=None)
def test_what_is_shown_can_be_sent_again_and_means_the_same(wishes: dict[str, object]) -> None:
    try:
        config = read(**wishes)
    except InvalidInput:
        return
    assert read(**asdict(config)) == config
    assert CodeConfig(**asdict(config)) == config


@given(WISHES, st.sampled_from(KINDS))
@settings(deadline=None)
def test_whatever_is_accepted_gives_codes_that_can_be_stored_and_exported(
    wishes: dict[str, object], kind: CodeType
) -> None:
    try:
        config = read(**wishes)
    except InvalidInput:
        return
    for code in config.make(20, kind):
        assert codes.to_store(code, "code").clear == code
        normal = codes.normalise(kind, CodeText(code))
        assert normal is not None
        assert 4 <= len(normal) <= len(code) <= 64
        assert safe(code) == code


@pytest.mark.parametrize(
    ("wishes", "field", "why"),
    [
        ({"length": 0}, "length", "1 to 64"),
        ({"length": -1}, "length", "1 to 64"),
        ({"length": 65}, "length", "1 to 64"),
        ({"length": 3}, "", "codes of 3 characters"),
        ({"length": 64, "prefix": "X"}, "", "codes of 65 characters"),
        ({"length": 10**30}, "length", "1 to 64"),
        ({"charset": ""}, "charset", "needs 2 symbols"),
        ({"charset": "7"}, "charset", "needs 2 symbols"),
        ({"charset": "aA"}, "charset", "needs 2 symbols"),
        ({"charset": "0Oo"}, "charset", "needs 2 symbols"),
        ({"charset": "1iIlL"}, "charset", "needs 2 symbols"),
        ({"charset": "ab c"}, "charset", "space or dash"),
        ({"charset": "ab-c"}, "charset", "space or dash"),
        ({"charset": "abcé"}, "charset", "printable ASCII"),
        ({"charset": "abc\n"}, "charset", "printable ASCII"),
        ({"charset": "a\x00b"}, "charset", "printable ASCII"),
        ({"charset": "ab" * 129}, "charset", "more than 256"),
        ({"prefix": "É-"}, "prefix", "printable ASCII"),
        ({"prefix": "A#"}, "prefix", "for the pattern"),
        ({"prefix": "A" * 65}, "prefix", "more than 64"),
        ({"postfix": "\t"}, "postfix", "printable ASCII"),
        ({"postfix": "#"}, "postfix", "for the pattern"),
        ({"postfix": "A" * 10**6}, "postfix", "more than 64"),
        ({"pattern": ""}, "pattern", "no #"),
        ({"pattern": "XMAS"}, "pattern", "no #"),
        ({"pattern": "####\u2028"}, "pattern", "printable ASCII"),
        ({"pattern": "#" * 65}, "pattern", "more than 64"),
        ({"pattern": "#- - - #"}, "", "spaces and dashes not counted"),
        ({"pattern": "*" * 12 + "####"}, "", "masked"),
        ({"pattern": "########", "prefix": "****-****-****"}, "", "masked"),
        ({"length": 16, "charset": "*ABC"}, "", "masked"),
        ({"pattern": "=###"}, "", "formula"),
        ({"pattern": "####", "prefix": "+"}, "", "formula"),
        ({"pattern": "####", "prefix": " '@"}, "", "formula"),
        ({"pattern": "####", "prefix": "-"}, "", "formula"),
        ({"pattern": "####", "charset": "AB="}, "", "formula"),
        ({"pattern": "#=##", "charset": "AB'"}, "", "formula"),
    ],
)
def test_a_wrong_form_is_refused_by_its_field(
    wishes: dict[str, object], field: str, why: str
) -> None:
    name, sentence = refusal(**wishes)
    assert name == ("codeConfig." + field).rstrip(".")
    assert why in sentence


@pytest.mark.parametrize(
    "wishes",
    [
        {"length": 64},
        {"length": 4},
        {"prefix": "A" * 56},
        {"prefix": "", "postfix": "", "charset": "01"},
        {"pattern": "*" * 11 + "####"},
        {"pattern": "A####", "charset": "*AB="},
        {"pattern": "#"},
    ],
)
def test_what_is_just_right_is_taken(wishes: dict[str, object]) -> None:
    if wishes == {"pattern": "#"}:
        wishes = {"pattern": "#", "prefix": "ABC"}
    assert read(**wishes)


# How many there are


def test_codes_are_counted_as_they_are_compared() -> None:
    assert read().possible(PHYSICAL) == 36**8
    assert read().possible(CodeType.EXTERNAL) == 36**8
    assert read().possible(DIGITAL) == 33**8 == 1_406_408_618_241
    assert read(charset="aAbB", length=5).possible(DIGITAL) == 2**5
    assert read(charset="0O1IL2", length=4).possible(PHYSICAL) == 6**4
    assert read(charset="0O1IL2", length=4).possible(DIGITAL) == 3**4
    assert read(pattern="A#B#", charset=DIGITS, prefix="CC").possible(DIGITAL) == 100


@given(
    st.text(st.sampled_from("aA0Oo1iIlLb*"), min_size=2, max_size=8),
    st.sampled_from(["##XX", "X#-#X", "# ##", "AB#C"]),
    st.sampled_from(KINDS),
)
@settings(deadline=None)
def test_as_many_are_possible_as_can_be_written_and_differ(
    charset: str, pattern: str, kind: CodeType
) -> None:
    try:
        config = read(charset=charset, pattern=pattern, prefix="P")
    except InvalidInput:
        return
    written = product(*(config.charset if each == "#" else each for each in "P" + pattern))
    normal = {codes.normalise(kind, CodeText("".join(code))) for code in written}
    assert config.possible(kind) == len(normal)


def test_the_seeds_campaign_has_room_and_so_has_one_of_a_million() -> None:
    read().require_room(50, DIGITAL)
    read().require_room(1_000_000, DIGITAL)
    assert read().most_cards(DIGITAL) == 1_406_408
    assert read().most_cards(PHYSICAL) == 2_821_109


def test_too_many_cards_are_refused_with_how_many_are_possible() -> None:
    config = read(charset=DIGITS, length=9)
    config.require_room(1_000, DIGITAL)
    with pytest.raises(CodeSpaceExhausted) as refused:
        config.require_room(1_001, DIGITAL)
    assert refused.value.extensions == {
        "code": "CODE_SPACE_EXHAUSTED",
        "field": "codeConfig",
        "possible": 1_000_000_000,
        "most": 1_000,
    }
    assert "1,000,000,000 are possible" in str(refused.value)
    assert "more than 1,000 cards" in str(refused.value)


def test_a_form_too_small_for_a_single_card_has_room_for_none() -> None:
    config = read(charset="01", length=4)
    config.require_room(0, DIGITAL)
    with pytest.raises(CodeSpaceExhausted) as refused:
        config.require_room(1, DIGITAL)
    assert refused.value.facts == {"possible": 16, "most": 0}


def test_a_client_at_the_limit_of_failures_finds_no_card_in_half_a_year() -> None:
    """README, Security: 200 failures an hour."""
    assert HEADROOM / 200 / 24 > 182


def test_forms_with_the_same_codes_are_one_space() -> None:
    usual = read().space(DIGITAL)
    assert read(charset="".join(reversed(CHARSET))).space(DIGITAL) == usual
    assert read(charset=CHARSET[:36]).space(DIGITAL) == usual
    assert read(pattern="####-####").space(DIGITAL) == usual
    assert read(prefix="a-").space(DIGITAL) == read(prefix="A").space(DIGITAL)
    assert read(prefix="A").space(DIGITAL) == read(pattern="A########").space(DIGITAL)
    different = [
        *(read(length=9), read(charset=DIGITS), read(prefix="A"), read(postfix="A")),
        read(pattern="####A####"),
    ]
    assert len({usual, *(each.space(DIGITAL) for each in different)}) == 6
    assert read().space(PHYSICAL) != usual


def test_a_code_of_fewer_than_64_random_bits_is_guessable() -> None:
    assert read().bits(DIGITAL) == pytest.approx(math.log2(33**8))
    assert read().is_guessable(DIGITAL)
    assert read(length=12).is_guessable(DIGITAL)
    assert not read(length=13).is_guessable(DIGITAL)
    assert read(charset="01", length=63).is_guessable(PHYSICAL)
    assert not read(charset="01", length=64).is_guessable(PHYSICAL)
    assert read(charset="01", length=64).bits(PHYSICAL) == 64


def test_personal_codes_have_a_form_of_their_own() -> None:
    for of in (read().possible, read().most_cards, read().space, read().bits):
        with pytest.raises(InvalidInput, match="PERSONAL"):
            of(PERSONAL)
    with pytest.raises(InvalidInput, match="PERSONAL"):
        read().make(1, PERSONAL)


# Making them


def test_codes_are_as_many_as_asked_for_and_of_their_form() -> None:
    for n in (0, 1, 2, 999):
        made = read().make(n, DIGITAL)
        assert len(made) == n
        assert all(re.fullmatch(r"[0-9A-Za-z]{8}", code) for code in made)


def test_codes_do_not_repeat_in_a_large_space() -> None:
    made = read(length=20).make(20_000, DIGITAL)
    assert len({codes.normalise(DIGITAL, CodeText(code)) for code in made}) == len(made)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("charset", [CHARSET, DIGITS, "01", "0O1IL2", "aAbcd!~"])
def test_each_byte_of_chance_makes_symbols_that_differ_equally_likely(
    kind: CodeType, charset: str
) -> None:
    """With all 256 bytes as often, all symbols are as often, to the last one."""
    config = read(charset=charset, length=4)
    differ = len({codes.normalise(kind, CodeText(symbol)) for symbol in charset})
    made = config.make(256 // differ * differ, kind, lambda n: bytes(range(256)) * (n // 256 + 1))
    drawn = Counter(codes.normalise(kind, CodeText(symbol)) for symbol in "".join(made))
    assert drawn.keys() == {codes.normalise(kind, CodeText(symbol)) for symbol in charset}
    assert set(drawn.values()) == {4 * (256 // differ)}


def test_chance_comes_in_evenly_at_every_place() -> None:
    made = [codes.normalise(DIGITAL, CodeText(code)) for code in read().make(33_000, DIGITAL)]
    for place in range(8):
        seen = Counter(code[place] for code in made if code)
        assert len(seen) == 33
        assert all(abs(count - 1_000) < 6 * math.sqrt(1_000) for count in seen.values())


def test_every_symbol_of_the_usual_charset_is_written() -> None:
    assert set("".join(read().make(5_000, DIGITAL))) == set(CHARSET)


def test_bytes_that_fit_no_symbol_are_thrown_away_and_drawn_again() -> None:
    asked = []

    def draw(n: int) -> bytes:
        asked.append(n)
        return b"\xff" * n if len(asked) == 1 else b"\x00" * n

    assert read(charset=DIGITS).make(2, PHYSICAL, draw) == ["00000000"] * 2
    assert len(asked) == 2
