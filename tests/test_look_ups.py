"""Look-ups by code are counted in a document before it runs, in whichever way codes are given."""

from typing import Any

import pytest

from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient

COMPLEX = "OPERATION_TOO_COMPLEX"


LINE = {"name": "a", "unitPrice": "1.00"}
FIND = 'a{n}: giftcard(code: "GC0{n}") {{ until }}'


def order(giftcards: str, variable: str = "") -> str:
    line = 'lines: [{name: "a", unitPrice: "1.00"}]'
    return f"mutation {variable} {{ orderAdd(order: {{{line}, giftcards: {giftcards}}}) {{ id }} }}"


def by_each_way(times: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """So many codes in one document, with its variables."""

    def often(form: str, to: int = times) -> str:
        return " ".join(form.format(n=n) for n in range(to))

    codes = [{"code": f"GC0{n}"} for n in range(times)]
    written = "[" + often('{{code: "GC0{n}"}}') + "]"
    add = 'a{n}: giftcardTransAdd(trans: {{code: "GC0{n}", transType: ADD, amount: "1"}}) {{ id }}'
    return {
        "arguments": (f"{{ {often(FIND)} }}", {}),
        "an argument of other queries": (
            "query ($c: String!) { b: giftcardTrans(code: $c) { until } "
            + often("a{n}: giftcardBalance(code: $c) {{ status }}", times - 1)
            + " }",
            {"c": "GC00"},
        ),
        "literals of an input": (f"mutation {{ {often(add)} }}", {}),
        "a list in a literal": (order(written), {}),
        "a variable within a literal": (
            order("$c", "($c: [OrderGiftcardPaymentInput!])"),
            {"c": codes},
        ),
        "the default of a variable": (
            order("$c", f"($c: [OrderGiftcardPaymentInput!] = {written})"),
            {},
        ),
        "a variable": (
            "mutation ($o: OrderAddInput!) { orderAdd(order: $o) { id } }",
            {"o": {"lines": [LINE], "giftcards": codes}},
        ),
        "a variable that is given often": (
            "mutation ($t: GiftcardTransAddInput!) { "
            + often("a{n}: giftcardTransAdd(trans: $t) {{ id }}")
            + " }",
            {"t": {"code": "GC00", "transType": "ADD", "amount": "1"}},
        ),
        "codes of new cards": (
            'mutation ($g: GiftcardAddInput!) { b: giftcardAdd(giftcard: {externalCode: "E00"}) '
            + "{ id } "
            + often("a{n}: giftcardAdd(giftcard: $g) {{ id }}", times - 1)
            + " }",
            {"g": {"physicalCode": "GC00", "metadata": {"code": ["GC01", {"code": "GC02"}]}}},
        ),
    }


@pytest.fixture
async def caller(client_with: MakeClient) -> Client:
    return await client_with(role="administrator")


async def test_look_ups_are_counted_in_whichever_way_codes_are_given(caller: Client) -> None:
    for name, (document, variables) in by_each_way(6).items():
        answer = await caller.run(document, **variables)
        assert answer.code == COMPLEX, (name, answer.body)
        assert answer.body.get("data") is None, name
    for name, (document, variables) in by_each_way(5).items():
        answer = await caller.run(document, **variables)
        found = {error["extensions"]["code"] for error in answer.errors}
        assert found.isdisjoint({COMPLEX, "GRAPHQL_VALIDATION_FAILED"}), (name, answer.body)


async def test_what_is_no_code_is_no_look_up(caller: Client) -> None:
    note = {"code": [{"code": n} for n in range(9)]}
    for metadata in ("$note", "{code: {code: {code: $note}}}"):
        new = f'giftcard: {{physicalCode: "GC77", metadata: {metadata}}}'
        document = f"mutation ($note: JSON) {{ giftcardAdd({new}) {{ id }} }}"
        answer = await caller.run(document, note=note)
        assert answer.code != COMPLEX


@pytest.mark.parametrize(
    ("setting", "documents"),
    [
        ("max_tokens", ["{" + " __typename" * n + "}" for n in (48, 49)]),
        (
            "max_depth",
            [f"{{ giftcard {{ results {{ {n} }} }} }}" for n in ("id", "codes { code }")],
        ),
        ("max_fields", ["{ giftcard { results {" + " id" * n + "} } }" for n in (8, 9)]),
        ("max_aliases", ["{ a: __typename }", "{ a: __typename b: __typename }"]),
        ("max_root_fields", ["{ __typename }", "{ __typename __typename }"]),
        ("max_code_lookups", [f"{{ {FIND.format(n=1)} {n} }}" for n in ("", FIND.format(n=2))]),
    ],
)
async def test_each_limit_is_a_setting(
    caller: Client, store: Store, setting: str, documents: list[str]
) -> None:
    limits = store.settings.model_copy(update={"max_root_fields": 100})
    least = {"max_tokens": 50, "max_depth": 3, "max_fields": 10}.get(setting, 1)
    store.settings = limits.model_copy(update={setting: least})
    store.settings.__dict__.pop("document_limits", None)  # it was worked out by the fixtures
    within, beyond = documents
    assert (await caller.run(within)).code is None
    assert (await caller.run(beyond)).code == COMPLEX
