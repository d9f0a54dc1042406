"""Amounts of money as people write them."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models import MOST_MICRO_DOLLARS, EntryKind, LedgerEntry, dollars

_WRITTEN = re.compile(
    r"(?P<sign>[-+]?)\$?(?P<inner>[-+]?)(?P<amount>\d{1,12}(?:\.\d{0,6})?|\.\d{1,6})", re.ASCII
)


def micro_dollars(written: str) -> int:
    """An amount in dollars, such as `5.00`, `-5`, `$5` or `-$0.003`, in millionths. Raises ValueError."""
    found = _WRITTEN.fullmatch(written.strip().replace("\N{MINUS SIGN}", "-"))
    if found is None or (found["sign"] and found["inner"]):
        raise ValueError("Enter an amount in dollars with at most six decimals, such as 5.00 or -0.003.")
    size = int(Decimal(found["amount"]) * 1_000_000)
    return -size if "-" in (found["sign"], found["inner"]) else size


class DollarsField(forms.CharField):
    """An amount in dollars; its value is in millionths, within what a ledger entry may be."""

    widget = UnfoldAdminTextInputWidget

    def to_python(self, value: Any) -> Any:
        written = super().to_python(value)
        if not written:
            return None
        try:
            amount = micro_dollars(written)
        except ValueError as exc:
            raise ValidationError(str(exc)) from exc
        if amount == 0:
            raise ValidationError("Enter a non-zero amount.")
        if abs(amount) > MOST_MICRO_DOLLARS:
            raise ValidationError(
                f"Enter an amount from -{dollars(MOST_MICRO_DOLLARS)} to {dollars(MOST_MICRO_DOLLARS)}."
            )
        return amount


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg] # not subscriptable at run time
    """A ledger entry by hand: an amount up or down, and the reason."""

    amount = DollarsField(
        help_text="In dollars, at most six decimals. Positive: the account owes more; negative: less.",
        error_messages={"required": "Enter an amount."},
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "-5.00", "inputmode": "text"}),
    )
    reason = forms.CharField(
        max_length=200,
        error_messages={"required": "Enter a reason."},
        widget=UnfoldAdminTextInputWidget(),
    )

    class Meta:
        model = LedgerEntry
        fields = ("account", "reason")

    def _post_clean(self) -> None:
        """Before the model's constraints are checked, which ask for the amount."""
        self.instance.micro_dollars = self.cleaned_data.get("amount") or 0
        self.instance.kind = EntryKind.ADJUSTMENT
        super()._post_clean()  # type: ignore[misc] # Django's own hook, which its stubs leave out
