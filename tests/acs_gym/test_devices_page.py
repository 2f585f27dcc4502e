"""docs/devices.md lists what an X line may be; the signatures and the devices are what it must say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from acs_gym.pdks import Pdk, get_pdk
from acs_gym.pdks.base import NEUTRAL
from tests.conftest import needs_sky130

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()


def device_table(pdk: Pdk) -> str:
    """A row for each group of devices that are alike: names, nodes, what must and what may be given."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, signature in pdk.signatures.items():
        defaults = pdk.devices("tt")[name].defaults
        optional = [
            f"`{p} = {short(default.text)}`"
            if (default := defaults.get(attribute(p)))
            else f"`{p}`"
            for p in signature.optional
        ]
        needed = ", ".join(f"`{p}`" for p in signature.required) or "—"
        group = (" ".join(signature.nodes), needed, ", ".join(optional) or "—")
        groups.setdefault(group, []).append(f"`{name.removeprefix('sky130_fd_pr__')}`")
    rows = (f"| {', '.join(names)} | {' | '.join(group)} |" for group, names in groups.items())
    return "\n".join(("| device | nodes | needs | takes |", "|---|---|---|---|", *rows))


def attribute(parameter: str) -> str:
    return "as_" if parameter == "as" else parameter


def short(formula: str) -> str:
    """Numbers as a person writes them: 1, 0.29u."""

    def number(match: re.Match[str]) -> str:
        return f"{float(match[0]) * 1e6:g}u" if "e-0" in match[0] else f"{float(match[0]):g}"

    return re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?!\w)", number, formula)


@needs_sky130
def test_the_page_on_devices_has_sky130s_with_their_nodes_parameters_and_defaults() -> None:
    assert device_table(get_pdk("sky130")) in PAGE


def test_the_page_on_devices_has_gf180s_with_their_nodes_parameters_and_defaults() -> None:
    pdk = get_pdk("gf180mcu")
    if not pdk.available():
        pytest.skip("gf180mcu models are not on this machine")
    assert device_table(pdk) in PAGE


def test_the_page_on_devices_has_the_neutral_ones() -> None:
    rows = dict(neutral_rows())
    assert rows.keys() == NEUTRAL.keys()
    for name, signature in NEUTRAL.items():
        nodes, needed, taken = rows[name]
        assert nodes == " ".join(signature.nodes)
        assert re.findall(r"`(\w+)`", needed) == list(signature.required)
        assert re.findall(r"`(\w+)`", taken) == list(signature.optional)


def neutral_rows() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """(device, (nodes, what it needs, what it takes)) of the rows with a fifth cell of words."""
    section = PAGE.partition("## For any PDK")[2].partition("\n## ")[0]
    row = r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| [^|]+ \|$"
    for names, nodes, needed, taken in re.findall(row, section, re.M):
        for name in re.findall(r"`(\w+)`", names):
            yield name, (nodes, needed, taken)
