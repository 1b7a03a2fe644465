"""Figures of work that is measured several times, and their medians."""

import statistics
import sys


class Rows:
    """Rows by title, each with the figures of every time."""

    def __init__(self, name):
        self.name = name
        self.rows = {}

    def add(self, title, cost=None, **more):
        """Keeps the figures of one time."""
        figures = {**(cost.figures() if cost else {}), **more}
        self.rows.setdefault(title, []).append(figures)
        said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"peers: {self.name}: {title}: {said}", file=sys.stderr, flush=True)

    def medians(self):
        """The median of each figure, how often it was measured, and all of them."""
        done = {}
        for title, samples in self.rows.items():
            if isinstance(samples, dict):
                done[title] = samples
                continue
            figures = {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
            done[title] = {**figures, "repeats": len(samples), "samples": samples}
        return done
