"""A command in a process that holds little and can reach little (docs/wire-protocol.md).

levels.py        the levels: what each is called, says, needs, and starts
limits.py        what a process may use
command_line.py  the words that were typed, as a command that can be run from another folder
confined.py      starting one, and what the harness sees of it
supervisor.py    the program between the harness and the agent
mounts.py        the file system that the agent sees, as the supervisor makes it
calls.py         the system calls that it may not make; syscalls.py has their numbers
leftovers.py     removing a folder that somebody unkind has filled
visible.py       what it sees in a container
probe.py         what such a process cannot do on this machine, found by trying
tries.py         the program that tries it
"""
