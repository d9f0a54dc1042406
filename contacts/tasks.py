"""The Celery tasks of contacts as such; those of batches are in contacts.bulk.tasks."""

import structlog
from celery import shared_task

from contacts.carriers import again

logger = structlog.get_logger(__name__)


@shared_task(ignore_result=True)
def look_up_again() -> None:
    """By beat: ask once more about unverified numbers."""
    if verified := again.look_up_again():
        logger.info("verified_later", contacts=verified)
