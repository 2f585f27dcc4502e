"""python -m agents.run: let a language model size one circuit, and watch it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acs_gym import program
from acs_gym.circuit import CircuitError
from acs_gym.pdks import PdkError, pdk_names
from acs_gym.session import Call, Session, available_cores
from acs_gym.simulation.driver import SimulatorNotFound
from acs_gym.task import Task, TaskNotFound, make_task
from acs_gym.units import format_si
from agents import registry
from agents.config import ConfigError, LlmConfig
from agents.model import ModelError
from agents.transcript.records import Note, read_transcript

EXIT_MODEL, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_NOTES_SHOWN = 8

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    agent: Annotated[str, typer.Option(help=f"Which: {', '.join(registry.AGENTS)}.")] = "llm",
    task: Annotated[str, typer.Option(help="Task: an id or a circuit's name.")] = "ACS-OpAmp-v0",
    budget: Annotated[int, typer.Option(help="Designs it may simulate.")] = 20,
    pdk: Annotated[str, typer.Option(help=f"Process: {', '.join(pdk_names())}.")] = "sky130",
    tier: Annotated[str, typer.Option(help="Conditions: tt, pvt, mc.")] = "tt",
    seed: Annotated[int, typer.Option(help="Of the session.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Simulation processes.", show_default="all cores")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; flags go before it.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model, as the server names it.")] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1."),
    ] = None,
    tool_format: Annotated[
        str | None,
        typer.Option(help="tools, text for models without tool calling, or brief for small ones."),
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Sent only when given.")] = None,
    reply_tokens: Annotated[
        int | None,
        typer.Option(
            help="The longest reply, reasoning included; shortened to what the server allows.",
            show_default="4096",
        ),
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(help="The longest prompt; older turns are left out.", show_default="32000"),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Cap on tokens.")] = None,
    max_money: Annotated[float | None, typer.Option(help="Cap in US dollars.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Cap on time.")] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(help="File for the transcript.", show_default="runs/transcripts/..."),
    ] = None,
) -> None:
    """Let a language model size one circuit, and watch it.

    The key is read from the environment variable OPENAI_API_KEY (or the one that the settings name as
    api_key_env); a server of your own needs none.

    [bold]Examples[/bold]

      python -m agents.run --model gpt-4.1-mini --max-money 0.50

      python -m agents.run --model qwen3 --base-url http://127.0.0.1:8000/v1 --task ota5t

      python -m agents.run --agent llm-scripted --pdk generic      # no model at all
    """
    flags = {
        "model": model, "base_url": base_url, "tool_format": tool_format,
        "temperature": temperature, "reply_tokens": reply_tokens, "context_tokens": context_tokens,
        "max_tokens": max_tokens, "max_money": max_money, "max_seconds": max_seconds,
    }  # fmt: skip
    flags = {k: v for k, v in flags.items() if v is not None}
    try:
        sized = make_task(task, pdk=pdk, tier=tier)
        chosen = _agent(agent, config, flags)
        if budget < 1:
            raise ConfigError(f"--budget is {budget}; it must be at least 1")
        path = transcript or _transcript_path(agent, sized)
        chosen.transcript = path
        session = sized.session(
            budget, seed=seed, workers=workers or available_cores(), on_call=_Watcher(sized, budget)
        )
        code = _run(chosen, session, path)
    except (ConfigError, TaskNotFound, PdkError, CircuitError, ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except SimulatorNotFound as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_MODEL
    raise typer.Exit(code)


def _agent(name: str, config: Path | None, flags: dict[str, Any]) -> Any:
    if name not in registry.AGENTS:
        raise ConfigError(f"no agent {name!r}; agents: {', '.join(registry.AGENTS)}")
    if name == "llm-scripted":
        if flags or config is not None:
            raise ConfigError("llm-scripted has no model, so it takes no settings of one")
        return registry.llm_scripted()
    registry.require("openai", "tenacity")
    settings = LlmConfig.read(config).model_dump(exclude_unset=True) if config else {}
    if not settings and "model" not in flags:
        settings = LlmConfig.from_environment().model_dump(exclude_unset=True)
    return registry.build(name, LlmConfig.of(settings | flags, "settings"))


def _run(agent: Any, session: Session, path: Path) -> int:
    code = 0
    with session:
        try:
            agent.run(session)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = EXIT_INTERRUPTED
        except ModelError as error:
            print(f"error: {error}", file=sys.stderr)
            code = EXIT_MODEL
    for note in _notes(path):
        print(f"note: {note}", file=sys.stderr)
    console = Console(highlight=False)
    best = session.best
    if best is not None:
        console.print(_table(session.task, session))
    elif code == 0:
        print(f"error: {agent.ended}", file=sys.stderr)
        code = EXIT_MODEL
    used = session.usage
    money = f", {used.money:.4f} $" if used.money else ""
    console.print(
        f"{session.meter.used} simulations, {used.tokens} tokens{money}. Transcript: {path}\n"
        f"To read it: python -m agents.transcript {path}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return code


def _notes(path: Path) -> list[str]:
    """What was asked or read otherwise than was set or written: each once, the first few."""
    notes = dict.fromkeys(r.message for r in read_transcript(path) if isinstance(r, Note))
    shown = list(notes)[:_NOTES_SHOWN]
    if len(notes) > len(shown):
        shown.append(f"{len(notes) - len(shown)} more in the transcript")
    return shown


class _Watcher:
    """One line a simulated design, as soon as it is there."""

    def __init__(self, task: Task, budget: int) -> None:
        self._task, self._budget = task, budget
        self._count, self._best = 0, 0.0

    def __call__(self, call: Call) -> None:
        self._count += 1
        evaluation = call.evaluation
        self._best = max(self._best, evaluation.score)
        missed = [m for m, margin in evaluation.margins.items() if not margin >= 0]
        said = "every spec met" if evaluation.feasible else f"misses {', '.join(missed)}"
        state = said if not evaluation.message else f"{evaluation.status}: {evaluation.message}"
        print(
            f"{self._count:>4}/{self._budget}  score {evaluation.score:.4f}  "
            f"best {self._best:.4f}  {state}",
            flush=True,
        )


def _table(task: Task, session: Session) -> Table:
    best = session.best
    assert best is not None
    number = session.history.index(best) + 1
    table = Table(title=f"Best: design {number}, score {best.score:.4f}", title_justify="left")
    for name, justify in (("spec", "left"), ("target", "left"), ("value", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for spec in task.specs:
        met = best.margins[spec.metric] >= 0
        table.add_row(
            spec.metric,
            Text(spec.text()),
            format_si(best.metrics[spec.metric], spec.unit),
            Text("met", style="green") if met else Text("missed", style="red"),
        )
    return table


def _transcript_path(agent: str, task: Task) -> Path:
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs/transcripts") / f"{now}-{task.id}-{agent}.jsonl"


if __name__ == "__main__":
    program.start()
    app()
