"""What the backward pass of a layer computes again instead of remembering.

    nothing    every intermediate of a layer is kept: fastest, L times the memory of one layer
    products   the results of matrix products with weights are kept, the rest is computed again
    layers     only the stream that enters a layer is kept; the layer runs once more on the way back

The kernel never keeps scores under any of them (`attention.blockwise_gradient`).
"""

from collections.abc import Callable
from typing import Any

import jax

POLICIES: dict[str, Any] = {
    "nothing": None,
    "products": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "layers": jax.checkpoint_policies.nothing_saveable,
}


def remembered(name: str | None, body: Callable[..., Any]) -> Callable[..., Any]:
    """The body of a scan over layers, remembering what the policy of this name keeps; None is no policy.

    Raises:
        ValueError: for another name.
    """
    if name is None:
        return body
    if name not in POLICIES:
        raise ValueError(f"remat={name!r} is not one of {', '.join(POLICIES)}")
    policy = POLICIES[name]
    # Inside a scan nothing can be merged with the forward pass, so the barrier against that only costs.
    return body if policy is None else jax.checkpoint(body, policy=policy, prevent_cse=False)
