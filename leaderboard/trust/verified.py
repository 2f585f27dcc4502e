"""`verified.json`: that a cell was run here or verified here, and is still what it was then.

A result is a text file, and so is a note that it is genuine. What makes this one worth something is a
key that only this user has: whoever edits a result, or brings runs from elsewhere, cannot sign for them.
The harness signs for a cell the moment it has run it, `leaderboard.verify` for one that holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.cells.fingerprint import distribution_version, simulator_version
from leaderboard.cells.records import Result
from leaderboard.cells.spec import canonical_json
from leaderboard.cells.store import RESULT, result_text
from leaderboard.errors import LeaderboardError
from leaderboard.files import Corrupt, read, write_atomically

VERIFIED = "verified.json"
# Machines of one owner may share a key; a board ranks what was signed with its own.
KEY_VARIABLE, KEY_FILE = "ACS_GYM_KEY_FILE", "signing.key"

# winner: simulated again; all designs: every one of the trace; replay: its agent, asked again, wants
# the designs of the trace; targets: drawn from the salt; second simulator: the winner in VACASK.
Check = Literal["winner", "all designs", "replay", "targets", "second simulator"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Verified(BaseModel):
    """The file.

    Attributes:
        key: of the cell.
        result_sha256, trace_sha256: of the files that were looked at.
        version: of acs-gym; simulator: of ngspice.
        by: `run` signed for a cell that it had just run, `verify` for one that was there.
        checks: what was done beyond reading it.
        at: UTC, ISO 8601.
        signature: HMAC-SHA256 of all the rest with this user's key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    key: str
    result_sha256: Sha256
    trace_sha256: Sha256
    version: str
    simulator: str
    by: Literal["run", "verify"]
    checks: tuple[Check, ...]
    at: str
    signature: Sha256


def key_file() -> Path:
    """Where this user's key is; ACS_GYM_KEY_FILE names another place."""
    chosen = os.environ.get(KEY_VARIABLE)
    return Path(chosen) if chosen else user_config_path("acs-gym") / KEY_FILE


def signing_key() -> bytes:
    """This user's key, made on first use. Raises LeaderboardError where that cannot be."""
    path = key_file()
    try:
        if path.exists():
            return read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # Another run has just made it.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(32) + "\n")
        return read(path)
    except (OSError, Corrupt) as error:
        raise LeaderboardError(
            f"results cannot be signed for: {error}; name a file that can be written: {KEY_VARIABLE}=FILE"
        ) from None


def sign(folder: Path, by: Literal["run", "verify"], checks: Iterable[Check]) -> Verified:
    """Write a cell's `verified.json`. Raises LeaderboardError without a key, Corrupt, OSError."""
    raw = read(folder / RESULT)
    return _sign(folder, raw, Result.model_validate_json(raw), by, checks)


def sign_run(folder: Path, result: Result) -> Verified:
    """Sign for a result that is about to be written, so that no kill leaves it without.

    Raises LeaderboardError without a key, OSError.
    """
    return _sign(folder, result_text(result).encode(), result, "run", run_checks(result))


def run_checks(result: Result) -> tuple[Check, ...]:
    """What a run has done by itself: the winner simulated again, held-out targets drawn."""
    return ("winner", "targets") if result.spec.held_out else ("winner",)


def _sign(
    folder: Path,
    raw: bytes,
    result: Result,
    by: Literal["run", "verify"],
    checks: Iterable[Check],
) -> Verified:
    unsigned = {
        "schema_version": 1,
        "key": result.key,
        "result_sha256": hashlib.sha256(raw).hexdigest(),
        "trace_sha256": result.trace_sha256,
        "version": distribution_version(),
        "simulator": simulator_version(),
        "by": by,
        "checks": list(checks),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    made = Verified.model_validate({**unsigned, "signature": _signature(unsigned)})
    write_atomically(folder / VERIFIED, made.model_dump_json(indent=2) + "\n")
    return made


def look(folder: Path, result: Result) -> Verified | str:
    """Who signed for a cell and after what, or why nobody did, in a few words."""
    path = folder / VERIFIED
    if not path.exists() and not path.is_symlink():
        return "not verified"
    try:
        found = Verified.model_validate_json(read(path))
        current = hashlib.sha256(read(folder / RESULT)).hexdigest()
    except (Corrupt, ValidationError):
        return "not verified: the note of it is damaged"
    unsigned = found.model_dump(mode="json", exclude={"signature"})
    # Whoever has no key has signed nothing; looking does not make one.
    if not key_file().exists() or not hmac.compare_digest(found.signature, _signature(unsigned)):
        return "not verified here"
    same = (found.key, found.result_sha256, found.trace_sha256)
    if same != (result.key, current, result.trace_sha256):
        return "changed since it was verified"
    return found


def _signature(unsigned: dict[str, object]) -> str:
    text = canonical_json(unsigned).encode()
    return hmac.new(signing_key(), text, hashlib.sha256).hexdigest()
