"""The network in training: loss, optimiser, schedule."""

from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from router_model.training.dataset import Batch

WARM_UP_STEPS = 20


def masked_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy per tier, mean over what was observed: [B, K], [B, K] with NaN unknown -> []."""
    known = ~targets.isnan()  # [B, K]
    losses = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")  # [B, K]
    return (losses * known).sum() / known.sum().clamp_min(1)  # []


def gain_variance(logits: Tensor) -> Tensor:
    """Variance over the batch of each tier's logit less the one's below it, mean over tiers: [B, K] -> []."""
    gain = logits.diff(dim=1)  # [B, K - 1]
    return gain.var(dim=0, correction=0).mean()  # []


class Module(lightning.LightningModule):
    """A network with AdamW, warm-up and linear decay over ``total_steps``.

    Args:
        groups: parameters with the rates of each part, as the optimiser takes them.
        seed: of dropout.
        gain_penalty: weight in the loss of the variance of the gain.
        start_penalty: weight in the loss of half the squared distance from the parameters as they are now,
            in place of the decay of weights (L2-SP, Li et al. 2018); None where they have learnt nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        groups: list[dict[str, Any]],
        seed: int,
        total_steps: int,
        gain_penalty: float = 0.0,
        start_penalty: float | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.groups = groups
        self.seed = seed
        self.total_steps = total_steps
        self.gain_penalty = gain_penalty
        self.start_penalty = start_penalty
        pulled = network.parameters() if start_penalty else ()
        self.start = [parameter.detach().clone() for parameter in pulled]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw dropout from seed and epoch alone, so that a resumed epoch is the same epoch.

        At the first batch and not before: loaders draw too, at another moment in a resumed epoch.
        """
        if batch_idx == 0:
            torch.manual_seed(self.seed * 100_003 + self.current_epoch + (self.global_rank << 52))

    def on_fit_start(self) -> None:
        """Where the parameters are by now, there the start is compared with them."""
        self.start = [parameter.to(self.device) for parameter in self.start]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of one batch."""
        token_ids, features, targets = batch  # [B, T], [B, F], [B, K]
        logits, targets = self._of_all(self.network(token_ids, features), targets)  # [B, K] each
        loss = masked_loss(logits, targets)  # []
        if self.gain_penalty:
            loss = loss + self.gain_penalty * gain_variance(logits)  # []
        if (others := self.trainer.world_size - 1) > 0:
            loss = loss + others * (
                loss - loss.detach()
            )  # DDP takes the mean of gradients: here is their sum
        if self.start_penalty:
            moved = zip(self.network.parameters(), self.start, strict=True)
            loss = loss + self.start_penalty / 2 * sum((now - start).square().sum() for now, start in moved)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log the loss of one validation batch."""
        token_ids, features, targets = batch  # [B, T], [B, F], [B, K]
        logits, targets = self._of_all(self.network(token_ids, features), targets)  # [B, K] each
        loss = masked_loss(logits, targets)  # []
        self.log("validation_loss", loss, batch_size=len(targets))

    def _of_all(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The whole batch of which each process has a share: [b, K] -> [B, K], both; gradients of its own.

        So the loss is the same in all, and the one that one process would have: neither its mean over known
        targets nor the variance of the gain is a mean of shares.
        """
        if self.trainer.world_size == 1:
            return logits, targets
        every = cast(Tensor, self.all_gather(logits.detach()))  # [W, b, K]
        every[self.global_rank] = logits
        targets = cast(Tensor, self.all_gather(targets))  # [W, b, K]
        there = ~targets.isnan().all(dim=2)  # [W, b], False where a share was filled up
        return every[there], targets[there]

    def configure_optimizers(self) -> Any:
        """AdamW over the parameter groups."""
        optimizer = torch.optim.AdamW(self.groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share_of_rate(self, step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.02, 1.0 - step / self.total_steps)
