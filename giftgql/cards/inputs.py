"""What callers send to make and change cards, read once into what cannot be wrong."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import strawberry

from giftgql import codes
from giftgql.cards.service import CardChange, NewCard, NewCode
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput, NotFound
from giftgql.members.api import read_member_id
from giftgql.money import is_currency
from giftgql.requests.service import Once, once
from giftgql.values import (
    JSONObject,
    facts_of,
    given,
    metadata,
    optional,
    record_id,
    secret_input,
    text,
)
from giftgql.vault import Vault, valid_cvv, valid_pin

_NOT_FINGERPRINTED = frozenset({"physical_pin", "physical_cvv", "idempotency_key"})


@strawberry.input
class CodesInput:
    physical_code: str | None = optional(
        "A printed code: 4 to 64 printable ASCII characters, also when spaces and dashes are "
        "not counted. `CODE_TAKEN` where it is or ever was in use."
    )
    physical_pin: str | None = optional(
        "The printed code's scratch-off PIN, 4 to 12 digits. It is never given out again."
    )
    physical_cvv: str | None = optional(
        "The printed code's CVV, 3 to 8 digits, which every payment with the card will need. It is "
        "never given out. `CVV_REQUIRED` where a code that needs its CVV is replaced without one."
    )
    physical_expires_on: date | None = optional("Last day of the printed code.")
    add_personal_code: bool = strawberry.field(
        default=False,
        description="Make a personal code. `MEMBER_REQUIRED` where the card has no owner.",
    )
    personal_expires_on: date | None = optional("Last day of the personal code.")
    external_code: str | None = optional(
        "A third-party system's code, which that system secures: characters as in "
        "`physicalCode`. `CODE_TAKEN` where it is or ever was in use."
    )
    external_expires_on: date | None = optional("Last day of the third-party code.")
    member_id: strawberry.ID | None = optional(
        "The owner. `MEMBER_NOT_FOUND` where there is no such member; `MEMBER_MISMATCH` where "
        "the card belongs to another: a card's owner never changes."
    )
    note: str | None = optional("For staff, at most 1,000 characters.")
    metadata: JSONObject | None = optional("The retailer's own facts.")
    idempotency_key: str | None = optional(
        "1 to 128 printable ASCII characters. The same key with the same input does the work "
        "once and gives the first answer again, with `replayed: true` in the response's "
        "`extensions`; with other input it is an `IDEMPOTENCY_CONFLICT`."
    )

    async def new_codes(self, vault: Vault) -> list[NewCode]:
        """The codes to add. A PIN is hashed here, which takes a while."""
        printed, external = given(self.physical_code), given(self.external_code)
        personal = self.add_personal_code or None
        pin, printed_until = given(self.physical_pin), given(self.physical_expires_on)
        cvv = given(self.physical_cvv)
        personal_until = given(self.personal_expires_on)
        external_until = given(self.external_expires_on)
        _refuse_alone(pin, "physicalPin", printed, "physicalCode")
        _refuse_alone(cvv, "physicalCvv", printed, "physicalCode")
        _refuse_alone(printed_until, "physicalExpiresOn", printed, "physicalCode")
        _refuse_alone(personal_until, "personalExpiresOn", personal, "addPersonalCode")
        _refuse_alone(external_until, "externalExpiresOn", external, "externalCode")

        new = []
        if personal:
            new.append(NewCode(CodeType.PERSONAL, "addPersonalCode", expires_on=personal_until))
        if external is not None:
            code = codes.to_store(external, "externalCode")
            new.append(NewCode(CodeType.EXTERNAL, "externalCode", code, expires_on=external_until))
        if printed is not None:
            code = codes.to_store(printed, "physicalCode")
            new.append(await _printed(vault, code, pin, cvv, printed_until))
        return new

    def owner(self) -> str | None:
        wanted = given(self.member_id)
        return None if wanted is None else read_member_id(wanted)

    def request(self, mutation: str) -> Once | None:
        facts = facts_of(self, without=_NOT_FINGERPRINTED)
        return once(given(self.idempotency_key), mutation, facts)

    def card_facts(self) -> dict[str, Any]:
        """The note and the metadata, where they are given."""
        facts: dict[str, Any] = {}
        if self.note is not strawberry.UNSET:
            facts["note"] = (
                None if self.note is None else text(self.note, "note", 1_000, lines=True)
            )
        if self.metadata is not strawberry.UNSET:
            facts["details"] = None if self.metadata is None else metadata(self.metadata)
        return facts


@secret_input("A card to be made, with at least one code: else `INVALID_INPUT`.")
class GiftcardAddInput(CodesInput):
    currency: str | None = optional("ISO 4217 code; the server's own by default.")
    expires_on: date | None = optional("Last day of the funds.")

    async def parsed(self, vault: Vault, own_currency: str) -> NewCard:
        currency = own_currency if given(self.currency) is None else str(self.currency)
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        facts = self.card_facts()
        owner = self.owner()
        request = self.request("giftcardAdd")
        new = await self.new_codes(vault)
        if not new:
            raise InvalidInput("giftcard", "needs a code: a card has at least one")
        return NewCard(
            codes=new,
            currency=currency,
            member_id=owner,
            expires_on=given(self.expires_on),
            facts=facts,
            request=request,
        )


@secret_input(
    "Changes of a card's codes, note and metadata, all or nothing. A type that the card has is "
    "replaced, a printed code with its PIN. What is left out stays; a null note or metadata is "
    "emptied."
)
class GiftcardEditInput(CodesInput):
    id: strawberry.ID = strawberry.field(description="The card's internal id.")
    revoke_physical_code: bool = strawberry.field(
        default=False, description="End the printed code. `NOT_FOUND` where there is none."
    )
    revoke_personal_code: bool = strawberry.field(
        default=False, description="End the personal code. `NOT_FOUND` where there is none."
    )
    revoke_external_code: bool = strawberry.field(
        default=False, description="End the third-party code. `NOT_FOUND` where there is none."
    )
    revoke_digital_code: bool = strawberry.field(
        default=False, description="End the digital code. `NOT_FOUND` where there is none."
    )

    async def parsed(self, vault: Vault) -> CardChange:
        card_id = record_id(self.id)
        if card_id is None:
            raise NotFound("id", "gift card")
        facts, owner = self.card_facts(), self.owner()
        request = self.request("giftcardEdit")
        return CardChange(
            card_id=card_id,
            codes=await self.new_codes(vault),
            revoked=self._revoked(),
            member_id=owner,
            facts=facts,
            request=request,
        )

    def _revoked(self) -> Mapping[CodeType, str]:
        asked = {
            CodeType.PHYSICAL: (self.revoke_physical_code, "revokePhysicalCode"),
            CodeType.PERSONAL: (self.revoke_personal_code, "revokePersonalCode"),
            CodeType.EXTERNAL: (self.revoke_external_code, "revokeExternalCode"),
            CodeType.DIGITAL: (self.revoke_digital_code, "revokeDigitalCode"),
        }
        return {kind: field for kind, (is_asked, field) in asked.items() if is_asked}


async def _printed(
    vault: Vault, code: CodeText, pin: str | None, cvv: str | None, until: date | None
) -> NewCode:
    kind = CodeType.PHYSICAL
    if pin is not None:
        valid_pin(pin, "physicalPin")
    if cvv is not None:
        valid_cvv(cvv, "physicalCvv")
    return NewCode(
        kind,
        "physicalCode",
        code,
        None if pin is None else await vault.hash_pin(kind, code, pin),
        until,
        None if cvv is None else await vault.harden_cvv(kind, code, cvv),
    )


def _refuse_alone(value: object, source: str, needed: object, needed_source: str) -> None:
    if value is not None and needed is None:
        raise InvalidInput(source, f"needs {needed_source}")
