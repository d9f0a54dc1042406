from django.urls import include, path

from tests.benchmarks.peers import views

urlpatterns = [
    path("peers/literal", views.LiteralView.as_view()),
    path("peers/orm", views.OrmView.as_view()),
    path("peers/import-export", views.ImportExportView.as_view()),
    path("", include("trackly.urls")),
]
