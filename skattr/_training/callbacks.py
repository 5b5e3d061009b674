"""Progress bar callback."""

from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class ProgressBar(Callback):
    """Shows one bar over all training batches, with the losses of the last epoch.

    Parameters
    ----------
    n_steps : int
        Number of training batches in all epochs.
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=self.n_steps, unit="batch")

    def on_batch_end(self, net: Any, training: bool = True, **_: Any) -> None:
        """Advance by a training batch."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Show the epoch and its losses."""
        last = net.history[-1]
        losses = {key: last[key] for key in ("train_loss", "valid_loss") if key in last}
        self.bar_.set_postfix({"epoch": len(net.history), **losses})

    def close(self) -> None:
        """Close the bar; AttributeNet calls this after a training, also after an error."""
        self.bar_.close()
        del self.bar_
