"""The import names of this project that are general words, and who else may have taken them.

Installed into one environment, two distributions with a package of the same name write into one folder:
a file that both have is the later one's, and neither the installer nor Python says so.
"""

from __future__ import annotations

import importlib.metadata

DISTRIBUTION = "acs-gym"
GENERAL = ("agents", "baselines", "leaderboard")


def shared_names() -> list[str]:
    """A sentence for each general name that another distribution in this environment provides too,
    with what to do; empty where there is none. Reads every distribution's list of files (0.1 to 1 s).
    """
    providers = importlib.metadata.packages_distributions()
    others = {n: sorted({*providers.get(n, ())} - {DISTRIBUTION}) for n in GENERAL}
    return [
        f"the import name {name!r} is also that of {' and '.join(other)}, which is installed here: the "
        f"two overwrite each other's files; install {DISTRIBUTION} into an environment of its own "
        "(python -m venv)"
        for name, other in others.items()
        if other
    ]
