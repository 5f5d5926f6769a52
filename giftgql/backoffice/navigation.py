"""The sections of the back office, each for whoever has one of its permissions."""

from dataclasses import dataclass

from giftgql.permissions import Caller, Permission


@dataclass(frozen=True)
class Section:
    title: str
    path: str
    any_of: tuple[Permission, ...]
    about: str
    """What is found there, for the first page."""


FINDS_CARDS = (Permission.FIND_GIFT_CARD_BY_CODE, Permission.LIST_GIFT_CARDS)
SEES_ORDERS = (Permission.VIEW_ORDERS, Permission.CREATE_ORDER)

SECTIONS = (
    Section(
        "Cards",
        "/office/cards",
        FINDS_CARDS,
        "Look a card up, use it, add funds, block it, replace a lost code.",
    ),
    Section(
        "Orders",
        "/office/orders",
        SEES_ORDERS,
        "What was bought, which cards paid which part of it; cancel, refund.",
    ),
    Section(
        "Products",
        "/office/products",
        (Permission.MANAGE_PRODUCTS,),
        "What is sold: prices, values, how long cards are good.",
    ),
    Section(
        "Pools",
        "/office/pools",
        (Permission.MANAGE_POOLS,),
        "Ready-made cards: how many are left, sold and used.",
    ),
    Section(
        "Campaigns",
        "/office/campaigns",
        (Permission.MANAGE_CAMPAIGNS,),
        "Have many cards made, and see how far that is.",
    ),
    Section(
        "Imports",
        "/office/imports",
        (Permission.MANAGE_POOLS,),
        "Take over pools and cards from files, and correct what was not right.",
    ),
    Section(
        "Liability",
        "/office/liability",
        (Permission.VIEW_REPORTS,),
        "What is owed to the holders of cards, and how that has changed.",
    ),
    Section(
        "Outbox",
        "/office/outbox",
        (Permission.MANAGE_OUTBOX,),
        "Mails and calls of other systems: what waits, what has failed; try again.",
    ),
    Section(
        "Webhooks",
        "/office/webhooks",
        (Permission.MANAGE_WEBHOOKS,),
        "The systems that are told what happens, and whether they answer.",
    ),
    Section(
        "Audit",
        "/office/audit",
        (Permission.VIEW_AUDIT,),
        "Who did what, when, and from where.",
    ),
)


def open_to(caller: Caller) -> list[Section]:
    return [each for each in SECTIONS if any(caller.may(needed) for needed in each.any_of)]
