"""What can be trained on: circuits on real simulation, and a small example that needs none."""

from __future__ import annotations

import importlib
from typing import Any

from tlgrpo.config import ConfigError, DomainConfig
from tlgrpo.domain import Domain

DOMAINS = {
    "circuits": "tlgrpo.domains.circuits:Circuits",
    "sizing": "tlgrpo.domains.sizing:Sizing",
    "chat-circuits": "tlgrpo.domains.chat_circuits:ChatCircuits",
    "brief-circuits": "tlgrpo.domains.brief_circuits:BriefCircuits",
    "ballistics": "tlgrpo.domains.ballistics:Ballistics",
}


def build_domain(config: DomainConfig) -> Domain:
    """The domain of that name, or of `package.module:factory`. Raises ConfigError."""
    location = DOMAINS.get(config.name, config.name)
    module_name, colon, attribute = location.partition(":")
    if not colon:
        known = ", ".join(DOMAINS)
        raise ConfigError(
            f"domain.name: no domain {config.name!r}; domains: {known}, or package.module:factory"
        )
    try:
        factory: Any = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"domain.name: {config.name}: {error}") from None
    try:
        return factory(**config.arguments)  # type: ignore[no-any-return]
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"domain.arguments: {error}") from None
