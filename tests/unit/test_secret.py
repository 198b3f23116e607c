"""A secret's file that only root may read, and the credential of its name that systemd hands over."""

from pathlib import Path

import pytest

from guard.errors import WorldError
from guard.settings.secret import Secret


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which systemd puts what it hands over."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


def test_a_file_that_cannot_be_read_is_looked_for_among_the_credentials(tmp_path: Path, credentials: Path) -> None:
    path = tmp_path / "db1-password"
    secret = Secret(str(path), path=path)
    with pytest.raises(WorldError, match=f"LoadCredential=db1-password:{path} in the unit hands it over"):
        secret.reveal()
    (credentials / "db1-password").write_text("from systemd\n")
    assert secret.reveal() == "from systemd"
    path.write_text("from the file\n")
    assert secret.reveal() == "from the file"


def test_outside_of_a_unit_nothing_is_said_of_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    path = tmp_path / "db1-password"
    with pytest.raises(WorldError, match=r"cannot be read: No such file or directory\.$"):
        Secret(str(path), path=path).reveal()
