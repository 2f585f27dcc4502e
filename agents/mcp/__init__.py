"""The simulator as an MCP server: any client's model sizes a circuit, on a budget that is ours.

python -m agents.mcp --task ACS-OpAmp-v0 --budget 50
"""
