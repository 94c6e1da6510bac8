"""The devices that training runs on: what ``--accelerator`` and ``--devices`` ask for, and what is here."""

from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from router_model.errors import ConfigError
from router_model.training.config import TrainConfig

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}  # by which processes speak to each other
SMALL = ("static", "window")  # whose steps are too short for a GPU to gain anything


def device_of(config: TrainConfig) -> str:
    """ "cpu" or "cuda", as torch calls it.

    Raises:
        ConfigError: torch has no such device here, or not so many.
    """
    if config.accelerator == "cpu":
        return "cpu"
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == "auto" and (config.encoder in SMALL or not there):
        return "cpu"
    if not there:
        built = torch.version.cuda is not None
        why = "sees no GPU, see nvidia-smi" if built else "is built without CUDA"
        cure = "mend its driver" if built else "install its CUDA build (https://pytorch.org/get-started)"
        raise ConfigError(
            f"--accelerator gpu: torch {torch.__version__} {why}; {cure}, or give --accelerator cpu"
        )
    if config.devices > there:
        raise ConfigError(f"--devices {config.devices}: torch sees {there} GPUs here; give {there} or fewer")
    return "cuda"


def trainer_settings(device: str, count: int) -> dict[str, Any]:
    """What Lightning's Trainer is given for so many devices, with a process for each where they are several.

    Those processes are there already (together.py), so that Lightning starts none: its own launchers run the
    whole command again in each, or fork threads, or tell the caller nothing until the end.
    """
    settings: dict[str, Any] = {"accelerator": "gpu" if device == "cuda" else "cpu", "devices": count}
    # On a GPU some operations have no variant that sums in the same order each time.
    settings["deterministic"] = True if device == "cpu" else "warn"
    if count > 1:
        settings["strategy"] = DDPStrategy(
            cluster_environment=LightningEnvironment(),
            process_group_backend=BACKENDS[device],
            find_unused_parameters=False,
            broadcast_buffers=False,  # none changes in training, and one is the base's whole table
        )
        settings["use_distributed_sampler"] = False  # DataModule deals the rows
    return settings
