"""Generative models learn the Ising model, and are judged in physical units.

    python examples/generative_ising.py [--full | --quick] [--device cuda] [--out generative_ising]

An RBM, VAEs, a diffusion model, GANs and an autoregressive network learn from one set of
configurations of ising_data, another autoregressive network from the energy alone, in about the
same time. Printed and drawn: bits per spin above the exact entropy, whether a classifier tells
samples from data, and energy, |m|, specific heat, susceptibility, Binder cumulant and correlation
function against exact values. Two rows judge the judge: fresh exact data, and data of a temperature
5% too high.

By default the 8 x 8 torus at T = 2.0 and 2.269, under an hour on two cores; --full adds L = 16, and
T = 2.5 and 3.0 (a GPU, or hours); --quick is a minute's look at how it works. What is done stands
in the folder of --out: the same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

from rich.console import Console

from statmech_ml.errors import StatmechError
from validation.study import Plan
from validation.study.figures import save
from validation.study.learners import LEARNERS
from validation.study.page import write_page
from validation.study.run import run
from validation.study.table import tables
from validation.study.words import sentence


def main() -> None:
    """Run what is not done yet, then print, draw and write the page."""
    parser = argparse.ArgumentParser(description="Generative models learn the Ising model.")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--full", action="store_true", help="L = 8 and 16, four temperatures")
    scale.add_argument("--quick", action="store_true", help="L = 4, few configurations and epochs")
    parser.add_argument("--models", default=",".join(LEARNERS), help="of " + ", ".join(LEARNERS))
    parser.add_argument("--device", default="cpu", help="of the networks: cpu or cuda")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("generative_ising"))
    given = parser.parse_args()
    models = tuple(given.models.split(","))
    if unknown := [name for name in models if name not in LEARNERS]:
        parser.error(f"--models: {', '.join(unknown)} not among {', '.join(LEARNERS)}")
    if given.full:
        plan = Plan((8, 16), (2.0, 2.269, 2.5, 3.0), models, seed=given.seed)
    elif given.quick:
        plan = Plan((4,), (2.269,), models, 2000, 1000, 2000, share=0.3, seed=given.seed)
    else:
        plan = Plan((8,), (2.0, 2.269), models, seed=given.seed)
    console = Console()
    try:
        study = run(
            plan, given.out, workers=given.workers, device=given.device,
            tell=lambda line: console.print(line, highlight=False, soft_wrap=True),
        )  # fmt: skip
    except StatmechError as error:
        raise SystemExit(f"error: {error}") from error
    # Wide enough for every column also where the output goes to a file.
    console.width = max(console.width, 190)
    console.print(tables(study))
    for row in study["results"]:
        console.print(f"- {sentence(row)}", highlight=False, markup=False, soft_wrap=True)
    for path in (*save(study, given.out), write_page(study, given.out)):
        console.print(str(path), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
