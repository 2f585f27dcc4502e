"""The environment for TRL: one update of a tiny model on conversations that really simulate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from acs_gym.tools.definitions import definitions
from acs_gym.tools.problem import Problem, problems, solution
from tests.frameworks.page import code_of
from tests.tlgrpo.chat_models import END, chat_tokenizer, save_chat_model

pytest.importorskip("trl")
PROBLEM = Problem("ACS-OTA5T-v0", "generic", 2)


def says(name: str, arguments: dict[str, Any]) -> str:
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>{END}"


def test_the_page_s_code_takes_one_update_on_conversations_that_simulate(
    tmp_path, in_process, monkeypatch
):
    """What a random model would say is said for it: one design, better in every second row."""
    import trl
    from transformers import Qwen3ForCausalLM

    from acs_gym.integrations.trl import SizingEnvironment

    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    tokenizer = chat_tokenizer(template.read_text(encoding="utf-8"))
    model = save_chat_model(tmp_path / "model", tokenizer)
    (problem,) = problems("train", 1, pdk="generic", budget=5)
    task = problem.make()
    designs = [task.space.from_unit([0.5] * len(task.space)), dict(solution(problem))]
    turns = []

    def generate(_self: Any, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        turns.append(len(input_ids))
        texts = [says("simulate", {"designs": [designs[k % 2]]}) for k in range(len(input_ids))]
        if len(turns) > 1:
            texts = [f"Done.{END}"] * len(input_ids)
        said = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        return torch.cat([input_ids, said["input_ids"]], dim=1)

    monkeypatch.setattr(SizingEnvironment, "simulator", in_process)
    monkeypatch.setattr(Qwen3ForCausalLM, "generate", generate)
    monkeypatch.chdir(tmp_path)
    code = code_of("TRL", **{
        "Qwen/Qwen3-0.6B": str(model),
        '"train", 200': '"train", 1',
        "max_steps=100": "max_steps=1, use_cpu=True, num_generations=2, learning_rate=1e-2, "
        "per_device_train_batch_size=2, report_to='none', disable_tqdm=True, logging_steps=1",
    })  # fmt: skip
    exec(code, found := {})
    trainer = found["trainer"]
    log = trainer.state.log_history[0]
    assert turns == [2, 2] and log["tools/call_frequency"] == 1
    assert log["tools/failure_frequency"] == 0
    scores = [e.get_reward() for e in trainer.environments]
    assert 0 < scores[0] < scores[1] == 1
    assert log["rewards/SizingEnvironment/mean"] == pytest.approx(sum(scores) / 2)
    before = Qwen3ForCausalLM.from_pretrained(model).state_dict()
    after = trainer.model.state_dict()
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_trl_s_tools_are_those_of_every_other_model():
    from transformers.utils import get_json_schema

    from acs_gym.integrations.trl import SizingEnvironment

    for ours in definitions(PROBLEM.make()):
        function = ours["function"]
        theirs = get_json_schema(getattr(SizingEnvironment(), function["name"]))["function"]
        own, read = function["parameters"]["properties"], theirs["parameters"]["properties"]
        assert set(own) == set(read)
        assert function["description"].split(".")[0].split(";")[0] in " ".join(
            theirs["description"].split()
        )


def test_rows_are_the_agent_s_conversation():
    from acs_gym.integrations.trl import dataset

    (row,) = dataset(problems("train", 1, tasks=["ACS-OTA5T-v0"], pdk="generic"))
    assert [m["role"] for m in row["prompt"]] == ["system", "user"]
    assert "# Specs" in row["prompt"][0]["content"] and Problem.from_json(row["problem"])
