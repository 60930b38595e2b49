"""Command lines of ganlib: `python -m train NAME`, and the others by `python -m train.COMMAND`.

evaluate, sample, export and publish take a model; film records a run for the lab; repeat, ablation and augment compare
runs; deploy sends the page to a Space.
"""
