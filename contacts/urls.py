"""The API's paths, below /api/v2/."""

from django.urls import path, re_path

from billing.views import UsageView
from contacts import views
from contacts.bulk import views as bulk

urlpatterns = [
    path("contacts", views.ContactsView.as_view()),
    path("contacts/bulk", bulk.BulkContactsView.as_view()),
    re_path(r"^contacts/(?P<phone_number>\+[1-9][0-9]{1,14})$", views.ContactView.as_view()),
    path("jobs", bulk.JobsView.as_view()),
    path("jobs/<uuid:job_id>", bulk.JobView.as_view()),
    path("jobs/<uuid:job_id>/results", bulk.JobResultsView.as_view()),
    path("jobs/<uuid:job_id>/errors.csv", bulk.JobErrorsView.as_view()),
    path("jobs/<uuid:job_id>/retry", bulk.JobRetryView.as_view()),
    path("jobs/<uuid:job_id>/cancel", bulk.JobCancelView.as_view()),
    re_path(r"^lists/(?P<list_id>[0-9]{1,18})$", views.ListView.as_view()),
    re_path(r"^lists/(?P<list_id>[0-9]{1,18})/contacts\.csv$", views.ListContactsView.as_view()),
    path("usage", UsageView.as_view()),
    path("lists", views.ListsView.as_view()),
]
