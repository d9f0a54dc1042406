"""The product's settings; tests/conftest.py points them at the servers of the test run."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Its servers are one folder down. Runs beside each other need one each.
os.environ["TRACKLY_HOME"] = os.environ.get("TRACKLY_TEST_HOME") or str(ROOT / ".trackly-test")
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("TRACKLY_SANDBOX", "1")
os.environ.setdefault("LOG_LEVEL", "WARNING")

from trackly.settings import *  # noqa: E402, F403 - the environment comes first
from trackly.settings import DATABASES  # noqa: E402

# pytest-django makes and drops databases of its own; a pool would keep connections to them.
DATABASES["default"]["OPTIONS"].pop("pool")
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
