"""The API's paths, below /api/v2/, and the scope that a key needs for each method (contract, "Reading").

A method that names no scope is refused to every key (accounts.authentication.KeyHasScope).
"""

from django.urls import path, re_path

from accounts.scopes import Scope
from trackly.api import bulk, contacts
from trackly.api.usage import UsageView

READ = {"GET": Scope.CONTACTS_READ}
WRITE = {"POST": Scope.CONTACTS_WRITE}
UNSUBSCRIBE = {"DELETE": Scope.CONTACTS_WRITE}
CHANGE = {"PATCH": Scope.CONTACTS_WRITE}

urlpatterns = [
    path("contacts", contacts.ContactsView.as_view(scopes=READ | WRITE | UNSUBSCRIBE)),
    path("contacts/bulk", bulk.BulkContactsView.as_view(scopes=WRITE)),
    re_path(r"^contacts/(?P<phone_number>\+[1-9][0-9]{1,14})$", contacts.ContactView.as_view(scopes=READ)),
    path("jobs", bulk.JobsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>", bulk.JobView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/results", bulk.JobResultsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/errors.csv", bulk.JobErrorsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/retry", bulk.JobRetryView.as_view(scopes=WRITE)),
    path("jobs/<uuid:job_id>/cancel", bulk.JobCancelView.as_view(scopes=WRITE)),
    re_path(r"^lists/(?P<list_id>[0-9]{1,18})$", contacts.ListView.as_view(scopes=READ | CHANGE)),
    re_path(
        r"^lists/(?P<list_id>[0-9]{1,18})/contacts\.csv$", contacts.ListContactsView.as_view(scopes=READ)
    ),
    path("usage", UsageView.as_view(scopes=READ)),
    path("lists", contacts.ListsView.as_view(scopes=READ | WRITE)),
]
