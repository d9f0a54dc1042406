"""The API's paths, below /api/v2/, and the scope that a key needs for each method (contract, "Reading").

A method that names no scope is refused to every key (trackly.accounts.authentication.KeyHasScope).
"""

from django.urls import path, re_path

from billing.views import UsageView
from contacts import views
from contacts.bulk import views as bulk
from trackly.accounts.scopes import Scope

READ = {"GET": Scope.CONTACTS_READ}
WRITE = {"POST": Scope.CONTACTS_WRITE}
UNSUBSCRIBE = {"DELETE": Scope.CONTACTS_WRITE}
CHANGE = {"PATCH": Scope.CONTACTS_WRITE}

urlpatterns = [
    path("contacts", views.ContactsView.as_view(scopes=READ | WRITE | UNSUBSCRIBE)),
    path("contacts/bulk", bulk.BulkContactsView.as_view(scopes=WRITE)),
    re_path(r"^contacts/(?P<phone_number>\+[1-9][0-9]{1,14})$", views.ContactView.as_view(scopes=READ)),
    path("jobs", bulk.JobsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>", bulk.JobView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/results", bulk.JobResultsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/errors.csv", bulk.JobErrorsView.as_view(scopes=READ)),
    path("jobs/<uuid:job_id>/retry", bulk.JobRetryView.as_view(scopes=WRITE)),
    path("jobs/<uuid:job_id>/cancel", bulk.JobCancelView.as_view(scopes=WRITE)),
    re_path(r"^lists/(?P<list_id>[0-9]{1,18})$", views.ListView.as_view(scopes=READ | CHANGE)),
    re_path(r"^lists/(?P<list_id>[0-9]{1,18})/contacts\.csv$", views.ListContactsView.as_view(scopes=READ)),
    path("usage", UsageView.as_view(scopes=READ)),
    path("lists", views.ListsView.as_view(scopes=READ | WRITE)),
]
