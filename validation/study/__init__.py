"""The study of generative models: they are trained on one set of Ising configurations, and judged
in physical units against what is known exactly.

`plan` says what is done, `learners` how each model is trained, `judge` what one task finds, `run`
does all of it in processes and `results` keeps what is done. `table`, `words`, `figures` and `page`
show it. `python examples/generative_ising.py` is the command.
"""

from .plan import CONTROLS, Plan, Task

__all__ = ["CONTROLS", "Plan", "Task"]
