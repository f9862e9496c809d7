"""`train`: what a training run is asked for, checked before any work; `training.run` does it."""

from typing import Any

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Discrete
from . import checkpoint as store
from ._arguments import check_at_least, configurations
from .centring import Centring
from .descent import Descent, OptimizerMaker, ScheduleMaker
from .history import History
from .method import Method
from .monitor import EXACT_STATES, Monitor, Watch
from .rbm import TrainableRBM
from .run import Run
from .shell import Trainable


def train(
    shell: Trainable,
    data: Any,
    method: Method,
    *,
    epochs: int,
    rng: Any,
    batch_size: int = 100,
    learning_rate: float | None = None,
    optimizer: OptimizerMaker | None = None,
    schedule: ScheduleMaker | None = None,
    weight_decay: float = 0.0,
    centred: bool = False,
    clip: float | None = None,
    ema: float | None = None,
    validation_data: Any = None,
    early_stopping: int | None = None,
    monitor: Monitor | None = Monitor(),  # noqa: B008, frozen
    checkpoint: Any = None,
    checkpoint_every: int = 1,
    resume: bool = False,
    progress: bool | None = None,
) -> History:
    """Train a shell, in place.

    Parameters
    ----------
    shell : Trainable
        `TrainableRBM`, `TrainableBoltzmann`, `EnergyNet`: ``model.thaw()``.
    data : array (n, size)
        Configurations of the shell's space.
    method : Method
        `ExactGradient`, `CD`, `PersistentCD`, ...: where the gradient comes from.
    epochs : int
        In all, those before a checkpoint included; 0 does nothing.
    rng : int or numpy Generator
        The seed. There is no default.
    batch_size : int, default 100
        At most n. The last batch of an epoch is smaller where it does not divide n.
    learning_rate : float, optional
        Of plain gradient descent, 0.01 by default; with `optimizer` it is that one's own.
    optimizer : callable, optional
        Parameters -> torch optimiser, ``lambda p: torch.optim.Adam(p, lr=1e-3)``.
    schedule : callable, optional
        Optimiser -> torch scheduler, which steps after each epoch. With `checkpoint` none of
        functions (LambdaLR), which a file cannot hold or tell from one another.
    weight_decay : float, default 0.0
        Adds this times the weights to their gradient; biases do not decay.
    centred : bool, default False
        The centred gradient (`training.centring`), of RBMs. It moves weights and biases together,
        so that no optimiser with a weight decay of its own goes with it.
    clip : float, optional
        Largest norm of the gradient over all parameters; `History` says how often it was reached.
    ema : float in (0, 1), optional
        Keep running means of the parameters, of this memory a step; ``history.use_ema(shell)``.
    validation_data : array (n, size), optional
    early_stopping : int, optional
        Stop when the log-likelihood of the validation data (or their pseudo-likelihood where that
        one is not measured) has not grown for so many epochs. The shell then holds the best
        parameters, also when all epochs are done; and so does that of `load_checkpoint`.
    monitor : Monitor or None
        What is measured; None measures nothing but the gradient and the energies.
    checkpoint : path, optional
        A safetensors file, written anew after every `checkpoint_every` epochs and at the end.
    resume : bool, default False
        Go on from the checkpoint if the file exists; all else must be as it was, except `epochs`.
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    History
        After Ctrl-C that of the epochs done, with ``stopped == "interrupted"``; the shell has the
        parameters of the end of the last of them.

    Raises
    ------
    InvalidInput, MissingCapability
        Before any work, for what cannot work.
    StoreError
        For a checkpoint that exists (without `resume`), that is damaged, or of another run.
    TrainingDiverged
        When a gradient, an energy or a parameter is no number, or parameters exploded. The shell
        then holds the parameters of the end of the last epoch before.

    Warns
    -----
    TrainingWarning
        When the negative chains are out of equilibrium at two monitored epochs in a row, or at the
        last one (`training.equilibrium`).

    >>> from statmech_ml.models import BernoulliRBM
    >>> from statmech_ml.training import PersistentCD
    >>> data = np.random.default_rng(1).integers(0, 2, (200, 6))
    >>> shell = BernoulliRBM(np.zeros(6), np.zeros(3), np.zeros((6, 3))).thaw()
    >>> history = train(shell, data, PersistentCD(k=1, n_chains=64), epochs=2, rng=1)
    >>> history["log_likelihood"].shape
    (2,)
    """
    for name, value, least, what in (
        ("epochs", epochs, 0, "epochs"),
        ("batch_size", batch_size, 1, "configurations"),
        ("checkpoint_every", checkpoint_every, 1, "epochs"),
    ):
        check_at_least(name, value, least, what)
    _check_kinds(shell, method, monitor)
    x = configurations(shell, data, "data")
    if batch_size > len(x):
        raise InvalidInput(
            f"batch_size={batch_size}, but the data are {len(x)} configurations. Take at most "
            f"batch_size={len(x)}."
        )
    validation = None
    if validation_data is not None:
        validation = configurations(shell, validation_data, "validation_data")
    if centred and not isinstance(shell, TrainableRBM):
        raise InvalidInput(f"centred=True is for RBMs; {type(shell).__name__} has no two layers.")
    target = store.target_of(checkpoint, resume)
    seeds = np.random.SeedSequence(_rng.seed_from(rng)).generate_state(3, np.uint64)
    seed, order_seed, watch_seed = (int(s) for s in seeds)
    method.check(shell, x)
    descent = Descent(shell, optimizer, learning_rate, schedule, weight_decay, clip, ema)
    if centred:
        _check_centred(descent)
    if target is not None:
        descent.check_comparable()
    watch = None
    if monitor is not None:
        watch = Watch(monitor, shell, x, validation, watch_seed)
    criterion = None
    if early_stopping is not None:
        check_at_least("early_stopping", early_stopping, 1, "epochs")
        criterion = _criterion(shell, method, monitor, validation)
    settings = {
        "method": repr(method),
        "seed": seed,
        "data": store.digest_of(x),
        "batch_size": int(batch_size),
        **descent.settings,
        "centred": bool(centred),
        "validation_data": None if validation is None else store.digest_of(validation),
        "early_stopping": early_stopping,
        "monitor": repr(monitor),
    }
    run = Run(shell, method, descent, watch, x, seed, order_seed, int(batch_size), criterion)
    if centred and isinstance(shell, TrainableRBM):
        run.centring = Centring(shell, run.data)
    run.patience = early_stopping
    run.begin(x, target, settings)
    return run.until(epochs, target, checkpoint_every, settings, progress)


def _check_kinds(shell: Any, method: Any, monitor: Any) -> None:
    if not isinstance(shell, Trainable):
        hint = " Thaw it: model.thaw()." if hasattr(shell, "thaw") else ""
        raise InvalidInput(f"train needs a trainable shell, but {shell!r} is none.{hint}")
    if not isinstance(method, Method):
        raise InvalidInput(
            f"method={method!r} is none. Give e.g. PersistentCD(k=1, n_chains=100), with brackets."
        )
    if monitor is not None and not isinstance(monitor, Monitor):
        raise InvalidInput(f"monitor={monitor!r} must be a Monitor(...) or None.")


def _check_centred(descent: Descent) -> None:
    """The centred gradient moves W and both biases together, or ends elsewhere."""
    groups = descent.optimizer.param_groups
    own = [group["weight_decay"] for group in groups if group.get("weight_decay")]
    if own:
        raise InvalidInput(
            f"centred=True with an optimiser of weight_decay={own[0]!r} of its own: it would decay "
            "the weights without the biases that belong to them. Use train(weight_decay=...)."
        )
    fixed = {"weights", "visible_bias", "hidden_bias"} - set(descent.parameters)
    if fixed:
        raise InvalidInput(
            f"centred=True moves weights and both biases together, but {sorted(fixed)} do not "
            "require a gradient. Train without centred=."
        )


def _criterion(
    shell: Trainable, method: Method, monitor: Monitor | None, validation: np.ndarray | None
) -> str:
    """The series that early stopping looks at."""
    if validation is None:
        raise InvalidInput(
            "early_stopping= needs validation_data=: likelihoods of the data that are trained on "
            "go on growing when the model overfits."
        )
    if monitor is not None:
        known = type(method).log_z is not Method.log_z
        if monitor.log_likelihood is not None and (known or has_log_z(shell)):
            return "validation_log_likelihood"
        if monitor.pseudo_likelihood and isinstance(shell.space, Discrete):
            return "validation_pseudo_likelihood"
    raise InvalidInput(
        "early_stopping= needs a likelihood to look at, but this monitor measures none of this "
        "shell. Give monitor=Monitor(...) with log_likelihood or pseudo_likelihood."
    )


def has_log_z(shell: Trainable) -> bool:
    """Whether log Z can be summed, or estimated along a path."""
    return shell.log_z_exact(EXACT_STATES) is not None or shell.path() is not None
