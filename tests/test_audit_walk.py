"""Every change leaves exactly the audit events that it should: each mutation, each action of the
back office. Movements of money are their own journal and leave none."""

from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from giftgql import work
from giftgql.audit.models import AuditEvent, Event
from giftgql.backoffice import campaigns, card_page, order_actions, outbox_actions, webhooks
from giftgql.permissions import Permission
from giftgql.schema import Mutation
from giftgql.store import Store
from tests import factories, ordering
from tests import stock as goods
from tests.backoffice import Visitor, visitor
from tests.client import Client, Server
from tests.webhooking import allow_private, endpoint

E = Event
SHOWN = {"memberTokenAdd": "token", "orderCalculate": "quote", "webhookAdd": "id secret"}
OF = {
    "giftcardTrans": "trans",
    "giftcardProduct": "product",
    "giftcardPool": "pool",
    "giftcardCampaign": "campaign",
    "order": "order",
    "outbox": "outbox",
    "webhook": "webhook",
    "member": "member",
}


async def rows(store: Store, after: int = 0) -> list[AuditEvent]:
    """The trail after an event."""
    async with store.read() as reading:
        query = select(AuditEvent).where(col(AuditEvent.id) > after).order_by(col(AuditEvent.id))
        return list((await reading.session.exec(query)).all())


@dataclass
class Walk:
    """Calls one mutation after the other, and looks at what each has left."""

    caller: Client
    store: Store
    last: int = 0
    called: set[str] = field(default_factory=set)

    async def does(self, name: str, given: str, *events: Event, of: str | None = None) -> Any:
        """Call a mutation; it leaves these events of the record that it answers, or of `of`."""
        self.called.add(name)
        noun = next((arg for begin, arg in OF.items() if _is_of(name, begin)), "giftcard")
        shown = SHOWN.get(name, "id")
        answer = await self.caller.run(f"mutation {{ {name}({noun}: {{{given}}}) {{ {shown} }} }}")
        record = answer[name]
        left = await self.left()
        subject = of or f"{_subject(name)}:{record.get('id')}"
        assert [(each.event, each.subject) for each in left] == [(e, subject) for e in events]
        for each in left:
            assert each.caller.startswith("client:ggc_")
            assert each.address == "127.0.0.1"
            assert each.request_id
        return record.get("id", record)

    async def left(self) -> list[AuditEvent]:
        """What was written since it was last looked at."""
        found = await rows(self.store, self.last)
        self.last = found[-1].id or 0 if found else self.last
        return found


def _is_of(name: str, begin: str) -> bool:
    return name.startswith(begin) and name[len(begin)].isupper() and name != "giftcardTransfer"


def _subject(name: str) -> str:
    for begin in ("Product", "Pool", "Campaign"):
        if name.startswith(f"giftcard{begin}"):
            return begin.lower()
    return next((each for each in ("order", "webhook", "member") if name.startswith(each)), "card")


async def cards(walk: Walk) -> tuple[str, str]:
    await walk.does("memberAdd", 'id: "M1", name: "Ada"', E.MEMBER_ADDED)
    await walk.does("memberEdit", 'id: "M1", email: "m1@example.org"', E.MEMBER_EDITED)
    await walk.does("memberTokenAdd", 'id: "M1"', E.MEMBER_TOKEN_ADDED, of="member:M1")
    await walk.does("memberAdd", 'id: "M2", name: "Ada"', E.MEMBER_ADDED)
    await walk.does("memberErase", 'id: "M2"', E.MEMBER_ERASED)
    await walk.does("memberErase", 'id: "M2"')
    given = 'physicalCode: "P-0001", addPersonalCode: true, memberId: "M1", note: "said so"'
    one = await walk.does("giftcardAdd", f'{given}, idempotencyKey: "1"', E.CARD_ADDED)
    assert await walk.does("giftcardAdd", f'{given}, idempotencyKey: "1"') == one
    two = await walk.does("giftcardAdd", 'physicalCode: "P-0002"', E.CARD_ADDED)
    await walk.does("giftcardEdit", f'id: "{two}", physicalCode: "P-0003"', E.CARD_EDITED)
    for verb, *event in (
        ("Block", E.CARD_BLOCKED),
        ("Block",),
        ("Unblock", E.CARD_UNBLOCKED),
        ("SecretUnlock", E.SECRET_UNLOCKED),
    ):
        await walk.does(f"giftcard{verb}", f'id: "{one}", reason: "so"', *event)
    three = await walk.does(
        "giftcardAdd", 'physicalCode: "P-0004", expiresOn: "2999-01-01"', E.CARD_ADDED
    )
    extend = f'id: "{three}", reason: "so", expiresOn: "2999-12-31"'
    await walk.does("giftcardExtend", extend, E.CARD_EXTENDED)
    await walk.does("giftcardRemove", f'id: "{three}", reason: "so"', E.CARD_REMOVED)
    return one, two


async def money(walk: Walk, one: str, two: str) -> None:
    """What the journal of movements says is not said again."""
    await walk.does("giftcardTransAdd", f'giftcardId: "{one}", transType: ADD, amount: "50"')
    hold = f'giftcardId: "{one}", transType: USE, amount: "-5", authorizeOnly: true'
    first, second = [await walk.does("giftcardTransAdd", hold) for _ in range(2)]
    await walk.does("giftcardTransCapture", f'id: "{first}"')
    await walk.does("giftcardTransCancel", f'id: "{second}"')
    await walk.does("giftcardTransRefund", f'id: "{first}"')
    await walk.does("giftcardTransfer", f'id: "{one}", toId: "{two}", amount: "10"')
    await walk.does("giftcardDisable", f'id: "{two}", reason: "so"', E.CARD_DISABLED)


async def stock(walk: Walk) -> str:
    preset = 'name: "A gift", presets: [{price: "20", value: "20"}]'
    product = await walk.does("giftcardProductAdd", preset, E.PRODUCT_ADDED)
    edit = f'id: "{product}", revision: 1, name: "Another"'
    await walk.does("giftcardProductEdit", edit, E.PRODUCT_EDITED)
    gone = await walk.does("giftcardProductAdd", preset, E.PRODUCT_ADDED)
    await walk.does("giftcardProductRemove", f'id: "{gone}"', E.PRODUCT_REMOVED)
    boxes = 'name: "Boxes", systemName: "boxes", faceValue: "5"'
    pool = await walk.does("giftcardPoolAdd", boxes, E.POOL_ADDED)
    await walk.does("giftcardPoolEdit", f'id: "{pool}", name: "Crates"', E.POOL_EDITED)
    await walk.does("giftcardPoolEdit", f'id: "{pool}", name: "Crates"')
    await walk.does("giftcardPoolRemove", f'id: "{pool}"', E.POOL_REMOVED)
    issue = f'productId: "{product}", value: null, variantId: "1", sourceId: "Till 7"'
    await walk.does("giftcardIssue", issue, E.CARD_ISSUED)
    [issued] = [each for each in await rows(walk.store) if each.event is E.CARD_ISSUED]
    assert issued.source_id == "Till 7"
    many = 'name: "October", count: 2, value: "5", codeConfig: {length: 12}'
    campaign = await walk.does("giftcardCampaignAdd", many, E.CAMPAIGN_ADDED)
    for verb, event in (("Pause", E.CAMPAIGN_PAUSED), ("Resume", E.CAMPAIGN_RESUMED)):
        await walk.does(f"giftcardCampaign{verb}", f'id: "{campaign}"', event)
    await walk.does("giftcardCampaignExtend", f'id: "{campaign}", count: 1', E.CAMPAIGN_EXTENDED)
    await work.do_all(walk.store)
    publish = f'campaignId: "{campaign}", memberId: "M1", sourceId: "ev-1"'
    await walk.does("giftcardPublish", publish, E.CARD_PUBLISHED)
    await walk.does("giftcardPublish", publish)
    await walk.does("giftcardCampaignCancel", f'id: "{campaign}"', E.CAMPAIGN_CANCELLED)
    return str(product)


async def sales(walk: Walk, product: str) -> None:
    goods = 'lines: [{name: "Shoes", unitPrice: "20"}]'
    await walk.does("orderCalculate", goods)
    order = await walk.does("orderAdd", f'{goods}, sourceId: "Till 7"', E.ORDER_ADDED)
    cash = f'id: "{order}", method: "cash", amount: "20"'
    await walk.does("orderPaymentAdd", cash, E.ORDER_PAYMENT_ADDED)
    await walk.does("orderRefund", f'id: "{order}", amount: "5"', E.ORDER_REFUNDED)
    other = await walk.does("orderAdd", goods, E.ORDER_ADDED)
    await walk.does("orderCancel", f'id: "{other}", reason: "so"', E.ORDER_CANCELLED)
    sold = f'giftcard: {{productId: "{product}", variantId: "1", recipient: {{email: "b@c.de"}}}}'
    paid = 'payments: [{method: "cash", amount: "20"}]'
    await walk.does("orderAdd", f"lines: [{{{sold}}}], {paid}", E.ORDER_ADDED)


async def messages(walk: Walk) -> None:
    allow_private(walk.store)
    hook = await walk.does("webhookAdd", 'url: "https://127.0.0.1:9/"', E.WEBHOOK_ADDED)
    await walk.does("webhookEdit", f'id: "{hook}", rotateSecret: true', E.WEBHOOK_EDITED)
    test = await walk.does("webhookTest", f'id: "{hook}"', E.WEBHOOK_TESTED, of=f"webhook:{hook}")
    await walk.does("outboxRetry", f'id: "{test}"', E.MESSAGE_RETRIED, of=f"message:{test}")
    await walk.does("webhookRemove", f'id: "{hook}"', E.WEBHOOK_REMOVED)
    await work.do_all(walk.store)
    listed = "{ outbox(channel: MAIL, state: SENT) { results { id } } }"
    [mail] = (await walk.caller.run(listed))["outbox"]["results"]
    of = f"message:{mail['id']}"
    await walk.does("outboxResend", f'id: "{mail["id"]}"', E.MESSAGE_RESENT, of=of)


async def test_every_mutation_leaves_exactly_the_events_it_should(
    admin: Client, store: Store
) -> None:
    walk = Walk(admin, store)
    await walk.left()
    one, two = await cards(walk)
    await money(walk, one, two)
    product = await stock(walk)
    await sales(walk, product)
    await messages(walk)
    fields = get_object_definition(Mutation, strict=True).fields
    assert walk.called == {to_camel_case(each.python_name) for each in fields}
    assert await walk.left() == []
    written = str([each.model_dump() for each in await rows(store)])
    for secret in ("P-0001", "P-0003", "said so", "Ada", "m1@example.org", "b@c.de"):
        assert secret not in written


@dataclass
class Office:
    """Sends one form after the other, and looks at what each has left."""

    visitor: Visitor
    store: Store
    last: int = 0
    sent: set[str] = field(default_factory=set)

    async def does(self, path: str, subject: str, *events: Event, **typed: str) -> None:
        """Send a form; it leaves these events of a subject."""
        page = await self.visitor.open("/office")
        fields = {"formToken": page.form("/sign-out").fields["formToken"], "confirmed": "yes"}
        self.last = [0, *[each.id or 0 for each in await rows(self.store)]][-1]
        self.sent.add(path)
        answer = await self.visitor.post(f"/office/{path}", {**fields, "key": path, **typed})
        assert answer.status == 303, answer.text
        left = await rows(self.store, self.last)
        assert [(each.event, each.subject) for each in left] == [(e, subject) for e in events]
        for each in left:
            assert each.caller.startswith("staff:ggp_")
            assert each.request_id


async def office_cards(office: Office, admin: Client) -> None:
    member = await factories.member(admin)
    one = await factories.funded(admin, "50.00", externalCode="EX-0001", memberId=member)
    two = await factories.card(admin, physicalCode="P-0001", expiresOn="2999-01-01")
    held = [await factories.hold(admin, one, "-5.00") for _ in range(2)]
    spent = await factories.spend(admin, one, "-5.00")
    path, of, told = f"cards/{one['id']}", f"card:{one['id']}", {"reason": "so"}
    for name, typed in (
        ("redeem", {"amount": "1"}),
        ("add", {"amount": "1"}),
        ("adjust", {"amount": "1", "direction": "add", **told}),
        ("capture", {"trans": held[0]["id"]}),
        ("release", {"trans": held[1]["id"]}),
        ("refund", {"trans": spent["id"]}),
        ("transfer", {"toId": two["id"], "amount": "10"}),
    ):
        await office.does(f"{path}/{name}", of, **typed)
    external = {"externalCode": "EX-0002"}
    await office.does(f"{path}/printed-code", of, E.CARD_EDITED, physicalCode="P-0002")
    await office.does(f"{path}/external-code", of, E.CARD_EDITED, **external)
    await office.does(f"{path}/personal-code", of, E.CARD_EDITED)
    await office.does(f"{path}/revoke", of, E.CARD_EDITED, codeKind="EXTERNAL")
    await office.does(f"{path}/unlock", of, E.SECRET_UNLOCKED, **told)
    await office.does(f"{path}/block", of, E.CARD_BLOCKED, **told)
    await office.does(f"{path}/unblock", of, E.CARD_UNBLOCKED, **told)
    other, of = f"cards/{two['id']}", f"card:{two['id']}"
    later = {"expiresOn": "2999-12-31", **told}
    await office.does(f"{other}/extend", of, E.CARD_EXTENDED, **later)
    await office.does(f"{other}/disable", of, E.CARD_DISABLED, **told)


async def office_orders(office: Office, admin: Client) -> None:
    product = await goods.product(admin)
    shoes, cash = ordering.goods("20.00"), [ordering.cash("20.00")]
    pending = await ordering.placed(admin, shoes)
    first, second = [await ordering.placed(admin, shoes, payments=cash) for _ in range(2)]
    recipient = {"email": "bo@example.org"}
    sold = ordering.gift(product, recipient=recipient)
    third = await ordering.placed(admin, sold, payments=[ordering.cash("50.00")])
    payment = {"payments.id": first["payments"][0]["id"], "payments.amount": "5"}
    for order, name, event, typed in (
        (pending, "cancel", E.ORDER_CANCELLED, {"reason": "so"}),
        (first, "refund", E.ORDER_REFUNDED, {"amount": "5"}),
        (first, "refund-payment", E.ORDER_REFUNDED, payment),
        (second, "refund-all", E.ORDER_REFUNDED, {}),
        (third, "take-back", E.ORDER_REFUNDED, {"giftcards": ordering.bought(third)[0]}),
    ):
        await office.does(f"orders/{order['id']}/{name}", f"order:{order['id']}", event, **typed)


async def office_stock(office: Office) -> None:
    typed = {"name": "October", "count": "2", "value": "5", "currency": "EUR"}
    typed |= {"codeType": "DIGITAL", "codeConfig.length": "12"}
    await office.does("campaigns", "campaign:1", E.CAMPAIGN_ADDED, **typed)
    for name, event, more in (
        ("pause", E.CAMPAIGN_PAUSED, {}),
        ("resume", E.CAMPAIGN_RESUMED, {}),
        ("extend", E.CAMPAIGN_EXTENDED, {"count": "1", "had": "2"}),
        ("cancel", E.CAMPAIGN_CANCELLED, {}),
    ):
        await office.does(f"campaigns/1/{name}", "campaign:1", event, **more)
    rows_typed = "Name,SystemName,FaceValue\nBoxes,boxes,5\n"
    await office.does("imports", "import:1", E.IMPORT_ADDED, kind="POOLS", rows=rows_typed)


async def office_messages(office: Office, admin: Client) -> None:
    allow_private(office.store)
    hook = await endpoint(admin, "https://127.0.0.1:9/")
    of = f"webhook:{hook['id']}"
    for name, event in (
        ("test", E.WEBHOOK_TESTED),
        ("switch-off", E.WEBHOOK_EDITED),
        ("switch-on", E.WEBHOOK_EDITED),
    ):
        await office.does(f"webhooks/{hook['id']}/{name}", of, event)
    listed = "{ outbox(first: 1) { results { id } } }"
    [mail] = (await admin.run(listed))["outbox"]["results"]
    of = f"message:{mail['id']}"
    await office.does("outbox/resend", of, E.MESSAGE_RESENT, message=mail["id"])
    copy = (await rows(office.store))[-1].facts["copy"]
    await office.does("outbox/retry", f"message:{copy}", E.MESSAGE_RETRIED, message=str(copy))


async def test_every_action_of_the_back_office_leaves_exactly_the_events_it_should(
    server: Server, admin: Client, store: Store
) -> None:
    office = Office(await visitor(server, store, *Permission), store)
    await office_cards(office, admin)
    await office_orders(office, admin)
    await office_stock(office)
    await office_messages(office, admin)
    modules = (card_page, order_actions, campaigns, outbox_actions, webhooks)
    known = {name for module in modules for name in module.ACTIONS}
    assert {path.rsplit("/", 1)[-1] for path in office.sent} == known | {"campaigns", "imports"}
