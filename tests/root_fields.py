"""A document for each root field but `me`, with the least that it takes."""

ROOT_FIELDS = {
    "giftcard": "{ giftcard { until } }",
    "giftcardBalance": '{ giftcardBalance(code: "MINE-0001", pin: "1234") { balance } }',
    "giftcardTrans": "{ giftcardTrans { until } }",
    "giftcardLiability": "{ giftcardLiability { until } }",
    "giftcardTransSummary": (
        '{ giftcardTransSummary(from: "2026-01-01", to: "2026-01-31") { until } }'
    ),
    "giftcardProduct": "{ giftcardProduct { until } }",
    "giftcardPool": "{ giftcardPool { until } }",
    "giftcardCampaign": "{ giftcardCampaign { until } }",
    "giftcardImport": "{ giftcardImport { until } }",
    "ledgerCheck": "{ ledgerCheck { isClean } }",
    "ledgerTrialBalance": "{ ledgerTrialBalance { balance } }",
    "member": "{ member { until } }",
    **{
        name: f"mutation {{ {name}({given}) {{ {answered} }} }}"
        for name, given, answered in (
            ("giftcardAdd", 'giftcard: {physicalCode: "MINE-0001"}', "id"),
            ("giftcardEdit", 'giftcard: {id: "1", note: "mine"}', "id"),
            ("giftcardTransAdd", 'trans: {giftcardId: "1", transType: ADD, amount: "1.00"}', "id"),
            ("giftcardTransCapture", 'trans: {id: "1"}', "id"),
            ("giftcardTransCancel", 'trans: {id: "1"}', "id"),
            ("giftcardTransRefund", 'trans: {id: "1"}', "id"),
            ("giftcardTransfer", 'giftcard: {id: "1", toId: "2"}', "id"),
            ("giftcardBlock", 'giftcard: {id: "1", reason: "mine"}', "id"),
            ("giftcardUnblock", 'giftcard: {id: "1", reason: "mine"}', "id"),
            ("giftcardDisable", 'giftcard: {id: "1", reason: "mine"}', "id"),
            ("giftcardExtend", 'giftcard: {id: "1", reason: "mine", validFor: "P1Y"}', "id"),
            ("giftcardSecretUnlock", 'giftcard: {id: "1", reason: "mine"}', "id"),
            ("giftcardIssue", 'giftcard: {productId: "1", variantId: "1"}', "id"),
            ("giftcardPublish", 'giftcard: {campaignId: "1", memberId: "C1", sourceId: "1"}', "id"),
            ("giftcardRemove", 'giftcard: {id: "1", reason: "mine"}', "id"),
            ("giftcardProductAdd", 'product: {name: "mine"}', "id"),
            ("giftcardProductEdit", 'product: {id: "1", revision: 1}', "id"),
            ("giftcardProductRemove", 'product: {id: "1"}', "id"),
            ("giftcardPoolAdd", 'pool: {name: "mine", systemName: "mine"}', "id"),
            ("giftcardPoolEdit", 'pool: {id: "1", name: "mine"}', "id"),
            ("giftcardPoolRemove", 'pool: {id: "1"}', "id"),
            ("giftcardCampaignAdd", 'campaign: {name: "mine", count: 0, value: "1"}', "id"),
            ("giftcardCampaignExtend", 'campaign: {id: "1", count: 1}', "id"),
            ("giftcardCampaignPause", 'campaign: {id: "1"}', "id"),
            ("giftcardCampaignResume", 'campaign: {id: "1"}', "id"),
            ("giftcardCampaignCancel", 'campaign: {id: "1"}', "id"),
            ("memberAdd", 'member: {id: "C2"}', "id"),
            ("memberEdit", 'member: {id: "C1", name: "Me"}', "id"),
            ("memberTokenAdd", 'member: {id: "C1"}', "token"),
        )
    },
}
