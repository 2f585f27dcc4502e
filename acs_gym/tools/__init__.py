"""A session as tools for a language model: what it is told, what it may call, what it is answered.

One set for everybody: the agents, training, and both MCP servers (`python -m agents.mcp`, and the
leaderboard's for `mcp:` agents), so that a model meets in one what it met in another. It knows no
transport and no model.

    statement      the task in words, and as a record
    definitions    the tools: names, schemas, descriptions
    reading        designs as a model writes them
    answers        evaluations as a model reads them
    toolbox        the tools at work on a session
    problem        what is asked, as a line of a data set, and an attempt at it
    mcp            all of that as an MCP server offers it
"""
