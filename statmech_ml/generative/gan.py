"""`GAN`: a generator of configurations and a critic that tells them from data.

    x = G(z),  z ~ N(0, I),      a(x): the critic's score,  D(x) = sigmoid(a(x))

    minimax          min_G max_D  <log D>_data + <log(1 - D)>_model
    non-saturating   the same D; G maximises <log D>_model
    wasserstein      min_G max_a  <a>_data - <a>_model - lambda <(|grad a| - 1)^2>

At the best D the first value is 2 JSD - 2 log 2; the last one is near W1, and above it where the
penalty lets the slope exceed 1 (`exact.adversarial` has these closed forms). The players take
turns: `n_critic` steps of the critic, then one of the generator. A critic reads divergences
(`js_from_critic`, `w1_from_critic`), but its word is biased: judge a generator by
`statmech_ml.divergences`, which do not ask it.

Spins and bits have no gradient. The generator then writes one field for each site, the mean spin y
= tanh(field), and draws the spin from it, independently given z; the critic sees drawn spins only,
so that it cannot tell the model's by their not being whole, and training and `sample` make the same
configurations. The gradient goes through y ("straight-through"), which is biased.

I. Goodfellow et al., NeurIPS (2014), arXiv:1406.2661; M. Arjovsky, S. Chintala and L. Bottou, ICML
(2017), arXiv:1701.07875; I. Gulrajani et al., NeurIPS (2017), arXiv:1704.00028; label smoothing: T.
Salimans et al., NeurIPS (2016), arXiv:1606.03498. A step costs one pass of both networks forward
and back; with a penalty, two more of the critic.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .._rng import seed_from
from ..errors import InvalidInput
from ..spaces import Bits, Reals, Space, Spins
from ..training._arguments import check_at_least
from ..training.descent import OptimizerMaker
from ..training.shell import Gradients
from . import _adversarial as adversarial
from ._adversarial import OBJECTIVES, Objective
from ._decoders import check_network
from ._model import GenerativeModel, Losses
from .critic_reading import CriticReading, js_reading, w1_reading
from .networks import dense, lattice_reader, lattice_writer

_BETAS = (0.5, 0.9)  # of Adam: long memories of the other player's past make the two circle
_PENALTY = {"minimax": 0.0, "non-saturating": 0.0, "wasserstein": 10.0}
_N_CRITIC = {"minimax": 1, "non-saturating": 1, "wasserstein": 5}


class GAN(GenerativeModel):
    """A generator and a critic, trained in turns.

    Parameters
    ----------
    space : Reals, Spins or Bits
    n_latent : int
        Of z.
    objective : "minimax", "non-saturating" or "wasserstein"
    gradient_penalty : float, optional
        lambda >= 0. Of "wasserstein" it multiplies (|grad a| - 1)^2 between data and the model's
        configurations, default 10; of the other two |grad a|^2 / 2 at data (R1), default 0. R1
        keeps the players from circling, and leaves their equilibrium where it is.
    one_sided : bool, optional
        Whether the penalty of "wasserstein" is on slopes above 1 alone. The published one is not;
        but in one dimension a critic that starts with the wrong sign then keeps it, and trains the
        generator backward (`_adversarial` says why), so that there it is the default.
    label_smoothing : float in [0, 1), default 0
        The critic's label of data is s = 1 - label_smoothing, which moves the best D to s p_data /
        (p_data + p_model), and to s / 2 where the model is perfect. Not of "wasserstein".
    n_critic : int, optional
        Steps of the critic for each one of the generator, default 5 of "wasserstein", else 1. A
        step of training is a step of one of the two.
    generator : torch module, optional
        (n, n_latent + n_conditions) -> (n, size): values of `Reals`, the fields of `Spins` and
        `Bits`. By default dense, two hidden layers of 64.
    critic : torch module, optional
        (n, size + n_conditions) -> (n, 1), without a sigmoid; the same by default. Refused with
        batch normalisation and a gradient penalty: there is then no slope of one configuration.
    n_conditions : int, default 0
        Numbers beside each configuration (a temperature); both players see them.
    rng : int or numpy Generator
        Of the first weights. Needed unless both networks are given; there is no default seed.
    dtype : torch dtype, default float32

    >>> from statmech_ml.spaces import Reals
    >>> gan = GAN(Reals(2), 2, "wasserstein", rng=1)
    >>> data = np.random.default_rng(2).normal(size=(600, 2))
    >>> history = gan.fit(data, epochs=2, rng=3)
    >>> gan.sample(5, rng=4).shape
    (5, 2)
    """

    def __init__(
        self,
        space: Space,
        n_latent: int,
        objective: Objective = "non-saturating",
        *,
        gradient_penalty: float | None = None,
        one_sided: bool | None = None,
        label_smoothing: float = 0.0,
        n_critic: int | None = None,
        generator: nn.Module | None = None,
        critic: nn.Module | None = None,
        n_conditions: int = 0,
        rng: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space, n_conditions)
        if not isinstance(space, Reals | Spins | Bits):
            raise InvalidInput(
                f"A GAN makes configurations of Reals, Spins or Bits, and has no gradient for "
                f"{space!r}."
            )
        check_at_least("n_latent", n_latent, 1, "latent numbers")
        if objective not in OBJECTIVES:
            raise InvalidInput(f"objective={objective!r} is not one of {', '.join(OBJECTIVES)}.")
        self.objective, self.n_latent = objective, int(n_latent)
        given = _PENALTY[objective] if gradient_penalty is None else gradient_penalty
        self.gradient_penalty = _number("gradient_penalty", given, 0.0, math.inf)
        if one_sided is not None and not (
            isinstance(one_sided, bool) and objective == "wasserstein"
        ):
            raise InvalidInput(
                f"one_sided={one_sided!r} with objective={objective!r}: it is True or False of the "
                "penalty of 'wasserstein', and no other objective has two sides."
            )
        self.one_sided = space.size == 1 if one_sided is None else one_sided
        self.label_smoothing = _number("label_smoothing", label_smoothing, 0.0, 1.0)
        if objective == "wasserstein" and self.label_smoothing:
            raise InvalidInput(
                f"label_smoothing={label_smoothing!r} smooths the labels of a classifier, and a "
                "Wasserstein critic has none: leave it out, or take another objective."
            )
        steps = _N_CRITIC[objective] if n_critic is None else n_critic
        check_at_least("n_critic", steps, 1, "steps of the critic")
        self.n_critic = int(steps)
        size, k = space.size, self.n_conditions
        if generator is None or critic is None:
            first, second = _seeds(rng)
            if generator is None:
                generator = dense(self.n_latent + k, size, (64, 64), rng=first, dtype=dtype)
            if critic is None:
                critic = dense(size + k, 1, (64, 64), rng=second, dtype=dtype)
        check_network(generator, "generator", self.n_latent + k, size)
        check_network(critic, "critic", size + k, 1)
        self.generator_network, self.critic_network = generator.to(dtype), critic.to(dtype)
        self._check_critic()

    @classmethod
    def lattice(
        cls,
        shape: tuple[int, int],
        n_latent: int,
        objective: Objective = "non-saturating",
        *,
        channels: Sequence[int] = (32, 32),
        n_conditions: int = 0,
        rng: Any,
        dtype: torch.dtype = torch.float32,
        **settings: Any,
    ) -> "GAN":
        """A GAN of spins on a periodic lattice, with convolutional networks: `lattice_writer` makes
        the fields, `lattice_reader`, its channels in reverse, the score. Other settings as above;
        for networks of your own make a `GAN` of `Spins`.

        >>> GAN.lattice((8, 8), 16, rng=1).sample(3, rng=2).shape
        (3, 64)
        """
        own = {"generator", "critic"} & settings.keys()
        if own:
            raise InvalidInput(
                f"GAN.lattice makes both networks, and {min(own)}= was given. Give both to GAN("
                "Spins(rows * columns), ...): networks.lattice_writer and lattice_reader make the "
                "other one."
            )
        first, second = _seeds(rng)
        k = n_conditions
        reversed_ = tuple(channels)[::-1]
        writer = lattice_writer(n_latent + k, shape, channels, rng=first, dtype=dtype)
        reader = lattice_reader(shape, 1, reversed_, n_extra=k, rng=second, dtype=dtype)
        return cls(
            Spins(shape[0] * shape[1]), n_latent, objective, n_conditions=k, generator=writer,
            critic=reader, dtype=dtype, **settings,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The settings that a checkpoint must agree with."""
        return (
            f"{self.space!r}, n_latent={self.n_latent}, objective={self.objective!r}, "
            f"gradient_penalty={self.gradient_penalty}, one_sided={self.one_sided}, "
            f"label_smoothing={self.label_smoothing}, n_critic={self.n_critic}, "
            f"n_conditions={self.n_conditions}"
        )

    def optimizer(self, learning_rate: float) -> OptimizerMaker:
        """One Adam for both players, with shorter memories than usual: betas (0.5, 0.9)."""
        return lambda parameters: torch.optim.Adam(parameters, lr=learning_rate, betas=_BETAS)

    # --- the two players --------------------------------------------------------------------------

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """What both players minimise: "loss" (the generator's) and "critic_loss" with "penalty",
        the part of it that lambda multiplies; "score_data" and "score_model", the mean of D on both
        sides (of the score itself for "wasserstein").

        Neither loss falls as the model gets better: each depends on the other player. Of held-out
        data ("validation_") D tells whether the critic knows its data by heart: it is then higher
        on those it was trained on.
        """
        made = self._make(len(x), condition, generator)
        found = self._generator_loss(made, condition)
        return found | self._critic_loss(x, made, condition, generator)

    def gradients(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator, step: int
    ) -> tuple[Gradients, Losses]:
        """The critic's for `n_critic` steps, then the generator's for one, by the step's number. A
        player that has nothing to train leaves its turns to the other."""
        if self._is_critics(step):
            with torch.no_grad():
                made = self._make(len(x), condition, generator)
            found = self._critic_loss(x, made, condition, generator)
            return _gradients(self.critic_network, "critic_network", found["critic_loss"]), found
        made = self._make(len(x), condition, generator)
        found = self._generator_loss(made, condition)
        return _gradients(self.generator_network, "generator_network", found["loss"]), found

    def check_early_stopping(self) -> None:
        """Always: the generator's loss is what the critic of that epoch thinks of it."""
        raise InvalidInput(
            "early_stopping= watches a loss that falls as the model gets better, and a GAN has "
            "none: the generator's is low wherever the critic is blind. Train in pieces "
            "(checkpoint=, resume=True) and compare samples in between with held-out data by "
            "statmech_ml.divergences: mmd, c2st, energy_distance."
        )

    def _is_critics(self, step: int) -> bool:
        fixed = not any(p.requires_grad for p in self.generator_network.parameters())
        moves = any(p.requires_grad for p in self.critic_network.parameters())
        return moves and (fixed or step % (self.n_critic + 1) < self.n_critic)

    def _generator_loss(self, made: Tensor, condition: Tensor | None) -> Losses:
        scores = self._scores(made, condition)
        return {"loss": adversarial.generator_terms(scores, self.objective).mean()}

    def _critic_loss(
        self, x: Tensor, made: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> Losses:
        made = made.detach()
        of_data, of_model = self._scores(x, condition), self._scores(made, condition)
        label = 1.0 - self.label_smoothing
        loss = adversarial.data_terms(of_data, self.objective, label).mean()
        loss = loss + adversarial.model_terms(of_model, self.objective).mean()
        found = {
            "score_data": self._shown(of_data.detach()).mean(),
            "score_model": self._shown(of_model.detach()).mean(),
        }
        if self.gradient_penalty:
            found["penalty"] = adversarial.penalty(
                lambda points: self._scores(points, condition),
                x, made, self.objective, self.one_sided, generator,
            )  # fmt: skip
            loss = loss + self.gradient_penalty * found["penalty"]
        return found | {"critic_loss": loss}

    def _make(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        """n configurations (n, size), differentiable by the generator network."""
        z = self.noise((n, self.n_latent), generator)
        out = self.generator_network(_beside(z, condition))
        if isinstance(self.space, Reals):
            return out
        spins = adversarial.straight_through(torch.tanh(out), generator)
        return spins if isinstance(self.space, Spins) else 0.5 * (1.0 + spins)

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._make(n, condition, generator)

    def _scores(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """a(x), (n,)."""
        return self.critic_network(_beside(x, condition)).reshape(len(x))

    def _shown(self, scores: Tensor) -> Tensor:
        """D where there is one, the scores otherwise."""
        return scores if self.objective == "wasserstein" else torch.sigmoid(scores)

    # --- what the critic says ---------------------------------------------------------------------

    def scores(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """The critic's score a(x) of configurations x (n, size), float64 (n,); D = sigmoid(a)."""
        values = self.configurations(x)
        conditions = self.conditions(condition, len(values), "condition")
        self.eval()
        with torch.no_grad():
            return self._scores(values, conditions).to("cpu", torch.float64).numpy()

    def js_from_critic(self, x: Any, *, rng: Any, condition: Any = None) -> CriticReading:
        """Jensen-Shannon divergence between data and model, in nats, as the critic reads it:

            <log D>_data / 2 + <log(1 - D)>_model / 2 + log 2.

        A lower bound of the true one on average, whatever the critic: 2 JSD - 2 log 2 is the value
        of the best. A weak critic reads 0 of a generator that is far off.

        Parameters
        ----------
        x : array (n, size)
            Data, n >= 2, which the critic was not trained on: on its own training data it reads too
            much.
        rng : int or numpy Generator
            Of as many configurations of the model.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.

        Raises
        ------
        InvalidInput
            For the objective "wasserstein", whose critic reads W1.
        """
        if self.objective == "wasserstein":
            raise InvalidInput("The critic of 'wasserstein' classifies nothing: w1_from_critic.")
        of_data, of_model, _ = self._read(x, rng, condition)
        return js_reading(of_data, of_model, bool(self.label_smoothing))

    def w1_from_critic(self, x: Any, *, rng: Any, condition: Any = None) -> CriticReading:
        """Wasserstein distance W1 between data and model as the critic reads it: <a>_data -
        <a>_model.

        No bound: the penalty does not keep the slope at 1 (a linear critic between laws mu apart
        takes 1 + mu / (2 lambda), and reads mu times that), and a critic not yet trained reads too
        little. `slope` and `steepest` say what the slopes were.

        Parameters and errors as those of `js_from_critic`, for the objective "wasserstein".
        """
        if self.objective != "wasserstein":
            raise InvalidInput(
                f"The critic of {self.objective!r} classifies, and reads no distance: "
                "js_from_critic."
            )
        return w1_reading(*self._read(x, rng, condition))

    def _read(self, x: Any, rng: Any, condition: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores of data and of as many of the model's, and slopes between them."""
        values = self.configurations(x)
        n = len(values)
        if n < 2:
            raise InvalidInput("One configuration gives no error. Give two or more, better 1000.")
        conditions = self.conditions(condition, n, "condition")
        generator = self.generator(rng)
        self.eval()
        with torch.no_grad():
            made = self._make(n, conditions, generator)
            found = [self._scores(part, conditions) for part in (values, made)]
        u = torch.rand((n, 1), generator=generator, device=self.device, dtype=self.dtype)
        between = u * values + (1.0 - u) * made
        steep = adversarial.slopes(lambda points: self._scores(points, conditions), between)
        a, b, c = (t.detach().to("cpu", torch.float64).numpy() for t in (*found, steep))
        return a, b, c

    # --- checks -----------------------------------------------------------------------------------

    def _check_critic(self) -> None:
        normalised = any(isinstance(part, _BatchNorm) for part in self.critic_network.modules())
        if self.gradient_penalty and normalised:
            raise InvalidInput(
                f"critic= has batch normalisation, and gradient_penalty={self.gradient_penalty:g}: "
                "the score of a configuration then depends on its whole batch, and has no slope of "
                "its own. Take LayerNorm or no normalisation, or gradient_penalty=0."
            )


def _beside(x: Tensor, condition: Tensor | None) -> Tensor:
    return x if condition is None else torch.cat([x, condition], dim=1)


def _gradients(network: nn.Module, prefix: str, loss: Tensor) -> Gradients:
    named = {n: p for n, p in network.named_parameters(prefix) if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(named.items(), found, strict=True)
    }


def _seeds(rng: Any) -> tuple[int, int]:
    first, second = np.random.SeedSequence(seed_from(rng)).generate_state(2, np.uint64)
    return int(first), int(second)


def _number(name: str, value: Any, least: float, below: float) -> float:
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not least <= value < below:
        raise InvalidInput(f"{name}={value!r} must be a number in [{least:g}, {below:g}).")
    return float(value)
