"""Agents that let a language model size a circuit, with the simulator as its tool.

    tools, prompts, text_format     what a model is told, and what it may do (shared with training)
    model, openai_model             a chat model, and the one behind any OpenAI-compatible server
    openai_client, taken_forms      its wire, and the forms of a request that a server takes
    replies, refusals               what a server answers, and what it refuses, in whatever form
    config, limits                  settings; hard caps on tokens, money and time
    dialogue, transcript            one conversation, and its record: shown, replayed
    form, tool_form, brief          how a conversation is led: with tools, or in few words
    llm, loops, scripted            the agents: one conversation; OPRO, LEDRO, ADO-LLM; no model at all
    mcp                             the same tools for any MCP client
    run                             `python -m agents.run`

Importing this package imports no client library and no framework.
"""

import acs_gym  # noqa: F401  # First of all: from here on Ctrl-C ends a program of ours quietly.
