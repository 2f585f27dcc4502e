"""python -m tlgrpo.train: train a policy by turn-level or trajectory-level GRPO."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from acs_gym import program
from tlgrpo.checkpoint import CheckpointError
from tlgrpo.config import ConfigError, TrainConfig

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
_PRINT_EVERY = 10

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="TOML file of settings.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; the same command resumes.", show_default="runs/NAME"),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting, e.g. policy.layers=2."),
    ] = None,
) -> None:
    """Train a policy by turn-level (TL-GRPO) or trajectory-level GRPO.

    Interrupt at any time: the same command goes on from the last checkpoint, to the same bits.

    [bold]Examples[/bold]

      python -m tlgrpo.train --config examples/tlgrpo/ballistics.toml

      python -m tlgrpo.train --config examples/tlgrpo/ota.toml --set algorithm=grpo --out runs/grpo
    """
    console = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    try:
        settings = TrainConfig.read(config, _parsed(changes or []))
        folder = out or Path("runs") / settings.name
        code = _train(settings, folder, say)
    except (ConfigError, CheckpointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def _train(settings: TrainConfig, folder: Path, say: Any) -> int:
    try:
        from tlgrpo.loop import Trainer
    except ImportError as error:
        raise ImportError(f"{error}; training needs pip install 'acs-gym[train]'") from None
    from tlgrpo import distributed

    distributed.start("nccl" if settings.policy.device.startswith("cuda") else "gloo")
    if distributed.rank():

        def say(_: str) -> None:
            """One process tells it all."""

    trainer = Trainer(settings, folder, say=say)
    say(
        f"{settings.algorithm}, {trainer.policy.parameters / 1e6:.2f} M parameters, "
        f"{settings.simulations} simulations -> {folder}"
    )
    for numbers in trainer.run():
        if numbers["update"] % _PRINT_EVERY == 0:
            say(
                f"update {numbers['update']}, {numbers['simulations']} simulations: "
                f"best of episode {numbers['best_of_episode']:.3f}, "
                f"solved {numbers['solved']:.0%}, entropy {numbers['entropy']:.2f}, "
                f"no action {numbers['invalid_share']:.0%}"
            )
    say(f"done; to try it: python -m tlgrpo.evaluate {folder}")
    distributed.stop()
    return 0


def _parsed(changes: list[str]) -> dict[str, Any]:
    """`["seed=1"]` as `{"seed": 1}`: values as TOML has them, anything else a text."""
    import tomllib

    found = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {text}: write NAME=VALUE")
        try:
            found[name] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found


if __name__ == "__main__":
    program.start()
    app()
