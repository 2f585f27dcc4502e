"""What an agent's process may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent's process may use.

    Attributes:
        cpu_seconds: of each of its processes.
        memory_bytes: address space of each process. Generous, because runtimes reserve much more than
            they use.
        file_bytes: size of any file that it writes.
        open_files: of each process.
        wall_seconds: from its start to its end.
        folder_bytes: of its folder, in the level `container`, where that is in memory.
        group_bytes: memory of all its processes together; only where a control group is delegated.
        processes: of the agent altogether; only where it has a user namespace of its own, or a group.
        log_bytes: of its standard output and error that are kept.
        network: leave the network as it is, for an agent that calls a model on a server.
        environment: variables to pass on, beside a short list that every agent gets.
        namespaces: use the kernel's namespaces where it has them.
    """

    cpu_seconds: int = 24 * 3600
    wall_seconds: int = 24 * 3600
    folder_bytes: int = 256 << 20
    group_bytes: int = 16 << 30
    memory_bytes: int = 64 << 30
    file_bytes: int = 1 << 30
    open_files: int = 1024
    processes: int = 256
    log_bytes: int = 1 << 20
    network: bool = False
    environment: tuple[str, ...] = ()
    namespaces: bool = True

    def of_the_kernel(self) -> dict[str, int]:
        """Those that the kernel knows (setrlimit), by its names for them."""
        return {
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_CORE": 0,
        }
