"""The README quotes the committed benchmark results and nothing else."""

import json

from benchmarks import readme


def test_readme_shows_the_committed_results():
    document = json.loads(readme.RESULTS.read_text())
    assert readme.written_table() == readme.table(document)


def test_a_changed_result_is_noticed():
    document = json.loads(readme.RESULTS.read_text())
    document["results"][0]["ratio"] *= 2
    assert readme.written_table() != readme.table(document)
