"""Where models that answer in batches run: beside the sampler's arrays, or on a card.

Samplers on such models are numpy on the host; only the model's own work (a network) may sit on a
card. It says so by a method ``to(device)``, which returns the model there.
"""

from typing import Any

from ..errors import InvalidInput


def in_batches(model: Any, device: str) -> Any:
    """A model without compiled arrays, on `device`; InvalidInput for one that cannot go there."""
    if device == "cpu":
        return model
    if not hasattr(model, "to"):
        raise InvalidInput(
            f"device={device!r} runs on compiled models and on networks; {model!r} is a function "
            "of numpy arrays. Use device='cpu', or write the energy as a NamedTuple with methods "
            "(docs/extending.md)."
        )
    return model.to(device)
