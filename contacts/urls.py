"""The API's paths, below /api/v2/."""

from django.urls import path

from contacts.bulk import views as bulk

urlpatterns = [
    path("contacts/bulk", bulk.BulkContactsView.as_view()),
    path("jobs/<uuid:job_id>", bulk.JobView.as_view()),
]
