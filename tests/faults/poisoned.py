"""The product's settings, and the poison."""

from trackly.settings import *  # noqa: F403
from trackly.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.poison"]
