from giftgql.errors import Described
from giftgql.ledger.models import SystemAccount


class LedgerAccount(Described):
    CARDS = "CARDS", "The accounts of all cards together: what is owed to their holders."
    TENDER = "TENDER", "What was paid for cards and top-ups."
    REDEMPTION = "REDEMPTION", "What was paid with cards."
    ADJUSTMENT = "ADJUSTMENT", "Corrections by staff, and what disabled cards had left."
    PROMOTION = "PROMOTION", "What was given away, or sold for another price than its value."
    BREAKAGE = "BREAKAGE", "Funds that expired."
    IMPORT = "IMPORT", "Balances taken over from another system."
    EXTERNAL = "EXTERNAL", "Movements of systems that keep their own cards."

    @staticmethod
    def of(account: int) -> "LedgerAccount":
        """The name of an account by its number, all those of cards being one."""
        return LedgerAccount[SystemAccount(account).name] if account < 0 else LedgerAccount.CARDS


class LiabilityGroup(Described):
    CURRENCY = "CURRENCY", "One line a currency."
    EXPIRY_MONTH = "EXPIRY_MONTH", "By the month in which the funds expire."
    ISSUE_MONTH = "ISSUE_MONTH", "By the month in which the card was made."
