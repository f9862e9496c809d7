"""The study of generative models: all of them learn the same Ising configurations, and are judged
in physical units against what is known exactly.

`plan` says what is done, `learners` how each model is trained, `judge` what one task finds, `run`
does all of it in processes and keeps what is done. `table`, `words`, `figures` and `page` show it.
"""

from .plan import CONTROLS, Plan, Task
from .results import load
from .run import run

__all__ = ["CONTROLS", "Plan", "Task", "load", "run"]
