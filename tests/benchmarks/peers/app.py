"""The literal shape's Celery: `celery -A tests.benchmarks.peers.app worker -Q literal`.

Tuned: tasks are acknowledged as they begin (the product's are, late), many are fetched at once, database
connections stay open, the result backend is the product's, which does not subscribe to a thousand results.
"""

from celery import Celery

QUEUE = "literal"
PREFETCH = 64
"""Messages that a process holds at once: the tasks are short and alike."""

app = Celery("literal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    imports=["tests.benchmarks.peers.tasks"],
    task_default_queue=QUEUE,
    task_routes={},
    task_acks_late=False,
    worker_prefetch_multiplier=PREFETCH,
    db_reuse_max=10_000,
    beat_schedule={},
)
