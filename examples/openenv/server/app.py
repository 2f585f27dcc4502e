"""What OpenEnv's tools look for: the application, and a `main` that serves it in a container."""

from __future__ import annotations

import os

from acs_gym.integrations import openenv

# The bundled PDK needs no download; `sky130` does (`acs-gym pdk install sky130`).
app = openenv.app(os.environ.get("ACS_GYM_PDK", "generic"))


def main() -> None:
    openenv.serve(app, host=os.environ.get("HOST", openenv.HOST))


if __name__ == "__main__":
    main()
