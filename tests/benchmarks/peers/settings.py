"""The product's, and the peers' URLs beside its own."""

from trackly.settings import *  # noqa: F403
from trackly.settings import INSTALLED_APPS

ROOT_URLCONF = "tests.benchmarks.peers.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "import_export"]
