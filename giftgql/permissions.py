"""Who may do what: permissions, the roles that bundle them, and the caller who holds them.

Source: section 2 of the behaviour reference (POS document). Effective rights are the union of
the roles and the single permissions of a client or a staff member.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from giftgql.errors import Described, InvalidInput, PermissionDenied


class Permission(Described):
    CREATE_GIFT_CARD = "CreateGiftCard", "Create gift cards."
    EDIT_GIFT_CARD = "EditGiftCard", "Add, replace and revoke a card's codes. In no role."
    FIND_GIFT_CARD_BY_CODE = "FindGiftCardByCode", "Look cards up by a code."
    LIST_GIFT_CARDS = "ListGiftCards", "List cards, and look them up by id."
    USE_PHYSICAL_GIFT_CARD_CODES = (
        "UsePhysicalGiftCardCodes",
        "Find cards by, and see, printed codes.",
    )
    USE_EXTERNAL_GIFT_CARD_CODES = (
        "UseExternalGiftCardCodes",
        "Find cards by, and see, third-party codes.",
    )
    USE_CRYPTO_GIFT_CARD_CODES = (
        "UseCryptoGiftCardCodes",
        "Find cards by, and see masked, personal and digital codes.",
    )
    VIEW_UNMASKED_GIFT_CARD_CODES = (
        "ViewUnmaskedGiftCardCodes",
        "See personal and digital codes in clear.",
    )
    USE_SHORT_PERSONAL_GIFT_CARD_CODES = "UseShortPersonalGiftCardCodes", "Reserved."
    GIFT_CARD_TRANS_ADD = "GiftCardTransAdd", "Add funds."
    GIFT_CARD_TRANS_USE = "GiftCardTransUse", "Take funds."
    GIFT_CARD_TRANS_ADJUST = "GiftCardTransAdjust", "Correct a balance, with a reason."
    GIFT_CARD_TRANS_EXTERNAL = "GiftCardTransExternal", "Book movements of another system."
    GIFT_CARD_TRANS_IMPORT = "GiftCardTransImport", "Take balances over from another system."
    GIFT_CARD_TRANS_REFUND = "GiftCardTransRefund", "Refund movements."
    GIFT_CARD_TRANSFER = "GiftCardTransfer", "Move funds between two cards."
    LIST_GIFT_CARD_TRANS = "ListGiftCardTrans", "List movements."
    CHECK_GIFT_CARD_BALANCE = "CheckGiftCardBalance", "Check a balance for a card's holder."
    BLOCK_GIFT_CARD = "BlockGiftCard", "Block and unblock cards."
    DISABLE_GIFT_CARD = "DisableGiftCard", "Disable cards for good."
    EXTEND_GIFT_CARD = "ExtendGiftCard", "Extend the validity of funds."
    UNLOCK_SECRETS = "UnlockSecrets", "Unlock a PIN or CVV."
    MANAGE_MEMBERS = "ManageMembers", "Add and edit members."
    VIEW_MEMBERS = "ViewMembers", "Read members."
    ISSUE_MEMBER_TOKENS = "IssueMemberTokens", "Mint tokens with which members sign in."
    MANAGE_PRODUCTS = "ManageProducts", "Manage gift card products."
    MANAGE_POOLS = "ManagePools", "Manage and import pools of cards."
    MANAGE_CAMPAIGNS = "ManageCampaigns", "Manage campaigns of generated cards."
    EXPORT_GIFT_CARD_CODES = "ExportGiftCardCodes", "Export codes for the printer. In no role."
    CREATE_ORDER = "CreateOrder", "Place orders."
    VIEW_ORDERS = "ViewOrders", "Read orders."
    REFUND_ORDER = "RefundOrder", "Refund orders."
    VIEW_REPORTS = "ViewReports", "Read reports and check the books."
    MANAGE_CLIENTS = "ManageClients", "Manage clients and their keys."
    MANAGE_STAFF = "ManageStaff", "Manage staff."
    MANAGE_WEBHOOKS = "ManageWebhooks", "Manage webhooks."
    MANAGE_OUTBOX = "ManageOutbox", "See and retry deliveries."
    VIEW_AUDIT = "ViewAudit", "Read the audit trail."
    INTROSPECT_SCHEMA = "IntrospectSchema", "Ask the schema about itself."


_P = Permission

_TILL = frozenset(
    {
        _P.CREATE_GIFT_CARD,
        _P.FIND_GIFT_CARD_BY_CODE,
        _P.USE_PHYSICAL_GIFT_CARD_CODES,
        _P.USE_CRYPTO_GIFT_CARD_CODES,
        _P.GIFT_CARD_TRANS_ADD,
        _P.GIFT_CARD_TRANS_USE,
        _P.GIFT_CARD_TRANS_REFUND,
        _P.CREATE_ORDER,
    }
)
_CLERK = frozenset(
    {
        _P.FIND_GIFT_CARD_BY_CODE,
        _P.USE_PHYSICAL_GIFT_CARD_CODES,
        _P.USE_CRYPTO_GIFT_CARD_CODES,
        _P.VIEW_MEMBERS,
        _P.CHECK_GIFT_CARD_BALANCE,
    }
)

ROLES: dict[str, frozenset[Permission]] = {
    "till": _TILL,
    "shop": frozenset(
        {
            _P.FIND_GIFT_CARD_BY_CODE,
            _P.USE_PHYSICAL_GIFT_CARD_CODES,
            _P.USE_EXTERNAL_GIFT_CARD_CODES,
            _P.USE_CRYPTO_GIFT_CARD_CODES,
            _P.GIFT_CARD_TRANS_USE,
            _P.GIFT_CARD_TRANS_REFUND,
            _P.CHECK_GIFT_CARD_BALANCE,
            _P.CREATE_ORDER,
            _P.VIEW_ORDERS,
        }
    ),
    "app-backend": frozenset({_P.MANAGE_MEMBERS, _P.VIEW_MEMBERS, _P.ISSUE_MEMBER_TOKENS}),
    "clerk": _CLERK,
    "manager": _CLERK
    | _TILL
    | {
        _P.LIST_GIFT_CARDS,
        _P.LIST_GIFT_CARD_TRANS,
        _P.GIFT_CARD_TRANS_ADJUST,
        _P.GIFT_CARD_TRANSFER,
        _P.BLOCK_GIFT_CARD,
        _P.EXTEND_GIFT_CARD,
        _P.UNLOCK_SECRETS,
        _P.MANAGE_MEMBERS,
        _P.MANAGE_PRODUCTS,
        _P.MANAGE_POOLS,
        _P.MANAGE_CAMPAIGNS,
        _P.VIEW_ORDERS,
        _P.REFUND_ORDER,
        _P.VIEW_REPORTS,
    },
    "administrator": frozenset(Permission)
    - {
        _P.EDIT_GIFT_CARD,
        _P.VIEW_UNMASKED_GIFT_CARD_CODES,
        _P.EXPORT_GIFT_CARD_CODES,
    },
}


def rights(roles: Iterable[str], permissions: Iterable[str]) -> frozenset[Permission]:
    """What these roles and single permissions give together. Names no longer known give nothing."""
    known = {permission.value: permission for permission in Permission}
    single = frozenset(known[name] for name in permissions if name in known)
    return single.union(*(ROLES.get(role, frozenset()) for role in roles))


def known_rights(roles: Iterable[str], permissions: Iterable[str]) -> tuple[list[str], list[str]]:
    """Roles and permissions in the form that is stored. Refuses unknown ones by name."""
    if unknown := set(roles) - ROLES.keys():
        raise InvalidInput(
            "roles", f"has no {', '.join(sorted(unknown))}; there are {', '.join(ROLES)}"
        )
    if unknown := set(permissions) - {permission.value for permission in Permission}:
        raise InvalidInput("permissions", f"has no {', '.join(sorted(unknown))}")
    return sorted(set(roles)), sorted(set(permissions))


def roles_by_group(text: str) -> dict[str, set[str]]:
    """Read `group=role; group=role`. Raises ValueError for what is no role of ours."""
    found: dict[str, set[str]] = {}
    for pair in filter(None, (each.strip() for each in text.split(";"))):
        group, _, role = pair.rpartition("=")  # groups may be written as `cn=tills,dc=example`
        if not group.strip() or role.strip() not in ROLES:
            raise ValueError(f"must be group=role; there are {', '.join(ROLES)}")
        found.setdefault(group.strip(), set()).add(role.strip())
    return found


def holder_name(name: str) -> str:
    """The name of somebody or something that holds rights: 1 to 100 printable characters."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidInput("name", "must have 1 to 100 printable characters")
    return name


class Channel(Described):
    IN_STORE = "IN_STORE", "A till or a person in a store: the card is at hand."
    ONLINE = "ONLINE", "A web shop or an app: physical codes need their PIN."


class CallerKind(StrEnum):
    CLIENT = "client"
    MEMBER = "member"
    STAFF = "staff"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence a request came: the address of who is connected, and the id of the request. The
    command line and jobs have neither."""

    address: str | None = None
    request_id: str | None = None


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and what they may do. `id` is the client's, the member's or the staff
    member's public id. Who is `only_trusted` may run documents that the operator gave to the
    server, and no others. The same caller may come from several places."""

    kind: CallerKind
    id: str
    permissions: frozenset[Permission] = field(default=frozenset(), repr=False)
    channel: Channel = Channel.ONLINE
    only_trusted: bool = False
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    def coming_from(self, origin: Origin) -> "Caller":
        return replace(self, origin=origin)

    @property
    def name(self) -> str:
        """Unique over all kinds, as keys and logs need it: `client:ggc_…`, `staff:ggp_…`."""
        return f"{self.kind.value}:{self.id}"

    @property
    def member_id(self) -> str | None:
        return self.id if self.kind is CallerKind.MEMBER else None

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        if permission not in self.permissions:
            raise PermissionDenied(permission.value)


THE_OPERATOR = Caller(
    CallerKind.SERVER, "cli", permissions=frozenset(Permission), channel=Channel.IN_STORE
)
"""Whoever has the server's own command line, and with it the database and the keys."""

THE_SERVER = Caller(CallerKind.SERVER, "giftgql", channel=Channel.IN_STORE)
