"""The Celery app: `celery -A trackly worker`. Its settings are the CELERY_ ones of trackly.settings."""

import os

from celery import Celery

from trackly import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
broker.use()

app = Celery("trackly")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
