"""Generative models, each against a distribution that is known exactly."""

from ._latent import EvidenceBound
from ._model import GenerativeModel
from .autoencoder import Autoencoder, LinearAutoencoder
from .autoregressive import AutoregressiveSpins
from .critic_reading import CriticReading
from .denoisers import DenseDenoiser, ExactDenoiser
from .diffusion import DiffusionModel
from .gan import GAN
from .guidance import GradientGuide, LinearMeasurement
from .hierarchical_vae import HierarchicalVAE, LinearHierarchicalVAE
from .lattice_denoiser import LatticeDenoiser
from .learned_schedule import LearnedLogSNR
from .likelihood import LogLikelihood
from .linear_vae import LinearVAE
from .masked_convolution import MaskedConvolution
from .masked_dense import MaskedDense
from .pca import PCA
from .schedules import Cosine, Levels, Linear, LogLinear, Schedule
from .spin_diffusion import SpinDiffusion
from .spin_schedule import SpinSchedule
from .vae import VAE
from .variational import Reweighted

__all__ = [
    "GAN",
    "PCA",
    "VAE",
    "Autoencoder",
    "AutoregressiveSpins",
    "Cosine",
    "CriticReading",
    "DenseDenoiser",
    "DiffusionModel",
    "EvidenceBound",
    "ExactDenoiser",
    "GenerativeModel",
    "GradientGuide",
    "HierarchicalVAE",
    "LatticeDenoiser",
    "LearnedLogSNR",
    "Levels",
    "Linear",
    "LinearAutoencoder",
    "LinearHierarchicalVAE",
    "LinearMeasurement",
    "LinearVAE",
    "LogLikelihood",
    "LogLinear",
    "MaskedConvolution",
    "MaskedDense",
    "Reweighted",
    "Schedule",
    "SpinDiffusion",
    "SpinSchedule",
]
