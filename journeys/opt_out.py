"""What happens to a membership outside of a batch."""

from collections.abc import Sequence

from django.utils import timezone

from accounts.models import Account
from contacts.models import Contact, ListContact, ListStatus
from core import sql
from journeys.enroll import leave


def unsubscribe(account: Account, phone_number: str, list_number: str) -> bool:
    """Opt the contact out of the account's list; whether it was subscribed until now.

    False, too, for a number or a list that does not exist.
    """

    def effect() -> bool:
        # The contact's lock comes first, as in every transaction that writes memberships (ListContact).
        Contact.objects.select_for_update(no_key=True).filter(phone_number=phone_number).first()
        members = ListContact.objects.filter(
            contact__phone_number=phone_number,
            sending_list__account=account,
            sending_list__phone_number=list_number,
        ).exclude(sending_list__status=ListStatus.DELETED)
        return opt_out(list(members.values_list("pk", flat=True))) > 0

    return sql.retry_on_conflict(effect)


def opt_out(list_contact_ids: Sequence[int]) -> int:
    """Opt memberships out, which ends their journeys at once; how many were subscribed until now.

    Call it in a transaction that holds the lock of each membership's contact.
    """
    now = timezone.now()
    members = ListContact.objects.filter(pk__in=list_contact_ids, unsubscribed_at=None)
    changed = members.update(unsubscribed_at=now, updated_at=now)
    leave(list_contact_ids)
    return changed
