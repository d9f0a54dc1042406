"""All paths. Under /api/ everything answers JSON, also what is not there."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from billing import webhooks
from core.http import errors
from trackly.api import docs
from trackly.api.usage import registered
from trackly.ops import health, metrics

urlpatterns = [
    path("api/v2/", include("trackly.api.urls")),
    path("api/v2", docs.IndexView.as_view()),
    path("api/v2/openapi.json", docs.openapi, name="openapi"),
    path("api/v2/docs", docs.DocsView.as_view()),
    re_path(r"^api(?:/|$)", csrf_exempt(errors.no_such_path)),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("webhooks/stripe", webhooks.receive),
    path("payment-method-registered", registered, name="payment-method-registered"),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
handler400 = errors.bad_request
handler404 = errors.no_such_path
handler500 = errors.server_error
