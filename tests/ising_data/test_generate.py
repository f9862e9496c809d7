"""The same spec gives the same bytes, however often the work is cut short."""

import dataclasses
import errno
import json
import os
import shutil

import numpy as np
import pytest

from ising_data import Spec, generate, load
from ising_data import _files, _sampling, generate as generate_function
from ising_data.store import partial_of
from statmech_ml.errors import EquilibrationWarning, InvalidInput, StoreError
