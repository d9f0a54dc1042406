"""What happens to a membership outside of a batch."""

from django.utils import timezone

from contacts.models import Contact, ListContact, ListStatus
from trackly import sql
from trackly.accounts.models import Account


def unsubscribe(account: Account, phone_number: str, list_number: str) -> bool:
    """Opt the contact out of the account's list; whether it was subscribed until now.

    Numbers and lists that do not exist are nobody's subscription: False.
    """

    def opt_out() -> bool:
        # The contact's lock comes first, as for all who write memberships (ListContact).
        Contact.objects.select_for_update(no_key=True).filter(phone_number=phone_number).first()
        now = timezone.now()
        changed = (
            ListContact.objects.filter(
                contact__phone_number=phone_number,
                sending_list__account=account,
                sending_list__phone_number=list_number,
                unsubscribed_at=None,
            )
            .exclude(sending_list__status=ListStatus.DELETED)
            .update(unsubscribed_at=now, updated_at=now)
        )
        return changed > 0

    return sql.in_transaction(opt_out)
