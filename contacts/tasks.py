"""The Celery tasks of contacts as such; those of batches are in contacts.bulk.tasks."""

import structlog
from celery import shared_task

from billing import validation
from contacts.carriers import again, live
from trackly.lookups import once
from trackly.lookups.models import Kind

logger = structlog.get_logger(__name__)


@shared_task(ignore_result=True)
def look_up_again() -> None:
    """By beat: ask once more about unverified numbers; forget what is too old to be of use."""
    once.forget(Kind.CARRIER, live.question().ttl)
    once.forget(Kind.VALIDATION, validation.KEPT)
    if verified := again.look_up_again():
        logger.info("verified_later", contacts=verified)
