"""Adam with less work between its operators, which for a tiny network take less time than that work."""

import inspect
from typing import Any

import torch
from torch import Tensor


class Adam(torch.optim.Adam):
    """PyTorch's Adam, without the wrappers for `torch.compile`, whose import takes 150 MB and seconds."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)

    _lists: tuple[Any, ...] | None = None  # of the tensors that a step changes: listing them takes long for a toy

    def step(self, closure: Any = None) -> Any:
        """One step. On a CPU, PyTorch's own checks take longer than a tiny network's step; they are left out there."""
        (group,) = self.param_groups
        gradients = [p.grad for p in group["params"]]
        lists = self._listed() if closure is None and all(g is not None for g in gradients) else None
        if lists is None:
            with torch.no_grad():
                return inspect.unwrap(torch.optim.Adam.step)(self, closure)
        _, parameters, averages, squares, steps, counter = lists
        counter.add_(1)
        beta1, beta2 = group["betas"]
        torch._fused_adam_(parameters, gradients, averages, squares, [], steps, lr=group["lr"], beta1=beta1,
                           beta2=beta2, weight_decay=0.0, eps=group["eps"], amsgrad=False, maximize=False)
        return None

    @property
    def has_hooks(self) -> bool:
        """Whether somebody wants to be called at every step."""
        return bool(self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks)

    def _listed(self) -> tuple[Any, ...] | None:
        """The state, the parameters, their moments, and their steps with the tensor that all of these are views of.

        None before the first step, and on other devices.
        """
        if self._lists is None or self._lists[0] is not self.state:  # another one was loaded
            parameters = self.param_groups[0]["params"]
            states: list[dict[str, Tensor]] = [self.state[p] for p in parameters]
            if not all(states) or not all(p.is_cpu for p in parameters):
                return None
            counter = torch.stack([state["step"] for state in states])
            steps = list(counter.unbind())
            for state, step in zip(states, steps):
                state["step"] = step
            self._lists = (self.state, [p.detach() for p in parameters], [state["exp_avg"] for state in states],
                           [state["exp_avg_sq"] for state in states], steps, counter)
        return self._lists


def load_moments(optimizer: torch.optim.Optimizer, name: str, tensors: dict[str, Tensor]) -> None:
    """Load an optimizer's moments, keyed "name.index.key", each in the memory layout of its parameter.

    The fused Adam reads a parameter and its moments in the order of memory, so another layout would mix them up.
    """
    (group,) = optimizer.param_groups
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        owner, *rest = path.split(".")
        if owner == name:
            index, key = int(rest[0]), rest[1]
            moment = torch.empty_like(group["params"][index]).copy_(value) if value.ndim else value
            state.setdefault(index, {})[key] = moment
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def step_by(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """One step with the gradients that are there."""
    (group,) = optimizer.param_groups
    group["lr"] = lr
    if isinstance(optimizer, Adam) and not optimizer.has_hooks:
        inspect.unwrap(Adam.step)(optimizer)  # PyTorch's wrapper takes longer than this does for a toy
    else:
        optimizer.step()
