"""The product's settings, without the sweep: to show that a storm finds what it should."""

from trackly.settings import *  # noqa: F403
from trackly.settings import CELERY_BEAT_SCHEDULE

CELERY_BEAT_SCHEDULE = {name: entry for name, entry in CELERY_BEAT_SCHEDULE.items() if name != "sweep"}
