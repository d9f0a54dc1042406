"""The production image, made of a checkout by the Dockerfile's own lines: the product, and no more."""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.stack import ROOT


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the stage `product` copies from the checkout."""
    folder = tmp_path_factory.mktemp("image") / "app"
    folder.mkdir()
    stage = (ROOT / "Dockerfile").read_text().split(" AS product\n")[1].split("\nFROM ")[0]
    for line in stage.splitlines():
        match line.split():
            case ["COPY", "manage.py", "./"]:
                shutil.copy(ROOT / "manage.py", folder)
            case ["COPY", source, target]:
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(ROOT / source, folder / target, ignore=ignored)
    return folder


def manage(image: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKLY_")}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=image,
        env={
            **environment,
            "DJANGO_SETTINGS_MODULE": "trackly.settings",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "trackly.example.com",
            "PYTHONPATH": str(image),
            "PYTHONSAFEPATH": "1",  # not this checkout
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_holds_no_stub_and_no_embedded_server(image: Path) -> None:
    assert not (image / "devstack").exists()
    names = {path.name for path in image.iterdir()}
    assert {"trackly", "ingestion", "core", "manage.py"} <= names
    for path in image.rglob("*.py"):
        assert "devstack" not in path.read_text(), path


def test_it_can_be_deployed(image: Path) -> None:
    assert "no issues" in manage(image, "check", "--deploy", "--fail-level", "WARNING")


def test_its_static_files_are_collected(image: Path) -> None:
    assert "static files copied" in manage(image, "collectstatic", "--noinput")
    assert (image / "staticfiles/staticfiles.json").exists()
