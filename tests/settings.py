"""The product's settings; tests/conftest.py points them at the servers of the test run."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

os.environ["TRACKLY_HOME"] = str(ROOT / ".trackly-test")  # its servers are one folder down
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ.setdefault("TRACKLY_SANDBOX", "1")
os.environ.setdefault("LOG_LEVEL", "WARNING")

from trackly.settings import *  # noqa: E402, F403 - the environment comes first
from trackly.settings import DATABASES  # noqa: E402

# pytest-django makes and drops databases of its own; a pool would keep connections to them.
DATABASES["default"]["OPTIONS"].pop("pool")
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
