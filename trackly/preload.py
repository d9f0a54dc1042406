"""What processes that fork load before they do, so that their children need not, each at its first request.

It opens no connection: a child must not share one.
"""

from celery import Celery
from celery.app import backends
from django.conf import settings
from django.urls import get_resolver
from django.utils.module_loading import import_string

from contacts import phone

_POOL = "psycopg_pool.ConnectionPool"
_DESCRIPTION = "trackly.api.docs.encoded"


def for_requests(app: Celery) -> None:
    """The views, their description, and what sends a task; else they are made when they are first needed."""
    _ = get_resolver().url_patterns
    import_string(_DESCRIPTION)()  # its module has models, and this one is Celery's too
    app.connection_for_write().get_transport_cls()
    backends.by_url(app.conf.result_backend, app.loader)
    _for_database()


def for_tasks() -> None:
    """What processes a slice: the pattern of the numbers that most contacts have takes longest to make."""
    phone.parse("+12125550100")
    _for_database()


def _for_database() -> None:
    if settings.DATABASES["default"]["OPTIONS"].get("pool"):
        import_string(_POOL)
