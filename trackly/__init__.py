"""What every app shares: settings, URLs, the Celery app."""

from trackly.celery import app as celery_app

__all__ = ["celery_app"]
