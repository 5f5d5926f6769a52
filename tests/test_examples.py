"""The documents that are promised to run unchanged. They lie beside the clone."""

from pathlib import Path

import pytest

from giftgql.permissions import Permission
from tests.client import Answer, Client
from tests.conftest import MakeClient
from tests.factories import member

EXAMPLES = Path(__file__).parents[1] / "../shared/examples"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="there is no ../shared/examples beside this clone"
)


async def test_the_examples_run_unchanged_one_after_the_other(client_with: MakeClient) -> None:
    caller = await client_with(*Permission)
    owner = await member(caller, "C000000212")

    async def run(name: str, **variables: str) -> Answer:
        return await caller.run((EXAMPLES / f"{name}.graphql").read_text(), **variables)

    def kinds(answer: Answer, field: str = "giftcardAdd") -> list[str]:
        return [code["codeType"] for code in answer[field]["codes"]]

    printed = await run("add-physical")
    assert kinds(printed) == ["PHYSICAL"]
    assert printed["giftcardAdd"]["codes"][0]["code"] == "GC49288330"
    personal = await run("add-personal")
    assert (kinds(personal), personal["giftcardAdd"]["memberId"]) == (["PERSONAL"], owner)
    external = await run("add-external")
    assert external["giftcardAdd"]["codes"][0]["code"] == "EX000034802"
    several = await run("add-multiple")
    assert (kinds(several), several["giftcardAdd"]["memberId"]) == (
        ["PHYSICAL", "PERSONAL"],
        owner,
    )

    found = (await run("get-by-code"))["giftcard"]
    assert found["limitedByPermission"] is False
    (card,) = found["results"]
    assert (card["id"], card["balance"]) == (printed["giftcardAdd"]["id"], "0.00")
    assert [(code["code"], code["isMasked"]) for code in card["codes"]] == [("GC49288330", False)]

    edited = await run("edit", id=card["id"])
    assert (kinds(edited, "giftcardEdit"), edited["giftcardEdit"]["memberId"]) == (
        ["PERSONAL"],
        owner,
    )
    assert (await run("get-by-code"))["giftcard"]["results"] == []
    assert (await run("add-physical")).code == "CODE_TAKEN"


async def test_the_examples_run_for_whom_they_are_meant(
    client_with: MakeClient, till: Client, admin: Client
) -> None:
    await member(admin, "C000000212")
    for name in ("add-physical", "add-personal", "add-external", "add-multiple", "get-by-code"):
        answer = await till.run((EXAMPLES / f"{name}.graphql").read_text())
        assert answer.code is None
