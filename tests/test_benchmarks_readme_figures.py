from __future__ import annotations

from benchmarks.readme_figures import END, ROOT, START, figures_text, rewrite


def test_the_readme_shows_the_figures_of_the_committed_results() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rewrite(readme) == readme, "run python -m benchmarks.readme_figures"
    assert f"{START}\n{figures_text()}\n{END}" in readme
