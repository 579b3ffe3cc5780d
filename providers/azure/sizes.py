"""Which of Azure's machine sizes are offered, and how many GPUs they have.

Azure lists names, cores and memory of a location's sizes; what else a size has is in its name. Source:
*Azure virtual machine sizes naming conventions* (Microsoft Learn): family, cores, features in small letters
(``s`` premium storage, ``p`` Arm processors), accelerator, version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pitrix.errors import InvalidInput
from providers.base import smallest_type
from providers.resources import MachineType

_OFFERED = re.compile(r"Standard_(?!DC|EC)[A-Z]{1,2}\d+[a-oq-z]*s[a-oq-z]*(_[A-Za-z0-9]+)*")
"""Sizes that boot the images of ``machine_images``: x64, second generation, not confidential. The others, and
those with fewer cores than their name says (``E4-2s_v5``), are not offered."""

_GPUS: Mapping[str, int] = {
    "Standard_NC4as_T4_v3": 1,
    "Standard_NC8as_T4_v3": 1,
    "Standard_NC16as_T4_v3": 1,
    "Standard_NC64as_T4_v3": 4,
    "Standard_NC24ads_A100_v4": 1,
    "Standard_NC48ads_A100_v4": 2,
    "Standard_NC96ads_A100_v4": 4,
    "Standard_NV36ads_A10_v5": 1,
    "Standard_NV36adms_A10_v5": 1,
    "Standard_NV72ads_A10_v5": 2,
    "Standard_ND96asr_v4": 8,
    "Standard_ND96amsr_A100_v4": 8,
    "Standard_ND96isr_H100_v5": 8,
}
"""Whole GPUs by size, as of 2026-11 (Microsoft Learn, *GPU-accelerated virtual machine sizes*). A size of the
N family that is not here, or that has a part of a GPU, is not offered: it would be guessed."""


MOST_TRIED = 6
"""Families that are tried for one machine; a refusal takes Azure less than a second."""


def machine_types(listed: Iterable[Mapping[str, Any]]) -> list[MachineType]:
    """The sizes of a location that are offered, smallest first."""
    types = [
        MachineType(
            machine_type=size["name"],
            cpu=size["numberOfCores"],
            memory_mib=size["memoryInMB"],
            gpu=_GPUS.get(size["name"], 0),
        )
        for size in listed
        if _OFFERED.fullmatch(size["name"])
        and (size["name"] in _GPUS or not size["name"].startswith("Standard_N"))
    ]
    return sorted(types, key=lambda size: (size.cpu, size.memory_mib, size.machine_type))


def to_try(types: Iterable[MachineType], *, cpu: int, memory_mib: int, gpu: int = 0) -> list[str]:
    """The names of the sizes that hold what is wanted, the smallest of each family, smallest first.

    Azure lists families that it does not sell to the subscription, or not there, and says so only when such a
    machine is asked for (``SkuNotAvailable``): then the next family is.

    Raises:
        InvalidInput: No size is that large; says which is the largest.
    """
    offered, found = list(types), [smallest_type(types, cpu=cpu, memory_mib=memory_mib, gpu=gpu)]
    while len(found) < MOST_TRIED:
        offered = [size for size in offered if _family(size) != _family(found[-1])]
        try:
            found.append(smallest_type(offered, cpu=cpu, memory_mib=memory_mib, gpu=gpu))
        except InvalidInput:
            break
    return [size.machine_type for size in found]


def _family(size: MachineType) -> str:
    """``Standard_Ds_v5`` of ``Standard_D2s_v5``."""
    return re.sub(r"(?<=[A-Z])[0-9]+", "", size.machine_type, count=1)
