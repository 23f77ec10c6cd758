"""Where this process stands among those of a run; the only file that may import torch.distributed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from audiotext.config import ConfigError


@dataclass(frozen=True)
class World:
    """This process's rank among ``size`` processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files."""
        return self.rank == 0


def setup() -> World:
    """Read torchrun's environment. Raises ConfigError for more than one process, which this version cannot train."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        raise ConfigError(
            f"started as one of {size} processes, but pretraining runs in one process in this version: start it "
            "without torchrun (train.threads sets the cores it uses)"
        )
    return World()
