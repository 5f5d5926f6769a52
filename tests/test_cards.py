from tests.client import Client
from tests.factories import card, find


async def test_a_new_card_is_empty_and_not_activated(admin: Client) -> None:
    made = await card(admin, physicalCode="GC49288330")
    assert (made["status"], made["balance"], made["currency"]) == ("NOT_ACTIVATED", "0.00", "EUR")
    found = (await find(admin, "gc-4928 8330", "PHYSICAL"))["giftcard"]
    assert [each["id"] for each in found["results"]] == [made["id"]]
    assert found["limitedByPermission"] is False
